//! A run directory identifies its run and is read back as it was run; other files in it are not touched.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_behavior as _;
use friction_conditions as _;
use friction_core::RunReader;
use friction_core::manifest::Manifest;
use friction_engine::{Flow, Progress};
use friction_questions as _;
use friction_residual as _;
use friction_store::StoredRun;
use friction_study::{Error, Otherwise, Plan, RunOptions, RunReport, analyze_stored, run};
use friction_topics as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

const MANIFEST: &str = r#"
[study]
name = "t"
seed = 3
groups = 3
turns = 3
[model]
source = "path:model"
[generation]
max_new_tokens = 5
temperature = 1.0
[dataset]
plugin = "questions"
path = "q.jsonl"
[topics]
plugin = "fixed"
[[condition]]
name = "complete"
plugin = "template"
user = "ok. {question}"
factors = { completion = "complete" }
[[condition]]
name = "interrupt"
plugin = "template"
user = ["nvm. {question}", "stop. {question}"]
keep = { tokens = 2, marker = "..." }
factors = { completion = "interrupt" }
[[hook]]
plugin = "residual"
sites = ["resid_post.2"]
[[analyzer]]
plugin = "behavior"
primary = "completion × turn"
"#;

/// Stops when this many groups are written.
struct StopAfter(usize);
impl RunOptions for StopAfter {
    fn loading(&mut self, _: u64, _: u64) {}
    fn progress(&mut self, _: &Progress, groups: usize) -> Flow {
        if groups >= self.0 { Flow::Stop } else { Flow::Continue }
    }
}
const ALL: StopAfter = StopAfter(usize::MAX);

/// A folder with a checkpoint, questions and a manifest.
fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let mut lines = String::new();
    for c in ["law", "art", "math"] {
        for i in 0..9 {
            lines += &format!(
                "{{\"question\": \"{c} {i}?\", \"options\": [\"x\", \"y\", \"{i}\"], \"answer\": \"B\", \"category\": \"{c}\"}}\n"
            );
        }
    }
    fs::write(dir.path().join("q.jsonl"), lines).unwrap();
    fs::write(dir.path().join("m.toml"), MANIFEST).unwrap();
    dir
}

fn plan(base: &Path, set: &[&str]) -> Rc<Plan> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Rc::new(Plan::new(Manifest::parse("m.toml", MANIFEST, &set).unwrap(), base).unwrap())
}

fn go(base: &Path, out: &Path, set: &[&str], mut stop: StopAfter) -> Result<RunReport, Error> {
    // One conversation at a time: groups are written one after the other.
    let set = [&["backend.batch=1"], set].concat();
    run(&plan(base, &set), out, &mut stop)
}

/// All files of a folder, by path.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            out.extend(files(&path).into_iter().map(|(k, v)| (format!("{name}/{k}"), v)));
        } else {
            out.insert(name, fs::read(&path).unwrap());
        }
    }
    out
}

fn lock(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("lock.json")).unwrap()).unwrap()
}

fn behavior(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("analysis/behavior/findings.json")).unwrap()).unwrap()
}

#[test]
fn every_part_of_a_half_done_run_is_told_apart() {
    let w = world();
    let (base, out) = (w.path(), w.path().join("run"));
    let tokenizer = fs::read_to_string(base.join("model/tokenizer.json")).unwrap();
    fs::write(base.join("t.json"), &tokenizer).unwrap();
    let named = ["model.tokenizer=t.json"];
    assert!(go(base, &out, &[], StopAfter(1)).is_err());
    let before = files(&out);
    let part = |file: &str, text: &str, told: &str, set: &[&str]| {
        let path = base.join(file);
        let old = fs::read(&path).ok();
        fs::write(&path, text).unwrap();
        let e = go(base, &out, set, ALL).unwrap_err();
        assert!(matches!(e, Error::Store(friction_store::Error::Differs { .. })), "{file}: {e}");
        assert!(e.to_string().contains(told), "{file}: {e}");
        // One thing differs, and the error names it alone.
        assert_eq!(e.to_string().lines().filter(|l| l.starts_with("  ")).count(), 1, "{file}: {e}");
        match old {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    };
    let config = fs::read_to_string(base.join("model/config.json")).unwrap();
    part("model/config.json", &format!("{config} "), "config differs: stored ", &[]);
    part("model/generation_config.json", r#"{"eos_token_id": [1, 7]}"#, "generation_config differs: stored ", &[]);
    part("model/tokenizer.json", &format!("{tokenizer} "), "tokenizer differs: stored ", &[]);
    part("t.json", &format!("{tokenizer} "), "tokenizer differs: stored ", &named);
    part(
        "model/chat_template.jinja",
        "{% for m in messages %}{{ m.content }}{% endfor %}",
        "chat template differs: stored ",
        &[],
    );
    part("model/tokenizer_config.json", r#"{"bos_token": "<bos>"}"#, "tokenizer_config differs: stored none", &[]);
    // The same questions in a different file: only the dataset's own fingerprint differs.
    let q = fs::read_to_string(base.join("q.jsonl")).unwrap();
    part("q.jsonl", &format!("{q}\n"), "dataset.fingerprint: stored ", &[]);
    let e = go(base, &out, &["generation.temperature=0.5"], ALL).unwrap_err().to_string();
    assert!(e.contains("generation.temperature: stored 1.0, now 0.5"), "{e}");
    let weights = fs::read(base.join("model/model.safetensors")).unwrap();
    let mut other = weights.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(base.join("model/model.safetensors"), other).unwrap();
    let e = go(base, &out, &[], ALL).unwrap_err().to_string();
    assert!(e.contains("weights differs: stored "), "{e}");
    fs::write(base.join("model/model.safetensors"), weights).unwrap();
    // Nothing was lost: with everything put back, the run resumes; also with a tokenizer file of another name but the
    // same bytes.
    assert_eq!(files(&out), before);
    let report = go(base, &out, &named, ALL).unwrap();
    assert_eq!((report.groups, report.resumed), (2, 1));
}

#[test]
fn a_lock_holds_data_and_no_names_of_types() {
    let w = world();
    let out = w.path().join("runs/deep/run");
    go(w.path(), &out, &["study.groups=1"], ALL).unwrap();
    let lock = lock(&out);
    assert_eq!(lock["schema"], 3);
    for part in ["weights", "config", "generation_config", "tokenizer", "tokenizer_config", "chat_template"] {
        let hash = &lock["model"]["sha256"][part];
        assert!(hash.is_null() || hash.as_str().is_some_and(|h| h.len() == 64), "{part}: {hash}");
    }
    assert!(lock["dataset"]["sha256"].as_str().is_some_and(|h| h.len() == 64));
    assert_eq!(lock["machine"]["base_from_run"], "../../..");
    assert_eq!(lock["machine"]["manifest"], "m.toml");
}

#[test]
fn a_run_is_analysed_as_it_was_run() {
    let w = world();
    let out = w.path().join("runs/x");
    let set = ["study.seed=11", "study.groups=2", "analyzer.0.level=0.9", "analyzer.0.first_turn=1"];
    go(w.path(), &out, &set, ALL).unwrap();
    let stored = fs::read_to_string(out.join("manifest.toml")).unwrap();
    for part in ["seed = 11", "groups = 2", "level = 0.9", "top_p = 1.0"] {
        assert!(stored.contains(part), "{part}\n---\n{stored}");
    }
    let base = Otherwise { base: Some(w.path()), ..Otherwise::default() };
    analyze_stored(&out, &base).unwrap();
    let first = files(&out.join("analysis"));
    analyze_stored(&out, &Otherwise::default()).unwrap();
    assert_eq!(files(&out.join("analysis")), first);

    // Findings with another level are written and say so.
    let settings = ["analyzer.0.level=0.8".to_string()];
    analyze_stored(&out, &Otherwise { settings: &settings, ..Otherwise::default() }).unwrap();
    let found = behavior(&out);
    assert_eq!(found["departs"], json!(["analyzer `behavior`.level: stored 0.9, now 0.8"]));
    assert!(found["warnings"].to_string().contains("this departs from the run's manifest"), "{found}");
    assert!(fs::read_to_string(out.join("log.jsonl")).unwrap().contains("stored 0.9, now 0.8"));
    // So do another manifest's analyzers; its seed is not the run's and is not used.
    let other = w.path().join("m.toml");
    let (_, notes) = analyze_stored(&out, &Otherwise { manifest: Some(&other), ..Otherwise::default() }).unwrap();
    assert!(notes[0].contains("study.seed: stored 11, now 3"), "{notes:?}");
    assert!(behavior(&out)["departs"].to_string().contains("level: stored 0.9, now null"));
    // Settings of anything but analyzers cannot change.
    let settings = ["study.seed=9".to_string()];
    let e = analyze_stored(&out, &Otherwise { settings: &settings, ..Otherwise::default() }).err().unwrap();
    assert!(matches!(&e, Error::Usage(m) if m.contains("--set study.seed=9")), "{e}");
    // And back to the run's own settings.
    analyze_stored(&out, &Otherwise::default()).unwrap();
    assert_eq!(files(&out.join("analysis")), first);

    // A run that is resumed with other analyzers takes them as its own.
    go(w.path(), &out, &["study.seed=11", "study.groups=2", "analyzer.0.level=0.7"], ALL).unwrap();
    assert!(fs::read_to_string(out.join("manifest.toml")).unwrap().contains("level = 0.7"));

    // A manifest that was changed by hand is not the run's.
    let text = fs::read_to_string(out.join("manifest.toml")).unwrap();
    fs::write(out.join("manifest.toml"), text.replace("seed = 11", "seed = 12")).unwrap();
    let e = analyze_stored(&out, &Otherwise::default()).err().unwrap().to_string();
    assert!(e.contains("is not what the run was made of: study.seed: stored 11, now 12"), "{e}");
}

#[test]
fn a_tree_that_was_moved_is_analysed_where_it_lies() {
    let w = world();
    let (old, new) = (w.path().join("old"), w.path().join("new"));
    fs::create_dir(&old).unwrap();
    for name in ["model", "q.jsonl", "m.toml"] {
        fs::rename(w.path().join(name), old.join(name)).unwrap();
    }
    go(&old, &old.join("runs/x"), &["study.groups=1"], ALL).unwrap();
    fs::rename(&old, &new).unwrap();
    let (_, notes) = analyze_stored(&new.join("runs/x"), &Otherwise::default()).unwrap();
    assert_eq!(notes, [""; 0]);
    // The run directory alone: files that its manifest names are not found, and the notes say so.
    fs::rename(new.join("runs/x"), w.path().join("alone")).unwrap();
    let (_, notes) = analyze_stored(&w.path().join("alone"), &Otherwise::default()).unwrap();
    assert!(notes[0].contains("--base names another folder"), "{notes:?}");
    let base = Otherwise { base: Some(&new), ..Otherwise::default() };
    assert_eq!(analyze_stored(&w.path().join("alone"), &base).unwrap().1, [""; 0]);
}

#[test]
fn a_run_of_the_former_schema_is_read_and_not_resumed() {
    let w = world();
    let out = w.path().join("run");
    let set = ["study.seed=11", "study.groups=2"];
    assert!(go(w.path(), &out, &set, StopAfter(1)).is_err());
    // As schema 1 wrote it: the manifest without settings, the weights' hash alone.
    let mut old = lock(&out);
    old["schema"] = json!(1);
    old["model"] =
        json!({"source": "path:model", "dtype": "f32", "commit": null, "sha256": old["model"]["sha256"]["weights"]});
    old["machine"] = json!({"base": old["machine"]["base"]});
    old["dataset"].as_object_mut().unwrap().remove("sha256");
    fs::write(out.join("lock.json"), old.to_string()).unwrap();
    fs::write(out.join("manifest.toml"), MANIFEST).unwrap();
    let before = files(&out);
    let e = go(w.path(), &out, &set, ALL).unwrap_err();
    assert!(matches!(e, Error::Store(friction_store::Error::Older { schema: 1, .. })), "{e}");
    assert!(e.to_string().contains("no more groups are added"), "{e}");
    assert_eq!(files(&out), before);
    let (found, notes) = analyze_stored(&out, &Otherwise::default()).unwrap();
    assert_eq!(found.len(), 1);
    assert!(notes[0].contains("study.seed, study.groups are taken from the lock"), "{notes:?}");
    assert_eq!(StoredRun::open(&out).unwrap().seed(), 11);
}

#[test]
fn a_group_without_its_turns_is_told() {
    let w = world();
    let (base, out) = (w.path(), w.path().join("run"));
    go(base, &out, &[], ALL).unwrap();
    fs::remove_file(out.join("groups/0001/turns.parquet")).unwrap();
    let told = go(base, &out, &[], ALL).err().unwrap().to_string();
    assert!(told.contains("0001") && told.contains("remove the folder"), "{told}");
    fs::remove_dir_all(out.join("groups/0001")).unwrap();
    assert_eq!(go(base, &out, &[], ALL).unwrap().groups, 1);
}

#[test]
fn what_others_put_into_a_run_is_left_alone() {
    let w = world();
    let (base, out) = (w.path(), w.path().join("run"));
    assert!(go(base, &out, &[], StopAfter(1)).is_err());
    let foreign = [
        "groups/.DS_Store",
        "groups/._0000",
        "groups/.nfs000000000123",
        "groups/.hidden/deep/x",
        "groups/.0002/keep.txt",
        "groups/notes.txt",
        "groups/lost+found/y",
        "groups/+1/z",
        "groups/2/z",
        "lock.tmp",
        "manifest.tmp",
        ".git/config",
        "analysis/.behavior/mine",
        "analysis/behavior/notes.txt",
        "analysis/behavior/.DS_Store",
        "analysis/notes.txt",
    ];
    for name in foreign {
        fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        fs::write(out.join(name), name).unwrap();
    }
    fs::create_dir_all(out.join("groups/.friction-0002-1.tmp")).unwrap();
    fs::write(out.join("groups/.friction-0002-1.tmp/turns.parquet"), "half").unwrap();
    let there = |when: &str| {
        for name in foreign {
            assert_eq!(fs::read_to_string(out.join(name)).ok().as_deref(), Some(name), "{when}: {name}");
        }
        let all = files(&out);
        assert!(!all.keys().any(|k| k.contains(".friction-")), "{when}: {:?}", all.keys());
    };
    let report = go(base, &out, &[], ALL).unwrap();
    assert_eq!((report.groups, report.resumed), (2, 1));
    there("resumed");
    for _ in 0..2 {
        analyze_stored(&out, &Otherwise::default()).unwrap();
        there("analysed");
    }
    assert_eq!(StoredRun::open(&out).unwrap().turns().len(), 3 * 2 * 3);
    // A folder with a manifest.toml that friction did not write is not a run.
    fs::write(base.join("manifest.toml"), MANIFEST).unwrap();
    let e = go(base, base, &[], ALL).unwrap_err().to_string();
    assert!(e.contains("holds a manifest.toml that is no run's"), "{e}");
    assert_eq!(fs::read_to_string(base.join("manifest.toml")).unwrap(), MANIFEST);
    assert!(!base.join("groups").exists());
    // Nor may a study take over groups whose lock is gone.
    fs::remove_file(out.join("lock.json")).unwrap();
    let before = fs::read_to_string(out.join("manifest.toml")).unwrap();
    let e = go(base, &out, &["study.seed=8"], ALL).unwrap_err().to_string();
    assert!(e.contains("holds groups but no lock.json"), "{e}");
    assert!(!out.join("lock.json").exists());
    assert_eq!(fs::read_to_string(out.join("manifest.toml")).unwrap(), before);
}

#[test]
fn findings_replace_their_own_files_only() {
    let w = world();
    let out = w.path().join("run");
    go(w.path(), &out, &["study.groups=2"], ALL).unwrap();
    analyze_stored(&out, &Otherwise::default()).unwrap();
    let dir = out.join("analysis/behavior");
    let first = files(&dir);
    // A table that a former analyzer listed is gone; one that it did not list stays.
    let mut found = behavior(&out);
    found["files"].as_array_mut().unwrap().push(json!("former.parquet"));
    fs::write(dir.join("findings.json"), found.to_string()).unwrap();
    fs::write(dir.join("former.parquet"), "x").unwrap();
    fs::write(dir.join("mine.parquet"), "x").unwrap();
    // An exchange that was killed: the old list has its temporary name.
    fs::rename(dir.join("findings.json"), dir.join(".friction-replaced.json")).unwrap();
    analyze_stored(&out, &Otherwise::default()).unwrap();
    let mut now = files(&dir);
    assert_eq!(now.remove("mine.parquet").as_deref(), Some(&b"x"[..]));
    assert_eq!(now, first);
}

/// A full disk, as the operating system reports it: nothing can be written to `/dev/full`.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_full_disk() {
    let w = world();
    let out = w.path().join("run");
    assert!(go(w.path(), &out, &[], StopAfter(1)).is_err());
    let groups = files(&out.join("groups"));
    fs::remove_file(out.join("log.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/full", out.join("log.jsonl")).unwrap();
    let e = go(w.path(), &out, &[], ALL).unwrap_err();
    let Error::Store(friction_store::Error::Io { source, .. }) = &e else { panic!("{e:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(e.to_string().contains("the disk is full") && e.to_string().contains("finished groups stand"), "{e}");
    assert_eq!(files(&out.join("groups")), groups);
}

/// A group that cannot be written stops the run with the store's own error.
#[test]
fn a_group_that_cannot_be_written_stops_the_run_as_what_it_is() {
    let w = world();
    let out = w.path().join("run");
    assert!(go(w.path(), &out, &[], StopAfter(1)).is_err());
    // A file has the name of the next group.
    fs::write(out.join("groups/0001"), "mine").unwrap();
    let e = go(w.path(), &out, &[], ALL).unwrap_err();
    let Error::Store(friction_store::Error::Io { path, .. }) = &e else { panic!("{e:?}") };
    assert!(path.ends_with("groups/0001"), "{}", path.display());
    assert_eq!(fs::read_to_string(out.join("groups/0001")).unwrap(), "mine");
    assert!(!files(&out).keys().any(|k| k.contains(".tmp/")));
    fs::remove_file(out.join("groups/0001")).unwrap();
    assert_eq!(go(w.path(), &out, &[], ALL).unwrap().groups, 2);
}
