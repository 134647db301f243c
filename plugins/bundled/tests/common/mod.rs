//! A folder with a tiny checkpoint, questions and a manifest.
#![allow(dead_code)]
use std::path::Path;
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
    friction_model::testing::checkpoint(&dir.path().join("model"), 1).unwrap();
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

/// Everything that was printed, line breaks and frames taken out.
pub fn text(o: &Output) -> String {
    let all = format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    all.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
