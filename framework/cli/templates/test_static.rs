//! Runs `study.toml` on the model organism that comes with friction.
use friction as _;
use {{ident}} as _;

#[test]
fn the_study_runs() {
    let out = tempfile::tempdir().expect("a folder");
    let run = out.path().join("run");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/study.toml");
    let args = ["friction", "run", manifest, "--out", run.to_str().expect("UTF-8")];
    assert_eq!(friction_cli::run_from(args), 0);
    assert!(run.join("groups/0003/turns.parquet").is_file());
    assert!(run.join("analysis/behavior/findings.json").is_file());
}
