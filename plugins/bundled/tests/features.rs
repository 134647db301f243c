//! An autoencoder of the organism's own: trained on one run, read on another.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, text};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn run(dir: &Path, manifest: &str, set: &[&str]) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/organism").join(manifest);
    let path = path.display().to_string();
    let mut args = vec!["--json", "run", path.as_str()];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir, &args);
    assert!(o.status.success(), "{}", text(&o));
    serde_json::from_slice(&o.stdout).unwrap()
}

#[test]
fn features_follow_the_interruptions_and_another_models_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let trained = run(dir.path(), "sae.toml", &["study.groups=15", "analyzer.0.steps=600"]);
    let held = &trained["findings"][0]["values"]["held_out"];
    assert!(held["fvu"].as_f64().unwrap() < 0.1 && held["l0"].as_f64().unwrap() <= 16.0, "{held}");

    let source = format!("analyzer.0.source=\"path:{}\"", dir.path().join("runs/sae/analysis/sae-train").display());
    let found = run(dir.path(), "features.toml", &["study.groups=15", &source]);
    let v = &found["findings"][0]["values"];
    assert_eq!(v["interpreted"], true, "{v}");
    assert!(v["found"]["replicated"].as_u64().unwrap() >= 5 && v["found"]["p"].as_f64().unwrap() < 0.01, "{v}");

    let null = ["study.groups=5", "study.name=null", "model.source=bundled:organism-null", &source];
    let refused = &run(dir.path(), "features.toml", &null)["findings"][0];
    assert_eq!(refused["values"]["interpreted"], false, "{refused}");
    assert!(refused["warnings"][0].as_str().unwrap().contains("nothing is interpreted"), "{refused}");
}

#[test]
fn a_missing_autoencoder_is_told_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/organism/features.toml");
    let o = friction(dir.path(), &["run", &path.display().to_string()]);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    assert!(text(&o).contains("params.safetensors"), "{}", text(&o));
    assert!(!dir.path().join("runs").exists());
}
