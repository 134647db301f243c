//! A run that is stopped at random points and resumed equals one that was not, byte for byte apart
//! from timings.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_behavior as _;
use friction_conditions as _;
use friction_core::manifest::Manifest;
use friction_core::{ConversationId, Position, RunReader, Site, TurnRow};
use friction_engine::{Flow, Progress};
use friction_questions as _;
use friction_residual as _;
use friction_store::{RunDir, StoredRun};
use friction_study::{Plan, RunOptions, analyze, run};
use friction_topics as _;
use proptest::prelude::*;
use std::path::Path;
use std::rc::Rc;

const MANIFEST: &str = r#"
[study]
name = "t"
seed = 3
groups = 4
turns = 3
[model]
source = "path:model"
[generation]
max_new_tokens = 7
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
keep = { tokens = 3, marker = "..." }
factors = { completion = "interrupt" }
[[hook]]
plugin = "residual"
sites = ["resid_post.2", "resid_post.6"]
positions = ["prompt-end", "reply:2", "user-mean"]
[[analyzer]]
plugin = "behavior"
primary = "completion × turn"
"#;

struct StopAfter(Option<u64>);
impl RunOptions for StopAfter {
    fn loading(&mut self, _: u64, _: u64) {}
    fn progress(&mut self, p: &Progress, _: usize) -> Flow {
        if self.0.is_some_and(|n| p.steps >= n) { Flow::Stop } else { Flow::Continue }
    }
}

fn world() -> tempfile::TempDir {
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
    std::fs::write(dir.path().join("q.jsonl"), lines).unwrap();
    dir
}

fn plan(base: &Path, set: &[&str]) -> Rc<Plan> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Rc::new(Plan::new(Manifest::parse("m.toml", MANIFEST, &set).unwrap(), base).unwrap())
}

fn timeless(run: &Path) -> Vec<TurnRow> {
    let run = StoredRun::open(run).unwrap();
    run.turns().iter().map(|t| TurnRow { elapsed_ms: 0.0, choice_logprobs: vec![], ..t.clone() }).collect()
}
fn logprobs(run: &Path) -> Vec<u32> {
    StoredRun::open(run).unwrap().turns().iter().flat_map(|t| t.choice_logprobs.iter().map(|x| x.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn stopped_and_resumed_equals_uninterrupted(stops in prop::collection::vec(1u64..60, 1..4), batch in prop::sample::select(vec![1, 2, 5, 8])) {
        let world = world();
        let set = format!("backend.batch={batch}");
        let whole = world.path().join("whole");
        run(&plan(world.path(), &[&set]), &whole, &mut StopAfter(None)).unwrap();
        let parts = world.path().join("parts");
        for s in stops {
            let _ = run(&plan(world.path(), &[&set]), &parts, &mut StopAfter(Some(s)));
            // Half-written files, as a killed writer leaves them.
            std::fs::create_dir_all(parts.join("groups/.friction-0003-1.tmp")).unwrap();
        }
        run(&plan(world.path(), &[&set]), &parts, &mut StopAfter(None)).unwrap();
        prop_assert_eq!(timeless(&whole), timeless(&parts));
        prop_assert_eq!(logprobs(&whole), logprobs(&parts));
        for g in 0..4 {
            let file = |d: &Path| std::fs::read(d.join(format!("groups/{g:04}/taps.safetensors"))).unwrap();
            prop_assert!(file(&whole) == file(&parts), "taps of group {}", g);
        }
    }
}

#[test]
fn another_study_is_refused_and_analyzers_may_change() {
    let world = world();
    let out = world.path().join("run");
    run(&plan(world.path(), &[]), &out, &mut StopAfter(None)).unwrap();
    let e =
        run(&plan(world.path(), &["generation.max_new_tokens=8"]), &out, &mut StopAfter(None)).unwrap_err().to_string();
    assert!(e.contains("generation.max_new_tokens: stored 7, now 8"), "{e}");
    let p = plan(world.path(), &["analyzer.0.level=0.9"]);
    assert_eq!(run(&p, &out, &mut StopAfter(None)).unwrap().groups, 0);
    let found = analyze(&out, &p.analyzers).unwrap();
    assert!(found[0].findings.values.contains_key("primary"));
    assert!(out.join("analysis/behavior/accuracy.png").exists());
    let stored = StoredRun::open(&out).unwrap();
    let tap = stored
        .tap(
            ConversationId { group: 2, condition: "interrupt", arm: "", sample: 0 },
            Site::ResidPost(6),
            Position::Reply(2),
        )
        .unwrap()
        .unwrap();
    assert_eq!(tap.shape, [3, 2, 32]);
    let turns = stored.turns();
    assert_eq!(turns.len(), 4 * 2 * 3);
    // The same questions in both conditions; the bare question first; cut replies marked.
    for pair in turns.chunks(6) {
        for t in 0..3 {
            assert_eq!(pair[t].item_id, pair[t + 3].item_id);
        }
        assert_eq!(pair[0].user, pair[3].user);
        assert_eq!(pair[0].reply, pair[3].reply);
        assert!(pair[3..5].iter().all(|t| t.removed_tokens == 0 || t.kept.ends_with("...")));
        assert_eq!(pair[5].removed_tokens, 0, "the last turn is never cut");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let world = world();
    let out = world.path().join("run");
    run(&plan(world.path(), &["study.groups=1"]), &out, &mut StopAfter(None)).unwrap();
    let lock = std::fs::read_to_string(out.join("lock.json")).unwrap().replace("\"schema\": 3", "\"schema\": 4");
    std::fs::write(out.join("lock.json"), lock).unwrap();
    let e = StoredRun::open(&out).err().unwrap().to_string();
    assert!(e.contains("newer friction"), "{e}");
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let wrong = MANIFEST
        .replace("max_new_tokens = 7", "max_new_token = 7")
        .replace("plugin = \"fixed\"", "plugin = \"fixd\"")
        .replace("turns = 3", "turns = \"three\"")
        .replace("keep = { tokens = 3, marker = \"...\" }", "keep = { token = 3 }");
    let text = Manifest::parse("m.toml", &wrong, &["hook.0.sits=1".into()]).err().unwrap().to_string();
    for part in [
        "m.toml:6:1: expected a whole number from 0, not the text \"three\"",
        "m.toml:10:1: unknown key `max_new_token` (did you mean `max_new_tokens`?)",
        "m.toml:16:1: no topics plugin is called `fixd` (did you mean `fixed`?)",
        "m.toml:26:10: unknown key `token` (did you mean `tokens`?)",
        "--set hook.0.sits=1: unknown key `sits` (did you mean `sites`?)",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
    let world = world();
    for (set, part) in [
        ("hook.0.sites=[\"resid_post.7\"]", "has no site `resid_post.7`: its 7 layers are 0 to 6"),
        ("hook.0.sites=[\"resid_pots.1\"]", "did you mean"),
        ("analyzer.0.primary=\"tone × turn\"", "compares levels of factor `tone`"),
        ("model.source=\"path:nowhere\"", "no such folder"),
        ("model.source=\"gemma\"", "is not a model source"),
        ("topics.topics=[\"lwa\"]", "no category `lwa`: did you mean `law`?"),
        ("study.turns=9", "9 turns need 9 categories"),
    ] {
        let e = Manifest::parse("m.toml", MANIFEST, &[set.into()])
            .map_err(|e| e.to_string())
            .and_then(|m| Plan::new(m, world.path()).map(|_| ()).map_err(|e| e.to_string()))
            .err()
            .unwrap();
        assert!(e.contains(part), "{set}: {e}");
    }
    // Errors that do not depend on each other are reported together.
    let set = ["hook.0.sites=[\"resid_post.7\"]", "topics.topics=[\"lwa\"]", "analyzer.0.primary=\"tone × turn\""];
    let m = Manifest::parse("m.toml", MANIFEST, &set.map(String::from)).unwrap();
    let e = Plan::new(m, world.path()).err().unwrap().to_string();
    for part in ["resid_post.7", "no category `lwa`", "factor `tone`"] {
        assert!(e.contains(part), "{part}\n---\n{e}");
    }
}

#[test]
fn a_group_whose_activations_were_taken_away_does_not_stand() {
    let world = world();
    let out = world.path().join("run");
    let p = plan(world.path(), &["study.groups=2"]);
    run(&p, &out, &mut StopAfter(None)).unwrap();
    let file = out.join("groups/0001/taps.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let e = run(&p, &out, &mut StopAfter(None)).unwrap_err().to_string();
    assert!(e.contains("0001/taps.safetensors: is missing, though SHA256SUMS lists it"), "{e}");
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(run(&p, &out, &mut StopAfter(None)).unwrap().resumed, 2);
}

#[test]
fn findings_warn_of_a_condition_that_cut_no_reply() {
    let world = world();
    let out = world.path().join("run");
    let p = plan(world.path(), &[]);
    run(&p, &out, &mut StopAfter(None)).unwrap();
    let warned = || -> Vec<String> {
        let found = analyze(&out, &p.analyzers).unwrap();
        found[0].findings.warnings().filter(|w| w.contains("were cut, though")).cloned().collect()
    };
    assert_eq!(warned(), [""; 0]);
    let rows = StoredRun::open(&out).unwrap().turns().to_vec();
    {
        let dir = RunDir::reopen(&out).unwrap();
        for group in 0..4 {
            let of = rows.iter().filter(|t| t.group == group);
            let whole: Vec<TurnRow> =
                of.map(|t| TurnRow { removed_tokens: 0, kept: t.reply.clone(), ..t.clone() }).collect();
            dir.replace_turns(group as usize, &whole).unwrap();
        }
    }
    let want =
        "condition `interrupt`: 0 of 8 replies were cut, though `keep` asks for it: none is longer than 3 tokens;";
    let told = warned();
    assert!(told.len() == 1 && told[0].starts_with(want), "{told:?}");
}
