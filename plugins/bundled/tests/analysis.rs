//! `friction analyze` finds what `friction run` found, and uses the model of the run.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, friction, root, text, world};
use friction_core::{Body, RunReader};
use friction_store::StoredRun;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// All files below a folder, by path.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            out.extend(files(&path).into_iter().map(|(k, v)| (format!("{name}/{k}"), v)));
        } else {
            out.insert(name, std::fs::read(&path).unwrap());
        }
    }
    out
}

fn findings(run: &Path, analyzer: &str) -> Value {
    let path = run.join("analysis").join(analyzer).join("findings.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Whether the files of a run's analyses are what they were, but for the mark in the findings of one analyzer.
fn marked(run: &Path, first: &BTreeMap<String, Vec<u8>>, analyzer: &str) -> bool {
    let name = format!("{analyzer}/findings.json");
    let mut now = files(&run.join("analysis"));
    now.insert(name.clone(), first[&name].clone());
    findings(run, analyzer)["stale"].is_string() && now == *first
}

fn good(o: &Output) {
    assert!(o.status.success(), "{}", text(o));
}

#[test]
fn settings_of_a_run_are_settings_of_its_analysis() {
    let dir = tempfile::tempdir().unwrap();
    let from = root().join("experiments");
    let lens = "\n[[analyzer]]\nplugin = \"logit-lens\"\nsites = [\"resid_post.1\", \"resid_post.3\"]\nwhole = 5\n";
    let manifest = std::fs::read_to_string(from.join("quickstart.toml")).unwrap() + lens;
    std::fs::create_dir(dir.path().join("organism")).unwrap();
    for name in ["null.safetensors", "planted.safetensors"] {
        std::fs::copy(from.join("organism").join(name), dir.path().join("organism").join(name)).unwrap();
    }
    std::fs::write(dir.path().join("m.toml"), manifest).unwrap();
    // The trained organism's manifest, with its untrained twin, another seed and another question set on the command
    // line.
    let set = [
        "model.source=bundled:organism-null",
        "study.seed=11",
        "study.groups=6",
        "study.turns=6",
        "hook.1.file=organism/null.safetensors",
        "hook.1.random=2",
        "analyzer.0.primary=tone × turn",
        "analyzer.1.expect=null",
    ];
    let mut args = vec!["run", "m.toml", "--out", "runs/x"];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    good(&friction(dir.path(), &args));
    let run = dir.path().join("runs/x");
    let first = files(&run.join("analysis"));
    assert_eq!(findings(&run, "ground-truth")["values"]["step"]["agrees"], true);
    assert!(findings(&run, "behavior")["values"]["primary"].to_string().contains("tone"));
    assert!(first.contains_key("logit-lens/findings.json"));

    good(&friction(dir.path(), &["analyze", "runs/x"]));
    assert!(files(&run.join("analysis")) == first, "analyze");
    // The same findings from another working directory, and after the whole tree was moved.
    good(&friction(Path::new("/"), &["analyze", run.to_str().unwrap()]));
    assert!(files(&run.join("analysis")) == first, "from another folder");
    let moved = tempfile::tempdir().unwrap();
    let to = moved.path().join("tree");
    std::fs::rename(dir.path(), &to).unwrap();
    good(&friction(&to, &["analyze", "runs/x"]));
    assert!(files(&to.join("runs/x/analysis")) == first, "moved");

    // Findings that depart from the run's manifest say so; settings of anything but analyzers are refused.
    let o = friction(&to, &["analyze", "runs/x", "--set", "analyzer.1.expect=planted"]);
    good(&o);
    assert!(text(&o).contains("expect: stored \"null\", now \"planted\""), "{}", text(&o));
    assert!(findings(&to.join("runs/x"), "ground-truth")["departs"].is_array());
    let o = friction(&to, &["analyze", "runs/x", "--set", "model.source=bundled:organism"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(text(&o).contains("nothing else of it can change"), "{}", text(&o));
}

const LENS: &str = "[[analyzer]]\nplugin = \"logit-lens\"\nsites = [\"resid_post.3\"]\nwhole = 0\n";

#[test]
fn an_analysis_opens_the_model_that_was_run() {
    let w = world(&format!("{MANIFEST}{LENS}"));
    let run = friction(w.path(), &["run", "m.toml"]);
    good(&run);
    let first = files(&w.path().join("runs/tiny/analysis"));
    // The model's folder now holds other weights of the same shape.
    std::fs::rename(w.path().join("model"), w.path().join("kept")).unwrap();
    friction_checkpoint::testing::checkpoint(&w.path().join("model"), 2).unwrap();
    let o = friction(w.path(), &["analyze", "runs/tiny"]);
    assert_eq!(o.status.code(), Some(1));
    let told = text(&o);
    assert!(
        told.contains("analyzer `logit-lens`: weights of path:model differs from what the run was made with"),
        "{told}"
    );
    // The earlier findings stay, and say that they are; analyzers that open no model still run.
    assert!(marked(&w.path().join("runs/tiny"), &first, "logit-lens"));
    std::fs::remove_dir_all(w.path().join("model")).unwrap();
    std::fs::rename(w.path().join("kept"), w.path().join("model")).unwrap();
    good(&friction(w.path(), &["analyze", "runs/tiny"]));
    assert!(files(&w.path().join("runs/tiny/analysis")) == first);
}

#[test]
fn what_an_analyzer_found_that_is_gone_is_not_shown_as_current() {
    let w = world(&format!("{MANIFEST}{LENS}"));
    let run = w.path().join("runs/tiny");
    good(&friction(w.path(), &["run", "m.toml"]));
    let first = files(&run.join("analysis"));
    // A folder with findings that no analyzer of this name wrote.
    std::fs::create_dir(run.join("analysis/mine")).unwrap();
    std::fs::write(run.join("analysis/mine/findings.json"), "{\"x\": 1}").unwrap();
    // The run is resumed without one of its analyzers, or analysed by those of another manifest.
    std::fs::write(w.path().join("without.toml"), MANIFEST).unwrap();
    let note = "analysis/logit-lens holds what an earlier analysis found, since this one has no analyzer `logit-lens`";
    for args in [&["analyze", "runs/tiny", "--manifest", "without.toml"][..], &["run", "without.toml"]] {
        let o = friction(w.path(), &[&["--json"], args].concat());
        good(&o);
        let told: Value = serde_json::from_slice(&o.stdout).unwrap();
        assert!(told["run"]["notes"].to_string().contains(note), "{told}");
        assert!(told["analyzers"].get("logit-lens").is_none() && told["analyzers"].get("behavior").is_some(), "{told}");
        let o = friction(w.path(), args);
        assert!(text(&o).contains(note) || args[0] == "run", "{}", text(&o));
        // Whoever reads them is told first.
        let stored = StoredRun::open(&run).unwrap();
        let found = stored.found("logit-lens").unwrap().unwrap();
        assert!(matches!(&found.blocks[0].body, Body::Warning(w) if w.contains("an earlier analysis found this")));
        assert!(RunReader::findings(&stored, "logit-lens").is_none());
        assert!(RunReader::findings(&stored, "behavior").is_some());
        assert!(stored.found("behavior").unwrap().unwrap().warnings().all(|w| !w.contains("an earlier analysis")));
        let mut now = files(&run.join("analysis"));
        assert_eq!(now.remove("mine/findings.json").as_deref(), Some(&b"{\"x\": 1}"[..]));
        assert!(now.keys().eq(first.keys()), "{:?}", now.keys());
    }
    // Found again, it is current.
    std::fs::write(w.path().join("m.toml"), format!("{MANIFEST}{LENS}")).unwrap();
    good(&friction(w.path(), &["run", "m.toml"]));
    std::fs::remove_dir_all(run.join("analysis/mine")).unwrap();
    assert!(files(&run.join("analysis")) == first);
}

/// Writes a checkpoint into a cache in the hub's layout, and points `main` at it.
fn cached(cache: &Path, commit: &str, seed: u64) {
    let repo = cache.join("models--acme--tiny");
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::create_dir_all(repo.join("snapshots")).unwrap();
    friction_checkpoint::testing::checkpoint(&repo.join("snapshots").join(commit), seed).unwrap();
    std::fs::write(repo.join("refs/main"), commit).unwrap();
}

#[test]
fn a_branch_that_moved_is_not_what_was_run() {
    let w = world(&format!("{MANIFEST}{LENS}").replace("path:model", "hf:acme/tiny"));
    let cache = w.path().join("cache");
    let offline = |args: &[&str]| -> Output {
        let mut c = Command::new(env!("CARGO_BIN_EXE_friction"));
        c.current_dir(w.path()).args(args).env("HF_HUB_OFFLINE", "1").env("HF_HUB_CACHE", &cache);
        c.output().unwrap()
    };
    let (one, two) = ("1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222");
    cached(&cache, one, 1);
    good(&offline(&["run", "m.toml"]));
    let first = files(&w.path().join("runs/tiny/analysis"));
    cached(&cache, two, 2);
    good(&offline(&["analyze", "runs/tiny"]));
    assert!(files(&w.path().join("runs/tiny/analysis")) == first);
    // A resume is refused with the reason; a new run takes the branch's new commit.
    let o = offline(&["run", "m.toml"]);
    assert!(text(&o).contains(&format!("model.commit: stored \"{one}\", now \"{two}\"")), "{}", text(&o));
    // Without the run's commit in the cache, its analysis fails and does not take another commit.
    std::fs::remove_dir_all(cache.join("models--acme--tiny/snapshots").join(one)).unwrap();
    let o = offline(&["analyze", "runs/tiny"]);
    assert!(!o.status.success() && marked(&w.path().join("runs/tiny"), &first, "logit-lens"), "{}", text(&o));
}

#[test]
fn a_million_groups_are_checked_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = root().join("experiments/quickstart.toml");
    let began = std::time::Instant::now();
    let o = friction(dir.path(), &["--json", "check", manifest.to_str().unwrap(), "--set", "study.groups=1000000"]);
    let spent = began.elapsed();
    good(&o);
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(told["estimate"]["turns"].as_u64().unwrap() % 12_000_000, 0);
    assert!(told["estimate"]["groups_counted"].as_u64().unwrap() < 2000, "{told}");
    // Takes seconds in a release build; it took a minute before.
    let most = if cfg!(debug_assertions) { 60 } else { 10 };
    assert!(spent.as_secs() < most, "{spent:?}");
}
