//! Ten published designs, each a manifest in experiments/designs. What a run stores is what the protocol says, which is
//! told here beforehand, and it no longer is where the design's own line is deleted from the manifest.
#![allow(missing_docs, clippy::unwrap_used)]
#[path = "../common/mod.rs"]
mod common;
mod one_turn;
mod openings;
mod several_turns;
mod transcripts;

use common::{friction, root, text};
use friction as _;
use friction_checkpoint::{ChatTemplate, Checkpoint, Tokenizer};
use friction_core::{ChatMessage, RunReader, TurnRow};
use friction_store::StoredRun;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What differs from what was told, or nothing.
type Told = Result<(), String>;

fn folder() -> PathBuf {
    root().join("experiments/designs")
}

/// Runs a manifest beside the designs' files. `Err` says why it was refused.
fn ran(manifest: &str) -> Result<(tempfile::TempDir, StoredRun), String> {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(dir.path().join("m.toml"), manifest).unwrap();
    let o = friction(dir.path(), &["run", "m.toml"]);
    if o.status.code() == Some(2) {
        return Err(text(&o));
    }
    assert!(o.status.success(), "{}", text(&o));
    let folder = std::fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let run = StoredRun::open(&folder).unwrap();
    Ok((dir, run))
}

/// Runs a design and compares it with what is told; then runs it without each of its `own` lines.
fn design(name: &str, own: &[&str], told: impl Fn(&StoredRun) -> Told) {
    let manifest = std::fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap();
    let (_dir, run) = ran(&manifest).unwrap_or_else(|e| panic!("{name} is refused: {e}"));
    told(&run).unwrap_or_else(|e| panic!("{name}: {e}"));
    for line in own {
        assert_eq!(manifest.matches(line).count(), 1, "{name} holds {line:?} once");
        if let Ok((_dir, run)) = ran(&manifest.replace(line, "")) {
            assert!(told(&run).is_err(), "{name} says the same without {line:?}");
        }
    }
}

/// Conversations by condition, arm and item (or group, where a conversation has several items).
fn conversations(run: &StoredRun) -> BTreeMap<(String, String, u32), Vec<&TurnRow>> {
    let mut out: BTreeMap<_, Vec<&TurnRow>> = BTreeMap::new();
    for row in run.turns() {
        out.entry((row.condition.clone(), row.arm.clone(), row.group)).or_default().push(row);
    }
    out
}

/// What is told of a conversation: its condition, arm and item, and the messages and replies.
struct Talk {
    condition: String,
    arm: String,
    item: String,
    said: Vec<(String, String)>,
}

impl Talk {
    fn new(condition: &str, arm: &str, item: &str, said: Vec<(String, String)>) -> Self {
        Self { condition: condition.into(), arm: arm.into(), item: item.into(), said }
    }
}

/// Compares all stored conversations of one item each with those told.
fn same(run: &StoredRun, told: &[Talk]) -> Told {
    let stored = conversations(run);
    let name = |row: &TurnRow| format!("{} {} {}", row.condition, row.arm, row.item_id);
    for rows in stored.values() {
        let row = rows[0];
        let of = |t: &&Talk| (&t.condition, &t.arm, &t.item) == (&row.condition, &row.arm, &row.item_id);
        let talk = told.iter().find(of).ok_or_else(|| format!("nothing is told of {}", name(row)))?;
        let said: Vec<(String, String)> = rows.iter().map(|r| (r.user.clone(), r.reply.clone())).collect();
        if said != talk.said {
            return Err(format!("{}: {said:#?} is not {:#?}", name(row), talk.said));
        }
    }
    if stored.len() == told.len() { Ok(()) } else { Err(format!("{} of {} conversations", stored.len(), told.len())) }
}

/// The tokenizer and the chat template of bundled:scripted.
fn scripted() -> (Tokenizer, ChatTemplate) {
    let checkpoint = Checkpoint::resolve("bundled:scripted", None, None, Path::new(""), 0).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let template = checkpoint.template(&tokenizer).unwrap();
    (tokenizer, template)
}

/// Whether the prompts that the model read are as long as the stored messages behind an opening.
fn read_as(run: &StoredRun, opening: impl Fn(&TurnRow) -> Vec<ChatMessage>) -> Told {
    let (tokenizer, template) = scripted();
    for rows in conversations(run).values() {
        let mut messages = opening(rows[0]);
        let told = if messages.is_empty() { String::new() } else { serde_json::to_string(&messages).unwrap() };
        let stored: Vec<&str> = rows.iter().map(|r| r.opening.as_str()).collect();
        if stored[0] != told || stored[1..].iter().any(|o| !o.is_empty()) {
            return Err(format!("the stored opening is {stored:?}, not {told:?}"));
        }
        for row in rows {
            messages.push(ChatMessage::user(row.user.clone()));
            let prompt = template.render(&messages).unwrap() + &row.prefill;
            let tokens = tokenizer.encode(&prompt).unwrap().len();
            if tokens != row.prompt_tokens as usize {
                let (condition, turn) = (&row.condition, row.turn);
                return Err(format!("{condition}, turn {turn}: {} tokens for {prompt:?}, {tokens}", row.prompt_tokens));
            }
            messages.push(ChatMessage::assistant(row.kept.clone()));
        }
    }
    Ok(())
}

fn none(_: &TurnRow) -> Vec<ChatMessage> {
    vec![]
}

/// Pairs of texts as strings.
fn pairs(said: &[(&str, &str)]) -> Vec<(String, String)> {
    said.iter().map(|(user, reply)| (user.to_string(), reply.to_string())).collect()
}

/// A multiple-choice question as a dataset asks it by default.
fn asked(question: &str, choices: &[&str]) -> String {
    let lines: String = choices.iter().zip('A'..).map(|(c, letter)| format!("{letter}. {c}\n")).collect();
    let last = ('A'..).nth(choices.len() - 1).unwrap();
    format!("{question}\n\n{lines}\nPlease provide your answer as a single letter (A-{last}).")
}

/// Every manifest of the folder is one of the ten, stands in the guide, and cites where it comes from.
#[test]
fn the_guide_lists_them_all() {
    let page = std::fs::read_to_string(root().join("framework/guide/extend/designs.md")).unwrap();
    let mut found = 0;
    for path in std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()) {
        if path.extension().is_some_and(|e| e == "toml") {
            found += 1;
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(page.contains(&format!("designs/{name})")), "{name} is not in the guide");
            let manifest = std::fs::read_to_string(&path).unwrap();
            let head: String = manifest.lines().take_while(|l| l.starts_with('#')).collect();
            assert!(name == "friction.toml" || head.contains("arXiv"), "{name} cites no paper");
        }
    }
    assert_eq!(found, 10);
}
