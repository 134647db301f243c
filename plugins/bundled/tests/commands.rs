//! The commands, called as a user calls them.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, errors, friction, text, world};
use safetensors::SafeTensors;
use std::path::Path;

#[test]
fn run_resume_and_analyze() {
    let w = world(MANIFEST);
    let first = friction(w.path(), &["run", "m.toml"]);
    assert!(first.status.success(), "{}", text(&first));
    assert!(text(&first).contains("2 groups, 12 turns"), "{}", text(&first));
    // A random model answers nothing, so its conditions are equal; the summary must say first that this means nothing.
    for part in [
        "! only 0.0 % of 12 replies declare an answer",
        "! 3 warnings. behavior: 100.0 % of replies declare no answer",
        "cannot be told",
    ] {
        assert!(text(&first).contains(part), "{part}: {}", text(&first));
    }
    assert_eq!(errors(&first.stderr), "", "quiet when not a terminal");
    let again = friction(w.path(), &["--json", "run", "m.toml"]);
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        (json["run"]["report"]["groups"].as_u64(), json["run"]["report"]["resumed"].as_u64()),
        (Some(0), Some(2))
    );
    let analyze = friction(w.path(), &["analyze", "runs/tiny"]);
    for part in ["Primary: volume × turn cannot be told", "note: none of the 8 replies declares an answer"] {
        assert!(analyze.status.success() && text(&analyze).contains(part), "{}", text(&analyze));
    }
    let other = friction(w.path(), &["run", "m.toml", "--set", "study.seed=9"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other).contains("study.seed: stored 0, now 9"), "{}", text(&other));
}

#[test]
fn a_wrong_manifest_is_exit_2_with_every_place() {
    let w = world(&MANIFEST.replace("groups = 2", "group = 2").replace("residual", "residul"));
    let o = friction(w.path(), &["check", "m.toml"]);
    assert_eq!(o.status.code(), Some(2));
    for part in ["m.toml:4:1: unknown key `group`", "`groups`", "no hook plugin is called", "`residual`", "2 errors"] {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
    let o = friction(w.path(), &["run", "nowhere.toml"]);
    assert_eq!(o.status.code(), Some(2));
    assert_eq!(friction(w.path(), &["rnu"]).status.code(), Some(2));
}

#[test]
fn check_tells_costs_and_a_missing_backend() {
    let w = world(MANIFEST);
    let o = friction(w.path(), &["check", "m.toml"]);
    assert!(o.status.success() && text(&o).contains("4 of 3 turns"), "{}", text(&o));
    let o = friction(w.path(), &["check", "m.toml", "--set", "backend.batch=3"]);
    assert!(text(&o).contains("3 at once"), "{}", text(&o));
    // How many conversations fit on a card is known only after the model was loaded.
    let o = friction(w.path(), &["check", "m.toml", "--set", "backend.kind=cuda", "--set", "backend.batch=auto"]);
    for part in ["as many at once as memory takes", "GiB a conversation"] {
        assert!(text(&o).contains(part), "{}", text(&o));
    }
    // What no machine has is wrong in the manifest.
    let o = friction(w.path(), &["check", "m.toml", "--set", "backend.device=1"]);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    assert!(text(&o).contains("has only device 0, not 1: leave `backend.device` out"), "{}", text(&o));
    let o = friction(w.path(), &["run", "m.toml", "--json", "--set", "backend.batch=3"]);
    let told: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(told["run"]["report"]["slots"], 3, "{told}");
    if cfg!(not(feature = "cuda")) {
        // The design is printed, and the manifest is not called valid: `check` and `run` refuse it in the same words.
        for command in ["check", "run"] {
            let o = friction(w.path(), &[command, "m.toml", "--set", "backend.kind=cuda", "--set", "study.name=other"]);
            assert_eq!(o.status.code(), Some(2), "{}", text(&o));
            assert!(text(&o).contains("--features cuda") && !text(&o).contains("is valid"), "{}", text(&o));
        }
        assert!(!w.path().join("runs/other").exists());
        let o = friction(w.path(), &["--json", "check", "m.toml", "--set", "backend.kind=cuda"]);
        let told: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
        assert_eq!((o.status.code(), &told["ok"]), (Some(2), &false.into()), "{told}");
    }
}

#[test]
fn trace_writes_what_other_tools_print() {
    let w = world(MANIFEST);
    let o = friction(
        w.path(),
        &["trace", "--model", "path:model", "--ids", "2,40,41,42", "--greedy", "3", "--out", "t.safetensors"],
    );
    assert!(o.status.success(), "{}", text(&o));
    let bytes = std::fs::read(w.path().join("t.safetensors")).unwrap();
    let st = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(st.tensor("ids").unwrap().shape(), [4]);
    assert_eq!(st.tensor("logits").unwrap().shape(), [4, 128]);
    assert_eq!(st.tensor("resid_post").unwrap().shape(), [7, 4, 32]);
    assert_eq!(st.tensor("generated").unwrap().shape(), [3]);
    let chat = r#"[{"role": "user", "content": "hi<bos>"}]"#;
    std::fs::write(w.path().join("c.json"), chat).unwrap();
    let o = friction(w.path(), &["trace", "--model", "path:model", "--chat", "c.json", "--out", "c.safetensors"]);
    assert!(o.status.success(), "{}", text(&o));
    let bytes = std::fs::read(w.path().join("c.safetensors")).unwrap();
    let st = SafeTensors::deserialize(&bytes).unwrap();
    let ids: Vec<i64> =
        st.tensor("ids").unwrap().data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(ids.iter().filter(|i| **i == 2).count(), 1, "one BOS");
    assert_eq!(friction(w.path(), &["trace", "--model", "path:model", "--out", "x"]).status.code(), Some(2));
    let idle = ["trace", "--model", "path:model", "--ids", "2,40", "--tokenizer", "typo.json", "--out", "x"];
    let o = friction(w.path(), &idle);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    assert!(text(&o).contains("--tokenizer does nothing beside --ids"), "{}", text(&o));
}

/// A group's taps as bytes, and its turns without timings.
fn group(run: &Path, g: usize) -> (Vec<u8>, Vec<friction_core::TurnRow>) {
    let taps = std::fs::read(run.join(format!("groups/{g:04}/taps.safetensors"))).unwrap();
    let stored = friction_store::StoredRun::open(run).unwrap();
    let turns = friction_core::RunReader::turns(&stored).iter().filter(|t| t.group as usize == g);
    (taps, turns.map(|t| friction_core::TurnRow { elapsed_ms: 0.0, ..t.clone() }).collect())
}

#[test]
fn a_run_killed_at_random_moments_equals_an_uninterrupted_one() {
    const GROUPS: usize = 40;
    let w = world(&MANIFEST.replace("groups = 2", &format!("groups = {GROUPS}\nseed = 4")));
    let began = std::time::Instant::now();
    assert!(friction(w.path(), &["run", "m.toml", "--out", "whole"]).status.success());
    let whole = began.elapsed();
    let dice = u64::from(std::process::id()) + began.elapsed().as_nanos() as u64;
    let mut cut = 0;
    let finished = || std::fs::read_dir(w.path().join("parts/groups")).map_or(0, |groups| groups.count());
    for i in 0..5u64 {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_friction"))
            .current_dir(w.path())
            .args(["run", "m.toml", "--out", "parts"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Kill after a few more groups and then within one: the machine's speed differs from run to run.
        let dice = friction_core::seed::derive(&[&dice.to_le_bytes(), &i.to_le_bytes()]);
        let goal = finished() + (dice % 5) as usize;
        while finished() < goal && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(whole.mul_f64((dice / 5 % 100) as f64 / 100.0 / GROUPS as f64));
        cut += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(cut > 0, "no run was killed while it ran");
    let o = friction(w.path(), &["run", "m.toml", "--out", "parts"]);
    assert!(o.status.success(), "{}", text(&o));
    for g in 0..GROUPS {
        assert!(group(&w.path().join("whole"), g) == group(&w.path().join("parts"), g), "group {g}");
    }
}

#[test]
fn model_init_makes_a_checkpoint_that_runs() {
    let w = world(MANIFEST);
    let o = friction(
        w.path(),
        &[
            "model",
            "init",
            "fresh",
            "--shape",
            "model/config.json",
            "--tokenizer",
            "model/tokenizer.json",
            "--seed",
            "1",
        ],
    );
    assert!(o.status.success(), "{}", text(&o));
    let same = |f: &str| {
        std::fs::read(w.path().join("model").join(f)).unwrap() == std::fs::read(w.path().join("fresh").join(f)).unwrap()
    };
    assert!(same("model.safetensors") && same("tokenizer.json"));
    let o = friction(w.path(), &["model", "init", "fresh"]);
    assert!(!o.status.success() && text(&o).contains("exists already"), "{}", text(&o));
    // What it measures is kept in the user's cache, here in one of the test's own.
    let mut bench = std::process::Command::new(env!("CARGO_BIN_EXE_friction"));
    bench.current_dir(w.path()).env("XDG_CACHE_HOME", w.path().join("cache"));
    bench.args(["--json", "bench", "--model", "path:fresh", "--batch", "1,3", "--context", "20", "--steps", "3"]);
    let o = bench.output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), 2);
}
