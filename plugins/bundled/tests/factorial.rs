//! Designs that are written in factors, and the primary contrast: what is refused before a run, and what is told after it.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, friction, place, says, text, world};
use friction as _;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

const FACTORS: &str = r#"[[factor]]
name = "completion"
levels.complete = {}
levels.interrupt = { keep = { tokens = 2, marker = " -" } }
[[factor]]
name = "tone"
levels.blunt = { user = "Faster. {question}" }
levels.polite = { user = "Please. {question}" }
[design]
plugin = "template"
"#;
const PRIMARY: &str = "[primary]\ncontrast = \"completion × turn\"\n";
const BEHAVIOR: &str = "[[analyzer]]\nplugin = \"behavior\"\n";

/// `MANIFEST` with other tables in the place of its conditions, and an analyzer without a contrast of its own.
fn study(tables: &str) -> String {
    let (head, rest) = MANIFEST.split_once("[[condition]]").unwrap();
    let hook = &rest[rest.find("[[hook]]").unwrap()..rest.find("[[analyzer]]").unwrap()];
    format!("{head}{tables}{hook}{BEHAVIOR}").replace("groups = 2", "groups = 8")
}

fn check(dir: &Path, set: &[&str]) -> Output {
    let mut args = vec!["check", "m.toml"];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    friction(dir, &args)
}

/// What is printed of a manifest that is accepted.
fn taken(manifest: &str, set: &[&str]) -> String {
    let o = check(world(manifest).path(), set);
    assert_eq!(o.status.code(), Some(0), "{}", text(&o));
    text(&o)
}

/// What is printed of a manifest that is refused.
fn refused(manifest: &str, set: &[&str]) -> String {
    let o = check(world(manifest).path(), set);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    text(&o)
}

#[test]
fn factors_are_checked_as_conditions_and_the_plan_names_the_contrast() {
    let whole = study(&format!("{FACTORS}{PRIMARY}"));
    let told = taken(&whole, &[]);
    // 4 conditions × 8 groups.
    let line = "primary completion × turn of score, interrupt minus complete: differs from 0 by at least 0.5 points/turn; turns from 2 on";
    says(&told, &[line]);
    says(&told, &["conversations 32 of 3 turns"]);
    // Eight groups share the world's eight items; nothing else is warned of.
    assert!(told.matches("warning").count() == 1 && told.contains("asked in more than one group"), "{told}");
    let o = friction(world(&whole).path(), &["--json", "check", "m.toml"]);
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(
        (&told["primary"]["contrast"], &told["primary"]["smallest"]),
        (&json!("completion × turn"), &json!(0.5))
    );
    says(&taken(&study(FACTORS), &[]), &["primary none: every contrast is exploratory"]);
    // A study too small for a verdict, and one whose contrast nothing tests.
    says(&taken(&whole, &["study.groups=7"]), &["warning", "of 7 groups no verdict can be told: it needs 8"]);
    let idle = whole.replace(BEHAVIOR, "");
    says(&taken(&idle, &[]), &["warning", &place(&idle, "primary]"), "no `[[analyzer]]` tests the primary contrast"]);
}

#[test]
fn a_fraction_tells_what_is_aliased_and_is_compared_by_averages() {
    let three = FACTORS.replace(
        "[design]\n",
        "[[factor]]\nname = \"prompt\"\nlevels.bare = {}\nlevels.opened = { prefill = \"So\" }\n[design]\nfraction = \"I = completion × tone × prompt\"\n",
    );
    let m = study(&format!("{three}{PRIMARY}"));
    says(
        &taken(&m, &[]),
        &[
            "note the conditions are a fraction, 1 in 2, of resolution III: I = completion × tone × prompt",
            "completion = tone × prompt; tone = completion × prompt; prompt = completion × tone",
        ],
    );
    // Aliased with the main effect of a factor, an interaction cannot be told.
    let crossed = m.replace("\"completion × turn\"", "\"completion × tone × turn\"");
    let told = refused(&crossed, &[]);
    says(
        &told,
        &[
            &place(&crossed, "contrast ="),
            "no conditions at all levels of `completion` and `tone` agree in every other",
        ],
    );
}

#[test]
fn faults_of_made_conditions_point_at_the_level() {
    let m = study(&FACTORS.replace("tokens = 2", "token = 2"));
    let told = refused(&m, &[]);
    says(&told, &[&place(&m, "token = 2"), "unknown key `token`", "`tokens`?", "1 error"]);
    let m = study(&FACTORS.replace("Faster. {question}", "Faster."));
    says(&refused(&m, &[]), &[&place(&m, "user = \"Faster.\""), "has no `{question}`", "1 error"]);
    let set = "factor.0.levels.interrupt.keep.tokens=-1";
    says(&refused(&study(FACTORS), &[set]), &[&format!("--set {set}: expected a whole number from 0"), "1 error"]);
    let m = study(FACTORS)
        + "[[condition]]\nname = \"complete_blunt\"\nplugin = \"template\"\nuser = \"x {question}\"\nfactors = { completion = \"c\", tone = \"t\" }\n";
    says(&refused(&m, &[]), &["two of the conditions are called `complete_blunt`"]);
}

/// A condition that is listed by hand.
fn listed(name: &str, completion: &str, tone: &str) -> String {
    format!(
        "[[condition]]\nname = \"{name}\"\nplugin = \"template\"\nuser = \"{name}: {{question}}\"\nfactors = {{ completion = \"{completion}\", tone = \"{tone}\" }}\n"
    )
}

#[test]
fn contrasts_that_the_design_cannot_tell_are_refused_at_their_table() {
    let of = |contrast: &str| format!("[primary]\ncontrast = \"{contrast}\"\nsmallest = 1\n");
    let third = FACTORS.replace("levels.interrupt", "levels.half = { keep = { tokens = 1 } }\nlevels.interrupt");
    let gap = FACTORS.replace("[design]\n", "[design]\nexcept = [{ completion = \"complete\", tone = \"polite\" }]\n");
    let lone =
        [listed("a", "complete", "blunt"), listed("b", "interrupt", "blunt"), listed("c", "interrupt", "polite")]
            .concat();
    for (design, contrast, told) in [
        (
            FACTORS,
            "tune × turn",
            "the primary contrast compares levels of factor `tune`, but no condition has such a factor",
        ),
        (
            &third,
            "completion × tone × turn",
            "the primary contrast compares 2 levels of factor `completion`, but the conditions carry 3",
        ),
        (
            &gap,
            "completion × tone",
            "no condition has `completion = complete` and `tone = polite`: this cell of the contrast is empty",
        ),
        (&gap, "completion × turn", "`interrupt_polite`: no single partner that differs in `completion` alone"),
        (&lone, "completion × turn", "`c`: no single partner that differs in `completion` alone"),
        (&lone, "tone", "`a`: no single partner that differs in `tone` alone"),
    ] {
        let m = study(&format!("{design}{}", of(contrast)));
        says(&refused(&m, &[]), &[&place(&m, "contrast ="), told]);
    }
    // The same contrasts as an analyzer's own: what has no partner is left out, with a warning.
    let own = |design: &str, contrast: &str| study(design) + &format!("primary = \"{contrast}\"\n");
    says(
        &taken(&own(&lone, "completion × turn"), &[]),
        &["warning", "`c`: no single partner", "left out of what compares"],
    );
    says(&refused(&own(&gap, "completion × tone"), &[]), &["this cell of the contrast is empty"]);
    // One turn has no slope.
    let m = study(&format!("{third}{}", of("completion × turn")));
    let told = refused(&m, &["study.turns=1"]);
    says(
        &told,
        &[
            &place(&m, "primary]"),
            "the primary contrast needs 2 turns from turn 2 on (the default of `first_turn`), but the study has 1 turn",
        ],
    );
    // What is not in `levels` is an extra control.
    let extra = format!("{FACTORS}{}{}", of("completion × turn"), listed("control", "none", "none"));
    assert_eq!(taken(&study(&extra), &[]).matches("warning").count(), 1);
    for (key, told) in [
        ("levels = { tune = [\"a\"] }", "no condition has a factor `tune`"),
        ("levels = { tone = [\"blunt\", \"polit\"] }", "no condition has `tone = polit`"),
        ("reference = \"complet\"", "no condition's `completion` has the level `complet`"),
        ("first_turn = 4", "needs 2 turns from turn 4 on, but the study has 3 turns"),
        ("outcome = \"aside.mood\"", "needs the aside `mood`, which the manifest lacks"),
        ("outcome = \"metric.foo\"", "needs the metric `foo`, which no grade of this study has"),
    ] {
        let m = study(&format!("{FACTORS}{}{key}\n", of("completion × turn")));
        let at = if key.starts_with("levels") { key.trim_start_matches("levels = { ") } else { key };
        says(&refused(&m, &[]), &[&place(&m, at), told]);
    }
    // A number that a judge gives after the run.
    let judged = study(&format!("{FACTORS}{}outcome = \"metric.foo\"\n", of("completion × turn")));
    says(
        &taken(&judged, &["study.scores=[\"foo\"]"]),
        &["completion × turn of metric.foo, interrupt minus complete: ", "is exploratory and has no verdict"],
    );
    says(&refused(&judged, &["study.scores=[\"fo\"]"]), &["there are `fo`; numbers that people or a judge give"]);
    let m = study(&format!("{FACTORS}[primary]\ncontrast = \"tone\"\n"));
    says(
        &refused(&m, &[]),
        &[&place(&m, "primary]"), "`smallest` is missing: the smallest effect of interest, in points"],
    );
    let m = study(&format!("{FACTORS}[primary]\ncontrast = \"tone × \"\n"));
    says(&refused(&m, &[]), &[&place(&m, "contrast ="), "is none of `<factor> × turn`"]);
}

/// The statuses of an analyzer's blocks.
fn statuses(found: &Value) -> Vec<&str> {
    found["blocks"].as_array().unwrap().iter().filter_map(|b| b["status"].as_str()).collect()
}

#[test]
fn every_renderer_says_whether_a_contrast_was_locked() {
    let lengths = format!("{PRIMARY}outcome = \"reply_tokens\"\nsmallest = 1\n");
    let w = world(&study(&format!("{FACTORS}{lengths}")));
    let o = friction(w.path(), &["run", "m.toml"]);
    assert!(o.status.success(), "{}", text(&o));
    says(&text(&o), &["(confirmatory)"]);
    let o = friction(w.path(), &["analyze", "runs/tiny"]);
    says(
        &text(&o),
        &["(confirmatory)", "Verdict (Primary), the slope of length of the reply with turns", " confirmatory; "],
    );
    assert!(!text(&o).contains("xploratory"), "{}", text(&o));
    let o = friction(w.path(), &["--json", "analyze", "runs/tiny"]);
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(statuses(&told["analyzers"]["behavior"]), ["confirmatory"; 2], "{told}");
    // Another manifest's primary contrast is not the run's.
    let other = study(&format!("{FACTORS}{}", lengths.replace("completion", "tone")));
    std::fs::write(w.path().join("other.toml"), other).unwrap();
    let o = friction(w.path(), &["analyze", "runs/tiny", "--manifest", "other.toml"]);
    says(&text(&o), &["other settings in it differ from the run's: primary.contrast", "(confirmatory)"]);
    for set in ["analyzer.0.primary=tone × turn", "analyzer.0.first_turn=1", "analyzer.0.outcome=answered"] {
        let o = friction(w.path(), &["analyze", "runs/tiny", "--set", set]);
        says(
            &text(&o),
            &["Exploratory: this departs from the primary contrast that the run's lock names", " exploratory; "],
        );
        assert!(!text(&o).contains("confirmatory") && !text(&o).contains("Verdict"), "{set}: {}", text(&o));
        let o = friction(w.path(), &["--json", "analyze", "runs/tiny", "--set", set]);
        let told: Value = serde_json::from_slice(&o.stdout).unwrap();
        assert_eq!(statuses(&told["analyzers"]["behavior"]), ["exploratory"], "{set}: {told}");
    }
    // The stored manifest lists the conditions that the factors made, and the levels that are compared.
    let stored = std::fs::read_to_string(w.path().join("runs/tiny/manifest.toml")).unwrap();
    assert!(
        stored.matches("[[condition]]").count() == 4 && !stored.contains("factor]]") && !stored.contains("[design]"),
        "{stored}"
    );
    says(&stored, &["[primary.levels]", "tone = [\"blunt\", \"polite\"]"]);
    // Another contrast is another study.
    std::fs::write(w.path().join("m.toml"), std::fs::read_to_string(w.path().join("other.toml")).unwrap()).unwrap();
    let o = friction(w.path(), &["run", "m.toml"]);
    assert_eq!(o.status.code(), Some(1));
    says(&text(&o), &["primary.contrast: stored \"completion × turn\", now \"tone × turn\""]);
}
