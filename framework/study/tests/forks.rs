//! Forks that a hook asks for: what they measure is stored with their turn, and the conversation goes on as without them.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_conditions as _;
use friction_core::manifest::Manifest;
use friction_core::program::EditAt;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Arm, BuildContext, Edit, EditOp, Fork, Hook, HookProgram, ModelSpec, Outcome, Peer, PluginConfig, PluginEntry,
    Position, Result, RunReader, Site, Spoken, Tap, TapView, TurnRow,
};
use friction_questions as _;
use friction_store::StoredRun;
use friction_study::{Plan, Quiet, run};
use friction_topics as _;
use std::path::Path;
use std::rc::Rc;

const SITE: Site = Site::ResidPost(3);

/// A hook that replaces a conversation's activations by its own, and by numbers of another size.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Swaps {
    /// The edit that a fork names.
    #[serde(default = "swap")]
    edit: String,
    /// Whether an arm gives the edit a strength.
    #[serde(default)]
    arm: bool,
}
fn swap() -> String {
    "swap".into()
}

impl PluginConfig for Swaps {
    type Output = dyn Hook;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Hook>> {
        Ok(Box::new(self.clone()))
    }
}

impl Hook for Swaps {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        let edit =
            |name: &str, op| Edit { name: name.into(), site: SITE, at: EditAt::PromptEnd, turns: None, gate: None, op };
        let swap = edit("swap", EditOp::Replace { width: model.width(SITE)?, digest: "d".into() });
        let arm = Arm { name: "x".into(), strengths: [("swap".to_string(), 1.0)].into(), ..Arm::default() };
        Ok(HookProgram {
            unstored: vec![Tap { site: SITE, position: Position::PromptEnd }],
            readings: ["own", "other"].map(String::from).to_vec(),
            edits: vec![swap],
            arms: if self.arm { vec![Arm::default(), arm] } else { vec![] },
            ..HookProgram::default()
        })
    }
    fn forks(&self, turn: &Spoken, taps: &[TapView], _: &[Peer]) -> Result<Vec<Fork>> {
        if turn.turn == 1 {
            return Ok(vec![]);
        }
        let own = taps[0].rows[0].clone();
        let other: Vec<f32> = own.iter().rev().map(|x| 2.0 * x).collect();
        let fork = |name: &str, v: Vec<f32>| Fork { name: name.into(), given: vec![(self.edit.clone(), v.into())] };
        Ok(vec![fork("own", own), fork("other", other)])
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Swaps>("swaps", "Replaces activations in forks", "1")
}

const MANIFEST: &str = r#"
study = { name = "t", groups = 2, turns = 3 }
model = { source = "path:model" }
backend = { batch = 4 }
generation = { max_new_tokens = 5 }
dataset = { plugin = "questions", path = "q.jsonl" }
topics = { plugin = "fixed", repeat = true }
[[condition]]
name = "plain"
plugin = "template"
user = "ok. {question}"
keep = { tokens = 2, marker = " -" }
[[condition]]
name = "other"
plugin = "template"
user = "and now {question}"
[[aside]]
name = "mood"
after = "each-turn"
user = "well?"
choices = ["a", "b"]
"#;

fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let line = |i: usize, answer: &str| {
        format!("{{\"question\": \"law {i}?\", \"options\": [\"x\", \"y\"]{answer}, \"category\": \"law\"}}\n")
    };
    let all = |answer: &str| (0..9).map(|i| line(i, answer)).collect::<String>();
    std::fs::write(dir.path().join("q.jsonl"), all(", \"answer\": \"B\"")).unwrap();
    std::fs::write(dir.path().join("open.jsonl"), all(", \"target\": null")).unwrap();
    dir
}

fn plan(dir: &Path, more: &str, set: &[&str]) -> Result<Plan, String> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    let manifest = Manifest::parse("m.toml", &format!("{MANIFEST}{more}"), &set).map_err(|e| e.to_string())?;
    Plan::new(manifest, dir).map_err(|e| e.to_string())
}

fn rows(dir: &Path, more: &str, out: &str) -> Result<Vec<TurnRow>, String> {
    let out = dir.join(out);
    run(&Rc::new(plan(dir, more, &[])?), &out, &mut Quiet).map_err(|e| e.to_string())?;
    Ok(StoredRun::open(&out).unwrap().turns().to_vec())
}

#[test]
fn forks_are_measured_and_leave_no_trace() {
    let dir = world();
    let plain = rows(dir.path(), "", "plain").unwrap();
    let forked = rows(dir.path(), "[[hook]]\nplugin = \"swaps\"\n", "forked").unwrap();
    assert_eq!(plain.len(), forked.len());
    for (a, b) in plain.iter().zip(&forked) {
        assert!(a.reply == b.reply && a.choice_logprobs == b.choice_logprobs && a.asides == b.asides);
        let odds = b.outcome(&Outcome::LogOdds).unwrap();
        let reading = |name: &str| b.readings.get(&format!("swaps.{name}")).copied();
        if b.turn == 1 {
            assert!(b.readings.is_empty());
        } else {
            assert_eq!(reading("own"), Some(odds), "its own activations change nothing, bit for bit");
            assert!(reading("other").is_some_and(|o| (o - odds).abs() > 1e-3), "{:?} {odds}", b.readings);
        }
    }
}

#[test]
fn forks_that_cannot_be_asked_for_are_refused() {
    let dir = world();
    let e = rows(dir.path(), "[[hook]]\nplugin = \"swaps\"\nedit = \"swop\"\n", "wrong").unwrap_err();
    assert!(e.contains("a fork \"own\" with the edit `swop`, which its program lacks"), "{e}");
    let told = |more: &str, set: &[&str]| plan(dir.path(), more, set).err().unwrap_or_default();
    let hook = "[[hook]]\nplugin = \"swaps\"\n";
    assert_eq!(told(hook, &[]), "");
    let e = told(&format!("{hook}arm = true\n"), &[]);
    assert!(e.contains("`swap` takes a vector of each conversation's own, and an arm has none"), "{e}");
    // Nothing is measured where no choice is right.
    let e = told(hook, &["dataset.path=open.jsonl"]);
    assert!(e.contains("the edit `swap` is applied in forks, which measure log-odds"), "{e}");
}
