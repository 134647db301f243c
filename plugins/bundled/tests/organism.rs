//! Studies of the bundled model organism, in which the right answers are known.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text};
use serde_json::Value;

fn manifest(name: &str) -> String {
    root().join("experiments").join(name).display().to_string()
}

/// The values of each analyzer of a run, and its report.
fn findings(name: &str, set: &[&str]) -> (Vec<(String, Value)>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = manifest(name);
    let mut args = vec!["--json", "run", path.as_str()];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir.path(), &args);
    assert!(o.status.success(), "{}", text(&o));
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    let of = |(name, a): (&String, &Value)| (name.clone(), a["values"].clone());
    (v["analyzers"].as_object().unwrap().iter().map(of).collect(), v["run"]["report"].clone())
}

fn value<'a>(all: &'a [(String, Value)], analyzer: &str, key: &str) -> &'a Value {
    &all.iter().find(|(name, _)| name == analyzer).unwrap().1[key]
}

/// Settings that make the manifests smaller: fewer groups and control directions.
const SMALL: [&str; 2] = ["study.groups=20", "hook.1.random=4"];

/// The change of accuracy in points at a dose of -8, and the largest that a random direction reached.
fn steered(found: &[(String, Value)]) -> (f64, f64) {
    let doses = value(found, "steering", "doses").as_array().unwrap();
    let at = doses.iter().find(|d| d["dose"] == -8.0).unwrap()["points"].as_f64().unwrap();
    let controls = value(found, "steering", "controls").as_array().unwrap();
    // Shuffled-label directions lie along the directions of largest variance. In the organism the count of
    // interruptions is one of them, so these directions are no control here.
    let random = controls.iter().filter(|c| c["control"] == "random");
    let most = random.map(|c| c["control_largest"].as_f64().unwrap()).fold(0.0, f64::max);
    (at, most)
}

#[test]
fn quickstart_finds_what_was_planted() {
    let (found, report) = findings("quickstart.toml", &SMALL);
    assert_eq!(report["groups"], 20);
    // Steering restores accuracy that the interruptions cost, and random directions of that size do not.
    let (points, most) = steered(&found);
    assert!(points > 10.0 && points > 2.0 * most, "{points} {most}");
    let restored = value(&found, "steering", "doses")[0]["restored"].as_f64().unwrap();
    // With four random directions no rank reaches p ≤ 0.05, and the verdict says so.
    let verdict = value(&found, "steering", "verdict");
    assert!(
        verdict["says"] == "cannot be told" && verdict["why"].as_str().unwrap().contains("at least 19"),
        "{verdict}"
    );
    let test = value(&found, "steering", "test");
    assert!(test["low"].as_f64().unwrap() > 10.0 && test["p_flips"].as_f64().unwrap() < 0.001, "{test}");
    assert!((0.8..1.2).contains(&restored), "{restored}");
    // The probe, trained on other wordings, can tell whether replies were cut.
    let headline = value(&found, "linear-probe", "headline");
    assert!(headline["low"].as_f64().unwrap() > 0.95 && headline["p"].as_f64().unwrap() < 0.05, "{headline}");
    assert!(value(&found, "linear-probe", "next_answer")["high"].as_f64().unwrap() < 0.0);
    assert!(value(&found, "ground-truth", "exact_share").as_f64().unwrap() > 0.97, "{found:?}");
    assert_eq!(value(&found, "ground-truth", "step")["agrees"], true, "{found:?}");
    assert!(value(&found, "behavior", "primary")["p"].as_f64().unwrap() < 1e-3, "{found:?}");
    assert_eq!(value(&found, "ground-truth", "factor_tone")["agrees"], true, "{found:?}");
}

/// Steering with enough controls for a verdict: once for the direction, once for a control in its place.
#[test]
fn the_direction_reaches_the_verdict_and_a_random_one_in_its_place_does_not() {
    let quick = std::fs::read_to_string(manifest("quickstart.toml")).unwrap();
    let (head, _) = quick.split_once("# Phase 2").unwrap();
    let hook = &quick[quick.find("[[hook]]\nplugin = \"steer\"").unwrap()..quick.find("# The one contrast").unwrap()];
    let file = root().join("experiments/organism/planted.safetensors").display().to_string();
    let hook = hook.replace("organism/planted.safetensors", &file).replace("[-8, -4, 4]", "[-8]");
    let analyzer = "plugin = \"steering\"\nwhere = { completion = \"interrupt\" }\nexpect = \"falls\"\n";
    let analyzers = format!(
        "[[analyzer]]\n{analyzer}[[analyzer]]\nname = \"random\"\n{analyzer}tested = \"random-03\"\n[[analyzer]]\nname = \"against\"\n{}",
        analyzer.replace("falls", "rises")
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.toml"), format!("{head}{hook}shuffled = 0\n{analyzers}")).unwrap();
    // `check` says what the verdict will lack.
    let few = ["check", "m.toml", "--set", "hook.0.random=4", "--set", "study.groups=7"];
    let told = text(&friction(dir.path(), &few));
    assert!(told.contains("4 random directions") && told.contains("7 groups"), "{told}");
    // Testing a control direction that does not exist is refused.
    let told = text(&friction(dir.path(), &["check", "m.toml", "--set", "hook.0.random=2"]));
    assert!(told.contains("no hook brings an arm `random-03`"), "{told}");

    let set = ["--json", "run", "m.toml", "--set", "study.groups=16", "--set", "study.turns=10"];
    let o = friction(dir.path(), &set);
    assert!(o.status.success(), "{}", text(&o));
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    let [direction, random, against] = ["steering", "random", "against"].map(|a| &v["analyzers"][a]["values"]);
    assert!(direction["verdict"]["says"] == "reached" && direction["best"] == true, "{direction}");
    assert!(
        direction["test"]["p"] == direction["test"]["p_rank"] && direction["test"]["controls"] == 20,
        "{direction}"
    );
    assert!(random["best"] == false && random["test"]["controls"] == 19, "{random}");
    // With the opposite expectation the same change does not reach the claim.
    assert_eq!(against["verdict"]["says"], "not reached", "{against}");
}

#[test]
fn the_null_finds_nothing() {
    let (found, _) = findings("null.toml", &SMALL);
    assert_eq!(steered(&found), (0.0, 0.0));
    assert_eq!(value(&found, "steering", "best"), false);
    assert_eq!(value(&found, "steering", "test")["p"], 1.0);
    assert!(value(&found, "ground-truth", "exact_share").as_f64().unwrap() > 0.97, "{found:?}");
    assert_eq!(value(&found, "ground-truth", "step")["agrees"], true, "{found:?}");
    assert!(value(&found, "behavior", "primary")["p"].as_f64().unwrap() > 0.05, "{found:?}");
}

#[test]
fn the_cut_counts_and_not_the_words() {
    // Interrupting words without a cut, cuts without such words, and wordings that were not in the training data.
    let text = std::fs::read_to_string(manifest("quickstart.toml")).unwrap();
    let (head, _) = text.split_once("[[condition]]").unwrap();
    let truth = "[[analyzer]]\nplugin = \"ground-truth\"\nexpect = \"planted\"\n";
    let condition = |name: &str, user: &str, keep: &str| {
        format!(
            "[[condition]]\nname = \"{name}\"\nplugin = \"template\"\nuser = \"{user}\"\n{keep}\nfactors = {{ completion = \"{name}\" }}\n"
        )
    };
    let cut = "keep = { tokens = 5, marker = \" --\" }";
    let conditions = condition("words", "Stop! Zip it, purple gorilla. {question}", "")
        + &condition("cut", "Lovely, merci beaucoup. {question}", cut);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.toml"), format!("{head}{conditions}{truth}")).unwrap();
    let o = friction(dir.path(), &["--json", "run", "m.toml", "--set", "study.groups=24"]);
    assert!(o.status.success(), "{}", common::text(&o));
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    let values = &v["analyzers"]["ground-truth"]["values"];
    assert!(values["exact_share"].as_f64().unwrap() > 0.97, "{values}");
    assert_eq!(values["step"]["agrees"], true, "{values}");
}

#[test]
fn both_manifests_are_one_design() {
    // null.toml differs from quickstart.toml only in its model, name, direction and expectation.
    let read = |name: &str| std::fs::read_to_string(manifest(name)).unwrap().parse::<toml::Table>().unwrap();
    let (mut a, b) = (read("quickstart.toml"), read("null.toml"));
    for (section, key) in [("study", "name"), ("model", "source")] {
        a[section][key] = b[section][key].clone();
    }
    a["hook"][1]["file"] = b["hook"][1]["file"].clone();
    let analyzers = a["analyzer"].as_array_mut().unwrap();
    for (x, y) in analyzers.iter_mut().zip(b["analyzer"].as_array().unwrap()) {
        if x["plugin"].as_str() == Some("ground-truth") {
            x["expect"] = y["expect"].clone();
        }
    }
    assert_eq!(a, b);
}
