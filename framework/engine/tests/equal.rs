//! Invariants: a conversation's results do not depend on its neighbours, prefix reuse, roll-back, forks or chunks.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::{DType, Device};
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer, testing, weights::random::RandomWeights};
use friction_core::program::{Autoencoder, Edit, EditAt, EditOp, Encoder, Readout};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_engine::{
    Dialogue, Doses, Engine, EngineOptions, Error, Finish, Flow, Given, Progress, Request, Sampling, TurnOutcome, Unit,
};
use friction_model::{Model, testing as devices};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

struct World {
    model: Model,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

fn world() -> World {
    let config = testing::config();
    let weights = RandomWeights::new(&config, 7);
    let model = Model::load(&config, &weights, &devices::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    World { model, tokenizer, template }
}

type Log = Rc<RefCell<Vec<TurnOutcome>>>;

/// Says fixed messages; keeps the first `keep` characters of each reply.
struct Script {
    talk: Talk,
    history: Vec<ChatMessage>,
    said: usize,
    /// Number of asides asked after the turn that is over.
    asked: usize,
    aside: bool,
    log: Log,
    asides: Log,
}
impl Dialogue for Script {
    fn next(&mut self) -> friction_core::Result<Option<Request>> {
        let t = &self.talk;
        let base = Request {
            choices: vec!["a".into(), "b".into()],
            max_new_tokens: 9,
            seed: t.seed + 1000 * self.said as u64,
            doses: t.doses(),
            ..Request::default()
        };
        if self.said > 0 && self.asked < t.asides.len() {
            let mut messages = self.history.clone();
            messages.push(ChatMessage::user(t.asides[self.asked].clone()));
            // The first aside is measured, the second is answered, the third is given its answer.
            let forced = (self.asked == 2).then(|| "so so".to_string());
            let max_new_tokens = if self.asked == 0 { 0 } else { 5 };
            (self.asked, self.aside) = (self.asked + 1, true);
            return Ok(Some(Request { messages, forced, max_new_tokens, fork: true, ..base }));
        }
        let Some(m) = t.messages.get(self.said).filter(|_| self.said < t.ends) else { return Ok(None) };
        if self.history.is_empty() {
            self.history = t.opening.clone();
        }
        self.history.push(ChatMessage::user(m));
        let forced = t.forced.get(self.said).cloned().flatten();
        self.aside = false;
        Ok(Some(Request { messages: self.history.clone(), forced, prefill: t.prefill.clone(), ..base }))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        let o = TurnOutcome { elapsed_ms: 0.0, ..o };
        if self.aside {
            self.asides.borrow_mut().push(o);
            return Ok(());
        }
        let kept: String = o.text.chars().take(self.talk.keep).collect();
        self.history.push(ChatMessage::assistant(format!("{}{kept}.", self.talk.prefill)));
        (self.said, self.asked) = (self.said + 1, 0);
        self.log.borrow_mut().push(o);
        Ok(())
    }
}

#[derive(Debug, Clone, Default)]
struct Talk {
    opening: Vec<ChatMessage>,
    messages: Vec<String>,
    keep: usize,
    strength: f32,
    seed: u64,
    /// For each turn, the reply that is given, if one is.
    forced: Vec<Option<String>>,
    prefill: String,
    /// Asked after every turn.
    asides: Vec<String>,
    /// Number of turns after which the conversation ends.
    ends: usize,
}

impl Talk {
    /// What edits do in every turn.
    fn doses(&self) -> Doses {
        // A vector that differs by conversation; where the strength is 0 there is none.
        let own: Given = (self.strength != 0.0).then(|| Arc::from(wave(32, self.seed as f32)));
        Doses { strengths: vec![self.strength; 5], given: [vec![None; 4], vec![own]].concat() }
    }
}

/// A conversation of these messages, and nothing else.
fn says(messages: &[&str]) -> Talk {
    Talk { messages: messages.iter().map(|m| (*m).into()).collect(), keep: 4, seed: 1, ends: 9, ..Talk::default() }
}

fn talks() -> impl Strategy<Value = Vec<Talk>> {
    let words = |n: &'static str| prop::collection::vec(n, 1..5);
    let given = prop::collection::vec(prop::option::weighted(0.3, "[a-z ]{0,80}"), 0..5);
    let prefill = prop::sample::select(vec!["", "", "(", "I say "]);
    let opening = prop::option::weighted(0.5, "[a-z ]{1,90}");
    let talk = (
        words("[a-z ]{1,24}"),
        0usize..12,
        prop::sample::select(vec![0f32, 0.0, 1.5]),
        0u64..3,
        (given, prefill, opening, prop::collection::vec("[a-z ]{1,40}", 0..4), 1usize..6),
    )
        .prop_map(|(messages, keep, strength, seed, (forced, prefill, opening, asides, ends))| {
            let opening = opening
                .map_or(vec![], |o| vec![ChatMessage::system(o), ChatMessage::user("x"), ChatMessage::assistant("y")]);
            let prefill = prefill.to_string();
            Talk { opening, messages, keep, strength, seed, forced, prefill, asides, ends }
        });
    prop::collection::vec(talk, 1..6)
}

fn program() -> HookProgram {
    let tap = |site, position| Tap { site, position };
    HookProgram {
        taps: vec![
            tap(Site::ResidPost(3), Position::PromptEnd),
            tap(Site::ResidPost(6), Position::Reply(3)),
            tap(Site::AttnOut(5), Position::ReplyMean),
            tap(Site::MlpIn(2), Position::ReplyEnd),
            tap(Site::FinalNorm, Position::PromptEnd),
            tap(Site::ResidPost(5), Position::ReplyAll),
        ],
        edits: edits(),
        ..HookProgram::default()
    }
}

fn wave(n: usize, phase: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
}

/// A push, a ceiling of a projection, a feature that is set where another is active, an autoencoder's reconstruction, and
/// a vector of the conversation's own. They apply at all tokens and in all turns alike: only then does a cache that holds
/// earlier turns equal one that is computed again.
fn edits() -> Vec<Edit> {
    let edit = |site, op| Edit { name: "push".into(), site, at: EditAt::All, turns: None, gate: None, op };
    let feature = |phase| Readout::Linear { vector: wave(32, phase), bias: 0.1, threshold: Some(0.2) };
    let push = |read, min, max| EditOp::Push { read, along: wave(32, 3.0), min, max };
    let autoencoder = Autoencoder {
        encoder: Encoder { weights: wave(32 * 20, 0.5), bias: wave(20, 1.0) },
        least: vec![0.1; 20],
        k: Some(6),
        decoder: wave(20 * 32, 2.0),
        decoder_bias: wave(32, 4.0),
    };
    let set = edit(Site::ResidPost(4), push(feature(5.0), Some(1.0), Some(1.0)));
    vec![
        edit(Site::ResidPost(2), EditOp::Add(wave(32, 0.0))),
        edit(Site::ResidPost(3), push(Readout::projection(&wave(32, 2.0)), None, Some(0.5))),
        Edit { gate: Some(feature(6.0)), ..set },
        edit(Site::MlpOut(4), EditOp::Reconstruct(Arc::new(autoencoder))),
        edit(Site::ResidPost(5), EditOp::Given { width: 32 }),
    ]
}

fn options(slots: usize, reuse: bool, chunk: usize, temperature: f64) -> EngineOptions {
    EngineOptions {
        slots,
        capacity: 900,
        max_new_tokens: 9,
        fork_tokens: 120,
        sampling: Sampling { temperature, ..Sampling::GREEDY },
        stop: Default::default(),
        chunk,
        step_tokens: 64,
        reuse,
    }
}

/// Units of talks, and the turns and asides of each.
fn scripts(units: &[Vec<Talk>]) -> (Vec<Unit>, Vec<Log>, Vec<Log>) {
    let (mut logs, mut asides): (Vec<Log>, Vec<Log>) = (vec![], vec![]);
    let units = units
        .iter()
        .enumerate()
        .map(|(index, talks)| {
            let dialogues = talks.iter().map(|t| {
                let (log, aside) = (Log::default(), Log::default());
                logs.push(log.clone());
                asides.push(aside.clone());
                let (history, said, asked) = (vec![], 0, 0);
                let script = Script { talk: t.clone(), history, said, asked, aside: false, log, asides: aside };
                Box::new(script) as Box<dyn Dialogue>
            });
            Unit { index, dialogues: dialogues.collect() }
        })
        .collect();
    (units, logs, asides)
}

/// Runs units of talks; returns the outcomes of turns and of asides, by talk.
fn whole(w: &World, units: &[Vec<Talk>], o: EngineOptions) -> (Vec<Vec<TurnOutcome>>, Vec<Vec<TurnOutcome>>, Progress) {
    let engine = Engine::new(&w.model, &w.tokenizer, &w.template, &program(), o).unwrap();
    let (units, logs, asides) = scripts(units);
    let progress = engine.run(units, |_| Ok(()), |_| Flow::Continue).unwrap();
    let told = |logs: Vec<Log>| logs.into_iter().map(|l| l.borrow().clone()).collect();
    (told(logs), told(asides), progress)
}

/// Runs units of talks; returns outcomes of turns by talk.
fn hold(w: &World, units: &[Vec<Talk>], o: EngineOptions) -> Vec<Vec<TurnOutcome>> {
    whole(w, units, o).0
}

fn close(a: f32, b: f32) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= 2e-4 * (1.0 + a.abs().max(b.abs()))
}

/// Same tokens; activations equal up to rounding.
fn same(a: &[Vec<TurnOutcome>], b: &[Vec<TurnOutcome>]) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
        assert_eq!((&x.ids, x.finish, x.prompt_tokens), (&y.ids, y.finish, y.prompt_tokens));
        for (s, t) in x.taps.iter().zip(&y.taps) {
            assert_eq!(s.rows.len(), t.rows.len());
            for (p, q) in s.rows.iter().flatten().zip(t.rows.iter().flatten()) {
                assert!(close(*p, *q), "{:?}: {p} {q}", s.tap);
            }
        }
        for (p, q) in x.choices.iter().chain(&x.forced).zip(y.choices.iter().chain(&y.forced)) {
            assert!(close(*p, *q));
        }
    }
}

/// Bit for bit, NaN included. On a GPU, where reductions are tuned by shape, up to rounding.
fn identical(a: &[Vec<TurnOutcome>], b: &[Vec<TurnOutcome>]) {
    let bits = |all: &[Vec<TurnOutcome>]| -> Vec<u32> {
        all.iter()
            .flatten()
            .flat_map(|o| {
                o.taps
                    .iter()
                    .flat_map(|t| t.rows.iter().flatten())
                    .chain(&o.choices)
                    .chain(&o.forced)
                    .map(|x| x.to_bits())
            })
            .collect()
    };
    same(a, b);
    let (a, b) = (bits(a), bits(b));
    let differ = a.iter().zip(&b).filter(|(x, y)| x != y).count();
    if devices::device().unwrap() != Device::flex() {
        println!("{differ} of {} values differ in bits", a.len());
        return;
    }
    assert_eq!((a.len(), differ), (b.len(), 0), "values that differ in bits");
}

/// Kernels are compiled and tuned by shape on a GPU: few cases there.
fn cases() -> u32 {
    if devices::device().unwrap() == Device::flex() { 24 } else { 3 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn neighbours_change_no_bit(talks in talks(), t in prop::sample::select(vec![0.0, 1.0])) {
        let w = world();
        let units: Vec<Vec<Talk>> = talks.iter().map(|t| vec![t.clone()]).collect();
        let together = hold(&w, &units, options(6, true, 16, t));
        let few = hold(&w, &units, options(2, true, 16, t));
        let alone: Vec<_> = units.iter().flat_map(|u| hold(&w, std::slice::from_ref(u), options(2, true, 16, t))).collect();
        let single: Vec<_> = units.iter().flat_map(|u| hold(&w, std::slice::from_ref(u), options(1, true, 16, t))).collect();
        identical(&together, &few);
        identical(&together, &alone);
        // A single slot takes another code path, for one row: tokens are equal, activations equal up to rounding.
        same(&together, &single);
    }

    #[test]
    fn reuse_and_roll_back_equal_recomputation(talks in talks(), t in prop::sample::select(vec![0.0, 1.0])) {
        let w = world();
        let units: Vec<Vec<Talk>> = talks.iter().map(|t| vec![t.clone()]).collect();
        let reused = whole(&w, &units, options(4, true, 16, t));
        let anew = whole(&w, &units, options(4, false, 16, t));
        let chunks = whole(&w, &units, options(4, true, 5, t));
        for other in [anew, chunks] {
            same(&reused.0, &other.0);
            same(&reused.1, &other.1);
        }
    }

    #[test]
    fn asides_leave_a_conversation_as_it_was(talks in talks(), t in prop::sample::select(vec![0.0, 1.0])) {
        let w = world();
        let with: Vec<Vec<Talk>> = talks.iter().map(|t| vec![t.clone()]).collect();
        let without: Vec<Vec<Talk>> = talks.into_iter().map(|t| vec![Talk { asides: vec![], ..t }]).collect();
        let (asked, asides, _) = whole(&w, &with, options(6, true, 16, t));
        let (plain, none, _) = whole(&w, &without, options(6, true, 16, t));
        identical(&asked, &plain);
        for (talk, (turns, told)) in with.iter().flatten().zip(asked.iter().zip(&asides)) {
            prop_assert_eq!(told.len(), talk.asides.len() * turns.len());
        }
        prop_assert!(none.iter().all(Vec::is_empty));
    }

    #[test]
    fn openings_are_computed_once_and_change_nothing(talks in talks(), t in prop::sample::select(vec![0.0, 1.0])) {
        let w = world();
        let opening = vec![
            ChatMessage::system("be brief and say what you think of it"),
            ChatMessage::user("one and one"),
            ChatMessage::assistant("it is two, and that is all there is to say"),
        ];
        let unit: Vec<Talk> = talks.into_iter().map(|t| Talk { opening: opening.clone(), strength: 0.0, ..t }).collect();
        let (together, _, progress) = whole(&w, std::slice::from_ref(&unit), options(6, true, 16, t));
        let own: Vec<Vec<Talk>> = unit.iter().map(|t| vec![t.clone()]).collect();
        let (apart, _, _) = whole(&w, &own, options(6, true, 16, t));
        same(&together, &apart);
        prop_assert_eq!(progress.forked_openings + progress.forked_turns, unit.len() as u64 - 1);
        prop_assert!(together.iter().skip(1).all(|c| c[0].reused_tokens > 32));
    }

    #[test]
    fn forks_equal_conversations_of_their_own(talk in talks(), t in prop::sample::select(vec![0.0, 1.0])) {
        let w = world();
        // One first message, then each its own: what conditions of a group do.
        let mut unit = talk.clone();
        let first = unit[0].messages[0].clone();
        for (i, t) in unit.iter_mut().enumerate() {
            t.messages[0].clone_from(&first);
            t.messages.push(format!("and {i}?"));
            (t.strength, t.seed, t.ends) = (0.0, 1, 9);
            (t.opening, t.prefill, t.forced) = (vec![], String::new(), vec![]);
        }
        let forked = hold(&w, std::slice::from_ref(&unit), options(6, true, 16, t));
        let own: Vec<Vec<Talk>> = unit.iter().map(|t| vec![t.clone()]).collect();
        let apart = hold(&w, &own, options(6, true, 16, t));
        identical(&forked, &apart);
        prop_assert!(forked.iter().skip(1).all(|c| c[0].reused_tokens == c[0].prompt_tokens));
    }
}

/// On a GPU steps are in flight when a run is stopped, or ends by an error: they end before their buffers go.
#[test]
fn after_a_run_that_was_stopped_the_next_is_whole() {
    let w = world();
    let talk = |strength| Talk { strength, ..says(&["hello there", "more"]) };
    let all = [vec![talk(0.0)], vec![talk(1.5)]];
    let o = options(2, true, 16, 0.0);
    let whole = hold(&w, &all, o.clone());
    for most in 2..6 {
        let engine = Engine::new(&w.model, &w.tokenizer, &w.template, &program(), o.clone()).unwrap();
        let stop = |p: &Progress| if p.steps < most { Flow::Continue } else { Flow::Stop };
        let stopped = engine.run(scripts(&all).0, |_| Ok(()), stop);
        assert!(matches!(stopped, Err(Error::Stopped)), "after {most} steps");
    }
    identical(&whole, &hold(&w, &all, o));
}

#[test]
fn strength_zero_touches_nothing_and_others_steer() {
    let w = world();
    let talk = |strength| Talk { strength, ..says(&["hello there", "more"]) };
    let alone = hold(&w, &[vec![talk(0.0)]], options(3, true, 16, 0.0));
    let mixed = hold(&w, &[vec![talk(0.0)], vec![talk(3.0)], vec![talk(-3.0)]], options(3, true, 16, 0.0));
    identical(&alone, &mixed[..1]);
    let row = |o: &TurnOutcome| o.taps[0].rows[0].clone();
    assert_ne!(row(&mixed[0][0]), row(&mixed[1][0]));
    assert_ne!(row(&mixed[1][0]), row(&mixed[2][0]));
}

#[test]
fn a_chat_prompt_has_one_bos() {
    let w = world();
    let text = w
        .template
        .render(&[ChatMessage::user("hi"), ChatMessage::assistant("yo"), ChatMessage::user("a<bos>b")])
        .unwrap();
    let ids = w.tokenizer.encode(&text).unwrap();
    assert_eq!(ids.iter().filter(|i| **i == 2).count(), 1);
    assert_eq!(ids[0], 2);
}

#[test]
fn every_end_id_stops() {
    // The chat end (5) and the sequence end (1) are both in the tiny checkpoint's list: make one the
    // only likely token by its own embedding, and the reply is empty.
    let w = world();
    let outcomes = hold(&w, &[vec![says(&["x"])]], options(1, true, 16, 1.0));
    let o = &outcomes[0][0];
    assert!(!o.ids.contains(&1) && !o.ids.contains(&5));
}

#[test]
fn a_forced_reply_has_the_models_own_probabilities() {
    use friction_model::NoProbe;
    use friction_model::{Segment, Step, cache::CacheShape};
    let w = world();
    let text = "a longer reply than any that is generated, and it goes on ".repeat(2);
    let said = w.tokenizer.encode(&text).unwrap();
    assert!(said.len() > 100, "more than one step scores");
    let talk = |forced: Vec<Option<String>>, strength| Talk { forced, strength, ..says(&["tell me", "and then"]) };
    let given = vec![Some(text)];
    let both = [vec![talk(given.clone(), 0.0), talk(given, 1.5), talk(vec![], 0.0)]];
    let got = hold(&w, &both, options(3, true, 5, 0.0));
    assert!(got[2][0].forced.is_empty() && got[0][1].forced.is_empty());
    assert_eq!((&got[0][0].ids, got[0][0].finish), (&said, Finish::Replay));
    // The conversation continues after it.
    assert_eq!((got[0].len(), got[0][0].forced.len()), (2, said.len()));
    assert_ne!(got[0][0].forced, got[1][0].forced, "edits reach what is said");
    let turns = [ChatMessage::user("tell me")];
    let mut ids = w.tokenizer.encode(&w.template.render(&turns).unwrap()).unwrap();
    let prompt = ids.len();
    ids.extend(&said);
    let n = ids.len();
    let mut cache = w.model.cache(CacheShape::new(&w.model.arch, 1, n, n));
    let step =
        Step { ids, segments: vec![Segment { slot: 0, start: 0, len: n }], logits: (prompt - 1..n - 1).collect() };
    let logits = w.model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap().into_data();
    let rows: Vec<f32> = logits.iter::<f32>().collect();
    for ((row, id), got) in rows.chunks(w.model.arch.vocab).zip(&said).zip(&got[0][0].forced) {
        let want = friction_engine::sampling::log_probs(row, &[*id])[0];
        assert!((want - got).abs() < 1e-4, "{want} {got}");
    }
}
