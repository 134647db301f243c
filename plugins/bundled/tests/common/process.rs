//! Helpers of tests that start plugins in Python.
#![allow(dead_code)]
use super::{MANIFEST, text};
use friction_core::{RunReader, TurnRow};
use friction_store::StoredRun;
use std::path::Path;
use std::process::{Command, Output};

/// Whether Python can be started; says that the test is skipped if not.
pub fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("SKIPPED: there is no python3");
    }
    there
}

/// An entry of `plugins.process` for a Python file of the manifest's folder, pinned.
pub fn entry(dir: &Path, file: &str, arguments: &[&str], more: &str) -> String {
    let hash = friction_dylib::digest(&dir.join(file)).unwrap();
    let words: Vec<String> = ["python3", file].iter().chain(arguments).map(|a| format!("{a:?}")).collect();
    format!("{{ command = [{}], sha256 = {{ {file:?} = \"{hash}\" }}{more} }}", words.join(", "))
}

/// A manifest that starts these processes.
pub fn starting(manifest: &str, entries: &[String]) -> String {
    manifest.replace("[model]", &format!("[plugins]\nprocess = [{}]\n[model]", entries.join(", ")))
}

/// `MANIFEST` with another second condition.
pub fn with_condition(own: &str) -> String {
    let table = "plugin = \"template\"\nuser = [\"Faster. {question}\", \"Hurry up. {question}\"]\nkeep = { tokens = 2, marker = \" -\" }";
    assert!(MANIFEST.contains(table));
    MANIFEST.replace(table, own)
}

pub fn ok(o: &Output) {
    assert!(o.status.success(), "{}", text(o));
}

/// Everything in a run except timings.
pub fn turns(dir: &Path) -> Vec<TurnRow> {
    StoredRun::open(dir).unwrap().turns().iter().map(|t| TurnRow { elapsed_ms: 0.0, ..t.clone() }).collect()
}
