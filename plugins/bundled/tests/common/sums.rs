//! A study of sums whose questions say what is replied to them, and its run.
use super::{friction, text};
use friction_core::{RunReader, TurnRow};
use friction_store::StoredRun;
use serde_json::Value;
use std::fs;
use std::path::Path;

pub const MANIFEST: &str = r#"
[study]
name = "sums"
groups = 2
turns = 2
[model]
source = "bundled:scripted"
[generation]
max_new_tokens = 20
[dataset]
plugin = "questions"
path = "q.jsonl"
order = "file"
[grade]
kind = "number"
[[condition]]
name = "plain"
plugin = "template"
user = "Well. {question}"
factors = { tone = "plain" }
[[condition]]
name = "loud"
plugin = "template"
user = "Now! {question}"
factors = { tone = "loud" }
"#;

/// Each question says what is replied to it.
pub const QUESTIONS: &str = r#"{"id": "a", "question": "How many? [say 12]", "target": 12}
{"id": "b", "question": "And now? [say 3]", "target": ["4", "four"]}
{"id": "c", "question": "Which? [say 42]", "target": ["41", "42"], "metadata": {"level": 2}}
{"id": "d", "question": "Last? [say 5]", "target": "5 apples"}
"#;

pub fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m.toml"), MANIFEST).unwrap();
    fs::write(dir.path().join("q.jsonl"), QUESTIONS).unwrap();
    dir
}

pub fn ran() -> tempfile::TempDir {
    let w = world();
    let o = friction(w.path(), &["run", "m.toml", "--out", "r"]);
    assert!(o.status.success(), "{}", text(&o));
    w
}

pub fn turns(dir: &Path) -> Vec<TurnRow> {
    StoredRun::open(&dir.join("r")).unwrap().turns().to_vec()
}

/// What a command is refused with.
pub fn told(dir: &Path, args: &[&str]) -> String {
    let o = friction(dir, args);
    assert_eq!(o.status.code(), Some(2), "{args:?}: {}", text(&o));
    text(&o)
}

pub fn log(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("r/log.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).filter(|e: &Value| e["event"] == "grade").collect()
}
