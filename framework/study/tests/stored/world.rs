//! A small study in a temporary folder, and how it is run.
use friction_core::manifest::Manifest;
use friction_engine::{Flow, Progress};
use friction_study::{Error, Plan, RunOptions, RunReport, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

pub const MANIFEST: &str = r#"
[study]
name = "t"
seed = 3
groups = 3
turns = 3
[model]
source = "path:model"
[generation]
max_new_tokens = 5
temperature = 1.0
[dataset]
plugin = "questions"
path = "q.jsonl"
[topics]
plugin = "fixed"
[[condition]]
name = "complete"
plugin = "template"
user = "ok. {question}"
factors = { completion = "complete" }
[[condition]]
name = "interrupt"
plugin = "template"
user = ["nvm. {question}", "stop. {question}"]
keep = { tokens = 2, marker = "..." }
factors = { completion = "interrupt" }
[[hook]]
plugin = "residual"
sites = ["resid_post.2"]
[[analyzer]]
plugin = "behavior"
primary = "completion × turn"
"#;

/// Stops when this many groups are written.
pub struct StopAfter(pub usize);
impl RunOptions for StopAfter {
    fn loading(&mut self, _: u64, _: u64) {}
    fn progress(&mut self, _: &Progress, groups: usize) -> Flow {
        if groups >= self.0 { Flow::Stop } else { Flow::Continue }
    }
}
pub const ALL: StopAfter = StopAfter(usize::MAX);

/// A folder with a checkpoint, questions and a manifest.
pub fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let mut lines = String::new();
    for c in ["law", "art", "math"] {
        for i in 0..9 {
            lines += &format!(
                "{{\"question\": \"{c} {i}?\", \"options\": [\"x\", \"y\", \"{i}\"], \"answer\": \"B\", \"category\": \"{c}\"}}\n"
            );
        }
    }
    fs::write(dir.path().join("q.jsonl"), lines).unwrap();
    fs::write(dir.path().join("m.toml"), MANIFEST).unwrap();
    dir
}

fn plan(base: &Path, text: &str, set: &[&str]) -> Rc<Plan> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Rc::new(Plan::new(Manifest::parse("m.toml", text, &set).unwrap(), base).unwrap())
}

pub fn go(base: &Path, out: &Path, set: &[&str], stop: StopAfter) -> Result<RunReport, Error> {
    go_with(base, MANIFEST, out, set, stop)
}

/// Runs another manifest.
pub fn go_with(
    base: &Path,
    text: &str,
    out: &Path,
    set: &[&str],
    mut options: impl RunOptions,
) -> Result<RunReport, Error> {
    // One conversation at a time: groups are written one after the other.
    let set = [&["backend.batch=1"], set].concat();
    run(&plan(base, text, &set), out, &mut options)
}

/// All files of a folder, by path.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            out.extend(files(&path).into_iter().map(|(k, v)| (format!("{name}/{k}"), v)));
        } else {
            out.insert(name, fs::read(&path).unwrap());
        }
    }
    out
}

pub fn lock(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("lock.json")).unwrap()).unwrap()
}

pub fn behavior(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("analysis/behavior/findings.json")).unwrap()).unwrap()
}
