use super::*;
use friction_core::{Column, Estimate, Figure, Findings, Says, Table, Verdict};

fn told(findings: Findings, width: usize) -> Vec<String> {
    lines(&Analysis { name: "a".into(), findings }, width)
}

#[test]
fn blocks_are_printed_in_order_with_what_they_rest_on() {
    let mut f = Findings::default();
    f.ask("does it?");
    f.say("first\nand second");
    f.section("Effect");
    f.add(Estimate::new("b - a", "points", 1.5).over(40, "group")).method("sign flips").citation("Fisher 1935");
    f.estimate(Estimate::new("bare", "", 1.0));
    let table = |name: &str| Table::new(name, "a row for each level").column(Column::count("n", [3]));
    f.table(table("shown")).over(2, "category").method("counts");
    f.table(table("next")).over(2, "category").method("counts");
    f.table(table("large").stored());
    f.section("");
    let link = |group| TurnLink { group, condition: "cut".into(), turn: 5, ..TurnLink::default() };
    f.verdict(Verdict::new("Best", "it changes", Says::NotReached).because("too small"))
        .confirmatory()
        .links((0..7).map(link));
    f.warn("beware");
    f.figure(Figure { name: "fig".into(), caption: "what it shows".into(), svg: String::new(), png: vec![] });
    f.add("again").method("sign flips").citation("Fisher 1935");
    let want = [
        "",
        "a",
        "  first",
        "  and second",
        "",
        "  — Effect —",
        "  b - a",
        "    sign flips; [Fisher 1935]",
        "  a row for each level",
        "  n",
        "  3",
        "  a row for each level",
        "  n",
        "  3",
        "    n = 2 categories; counts",
        "  table large.parquet, large.csv (1 row): a row for each level",
        "  Verdict (Best), it changes: not reached",
        "    - too small",
        "    confirmatory",
        "    see group 0, cut, turn 5; group 1, cut, turn 5; group 2, cut, turn 5; group 3, cut, turn 5; group 4, cut, turn 5; 2 more",
        "  note: beware",
        "  figure fig.svg: what it shows",
        "  again",
        "    computed as above",
    ];
    assert_eq!(told(f.clone(), 200), want);
    let narrow = told(f, 40);
    assert!(narrow.iter().all(|l| l.chars().count() <= 40), "{narrow:#?}");
    assert!(narrow.iter().any(|l| l == "  table large.parquet, large.csv (1 row…"), "{narrow:#?}");
}

#[test]
fn text_of_plugins_cannot_drive_the_terminal() {
    let evil = "\u{1b}[2Jx\u{202e}";
    let mut f = Findings::default();
    f.section(evil);
    f.say(evil);
    f.warn(evil);
    f.add(Estimate::new(evil, evil, 1.0)).method(evil).citation(evil).over(1, evil);
    f.verdict(Verdict::new(evil, evil, Says::Reached).because(evil));
    f.table(Table::new(evil, evil).column(Column::text(evil, [evil]).title(evil).unit(evil))).unit(evil);
    f.table(Table::new(evil, evil).stored());
    f.figure(Figure { name: evil.into(), caption: evil.into(), svg: String::new(), png: vec![] });
    f.blocks[0].links.push(TurnLink { condition: evil.into(), arm: evil.into(), ..TurnLink::default() });
    let got = told(f, 100);
    assert!(got.iter().all(|l| !l.contains(['\u{1b}', '\u{202e}'])), "{got:#?}");
    assert!(got.iter().filter(|l| l.contains("\\u{1b}[2Jx\\u{202e}")).count() >= 10, "{got:#?}");
}
