//! Patching from the same batch: the conversations of a group give to each other.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text};
use friction_core::{RunReader, TurnRow};
use friction_store::StoredRun;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Few sites, groups and turns.
const SMALL: [&str; 3] =
    ["study.groups=8", "study.turns=7", "hook.0.sites=[\"resid_post.0\", \"attn_out.1\", \"resid_post.1\"]"];

/// patching.toml without its finished run.
fn alone(dir: &Path) -> PathBuf {
    let text = std::fs::read_to_string(root().join("experiments/patching.toml")).unwrap();
    assert_eq!(text.lines().filter(|l| l.starts_with("run = ")).count(), 1);
    let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with("run = ")).collect();
    let path = dir.join("alone.toml");
    std::fs::write(&path, kept.join("\n")).unwrap();
    path
}

fn run(dir: &Path, manifest: &Path, out: &str, set: &[&str]) -> Value {
    let path = manifest.display().to_string();
    let mut args = vec!["--json", "run", path.as_str(), "--out", out];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir, &args);
    assert!(o.status.success(), "{}", text(&o));
    serde_json::from_slice::<Value>(&o.stdout).unwrap()["analyzers"]["mediation"]["values"].clone()
}

/// The rows of a run, without what only says how it went.
fn rows(dir: &Path, name: &str) -> Vec<TurnRow> {
    let run = StoredRun::open(&dir.join(name)).unwrap();
    let plain = |r: &TurnRow| TurnRow { elapsed_ms: 0.0, prefilled_tokens: 0, reused_tokens: 0, ..r.clone() };
    run.turns().iter().map(plain).collect()
}

fn partner(values: &Value, site: &str, restores: bool) -> f64 {
    let all = values["sites"].as_array().unwrap();
    let of = all.iter().find(|v| v["site"] == site && v["restores"] == restores).unwrap();
    of["partner"]["share"].as_f64().unwrap()
}

/// Self, partner, placebo and the two tests are those of the two runs, bit for bit, whatever the batch, and after a resume.
#[test]
fn a_group_gives_what_a_finished_run_gives() {
    let dir = tempfile::tempdir().unwrap();
    let (path, experiments) = (dir.path(), root().join("experiments"));
    let manifest = alone(path);
    let values = run(path, &manifest, "group", &SMALL);
    assert!(values["tests"].as_array().unwrap().iter().all(|t| t["pass"] == true), "{}", values["tests"]);
    assert_eq!((&values["drift"], &values["verdict"]["says"]), (&0.0.into(), &"cannot be told".into()));
    assert!(values["verdict"]["why"].to_string().contains("there is no arm `state`"), "{}", values["verdict"]);
    for restores in [true, false] {
        assert!(partner(&values, "resid_post.0", restores).abs() < 0.05, "{values}");
        assert!(partner(&values, "attn_out.1", restores) > 0.6, "{values}");
        assert!(partner(&values, "resid_post.1", restores) > 0.9, "{values}");
    }

    let first = experiments.join("patching-first.toml");
    run(path, &first, "first", &SMALL[..2]);
    let from = format!("hook.0.run={}", path.join("first").display());
    let two = [&SMALL[..], &[from.as_str(), "hook.0.controls=2", "hook.0.subspace=1"]].concat();
    run(path, &experiments.join("patching.toml"), "second", &two);
    let (group, second) = (rows(path, "group"), rows(path, "second"));
    assert_eq!(group.len(), second.len());
    let mut compared = 0;
    for (a, b) in group.iter().zip(&second) {
        assert!(a.reply == b.reply && a.choice_logprobs == b.choice_logprobs && a.condition == b.condition);
        let shared = |name: &str| {
            !["drift", "state", "control", "subspace", "complement"].iter().any(|p| name[6..].starts_with(p))
        };
        let of = |r: &TurnRow| {
            r.readings.iter().filter(|(n, _)| shared(n)).map(|(n, v)| (n.clone(), v.to_bits())).collect::<Vec<_>>()
        };
        assert_eq!(of(a), of(b), "{} {} {}", a.group, a.condition, a.turn);
        assert!(a.readings.keys().all(|n| shared(n)), "{:?}", a.readings);
        compared += of(a).len();
        let blunt = a.factors["tone"] == "blunt" && a.turn >= 5;
        // Three arms at three sites, and two tests.
        assert_eq!(a.readings.len(), if blunt { 11 } else { 0 });
    }
    assert_eq!(compared, 8 * 2 * 3 * 11);

    for batch in ["backend.batch=1", "backend.batch=16"] {
        run(path, &manifest, batch, &[&SMALL[..], &[batch]].concat());
        assert_eq!(rows(path, batch), group, "{batch}");
    }
    // A run that was killed goes on with the groups that it lacks.
    for lost in ["0001", "0006"] {
        std::fs::remove_dir_all(path.join("group/groups").join(lost)).unwrap();
    }
    assert_eq!(rows(path, "group").len(), group.len() * 6 / 8);
    run(path, &manifest, "group", &SMALL);
    assert_eq!(rows(path, "group"), group);
}

#[test]
fn the_null_organism_shows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let set = [&SMALL[..], &["model.source=bundled:organism-null"]].concat();
    let values = run(dir.path(), &alone(dir.path()), "null", &set);
    assert_eq!(values["verdict"]["says"], "cannot be told", "{}", values["verdict"]);
    assert!(values["tests"].as_array().unwrap().iter().all(|t| t["pass"] == true), "{}", values["tests"]);
    assert!(values["totals"].as_array().unwrap().iter().all(|t| t["told"] == false), "{}", values["totals"]);
}

/// Replies that are drawn are read as they are said; samples are each other's placebo.
#[test]
fn drawn_replies_and_samples_are_patched() {
    let dir = tempfile::tempdir().unwrap();
    let set = ["study.samples=2", "generation.temperature=1.0", "hook.0.placebo=sample"];
    let values = run(dir.path(), &alone(dir.path()), "drawn", &[&SMALL[..], &set].concat());
    assert!(values["tests"].as_array().unwrap().iter().all(|t| t["pass"] == true), "{}", values["tests"]);
    let rows = rows(dir.path(), "drawn");
    let replies = |sample| rows.iter().filter(move |r| r.sample == sample).map(|r| r.reply.clone());
    assert!(replies(0).ne(replies(1)), "nothing was drawn");
    let placebo = |r: &&TurnRow| r.readings.contains_key("patch.placebo_attn_out-1");
    assert_eq!(rows.iter().filter(placebo).count(), 8 * 2 * 2 * 3);
}

/// A conversation whose partner has ended has no forks, and goes on.
#[test]
fn a_partner_that_ends_early_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = alone(dir.path());
    let text = std::fs::read_to_string(&manifest).unwrap();
    let blunt = "name = \"interrupt_blunt\"\nplugin = \"template\"\n";
    assert!(text.contains(blunt));
    std::fs::write(&manifest, text.replace(blunt, &format!("{blunt}stop_when = \"turn > 5\"\n"))).unwrap();
    let o = friction(
        dir.path(),
        &[&["run", "alone.toml", "--out", "ends"][..], &["--set", SMALL[0], "--set", SMALL[1], "--set", SMALL[2]]]
            .concat(),
    );
    assert!(o.status.success(), "{}", common::text(&o));
    let rows = rows(dir.path(), "ends");
    let last = |name: &str| rows.iter().filter(|r| r.condition == name).map(|r| r.turn).max();
    assert_eq!((last("interrupt_blunt"), last("complete_neutral")), (Some(5), Some(7)));
    for r in rows.iter().filter(|r| r.factors["tone"] == "blunt") {
        assert_eq!(r.readings.contains_key("patch.partner_attn_out-1"), r.turn == 5, "{} {}", r.condition, r.turn);
    }
    // Turns 6 and 7 of eight groups.
    assert!(common::text(&o).contains("16 turns have no log-odds or no partner"), "{}", common::text(&o));
}

#[test]
fn what_a_group_cannot_give_is_refused_before_a_token() {
    let dir = tempfile::tempdir().unwrap();
    alone(dir.path());
    let check = |set: &[&str]| {
        let mut args = vec!["check", "alone.toml"];
        args.extend(set.iter().flat_map(|s| ["--set", s]));
        let o = friction(dir.path(), &args);
        (o.status.code(), text(&o))
    };
    let (code, told) = check(&["backend.batch=1"]);
    assert!(code == Some(0) && told.contains("4 conversations are held at once, and not 1"), "{told}");
    let (code, told) = check(&[]);
    // A verdict of the site needs the state, and with it a run of before.
    let lacks = "no verdict can be told of `attn_out.1`: the hook `patch` lacks an arm `state`";
    assert!(code == Some(0) && told.contains(lacks) && told.matches("warning").count() == 1, "{told}");
    // An end that depends on the outcome chooses the units.
    let ends = "the condition `interrupt_blunt` may end by `stop_when`, on what was said or how it was graded";
    for (set, warns) in [
        ("condition.3.stop_when=last_score == 0", true),
        ("condition.3.stop_when='B' in last_reply", true),
        ("condition.3.stop_when=turn > 8", false),
        // A placebo gives and receives nothing.
        ("condition.2.stop_when=last_score == 0", false),
    ] {
        let (code, told) = check(&[set]);
        assert!(code == Some(0) && told.contains(ends) == warns, "{set}: {told}");
    }
    for (set, why) in [
        ("hook.0.controls=19", "set `run` to its folder, or leave `controls` out"),
        ("hook.0.subspace=1", "set `run` to its folder, or leave `subspace` out"),
        ("hook.0.factor=mood", "no conversation of this study that `where` selects has the factor `mood`"),
        ("hook.0.placebo=sample", "has no placebo"),
        // Partners end in 36 tokens that are the same.
        ("hook.0.position=prompt-tail:90", "that are the same, and the last 90 are replaced"),
        ("hook.0.position=prompt-tail:90", "set `position = \"prompt-tail:3"),
        ("hook.0.first_turn=11", "`first_turn` is 11, and the conversations have 10 turns"),
    ] {
        let (code, told) = check(&[set]);
        assert!(code == Some(2) && told.contains(why), "{set}: {told}");
    }
}
