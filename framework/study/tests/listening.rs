//! Conversations with openings, scripts, replays, prefills, asides and early ends: what is stored of them, and that a
//! stopped run resumes byte for byte.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_conditions as _;
use friction_core::manifest::Manifest;
use friction_core::{RunReader, TurnRow};
use friction_engine::{Flow, Progress};
use friction_questions as _;
use friction_residual as _;
use friction_store::StoredRun;
use friction_study::{Plan, RunOptions, run};
use friction_topics as _;
use proptest::prelude::*;
use std::path::Path;
use std::rc::Rc;

const MANIFEST: &str = r#"
[study]
name = "t"
seed = 3
groups = 3
items = 2
samples = 2
draws = "paired"
[model]
source = "path:model"
[generation]
max_new_tokens = 7
temperature = 1.0
stop = ["q"]
[dataset]
plugin = "questions"
path = "q.jsonl"
[[condition]]
name = "told"
plugin = "template"
system = "You know the word {metadata.word}."
shots = [{ user = "one and one?", assistant = "two, of course, and nothing else than two" }]
stop_when = "group == 1 and turn == 3"
factors = { how = "told" }
[[condition]]
name = "read"
plugin = "template"
replay = true
system = "You know the word {metadata.word}."
shots = [{ user = "one and one?", assistant = "two, of course, and nothing else than two" }]
factors = { how = "read" }
[[condition]]
name = "back"
plugin = "template"
prefill = "("
rounds = 2
user = "{text}"
if_right = "No, {last_answer} it is not."
if_wrong = "Are you sure about {{ last_reply }}?"
from_turn = 1
factors = { how = "back" }
[[aside]]
name = "mood"
after = "each-turn"
user = "How do you feel?"
prefill = "I feel "
choices = ["1", "2", "3 or more"]
[[aside]]
name = "end"
after = "last"
user = "Sum up."
max_new_tokens = 3
[[hook]]
plugin = "residual"
sites = ["resid_post.2"]
positions = ["prompt-end", "reply"]
"#;

struct StopAfter(u64);
impl RunOptions for StopAfter {
    fn loading(&mut self, _: u64, _: u64) {}
    fn progress(&mut self, p: &Progress, _: usize) -> Flow {
        if p.steps >= self.0 { Flow::Stop } else { Flow::Continue }
    }
}
fn all() -> StopAfter {
    StopAfter(u64::MAX)
}

/// Items of two and of three messages; the last message of those of three has no reply.
fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let mut lines = String::new();
    for i in 0..8 {
        let more = if i % 2 == 0 { "" } else { r#", "and at last?""# };
        lines += &format!(
            r#"{{"question": "item {i}", "options": ["x", "y"], "answer": "B", "metadata": {{"word": "w{i}"}}, "script": [{{"user": "first {i}", "reply": "a given reply {i}"}}, {{"user": "then", "reply": "another"}}{more}]}}"#
        );
        lines += "\n";
    }
    std::fs::write(dir.path().join("q.jsonl"), lines).unwrap();
    dir
}

fn plan(base: &Path, set: &[&str]) -> Rc<Plan> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Rc::new(Plan::new(Manifest::parse("m.toml", MANIFEST, &set).unwrap(), base).unwrap())
}

/// Rows without what depends on the clock.
fn rows(run: &Path) -> Vec<TurnRow> {
    StoredRun::open(run).unwrap().turns().iter().map(|t| TurnRow { elapsed_ms: 0.0, ..t.clone() }).collect()
}

#[test]
fn every_kind_of_turn_is_stored_as_it_was_held() {
    let w = world();
    let out = w.path().join("run");
    run(&plan(w.path(), &[]), &out, &mut all()).unwrap();
    let held = rows(&out);
    let of = |group: u32, condition: &str, sample: u32| -> Vec<&TurnRow> {
        held.iter().filter(|t| t.group == group && t.condition == condition && t.sample == sample).collect()
    };
    for group in 0..3 {
        let (told, read, back) = (of(group, "told", 0), of(group, "read", 0), of(group, "back", 1));
        // Four to six turns, as long as the scripts of the two items are together; one conversation ends early.
        let turns = read.len();
        assert_eq!(told.len(), if group == 1 { 2 } else { turns });
        assert!((4..=6).contains(&turns) && read.iter().map(|t| t.turn as usize).eq(1..=turns));
        for t in &read {
            let given = !t.user.contains("at last");
            assert_eq!(t.finish_reason == "replay", given, "{}", t.user);
            assert_eq!(t.replay_logprobs.len() == t.reply_tokens as usize && t.reply_tokens > 0, given);
            if t.user == "then" {
                assert_eq!((t.reply.as_str(), t.round), ("another", 2));
            }
        }
        assert_eq!(back.len(), 4);
        for (t, next) in back.iter().zip(back.iter().skip(1)) {
            assert!(t.reply.starts_with('(') && t.prefill == "(" && t.kept == t.reply);
            if next.round == 2 {
                let wrong = format!("Are you sure about {}?", t.reply);
                let right = format!("No, {} it is not.", t.answer.as_deref().unwrap_or(""));
                assert_eq!(next.user, if t.right() == Some(true) { right } else { wrong });
            }
        }
    }
    // Asides: after each turn, with several tokens a choice; at the end once, also where it came early.
    for t in &held {
        let mood = &t.asides["mood"];
        assert_eq!((mood.logprobs.len(), mood.logprobs_per_token.len()), (3, 3), "{mood:?}");
        assert!(mood.logprobs.iter().all(|l| *l < 0.0) && mood.value.is_some());
        assert!(mood.logprobs[2] < mood.logprobs_per_token[2], "a choice of several tokens");
        let last = !held.iter().any(|o| o.conversation() == t.conversation() && o.turn > t.turn);
        assert_eq!(t.asides.contains_key("end"), last);
        assert!(!t.reply.contains('q'), "{}", t.reply);
        assert!(t.metadata.contains("\"word\":\"w"));
    }
    // The opening is computed once: the others take it over.
    let first = |c: &str| of(0, c, 0)[0];
    let reused = |c: &str| first(c).reused_tokens;
    assert!(reused("told") == 0 || reused("read") == 0);
    assert!(reused("told") + reused("read") > 32, "{} {}", reused("told"), reused("read"));
    // With paired draws, two samples differ, and equal prompts of one sample are answered alike.
    assert!((0..3).any(|g| of(g, "told", 0)[0].reply != of(g, "told", 1)[0].reply));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]
    #[test]
    fn stopped_and_resumed_equals_uninterrupted(stops in prop::collection::vec(1u64..160, 1..4), batch in prop::sample::select(vec![1, 3, 6, 12])) {
        let w = world();
        let set = format!("backend.batch={batch}");
        let whole = w.path().join("whole");
        run(&plan(w.path(), &[&set]), &whole, &mut all()).unwrap();
        let parts = w.path().join("parts");
        for s in stops {
            let _ = run(&plan(w.path(), &[&set]), &parts, &mut StopAfter(s));
        }
        run(&plan(w.path(), &[&set]), &parts, &mut all()).unwrap();
        prop_assert_eq!(format!("{:?}", rows(&whole)), format!("{:?}", rows(&parts)));
        for g in 0..3 {
            let file = |d: &Path| std::fs::read(d.join(format!("groups/{g:04}/taps.safetensors"))).unwrap();
            prop_assert!(file(&whole) == file(&parts), "taps of group {}", g);
        }
    }
}

#[test]
fn a_changed_file_of_a_group_is_noticed() {
    let w = world();
    let out = w.path().join("run");
    run(&plan(w.path(), &["study.groups=1"]), &out, &mut all()).unwrap();
    let file = out.join("groups/0000/turns.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    let n = bytes.len();
    bytes[n / 2] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let e = StoredRun::open(&out).err().unwrap().to_string();
    assert!(e.contains("was changed after the run wrote it"), "{e}");
}
