//! A condition in a crate outside the workspace, in a binary of three lines: built and run.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, world};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn a_crate_of_ones_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let w = world(
        &MANIFEST.replace("plugin = \"template\"\nuser = \"ok. {question}\"", "plugin = \"shouting\"\nmarks = 3"),
    );
    let own = root.join("experiments/own-condition");
    let here = w.path().join("own");
    std::fs::create_dir_all(here.join("src")).unwrap();
    for f in ["src/main.rs", "src/lib.rs"] {
        std::fs::copy(own.join(f), here.join(f)).unwrap();
    }
    assert_eq!(std::fs::read_to_string(own.join("src/main.rs")).unwrap().lines().count(), 3);
    let manifest = std::fs::read_to_string(own.join("Cargo.toml")).unwrap().replace("../..", root.to_str().unwrap());
    std::fs::write(here.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root.join("Cargo.lock"), here.join("Cargo.lock")).unwrap();
    // The test's own binary stands in <target>/<profile>/deps: the dependencies are built there.
    let target: PathBuf = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().into();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline"])
        .current_dir(&here)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let o = Command::new(target.join("release/my-friction"))
        .current_dir(w.path())
        .args(["run", "m.toml"])
        .output()
        .unwrap();
    assert!(o.status.success(), "{}", common::text(&o));
    let list = Command::new(target.join("release/my-friction")).arg("plugins").output().unwrap();
    assert!(common::text(&list).contains("shouting"), "{}", common::text(&list));
    let run = std::fs::read(w.path().join("runs/tiny/groups/0000/turns.parquet")).unwrap();
    assert!(run.windows(3).any(|b| b == b"!!!"), "the condition spoke");
}
