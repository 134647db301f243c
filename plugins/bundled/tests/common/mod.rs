//! A temporary folder with a tiny checkpoint, questions and a manifest, and helpers to run commands in it.
#![allow(dead_code)]
pub mod process;
pub mod sums;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const MANIFEST: &str = r#"
[study]
name = "tiny"
groups = 2
turns = 3
[model]
source = "path:model"
[generation]
max_new_tokens = 5
[dataset]
plugin = "questions"
path = "q.jsonl"
[topics]
plugin = "fixed"
repeat = true
[[condition]]
name = "plain"
plugin = "template"
user = "ok. {question}"
factors = { volume = "low" }
[[condition]]
name = "impatient"
plugin = "template"
user = ["Faster. {question}", "Hurry up. {question}"]
keep = { tokens = 2, marker = " -" }
factors = { volume = "high" }
[[hook]]
plugin = "residual"
sites = ["resid_post.3"]
[[analyzer]]
plugin = "behavior"
primary = "volume × turn"
"#;

pub fn world(manifest: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 1).unwrap();
    let lines: String = ["law", "art"]
        .iter()
        .flat_map(|c| (0..4).map(move |i| format!("{{\"question\": \"{c} {i}?\", \"options\": [\"x\", \"y\"], \"answer\": \"B\", \"category\": \"{c}\"}}\n")))
        .collect();
    std::fs::write(dir.path().join("q.jsonl"), lines).unwrap();
    std::fs::write(dir.path().join("m.toml"), manifest).unwrap();
    dir
}

pub fn friction(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_friction")).current_dir(dir).args(args).output().unwrap()
}

/// Everything that was printed, without line breaks and frames.
pub fn text(o: &Output) -> String {
    let all = format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    all.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What was printed on standard error, without the lines of progress that a slow machine gets.
pub fn errors(err: &[u8]) -> String {
    let err = String::from_utf8_lossy(err);
    err.lines().filter(|l| !l.starts_with("progress: ")).flat_map(|l| [l, "\n"]).collect()
}

/// The root folder of this checkout.
pub fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../..").canonicalize().unwrap()
}

/// A target folder for crates outside the workspace, below this test's.
pub fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().into()
}

/// Copies a crate of this checkout to `to` with absolute paths to its dependencies, and the lock file with it.
pub fn copy_crate(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("src")).unwrap();
    for entry in std::fs::read_dir(from.join("src")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join("src").join(path.file_name().unwrap())).unwrap();
    }
    let manifest = std::fs::read_to_string(from.join("Cargo.toml")).unwrap();
    std::fs::write(to.join("Cargo.toml"), manifest.replace("../..", root().to_str().unwrap())).unwrap();
    std::fs::copy(root().join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
}

/// Runs cargo in a folder, without a network.
pub fn cargo(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    command.arg(args[0]).arg("--offline").args(&args[1..]).current_dir(dir).env("CARGO_TARGET_DIR", target());
    // Variables that cargo set for this test would change the build of the crate.
    for (key, _) in std::env::vars().filter(|(k, _)| k.starts_with("CARGO_PKG_") || k.starts_with("CARGO_BIN_")) {
        command.env_remove(key);
    }
    let o = command.output().unwrap();
    assert!(o.status.success(), "cargo {args:?} in {}: {}", dir.display(), String::from_utf8_lossy(&o.stderr));
    o
}

/// The platform's file name of a dynamic library.
pub fn library_name(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// Compiles C or C++ to a dynamic library; `None`, with a SKIPPED line, where there is no compiler.
pub fn compile(source: &Path, include: &Path, out: &Path, defines: &[String]) -> Option<()> {
    let cpp = source.extension().is_some_and(|e| e == "cpp");
    let (compiler, standard) = if cpp { ("c++", "-std=c++17") } else { ("cc", "-std=gnu11") };
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-I"]).arg(include);
    command.args(defines.iter().map(|d| format!("-D{d}"))).arg(source).arg("-o").arg(out);
    match command.output() {
        Ok(o) => {
            assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
            Some(())
        }
        Err(e) => {
            println!("SKIPPED: there is no `{compiler}` here ({e})");
            None
        }
    }
}

/// Line and column of a text in a manifest, as errors write it.
pub fn place(manifest: &str, what: &str) -> String {
    let before = &manifest[..manifest.find(what).unwrap()];
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    format!("m.toml:{}:{column}", before.matches('\n').count() + 1)
}

/// Checks that a text has all these parts.
pub fn says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "{part}\n---\n{told}");
    }
}
