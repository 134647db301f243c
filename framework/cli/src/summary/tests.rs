#![allow(clippy::unwrap_used)]
use super::*;
use crate::estimates::all as table;
use friction_core::{Estimate, Figure, Findings, Table};
use friction_study::Answers;

const REPORT: RunReport = RunReport {
    groups: 40,
    resumed: 0,
    slots: 16,
    load_seconds: 0.5,
    seconds: 40.0,
    prefilled_tokens: 100_000,
    reused_tokens: 0,
    generated_tokens: 100_000,
    turns: 1920,
    forked_turns: 0,
    peak_memory_bytes: None,
};

fn analysis(name: &str, question: &str, estimates: Vec<Estimate>) -> Analysis {
    let mut findings = Findings::default();
    findings.ask(question);
    estimates.into_iter().for_each(|e| findings.estimate(e));
    Analysis { name: name.into(), findings }
}

/// `count` analyzers of `each` estimates.
fn many(count: usize, each: usize) -> Vec<Analysis> {
    let estimate = |i: usize| {
        let e = Estimate::new(format!("number {i}"), "points", i as f64).interval(-1.0, 1.0, 0.95);
        e.over(40, "group").null(0.0).p(0.01)
    };
    (0..count).map(|a| analysis(&format!("a{a}"), "What is it?", (0..each).map(estimate).collect())).collect()
}

fn all(found: Vec<Analysis>) -> Analyses {
    Analyses { found, notes: vec![], failed: vec![], answers: Answers { replies: 1920, read: 1920 } }
}

fn lines(analyses: &Analyses, width: usize) -> Vec<String> {
    stored(Path::new("runs/quickstart"), analyses, &[], width)
}

/// The summary of a run at `out`, with warnings of its plan.
fn stored(out: &Path, analyses: &Analyses, planned: &[String], width: usize) -> Vec<String> {
    let (program, name) = ("friction", "quickstart");
    Summary { program, name, out, report: &REPORT, seconds: 52.4, analyses, planned }.lines(width)
}

/// No line is too long and none drives the terminal.
fn fits(lines: &[String], width: usize) {
    assert!(lines.len() <= LINES, "{} lines: {lines:#?}", lines.len());
    for line in lines {
        assert!(measure_text_width(line) <= width && !line.chars().any(char::is_control), "{line:?}");
    }
}

fn study() -> Vec<Analysis> {
    let step = Estimate::new("each interruption", "points", -3.64).interval(-4.41, -2.87, 0.95).over(40, "group");
    let tone = Estimate::new("tone: polite instead of blunt", "points", 0.0).interval(0.0, 0.0, 0.95).over(40, "group");
    let auc = Estimate::new("probe, mostly attn_out.1", "AUC", 0.998).interval(0.991, 1.0, 0.95).over(40, "group");
    let dose = Estimate::new("dose -8", "points", 21.4).interval(17.3, 25.4, 0.9).over(38, "group");
    vec![
        analysis(
            "ground-truth",
            "Do the answers show the effect that was planted, and no other?",
            vec![step.null(0.0).truth(-4.0), tone.null(0.0).truth(1.0)],
        ),
        analysis("linear-probe", "Can completion be read out?", vec![auc.null(0.5).p(0.005).digits(3)]),
        analysis(
            "steering",
            "Does accuracy fall as the dose grows?",
            vec![dose.null(0.0).says("reached").digits(1), Estimate::untold("nothing", "").says("cannot be told")],
        ),
    ]
}

#[test]
fn numbers_stand_in_columns_beside_the_truth() {
    let want = [
        "  n = 40 groups                           found    95 % interval   true  verdict",
        "ground-truth: Do the answers show the effect that was planted, and no other?",
        "  each interruption, points              -3.64   -4.41 to -2.87  -4.00  agrees",
        "  tone: polite instead of blunt, points  +0.00   +0.00 to +0.00  +1.00  DIFFERS",
        "linear-probe: Can completion be read out?",
        "  probe, mostly attn_out.1, AUC           0.998   0.991 to 1.000         p = 0.0050",
        "steering: Does accuracy fall as the dose grows?",
        "  dose -8, points (38 groups)           +21.4    +17.3 to +25.4 (90 %)         reached",
        "  nothing                                 –                               cannot be told",
    ];
    let got = table(&study(), 100);
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(got.iter().map(|l| squeezed(l)).collect::<Vec<_>>(), want.map(squeezed), "{got:#?}");
    // The points of the numbers found stand in one column, and so do the verdicts.
    let at = |line: usize, text: &str| measure_text_width(&got[line][..got[line].find(text).unwrap()]);
    let point = at(2, "-3.64") + 2;
    assert_eq!([at(3, "+0.00") + 2, at(5, "0.998") + 1, at(7, "+21.4") + 3], [point; 3], "{got:#?}");
    let verdict = at(0, "verdict");
    assert_eq!([at(2, "agrees"), at(3, "DIFFERS"), at(7, "reached"), at(8, "cannot")], [verdict; 4], "{got:#?}");
}

#[test]
fn a_summary_fits_a_screen() {
    for width in [40, 80, 100] {
        let got = lines(&all(study()), width);
        fits(&got, width);
        assert!(got[0].starts_with("quickstart: 40 groups, 1920 turns in"), "{got:#?}");
        assert!(got.last().unwrap().starts_with("next: friction analyze runs/quickst"), "{got:#?}");
    }
    // No truth, no column of it.
    let mut found = study();
    found.remove(0);
    let got = lines(&all(found), 80);
    assert!(got.iter().all(|l| !l.contains("true")) && got.iter().any(|l| l.contains("verdict")), "{got:#?}");
}

#[test]
fn what_is_too_much_is_cut_and_counted() {
    for (count, each) in [(4, 4), (5, 4), (9, 4), (30, 4), (1, 60)] {
        let got = lines(&all(many(count, each)), 80);
        fits(&got, 80);
        let shown = got.iter().filter(|l| l.starts_with("  number")).count();
        let last = got.last().unwrap();
        match count * each - shown {
            0 => assert!(!last.contains("more"), "{last}"),
            n => assert!(last.contains(&format!("({n} more estimates)")), "{count} × {each}: {last}"),
        }
        assert!(shown >= 5, "{got:#?}");
        // Every analyzer that is shown has as many rows as the first, and its own headline stays.
        assert_eq!(shown % got.iter().filter(|l| l.contains("What is it?")).count(), 0, "{got:#?}");
    }
    // A long path stays whole, to be copied; what is left out is counted above it.
    let (path, analyses) = (format!("/data/{}", "long/".repeat(20)), all(many(9, 4)));
    let got = stored(Path::new(&path), &analyses, &[], 80);
    assert!(got.len() <= LINES && got[got.len() - 1] == format!("next: friction analyze {path}"), "{got:#?}");
    assert!(got[got.len() - 2].ends_with(" more estimates)") && got.contains(&format!("stored in {path}")), "{got:#?}");
    // `analyze` has them all.
    assert_eq!(table(&many(30, 4), 80).len(), 1 + 30 * 5);
}

#[test]
fn what_makes_a_run_doubtful_comes_first() {
    let mut analyses = all(many(12, 4));
    analyses.answers.read = 60;
    for a in &mut analyses.found {
        a.findings.warn("the same of all");
    }
    analyses.found[3].findings.warn("another");
    for name in ["lens", "probe", "third"] {
        let source = friction_core::Error::other("the weights are others");
        analyses.failed.push(friction_study::Error::Analyzer { name: name.into(), source });
    }
    let got = lines(&analyses, 80);
    fits(&got, 80);
    assert_eq!(got[0], "! FAILED: analyzer `lens`: the weights are others");
    assert!(got[1].contains("`probe`") && got[2] == "! 3 of 15 analyzers failed", "{got:#?}");
    assert_eq!(got[3], "! only 3.1 % of 1920 replies declare an answer; the others count as wrong");
    assert_eq!(got[4], "! 2 warnings. a0: the same of all");
    assert!(got[5].starts_with("quickstart: "), "{got:#?}");
    // A warning of the plan is counted too, and a long one is cut.
    let planned = [format!("m.toml:3:1: {}", "long words ".repeat(40))];
    let analyses = all(many(1, 1));
    let got = stored(Path::new("runs/x"), &analyses, &planned, 80);
    fits(&got, 80);
    assert!(got[0].starts_with("! 1 warning. m.toml:3:1: long") && got[1].ends_with('…'), "{got:#?}");
}

#[test]
fn text_of_others_is_escaped_and_cut_by_what_it_shows() {
    let wide = "漢字".repeat(60);
    let mut found = vec![analysis("\u{1b}[2Jname", &wide, vec![Estimate::new(&wide, "\u{202e}unit", 1.0)])];
    found[0].findings.warn(format!("line\nbreak\u{7} {wide}"));
    let mut of = Findings::default();
    of.say("first \u{1b}]0;x\u{7} said");
    found.push(Analysis { name: "quiet".into(), findings: of });
    let got = lines(&all(found), 80);
    fits(&got, 80);
    let text = got.join("\n");
    assert!(text.contains("\\u{1b}[2Jname: 漢字") && text.contains("quiet: first \\u{1b}]0;x\\u{7} said"), "{text}");
    assert!(text.contains("line\\u{a}break\\u{7}") && got.iter().filter(|l| l.contains('…')).count() >= 3, "{text}");
}

#[test]
fn a_long_label_is_cut_before_its_unit() {
    let long = Estimate::new("the effect of something with a very long name on the next answer", "points", 1.0);
    let other = Estimate::new("short", "", 2.0).over(3, "token");
    let found = [analysis("a", "b?", vec![long.over(40, "group"), other])];
    let got = table(&found, 40);
    assert!(got[2].contains("…, points (40 groups)"), "{got:#?}");
    assert!(got.iter().all(|l| measure_text_width(l) <= 40) && got[2].ends_with("1.00"), "{got:#?}");
}

#[test]
fn files_are_named_and_a_study_without_analyzers_says_where_its_turns_are() {
    let mut found = study();
    let figure = |name: &str| Figure { name: name.into(), caption: String::new(), svg: String::new(), png: vec![] };
    found[0].findings.table(Table::new("truth", ""));
    found[1].findings.figure(figure("layers"));
    found[1].findings.figure(figure("more"));
    let got = lines(&all(found), 80);
    fits(&got, 80);
    let at = got.iter().position(|l| l == "stored in runs/quickstart; in its folder analysis:").unwrap();
    assert_eq!(got[at + 1], "  figures  linear-probe/layers.svg  linear-probe/more.svg");
    assert_eq!(got[at + 2], "  tables   ground-truth/truth.parquet");
    let got = lines(&all(vec![]), 80);
    let want = ["", "stored in runs/quickstart", "  turns    groups/*/turns.parquet"];
    assert_eq!((got.len(), &got[1..4]), (5, &want.map(String::from)[..]), "{got:#?}");
}

#[test]
fn whether_a_number_was_named_before_the_run_stands_beside_it() {
    let estimate = |what: &str| Estimate::new(what, "points", 1.0).over(40, "group").null(0.0).p(0.2);
    let mut one = Findings::default();
    one.ask("Does accuracy fall faster with turns under one of the conditions than under the other?");
    one.add(estimate("b - a")).exploratory();
    let mut both = Findings::default();
    both.ask("Which?");
    both.add(estimate("named")).confirmatory();
    both.add(estimate("found")).exploratory();
    both.add(estimate("plain"));
    let found = [("one", one), ("both", both)].map(|(name, findings)| Analysis { name: name.into(), findings });
    let got = table(&found, 60);
    fits(&got, 60);
    // Told once where all share it, also where the question is cut; else at each row.
    assert!(got[1].starts_with("one: Does accuracy fall") && got[1].ends_with("… (exploratory)"), "{got:#?}");
    assert!(got[2].starts_with("  b - a, points ") && got[3] == "both: Which?", "{got:#?}");
    for (line, row) in
        [(4, "  named, points, confirmatory "), (5, "  found, points, exploratory "), (6, "  plain, points ")]
    {
        assert!(got[line].starts_with(row), "{got:#?}");
    }
}
