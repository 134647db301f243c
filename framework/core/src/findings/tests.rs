#![allow(clippy::unwrap_used)]
use super::*;

fn read(json: &str) -> Findings {
    serde_json::from_str(json).unwrap()
}

/// One block of each kind, with everything that a block may have.
fn full() -> Findings {
    let mut f = Findings::default();
    f.ask("does it?");
    f.say("before any section");
    f.section("Effect");
    f.add(Estimate::new("slope", "points/turn", -3.25).interval(-4.5, f64::INFINITY, 0.95).over(40, "group"))
        .method("sign flips of groups")
        .citation("Fisher 1935")
        .confirmatory();
    let verdict = Verdict::new("Best", "the answers change", Says::CannotBeTold).because("few groups");
    let link = TurnLink { group: 3, condition: "cut".into(), arm: "direction@2".into(), sample: 1, turn: 5 };
    f.verdict(verdict).links([link.clone(), TurnLink { sample: 0, arm: String::new(), ..link }]).exploratory();
    let shown = Table::new("shown", "what a row is")
        .column(Column::text("level", ["a", "b"]).title("the level"))
        .column(Column::number("share", [0.5, f64::NAN]).unit("%").digits(1));
    f.table(shown).over(40, "group").unit("%");
    f.section("");
    f.table(Table::new("large", "").stored().column(Column::count("turn", [1, 2, 3])));
    f.figure(Figure { name: "fig".into(), caption: "c".into(), svg: "<svg/>".into(), png: vec![0, 255] });
    f.warn("beware");
    f.value("x", 1);
    f.file("a.bin", vec![0, 255, 3]);
    f
}

#[test]
fn findings_come_back() {
    let f = full();
    let text = serde_json::to_string(&f).unwrap();
    let back = read(&text);
    // NaN is not equal to itself, so the texts are compared too.
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    assert_eq!((back.blocks[2].clone(), back.files.clone()), (f.blocks[2].clone(), f.files.clone()));
    let sections: Vec<Option<&str>> = back.blocks.iter().map(|b| b.section.as_deref()).collect();
    assert_eq!(sections, [None, Some("Effect"), Some("Effect"), Some("Effect"), None, None, None]);
    let counted: Vec<_> = back.blocks.iter().map(Block::counted).collect();
    assert_eq!(counted[..4], [None, Some((40, "group")), None, Some((40, "group"))]);
    assert_eq!(back.blocks[2].status, Some(Status::Exploratory));
    let table = back.tables().next().unwrap();
    assert!(table.rows() == 2 && matches!(&table.columns[1].cells, Cells::Number(v) if v[1].is_nan()));
    assert_eq!(table.columns.iter().map(Column::heading).collect::<Vec<_>>(), ["the level", "share (%)"]);
    assert_eq!((back.texts().count(), back.estimates().count(), back.verdicts().count()), (1, 1, 1));
    assert_eq!((back.figures().count(), back.warnings().next().unwrap().as_str()), (1, "beware"));
}

#[test]
fn findings_of_before_are_read_as_blocks() {
    // As the first version wrote it.
    let first =
        read(r#"{"summary": ["a"], "warnings": [], "values": {"x": 1}, "tables": [], "figures": [], "files": []}"#);
    assert_eq!((first.question.as_ref(), first.texts().next().unwrap().as_str()), (None, "a"));
    assert_eq!((&first.values["x"], first.blocks.len()), (&json!(1), 1));
    // As the next one did, and as a library in C does.
    let next = read(
        r#"{"question": "q?", "estimates": [{"what": "e", "value": 1}], "summary": ["s"], "warnings": ["w"], "values": {},
            "tables": [{"name": "t", "columns": [["x", {"number": [1.5, null]}], ["y", {"text": ["a", "b"]}], ["z", {"count": [3, 4]}]]}],
            "figures": [{"name": "f", "caption": "c", "svg": "<svg/>", "png": "AP8="}], "files": [["a.bin", "AP8D"]]}"#,
    );
    let kinds: Vec<String> =
        next.blocks.iter().map(|b| json!(b).as_object().unwrap().keys().next_back().unwrap().clone()).collect();
    assert_eq!(kinds, ["estimate", "text", "table", "figure", "warning"]);
    let table = next.tables().next().unwrap();
    assert!(!table.shown && table.columns[2] == Column::count("z", [3, 4]), "{table:?}");
    assert_eq!(next.files, [("a.bin".to_string(), vec![0, 255, 3])]);
    assert_eq!(read("{}"), Findings::default());
}

#[test]
fn what_no_version_wrote_is_refused() {
    for (json, why) in [
        (r#"{"warning": ["w"]}"#, "unknown field `warning`"),
        (r#"{"blocks": [{"section": "x"}]}"#, "exactly one of `text`"),
        (r#"{"blocks": [{"text": "x", "warning": "y"}]}"#, "exactly one of `text`"),
        (r#"{"blocks": [{"text": "x", "metod": "y"}]}"#, "unknown field `metod`"),
        (r#"{"tables": [{"name": "t", "columns": [{"name": "x"}]}]}"#, "column `x` must have exactly one of"),
        (r#"{"tables": [{"name": "t", "columns": [{"name": "x", "numbers": [1]}]}]}"#, "unknown field `numbers`"),
        (r#"{"blocks": [{"verdict": {"level": "l", "claim": "c", "says": "maybe"}}]}"#, "unknown variant `maybe`"),
    ] {
        let e = serde_json::from_str::<Findings>(json).unwrap_err().to_string();
        assert!(e.contains(why), "{json}: {e}");
    }
}

#[test]
fn a_document_names_files_in_place_of_what_they_hold() {
    let doc = full().document();
    let keys: Vec<&String> = doc.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["question", "values", "blocks", "warnings"]);
    let block = |i: usize| &doc["blocks"][i];
    assert_eq!(block(1)["estimate"]["what"], "slope");
    assert_eq!((&block(1)["section"], &block(1)["status"]), (&json!("Effect"), &json!("confirmatory")));
    assert_eq!(block(2)["verdict"]["says"], "cannot be told");
    let columns = json!([
        {"name": "level", "title": "the level", "text": ["a", "b"]},
        {"name": "share", "unit": "%", "digits": 1, "number": [0.5, null]}
    ]);
    assert_eq!((&block(3)["table"]["columns"], &block(3)["table"]["rows"]), (&columns, &json!(2)));
    let large = json!({"name": "large", "shown": false, "columns": [{"name": "turn"}], "rows": 3, "files": ["large.parquet", "large.csv"]});
    assert_eq!(*block(4), json!({"table": large}));
    assert_eq!(*block(5), json!({"figure": {"name": "fig", "caption": "c", "files": ["fig.svg", "fig.png"]}}));
    assert_eq!(doc["warnings"], json!(["beware"]));
}

#[test]
fn estimates_come_back_and_what_is_not_finite_is_absent() {
    let mut f = Findings::default();
    let e = Estimate::new("slope", "points/turn", -3.25).interval(-4.5, f64::INFINITY, 0.95).over(40, "group");
    f.estimate(e.p(0.01).null(0.0).truth(-4.0).says("reached").digits(3));
    f.estimate(Estimate::new("nothing", "", f64::NAN));
    let back = read(&serde_json::to_string(&f).unwrap());
    let [first, second] = back.estimates().collect::<Vec<_>>()[..] else { panic!("{back:?}") };
    assert_eq!((first.high, second.value), (None, None));
    assert_eq!(back, f);
    // A number that was put in without the constructor.
    let odd = Estimate { value: Some(f64::NAN), ..Estimate::default() };
    let back: Estimate = serde_json::from_str(&serde_json::to_string(&odd).unwrap()).unwrap();
    assert_eq!(back.value, None);
    let least: Estimate = serde_json::from_str(r#"{"what": "x", "value": 1}"#).unwrap();
    assert_eq!((least.digits, least.value), (2, Some(1.0)));
}

#[test]
fn the_truth_agrees_where_the_interval_holds_it() {
    let e = Estimate::new("x", "", 1.0);
    assert_eq!(e.clone().truth(1.0).agrees(), None);
    let e = e.interval(0.5, 1.5, 0.95);
    assert_eq!(e.agrees(), None);
    assert_eq!((e.clone().truth(1.5).agrees(), e.truth(1.6).agrees()), (Some(true), Some(false)));
}

#[test]
fn counts_have_their_number() {
    let said = [(1, "group"), (0, "group"), (2, "category"), (3, "survey"), (2, "batch"), (2, "bias")];
    assert_eq!(
        said.map(|(n, one)| plural(n, one)).join(", "),
        "1 group, 0 groups, 2 categories, 3 surveys, 2 batches, 2 biases"
    );
}
