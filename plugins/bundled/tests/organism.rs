//! The embedded default: what it finds is known to be true.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, text};
use serde_json::Value;
use std::path::PathBuf;

fn manifest(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments").join(name).display().to_string()
}

/// Values of each analyzer of a run.
fn findings(name: &str, set: &[&str]) -> (Vec<(String, Value)>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = manifest(name);
    let mut args = vec!["--json", "run", path.as_str()];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir.path(), &args);
    assert!(o.status.success(), "{}", text(&o));
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    let of = |a: &Value| (a["analyzer"].as_str().unwrap().to_string(), a["values"].clone());
    (v["findings"].as_array().unwrap().iter().map(of).collect(), v["report"].clone())
}

fn value<'a>(all: &'a [(String, Value)], analyzer: &str, key: &str) -> &'a Value {
    &all.iter().find(|(name, _)| name == analyzer).unwrap().1[key]
}

#[test]
fn quickstart_finds_what_was_planted() {
    let (found, report) = findings("quickstart.toml", &["study.groups=24"]);
    assert_eq!(report["groups"], 24);
    assert!(value(&found, "ground-truth", "exact_share").as_f64().unwrap() > 0.97, "{found:?}");
    assert_eq!(value(&found, "ground-truth", "step")["agrees"], true, "{found:?}");
    assert!(value(&found, "behavior", "primary")["p"].as_f64().unwrap() < 1e-4, "{found:?}");
    assert_eq!(value(&found, "ground-truth", "factor_tone")["agrees"], true, "{found:?}");
}

#[test]
fn the_control_finds_nothing() {
    let (found, _) = findings("control.toml", &["study.groups=24"]);
    assert!(value(&found, "ground-truth", "exact_share").as_f64().unwrap() > 0.97, "{found:?}");
    assert_eq!(value(&found, "ground-truth", "step")["agrees"], true, "{found:?}");
    assert!(value(&found, "behavior", "primary")["p"].as_f64().unwrap() > 0.05, "{found:?}");
}

#[test]
fn the_cut_counts_and_not_the_words() {
    // Interrupting words without a cut, a cut without interrupting words, and wordings that no lesson had.
    let text = std::fs::read_to_string(manifest("quickstart.toml")).unwrap();
    let (head, rest) = text.split_once("[[condition]]").unwrap();
    let (_, hooks) = rest.split_once("[[hook]]").unwrap();
    let condition = |name: &str, user: &str, keep: &str| {
        format!(
            "[[condition]]\nname = \"{name}\"\nplugin = \"template\"\nuser = \"{user}\"\n{keep}\nfactors = {{ completion = \"{name}\" }}\n"
        )
    };
    let cut = "keep = { tokens = 5, marker = \" --\" }";
    let conditions = condition("words", "Stop! Zip it, purple gorilla. {question}", "")
        + &condition("cut", "Lovely, merci beaucoup. {question}", cut);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.toml"), format!("{head}{conditions}[[hook]]{hooks}")).unwrap();
    let o = friction(dir.path(), &["--json", "run", "m.toml", "--set", "study.groups=24"]);
    assert!(o.status.success(), "{}", common::text(&o));
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    let values = &v["findings"][1]["values"];
    assert!(values["exact_share"].as_f64().unwrap() > 0.97, "{values}");
    assert_eq!(values["step"]["agrees"], true, "{values}");
}

#[test]
fn both_manifests_are_one_design() {
    // The control differs in its model, name and expectation alone.
    let read = |name: &str| std::fs::read_to_string(manifest(name)).unwrap().parse::<toml::Table>().unwrap();
    let (mut a, b) = (read("quickstart.toml"), read("control.toml"));
    for (section, key) in [("study", "name"), ("model", "source")] {
        a[section][key] = b[section][key].clone();
    }
    let analyzers = a["analyzer"].as_array_mut().unwrap();
    for (x, y) in analyzers.iter_mut().zip(b["analyzer"].as_array().unwrap()) {
        if x["plugin"].as_str() == Some("ground-truth") {
            x["expect"] = y["expect"].clone();
        }
    }
    assert_eq!(a, b);
}
