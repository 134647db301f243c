//! Several hooks that steer: the activations show that each arm does what its name says.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text};
use friction_core::{ConversationId, Position, RunReader, Site};
use friction_store::StoredRun;
use std::collections::BTreeSet;
use std::path::Path;

const STUDY: &str = r#"
study = { name = "NAME", seed = 3, groups = 4, turns = 3 }
model = { source = "bundled:organism" }
generation = { max_new_tokens = 8 }
dataset = { plugin = "organism" }
topics = { plugin = "fixed" }
[[condition]]
name = "interrupt"
plugin = "template"
user = "Okay. Now: {topic}.\n\n{question}"
keep = { tokens = 3, marker = "..." }
factors = { completion = "interrupt" }
[[hook]]
plugin = "residual"
sites = ["attn_out.1"]
"#;

const STEER: &str = r#"
[[hook]]
name = "HOOK"
plugin = "steer"
file = "FILE"
direction = "attn_out.1/mean-difference"
at = "prompt-end"
doses = [4.0]
random = 1
shuffled = 0
"#;

/// Writes a manifest with these hooks.
fn manifest(dir: &Path, name: &str, hooks: &[&str], more: &str) {
    let file = root().join("experiments/organism/planted.safetensors").display().to_string();
    let steer: String = hooks.iter().map(|h| STEER.replace("HOOK", h).replace("FILE", &file)).collect();
    std::fs::write(dir.join(format!("{name}.toml")), STUDY.replace("NAME", name) + &steer + more).unwrap();
}

fn ran(dir: &Path, name: &str, set: &[&str]) -> StoredRun {
    let file = format!("{name}.toml");
    let mut args = vec!["run", file.as_str()];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir, &args);
    assert!(o.status.success(), "{}", text(&o));
    StoredRun::open(&dir.join("runs").join(name)).unwrap()
}

/// The difference that an arm makes to the activations at `prompt-end` of the first turn, where nothing else differs.
fn moved(run: &StoredRun, arm: &str) -> Vec<f32> {
    let tap = |arm| {
        run.tap(
            ConversationId { group: 0, condition: "interrupt", arm, sample: 0 },
            Site::AttnOut(1),
            Position::PromptEnd,
        )
        .unwrap()
        .unwrap()
    };
    let (with, without) = (tap(arm), tap(""));
    with.data.iter().zip(&without.data).take(with.shape[2]).map(|(a, b)| a - b).collect()
}

fn is_times(a: &[f32], times: f32, b: &[f32]) -> bool {
    let size = b.iter().map(|x| x.abs()).fold(0.0, f32::max);
    size > 0.1 && a.iter().zip(b).all(|(x, y)| (x - times * y).abs() <= 1e-4 * times * size)
}

fn arms(run: &StoredRun) -> BTreeSet<&str> {
    run.turns().iter().map(|t| t.arm.as_str()).collect()
}

#[test]
fn arms_of_two_hooks_are_listed_or_crossed_and_never_added() {
    let dir = tempfile::tempdir().unwrap();
    manifest(dir.path(), "one", &["first"], "[[analyzer]]\nplugin = \"steering\"\n");
    let two = "[[analyzer]]\nplugin = \"steering\"\nhook = \"second\"\n";
    manifest(dir.path(), "two", &["first", "second"], two);

    // Two hooks have arms, and the manifest does not say how to combine them.
    let o = friction(dir.path(), &["check", "two.toml"]);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    for part in ["`first` and `second` have arms", "\"listed\"", "\"crossed\""] {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }

    let one = ran(dir.path(), "one", &[]);
    assert_eq!(arms(&one), ["", "direction@4", "random-00@4"].into());
    let dose = moved(&one, "direction@4");

    let listed = ran(dir.path(), "two", &["study.arms=listed"]);
    let want = ["", "first:direction@4", "first:random-00@4", "second:direction@4", "second:random-00@4"];
    assert_eq!(arms(&listed), want.into());
    for hook in ["first", "second"] {
        assert!(is_times(&moved(&listed, &format!("{hook}:direction@4")), 1.0, &dose), "{hook}");
    }
    // One control serves all hooks.
    assert_eq!(listed.turns().iter().filter(|t| t.arm.is_empty()).count(), 4 * 3);
    let found = friction_core::RunReader::findings(&listed, "steering").unwrap();
    assert_eq!(found["values"]["doses"].as_array().unwrap().len(), 1, "{found}");

    let crossed = ["study.arms=crossed", "study.name=crossed", "hook.2.doses=[4.0, 8.0]", "hook.2.control_doses=[8.0]"];
    manifest(dir.path(), "crossed", &["first", "second"], two);
    let crossed = ran(dir.path(), "crossed", &crossed);
    assert_eq!(arms(&crossed).len(), 3 * 4, "{:?}", arms(&crossed));
    for (arm, times) in [
        ("first:direction@4", 1.0),
        ("second:direction@8", 2.0),
        ("first:direction@4 + second:direction@4", 2.0),
        ("first:direction@4 + second:direction@8", 3.0),
    ] {
        assert!(is_times(&moved(&crossed, arm), times, &dose), "{arm}");
    }
    // The analyzer reads only the arms in which its hook alone acts.
    let found = friction_core::RunReader::findings(&crossed, "steering").unwrap();
    assert_eq!(found["values"]["doses"].as_array().unwrap().len(), 2, "{found}");
}

#[test]
fn an_analyzer_of_one_of_two_hooks_says_which() {
    let dir = tempfile::tempdir().unwrap();
    manifest(dir.path(), "two", &["first", "second"], "[[analyzer]]\nplugin = \"steering\"\n");
    let o = friction(dir.path(), &["check", "two.toml", "--set", "study.arms=listed"]);
    assert!(o.status.code() == Some(2) && text(&o).contains("`first`, `second` have arms"), "{}", text(&o));
    let set = ["--set", "study.arms=listed", "--set", "analyzer.0.hook=third"];
    let o = friction(dir.path(), &[&["check", "two.toml"], &set[..]].concat());
    assert!(o.status.code() == Some(2) && text(&o).contains("no hook `third` has arms"), "{}", text(&o));
    // Two hooks of one name cannot be told apart.
    manifest(dir.path(), "same", &["first", "first"], "");
    let o = friction(dir.path(), &["check", "same.toml"]);
    assert!(o.status.code() == Some(2) && text(&o).contains("are called `first`"), "{}", text(&o));
}

#[test]
fn doses_that_stand_twice_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    manifest(dir.path(), "one", &["first"], "");
    for (set, part) in [
        ("hook.1.doses=[4.0, -4.0, 4]", "`doses` lists 4 twice"),
        ("hook.1.control_doses=[4.0, 4.0]", "`control_doses` lists 4 twice"),
        ("hook.1.doses=[4.0, nan]", "`doses` must list numbers"),
        ("hook.1.doses=[4.0, inf]", "`doses` must list numbers"),
        ("hook.1.doses=[4.0, -0.0]", "`doses` must list numbers"),
    ] {
        let o = friction(dir.path(), &["check", "one.toml", "--set", set]);
        assert!(o.status.code() == Some(2) && text(&o).contains(part), "{set}: {}", text(&o));
    }
    // For an edit that sets a value, 0 is a dose, but may be listed only once.
    let set = ["--set", "hook.1.op=set", "--set", "hook.1.doses=[0.0, -0.0]"];
    let o = friction(dir.path(), &[&["check", "one.toml"], &set[..]].concat());
    assert!(o.status.code() == Some(2) && text(&o).contains("twice"), "{}", text(&o));
}
