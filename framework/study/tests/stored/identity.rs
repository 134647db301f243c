//! What identifies a run is written in its lock, and a run of another identity is not resumed.
use crate::world::{ALL, MANIFEST, StopAfter, files, go, lock, world};
use friction_core::RunReader;
use friction_store::StoredRun;
use friction_study::{Error, Otherwise, analyze_stored};
use serde_json::json;
use std::fs;

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
