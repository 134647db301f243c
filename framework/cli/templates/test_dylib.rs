//! Loads the library that was just built and runs `study.toml` with it, on the model organism that comes
//! with friction.
use friction as _;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

fn library() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let file = format!("{DLL_PREFIX}{{ident}}{DLL_SUFFIX}");
    let deps = test.parent().expect("it lies in a folder");
    let found = [deps.join(&file), deps.with_file_name(&file)].into_iter().find(|p| p.is_file());
    found.expect("cargo built the library beside its test")
}

#[test]
fn the_study_runs() {
    let out = tempfile::tempdir().expect("a folder");
    let run = out.path().join("run");
    let path = library();
    let sha256 = friction_dylib::digest(&path).expect("it can be read");
    let load = format!("plugins.load=[{{ path = {:?}, sha256 = \"{sha256}\" }}]", path.to_str().expect("UTF-8"));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/study.toml");
    let args = ["friction", "run", manifest, "--set", &load, "--out", run.to_str().expect("UTF-8")];
    assert_eq!(friction_cli::run_from(args), 0);
    assert!(run.join("groups/0003/turns.parquet").is_file());
    assert!(run.join("analysis/behavior/findings.json").is_file());
}
