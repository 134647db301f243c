//! A stored run is analysed as it was run, and says where its findings depart from that.
use crate::world::{ALL, MANIFEST, behavior, files, go, lock, world};
use friction_study::{Error, Otherwise, analyze_stored};
use serde_json::json;
use std::fs;

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
    assert!(
        found["warnings"].to_string().contains("this departs from the analyzers that the run was begun with"),
        "{found}"
    );
    assert!(fs::read_to_string(out.join("log.jsonl")).unwrap().contains("stored 0.9, now 0.8"));
    // So do another manifest's analyzers; its seed is not the run's and is not used.
    let other = w.path().join("m.toml");
    let (_, notes) = analyze_stored(&out, &Otherwise { manifest: Some(&other), ..Otherwise::default() }).unwrap();
    assert!(notes[0].contains("study.seed: stored 11, now 3"), "{notes:?}");
    assert!(behavior(&out)["departs"].to_string().contains("level: stored 0.9, now 0.95"));
    // Settings of anything but analyzers cannot change.
    let settings = ["study.seed=9".to_string()];
    let e = analyze_stored(&out, &Otherwise { settings: &settings, ..Otherwise::default() }).err().unwrap();
    assert!(matches!(&e, Error::Usage(m) if m.contains("--set study.seed=9")), "{e}");
    // An option that is set to what it comes to in any case, or written otherwise, departs from nothing.
    let settings =
        ["analyzer.0.outcome=\"score\"", "analyzer.0.turns=\"all\"", "analyzer.0.level=9e-1"].map(String::from);
    analyze_stored(&out, &Otherwise { settings: &settings, ..Otherwise::default() }).unwrap();
    assert!(behavior(&out).get("departs").is_none(), "{}", behavior(&out)["departs"]);
    assert_eq!(lock(&out)["analyzers"]["behavior"]["settled"]["first_turn"], 2);
    // And back to the run's own settings.
    analyze_stored(&out, &Otherwise::default()).unwrap();
    assert_eq!(files(&out.join("analysis")), first);

    // A run that is resumed with other analyzers takes them into its manifest, and not into its lock.
    let set = ["study.seed=11", "study.groups=2", "analyzer.0.level=0.7", "analyzer.0.first_turn=1"];
    go(w.path(), &out, &set, ALL).unwrap();
    assert!(fs::read_to_string(out.join("manifest.toml")).unwrap().contains("level = 0.7"));
    assert_eq!(lock(&out)["analyzers"]["behavior"]["table"]["level"], 0.9);
    assert_eq!(lock(&out)["analyzers"]["behavior"]["defaults"], json!({}));
    analyze_stored(&out, &Otherwise::default()).unwrap();
    assert_eq!(behavior(&out)["departs"], json!(["analyzer `behavior`.level: stored 0.9, now 0.7"]));
    // And so is one that the run was not begun with.
    let other = w.path().join("named.toml");
    let named = MANIFEST.replace("plugin = \"behavior\"", "plugin = \"behavior\"\nname = \"late\"");
    fs::write(&other, named).unwrap();
    analyze_stored(&out, &Otherwise { manifest: Some(&other), ..Otherwise::default() }).unwrap();
    let late = fs::read_to_string(out.join("analysis/late/findings.json")).unwrap();
    assert!(
        late.contains("exploratory: this departs") && late.contains("analyzer `late` is not one of them"),
        "{late}"
    );

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
