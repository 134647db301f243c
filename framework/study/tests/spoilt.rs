//! A run whose numbers stop being finite ends with an error that names the turn; groups finished before are kept.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::Tensor;
use friction_conditions as _;
use friction_core::manifest::Manifest;
use friction_core::program::EditAt;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Arm, BuildContext, Edit, EditOp, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Result, RunReader, Site,
};
use friction_questions as _;
use friction_store::StoredRun;
use friction_study::{Error, Plan, Quiet, run};
use friction_topics as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of passes that are still finite.
static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// A hook whose edit changes nothing, until its passes are used up; then it multiplies by infinity.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Spoils {}

impl PluginConfig for Spoils {
    type Output = dyn Hook;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Hook>> {
        Ok(Box::new(self.clone()))
    }
}

impl Hook for Spoils {
    fn program(&self, _: &ModelSpec) -> Result<HookProgram> {
        let run = |x: Tensor<2>, _: Tensor<2>| {
            let left = LEFT.load(Ordering::SeqCst);
            LEFT.store(left.saturating_sub(1), Ordering::SeqCst);
            if left == 0 { x * f32::INFINITY } else { x }
        };
        let op = EditOp::Custom { run: Arc::new(run), digest: "spoils".into() };
        let edit =
            Edit { name: "spoil".into(), site: Site::ResidPost(2), at: EditAt::All, turns: None, gate: None, op };
        let arm = Arm { name: "spoilt".into(), strengths: [("spoil".to_string(), 1.0)].into(), ..Arm::default() };
        Ok(HookProgram { edits: vec![edit], arms: vec![Arm::default(), arm], ..HookProgram::default() })
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Spoils>("spoils", "Numbers that stop being finite", "1")
}

const MANIFEST: &str = r#"
study = { name = "t", groups = 6, turns = 3 }
model = { source = "path:model" }
backend = { batch = 2 }
generation = { max_new_tokens = 5 }
dataset = { plugin = "questions", path = "q.jsonl" }
topics = { plugin = "fixed", repeat = true }
[[condition]]
name = "plain"
plugin = "template"
user = "ok. {question}"
[[hook]]
plugin = "spoils"
"#;

#[test]
fn finished_groups_stand_when_numbers_stop_being_finite() {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let line = |i: usize| {
        format!(
            "{{\"question\": \"law {i}?\", \"options\": [\"x\", \"y\"], \"answer\": \"B\", \"category\": \"law\"}}\n"
        )
    };
    std::fs::write(dir.path().join("q.jsonl"), (0..9).map(line).collect::<String>()).unwrap();
    let out = dir.path().join("run");
    let plan = || Rc::new(Plan::new(Manifest::parse("m.toml", MANIFEST, &[]).unwrap(), dir.path()).unwrap());
    LEFT.store(40, Ordering::SeqCst);
    let e = run(&plan(), &out, &mut Quiet).unwrap_err();
    assert!(matches!(&e, Error::Engine(friction_engine::Error::NotFinite(_))), "{e}");
    let done = StoredRun::open(&out).unwrap().turns().last().map_or(0, |t| t.group + 1);
    assert!((1..6).contains(&done), "{done} groups were finished");
    let text = e.to_string();
    for part in [&format!("of group {done}, condition `plain`, arm `spoilt`"), "`resid_post.2`", "`spoil` of strength"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Finished groups are not computed again.
    LEFT.store(usize::MAX, Ordering::SeqCst);
    let report = run(&plan(), &out, &mut Quiet).unwrap();
    assert_eq!((report.resumed, report.groups), (done as usize, 6 - done as usize));
}
