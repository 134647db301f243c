//! `dataset.options` and `dataset.option_shifts`: orders are shared and stored, letters lead back to the file, and shifts
//! leave the conversation as it was.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_conditions as _;
use friction_core::manifest::Manifest;
use friction_core::{Outcome, RunReader, TurnRow};
use friction_questions as _;
use friction_store::StoredRun;
use friction_study::regrade::regraded;
use friction_study::{Otherwise, Plan, Quiet, run};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

const MANIFEST: &str = r#"
[study]
name = "t"
seed = 3
groups = 5
turns = 5
[model]
source = "path:model"
[generation]
max_new_tokens = 5
[dataset]
plugin = "questions"
path = "q.jsonl"
options = "balanced"
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
[[aside]]
name = "mood"
after = "each-turn"
user = "How do you feel?"
choices = ["1", "2"]
"#;

/// Items of five choices, of which the first is always right; one has "all of the above", one "A and B".
fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let mut lines = String::new();
    for i in 0..30 {
        let last = match i {
            3 => "all of the above".to_string(),
            4 => "A and B".to_string(),
            _ => format!("e{i}"),
        };
        lines += &format!(
            "{{\"id\": \"q{i}\", \"question\": \"number {i}?\", \"options\": [\"a{i}\", \"b{i}\", \"c{i}\", \"d{i}\", \"{last}\"], \"answer\": \"A\"}}\n"
        );
    }
    std::fs::write(dir.path().join("q.jsonl"), lines).unwrap();
    dir
}

fn manifest(set: &[&str]) -> Result<Manifest, String> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Manifest::parse("m.toml", MANIFEST, &set).map_err(|e| e.to_string())
}
fn plan(base: &Path, set: &[&str]) -> Result<Rc<Plan>, String> {
    Plan::new(manifest(set)?, base).map(Rc::new).map_err(|e| e.to_string())
}
fn made(base: &Path, name: &str, set: &[&str]) -> Vec<TurnRow> {
    let out = base.join(name);
    run(&plan(base, set).unwrap(), &out, &mut Quiet).unwrap();
    StoredRun::open(&out).unwrap().turns().iter().map(|t| TurnRow { elapsed_ms: 0.0, ..t.clone() }).collect()
}

#[test]
fn conditions_share_orders_and_letters_lead_back_to_the_file() {
    let world = world();
    let rows = made(world.path(), "run", &[]);
    assert_eq!(rows.len(), 5 * 2 * 5);
    let mut orders: BTreeMap<(u32, u32), &Vec<u32>> = BTreeMap::new();
    let mut letters: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for t in &rows {
        assert_eq!(*orders.entry((t.group, t.turn)).or_insert(&t.choice_order), &t.choice_order);
        let i: usize = t.item_id[1..].parse().unwrap();
        let right = t.target_choice().unwrap();
        match i {
            4 => assert!(t.choice_order.is_empty() && right == 0),
            _ => assert_eq!(t.choice_order[right], 0, "{t:?}"),
        }
        // The message shows the order that is stored.
        let texts = [format!("a{i}"), format!("b{i}"), format!("c{i}"), format!("d{i}")];
        for (k, from) in t.choice_order.iter().enumerate().filter(|(_, from)| **from < 4) {
            let line = format!("{}. {}", (b'A' + k as u8) as char, texts[*from as usize]);
            assert!(t.user.contains(&line), "{line} in {}", t.user);
        }
        if i == 3 {
            assert!(t.user.contains("E. all of the above") && t.choice_order[4] == 4);
        }
        if t.condition == "complete" && i != 3 && i != 4 {
            letters.entry(t.group).or_default().push(t.target.as_deref().unwrap());
        }
    }
    // Five places, five letters: each is right once in a group, as far as its choices all move.
    for (group, mut all) in letters {
        let n = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), n, "group {group}");
    }
    // Graded again from what is stored, nothing changes.
    let again = regraded(&world.path().join("run"), &Otherwise::default()).unwrap();
    assert_eq!((again.report.answers, again.report.scores, again.report.groups), (0, 0, 0));
    let notes = plan(world.path(), &[]).unwrap().notes.join("; ");
    assert!(notes.contains("in 2 of 30 items with choices one speaks of others"), "{notes}");
    // Without the keys, no order is stored.
    let given = made(world.path(), "given", &["dataset.options=as-given"]);
    assert!(given.iter().all(|t| t.choice_order.is_empty() && t.target.as_deref() == Some("A")));
}

#[test]
fn items_that_name_others_can_be_left_out() {
    let world = world();
    let set = ["dataset.options_naming_others=left-out"];
    let rows = made(world.path(), "run", &set);
    assert!(rows.iter().all(|t| t.item_id != "q3" && t.item_id != "q4" && t.choice_order.len() == 5));
    let notes = plan(world.path(), &set).unwrap().notes.join("; ");
    assert!(notes.contains("2 of 30 items with choices are left out"), "{notes}");
}

#[test]
fn shifts_are_measured_and_leave_the_conversation_as_it_was() {
    let world = world();
    let plain = made(world.path(), "plain", &[]);
    let shifted = made(world.path(), "shifted", &["dataset.option_shifts=5"]);
    assert_eq!(plain.len(), shifted.len());
    for (a, b) in plain.iter().zip(&shifted) {
        // The choices' log-probabilities at the answer slot are there, or the letters are no single tokens.
        assert_eq!(b.choice_logprobs.len(), 5);
        let moves = match b.item_id.as_str() {
            "q4" => 0,
            "q3" => 3,
            _ => 4,
        };
        assert_eq!(b.shifted_logprobs.len(), 5 * moves, "{}", b.item_id);
        assert_eq!(b.outcome(&Outcome::LogOddsShifted).is_some(), moves > 0);
        if let Some(mean) = b.outcome(&Outcome::LogOddsShifted) {
            let own = b.outcome(&Outcome::LogOdds).unwrap();
            assert!(mean.is_finite() && (mean - own).abs() > 1e-6, "{mean} {own}");
        }
        // All else is as without them, apart from what the cache gave.
        let bare = |t: &TurnRow| TurnRow {
            shifted_logprobs: vec![],
            choice_logprobs: vec![],
            asides: Default::default(),
            prefilled_tokens: 0,
            reused_tokens: 0,
            ..t.clone()
        };
        assert_eq!(bare(a), bare(b));
        for (x, y) in a.choice_logprobs.iter().zip(&b.choice_logprobs) {
            assert!((x - y).abs() < 1e-4, "{x} {y}");
        }
    }
}

#[test]
fn keys_that_do_nothing_or_are_wrong_are_told() {
    let world = world();
    let told = |set: &[&str]| match plan(world.path(), set) {
        Err(e) => e,
        Ok(plan) => plan.warnings.join("\n"),
    };
    assert!(told(&["dataset.option_shifts=27"]).contains("`option_shifts` must be from 1 to 26"));
    let idle = told(&["dataset.options=as-given", "dataset.options_naming_others=pinned"]);
    assert!(idle.contains("`options_naming_others` does nothing"), "{idle}");
    let wrong = told(&["dataset.options=shuffled"]);
    assert!(wrong.contains("dataset.options") && wrong.contains("balanced"), "{wrong}");
    let study = told(&["study.discovery=1.5"]);
    assert!(study.contains("`discovery` must be above 0 and below 1"), "{study}");
    // Locks of studies without the keys are what they were.
    let bare = manifest(&["dataset.options=as-given"]).unwrap();
    assert!(!serde_json::to_string(&bare.study).unwrap().contains("discovery"));
    let lines: String = (0..5).map(|i| format!("{{\"question\": \"open {i}?\", \"target\": \"x\"}}\n")).collect();
    std::fs::write(world.path().join("open.jsonl"), lines).unwrap();
    let open = told(&["dataset.path=open.jsonl"]);
    assert!(open.contains("no choices can be moved: the dataset has no items with choices"), "{open}");
}
