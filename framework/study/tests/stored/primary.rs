//! The primary contrast is locked before the first token, and the lock decides what is confirmatory.
use crate::world::{ALL, MANIFEST, StopAfter, behavior, go, go_with, lock, world};
use friction_engine::{Flow, Progress};
use friction_store::amendments;
use friction_study::{Otherwise, RunOptions, analyze_stored};
use serde_json::{Value, json};
use std::fs;

const PRIMARY: [&str; 2] = ["primary.contrast=\"completion × turn\"", "primary.direction=falls"];

/// Whether the run's findings are confirmatory, analysed with other settings.
fn status(run: &std::path::Path, settings: &[&str]) -> Value {
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    analyze_stored(run, &Otherwise { settings: &settings, ..Otherwise::default() }).unwrap();
    let blocks = behavior(run)["blocks"].as_array().unwrap().clone();
    blocks.iter().rev().find_map(|b| b.get("status").cloned()).unwrap()
}

#[test]
fn the_contrast_is_in_the_lock_before_the_first_token() {
    let w = world();
    let out = w.path().join("run");
    // Stopped when the first group is written.
    assert!(go(w.path(), &out, &PRIMARY, StopAfter(1)).is_err());
    let locked = json!({
        "contrast": "completion × turn", "outcome": "score", "direction": "falls", "smallest": 0.5, "first_turn": 2,
        "unparsed": "wrong", "reference": "complete", "levels": {"completion": ["complete", "interrupt"]},
    });
    assert_eq!(lock(&out)["primary"], locked);
    // Another direction, or none, is another study.
    for (set, told) in [
        (
            &["primary.contrast=\"completion × turn\"", "primary.direction=rises"][..],
            "primary.direction: stored \"falls\", now \"rises\"",
        ),
        (&[], "primary: stored {\"contrast\":"),
    ] {
        let e = go(w.path(), &out, set, ALL).unwrap_err().to_string();
        assert!(e.contains(told), "{e}");
    }
    go(w.path(), &out, &PRIMARY, ALL).unwrap();
    assert_eq!(status(&out, &[]), "confirmatory");
    assert_eq!(status(&out, &["analyzer.0.primary=completion"]), "exploratory");
    assert_eq!(status(&out, &["analyzer.0.outcome=answered"]), "exploratory");
    // A contrast that is taken out of the stored manifest, or changed there, is not what the run was made of.
    let stored = fs::read_to_string(out.join("manifest.toml")).unwrap();
    let from = stored.find("[primary]").unwrap();
    // Its levels are a table of their own.
    let mut tables = stored[from..].match_indices("\n[").map(|(i, _)| from + i + 1);
    let end = tables.find(|i| !stored[*i..].starts_with("[primary")).unwrap();
    let without = format!("{}{}", &stored[..from], &stored[end..]);
    for (text, told) in [
        (without, "primary: stored {"),
        (
            stored.replace("direction = \"falls\"", "direction = \"rises\""),
            "primary.direction: stored \"falls\", now \"rises\"",
        ),
    ] {
        fs::write(out.join("manifest.toml"), text).unwrap();
        let e = analyze_stored(&out, &Otherwise::default()).err().unwrap().to_string();
        assert!(e.contains("is not what the run was made of") && e.contains(told), "{e}");
    }
}

#[test]
fn a_lock_of_before_without_reference_and_levels_is_resumed_and_analysed() {
    let w = world();
    let out = w.path().join("run");
    assert!(go(w.path(), &out, &PRIMARY, StopAfter(1)).is_err());
    let mut before = lock(&out);
    let primary = before["primary"].as_object_mut().unwrap();
    primary.retain(|key, _| !["reference", "levels"].contains(&key.as_str()));
    fs::write(out.join("lock.json"), format!("{before:#}\n")).unwrap();
    // Another reference is another contrast, as it was.
    let other = [PRIMARY[0], PRIMARY[1], "primary.reference=interrupt"];
    let e = go(w.path(), &out, &other, ALL).unwrap_err().to_string();
    assert!(e.contains("primary.reference: stored null, now \"interrupt\""), "{e}");
    go(w.path(), &out, &PRIMARY, ALL).unwrap();
    assert_eq!(status(&out, &[]), "confirmatory");
    assert!(lock(&out)["primary"].get("reference").is_none());
}

#[test]
fn a_study_without_a_contrast_has_the_lock_that_it_had_before() {
    let w = world();
    let out = w.path().join("run");
    go(w.path(), &out, &["study.groups=1"], ALL).unwrap();
    assert!(lock(&out).get("primary").is_none());
    assert_eq!(status(&out, &[]), "exploratory");
}

#[test]
fn conditions_made_of_factors_are_those_that_are_listed() {
    let factors = r#"
[[factor]]
name = "completion"
levels.complete = { user = "ok. {question}" }
levels.interrupt = { user = ["nvm. {question}", "stop. {question}"], keep = { tokens = 2, marker = "..." } }
[design]
plugin = "template"
[[hook]]"#;
    let (head, rest) = MANIFEST.split_once("[[condition]]").unwrap();
    let (_, tail) = rest.split_once("[[hook]]").unwrap();
    let w = world();
    let (listed, made) = (w.path().join("listed"), w.path().join("made"));
    go(w.path(), &listed, &["study.groups=1"], ALL).unwrap();
    go_with(w.path(), &format!("{head}{factors}{tail}"), &made, &["study.groups=1"], ALL).unwrap();
    assert_eq!(lock(&made)["conditions"], lock(&listed)["conditions"]);
    // Each is resumed by the other, and analysed by itself.
    assert_eq!(go(w.path(), &made, &["study.groups=1"], ALL).unwrap().resumed, 1);
    analyze_stored(&made, &Otherwise::default()).unwrap();
    assert!(behavior(&made)["values"]["turns"].is_number());
}

/// How the analyzer departs from the one that counts as settled.
fn behavior_departs(run: &std::path::Path) -> Value {
    analyze_stored(run, &Otherwise::default()).unwrap();
    behavior(run)["departs"].clone()
}

/// Runs to the end, and amends the contrast.
struct Amends(&'static str);
impl RunOptions for Amends {
    fn loading(&mut self, _: u64, _: u64) {}
    fn progress(&mut self, _: &Progress, _: usize) -> Flow {
        Flow::Continue
    }
    fn amends(&self) -> Option<&str> {
        Some(self.0)
    }
}

#[test]
fn an_amendment_says_whether_outcomes_had_been_read() {
    let w = world();
    let out = w.path().join("run");
    let set = |direction: &str| [PRIMARY[0].to_string(), format!("primary.direction={direction}")];
    let amend = |direction: &str, more: &[&str], why: &'static str| {
        let set = set(direction);
        let set: Vec<&str> = set.iter().map(String::as_str).chain(more.iter().copied()).collect();
        go_with(w.path(), MANIFEST, &out, &set, Amends(why)).map_err(|e| e.to_string())
    };
    // There is no run yet; then nothing that changes; then something that is no contrast.
    assert!(
        amend("falls", &[], "why").unwrap_err().contains("holds no run whose primary contrast or analyzers could be")
    );
    assert!(go(w.path(), &out, &PRIMARY, StopAfter(0)).is_err());
    assert!(amend("falls", &[], "why").unwrap_err().contains("has this primary contrast and these analyzers already"));
    let e = amend("rises", &["study.seed=9"], "why").unwrap_err();
    assert!(e.contains("study.seed: stored 3, now 9") && amendments(&out).unwrap().is_empty(), "{e}");
    // Before a group is finished, the contrast is as good as named before the run.
    amend("rises", &["analyzer.0.level=0.9"], "the sign was turned round").unwrap();
    let [first] = &amendments(&out).unwrap()[..] else { panic!() };
    assert_eq!(
        (first.outcomes_read, &first.stored["direction"], &first.now["direction"]),
        (false, &json!("falls"), &json!("rises"))
    );
    assert_eq!(lock(&out)["primary"]["direction"], "falls");
    let (_, notes) = analyze_stored(&out, &Otherwise::default()).unwrap();
    let told = "the primary contrast and the analyzers were amended before any outcome could be read";
    assert_eq!(notes, [format!("{told}: the sign was turned round")]);
    // Analyzers are amended on the same record: before an outcome could be read they count as settled.
    assert_eq!(first.analyzers.as_ref().unwrap().now["behavior"]["table"]["level"], 0.9);
    assert!(lock(&out)["analyzers"]["behavior"]["table"].get("level").is_none());
    assert_eq!(lock(&out)["analyzers"]["behavior"]["defaults"], json!({"level": 0.95}));
    assert!(behavior(&out).get("departs").is_none());
    assert_eq!(status(&out, &[]), "confirmatory");
    let e = go(w.path(), &out, &PRIMARY, ALL).unwrap_err().to_string();
    assert!(e.contains("primary.direction: stored \"rises\", now \"falls\"") && e.contains("--amend"), "{e}");
    // Afterwards it is exploratory for good.
    amend("either", &[], "the result").unwrap();
    let second = &amendments(&out).unwrap()[1];
    assert!(second.outcomes_read && second.contrast() && second.analyzers.is_some());
    assert_eq!(behavior_departs(&out), json!(["analyzer `behavior`.level: stored 0.9, now 0.95"]));
    assert_eq!(status(&out, &[]), "exploratory");
    amend("rises", &[], "back").unwrap();
    assert_eq!(status(&out, &[]), "exploratory");
}
