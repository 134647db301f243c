//! Conversations with openings, scripts, replays, prefills, asides and early ends: what is stored of them, and that a
//! stopped run resumes byte for byte.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_conditions as _;
use friction_core::manifest::Manifest;
use friction_core::{ChatMessage, RunReader, TurnRow};
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
[[condition]]
name = "alone"
plugin = "template"
history = "none"
factors = { how = "alone" }
[[condition]]
name = "written"
plugin = "template"
history = "message"
keep = { marker = " -" }
factors = { how = "written" }
[[condition]]
name = "filled"
plugin = "template"
keep = { tokens = 2 }
filler = { text = ["so it goes", "on and on"] }
factors = { how = "filled" }
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

#[test]
fn turns_read_no_history_or_a_told_one_or_a_filled_one() {
    let w = world();
    let out = w.path().join("run");
    let p = plan(w.path(), &[]);
    run(&p, &out, &mut all()).unwrap();
    let held = rows(&out);
    let count = |messages: &[ChatMessage]| p.tokenizer.encode(&p.template.render(messages).unwrap()).unwrap().len();
    let mut equal = 0;
    for (group, sample) in (0..3).flat_map(|g| [(g, 0), (g, 1)]) {
        let of = |condition: &str| -> Vec<&TurnRow> {
            held.iter().filter(|t| t.group == group && t.condition == condition && t.sample == sample).collect()
        };
        let (alone, written, filled) = (of("alone"), of("written"), of("filled"));
        assert!(alone.len() >= 4 && written.len() == alone.len() && filled.len() == alone.len());
        for (i, t) in alone.iter().enumerate() {
            assert_eq!(t.history, if i == 0 { "" } else { "none" });
            assert_eq!(t.prompt_tokens as usize, count(&[ChatMessage::user(&t.user)]), "{}", t.user);
        }
        let mut before = String::new();
        for (i, t) in written.iter().enumerate() {
            let own = &alone[i].user;
            let told = if i == 0 { own.clone() } else { format!("{before}User: {own}") };
            assert_eq!((t.user.as_str(), t.history.as_str()), (told.as_str(), if i == 0 { "" } else { "told" }));
            assert_eq!(t.prompt_tokens as usize, count(&[ChatMessage::user(&told)]));
            let last = i + 1 == written.len();
            assert!(t.removed_tokens == 0 && (last || t.kept == format!("{} -", t.reply.trim_end())), "{t:?}");
            before += &format!("User: {own}\n\nAssistant: {}\n\n", t.kept);
        }
        // The filled prompt, and that of whole replies without filler, counted anew.
        let (mut kept, mut whole) = (vec![], vec![]);
        for (t, own) in filled.iter().zip(&alone) {
            kept.push(ChatMessage::user(&t.user));
            whole.push(ChatMessage::user(&own.user));
            let (has, goal) = (count(&kept), count(&whole));
            assert_eq!((t.prompt_tokens as usize, t.length_difference), (has, Some(has as i32 - goal as i32)));
            let bare = [&kept[..kept.len() - 1], &[ChatMessage::user(&own.user)]].concat();
            assert_eq!(t.filler_tokens, Some((has - count(&bare)) as u32));
            assert!(t.user.ends_with(&own.user) && (-1..=0).contains(&t.length_difference.unwrap()), "{t:?}");
            equal += usize::from(t.length_difference == Some(0) && t.filler_tokens > Some(0));
            kept.push(ChatMessage::assistant(&t.kept));
            whole.push(ChatMessage::assistant(&t.reply));
        }
    }
    assert!(equal > 5, "{equal} prompts were filled to the token");
}

/// What a run must hold of a conversation whose turns read nothing before them.
#[test]
fn a_turn_without_history_needs_room_for_itself_alone() {
    let w = world();
    let manifest = "[study]\nname = \"t\"\ngroups = 3\nitems = 2\n[model]\nsource = \"path:model\"\n[generation]\nmax_new_tokens = 7\n[dataset]\nplugin = \"questions\"\npath = \"q.jsonl\"\n[[condition]]\nname = \"c\"\nplugin = \"template\"\n";
    let of = |history: &str| {
        let text = format!("{manifest}{history}");
        Plan::new(Manifest::parse("m.toml", &text, &[]).unwrap(), w.path()).unwrap()
    };
    let p = of("history = \"none\"");
    let (mut longest, mut all) = (0, 0);
    for g in 0..3 {
        for planned in p.lists.group(p.dataset.as_ref(), g).unwrap().iter() {
            for round in 1..=planned.item.rounds() {
                let text = p.template.render(&[ChatMessage::user(planned.said(round))]).unwrap();
                let tokens = p.tokenizer.encode(&text).unwrap().len();
                (longest, all) = (longest.max(tokens), all + tokens as u64);
            }
        }
    }
    // A reply, and 16 tokens to spare.
    assert_eq!((p.estimate.capacity, p.estimate.user_tokens), (longest + 7 + 16, all));
    let kept = of("").estimate;
    assert!(kept.capacity > 3 * p.estimate.capacity, "{kept:?}");
    // Told in a message, the exchanges take as much room as the history would, and every turn is computed anew.
    let told = of("history = \"message\"").estimate;
    assert!(told.capacity > kept.capacity && told.user_tokens > 2 * all, "{told:?}");
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
