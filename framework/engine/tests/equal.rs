//! Invariants: a conversation's results do not depend on its neighbours, prefix reuse, roll-back, forks or chunks.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::{DType, Device};
use friction_core::program::{Autoencoder, Edit, EditAt, EditOp, Encoder, Readout};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_engine::{Dialogue, Engine, EngineOptions, Error, Flow, Given, Progress, Sampling, TurnOutcome, Unit};
use friction_model::{ChatTemplate, ChatTurn, Gemma3, Tokenizer, testing, weights::random::RandomWeights};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

struct World {
    model: Gemma3,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

fn world() -> World {
    let config = testing::config();
    let weights = RandomWeights::new(&config, 7);
    let model = Gemma3::load(&config, &weights, &testing::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    World { model, tokenizer, template }
}

type Log = Rc<RefCell<Vec<TurnOutcome>>>;

/// Says fixed messages; keeps the first `keep` characters of each reply.
struct Script {
    messages: Vec<String>,
    keep: usize,
    strength: f32,
    seed: u64,
    history: Vec<ChatTurn>,
    log: Log,
    /// Said in the first turn.
    forced: Vec<u32>,
}
impl Dialogue for Script {
    fn next(&mut self) -> friction_core::Result<Option<Vec<ChatTurn>>> {
        let Some(m) = self.messages.get(self.log.borrow().len()) else { return Ok(None) };
        self.history.push(ChatTurn::user(m));
        Ok(Some(self.history.clone()))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        let kept: String = o.text.chars().take(self.keep).collect();
        self.history.push(ChatTurn::assistant(format!("{kept}.")));
        self.log.borrow_mut().push(TurnOutcome { elapsed_ms: 0.0, ..o });
        Ok(())
    }
    fn seed(&self) -> u64 {
        self.seed + 1000 * self.log.borrow().len() as u64
    }
    fn watched(&self) -> Vec<u32> {
        vec![40, 41]
    }
    fn strengths(&self) -> Vec<f32> {
        vec![self.strength; 5]
    }
    fn given(&self) -> Vec<Given> {
        // A vector that differs by conversation and turn; where the strength is 0 there is none.
        let phase = (self.seed() % 1009) as f32;
        let own = (self.strength != 0.0).then(|| Arc::from(wave(32, phase)));
        [vec![None; 4], vec![own]].concat()
    }
    fn forced(&self) -> Vec<u32> {
        if self.log.borrow().is_empty() { self.forced.clone() } else { vec![] }
    }
}

#[derive(Debug, Clone)]
struct Talk {
    messages: Vec<String>,
    keep: usize,
    strength: f32,
    seed: u64,
    forced: Vec<u32>,
}

fn talks() -> impl Strategy<Value = Vec<Talk>> {
    let talk =
        (prop::collection::vec("[a-z ]{1,24}", 1..5), 0usize..12, prop::sample::select(vec![0f32, 0.0, 1.5]), 0u64..3)
            .prop_map(|(messages, keep, strength, seed)| Talk { messages, keep, strength, seed, forced: vec![] });
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
/// a vector of the conversation's own.
fn edits() -> Vec<Edit> {
    let edit = |site, at, op| Edit { name: "push".into(), site, at, turns: None, gate: None, op };
    let feature = |phase| Readout::Linear { vector: wave(32, phase), bias: 0.1, threshold: Some(0.2) };
    let push = |read, min, max| EditOp::Push { read, along: wave(32, 3.0), min, max };
    let autoencoder = Autoencoder {
        encoder: Encoder { weights: wave(32 * 20, 0.5), bias: wave(20, 1.0) },
        least: vec![0.1; 20],
        k: Some(6),
        decoder: wave(20 * 32, 2.0),
        decoder_bias: wave(32, 4.0),
    };
    let set = edit(Site::ResidPost(4), EditAt::All, push(feature(5.0), Some(1.0), Some(1.0)));
    vec![
        edit(Site::ResidPost(2), EditAt::All, EditOp::Add(wave(32, 0.0))),
        edit(Site::ResidPost(3), EditAt::Reply, push(Readout::projection(&wave(32, 2.0)), None, Some(0.5))),
        Edit { gate: Some(feature(6.0)), ..set },
        edit(Site::MlpOut(4), EditAt::Prompt, EditOp::Reconstruct(Arc::new(autoencoder))),
        edit(Site::ResidPost(5), EditAt::All, EditOp::Given { width: 32 }),
    ]
}

fn options(slots: usize, reuse: bool, chunk: usize, temperature: f64) -> EngineOptions {
    EngineOptions {
        slots,
        capacity: 400,
        max_new_tokens: 9,
        sampling: Sampling { temperature, top_p: 1.0 },
        chunk,
        step_tokens: 64,
        reuse,
    }
}

/// Units of talks, and the messages of each.
fn scripts(units: &[Vec<Talk>]) -> (Vec<Unit>, Vec<Log>) {
    let mut logs: Vec<Log> = vec![];
    let units = units
        .iter()
        .enumerate()
        .map(|(index, talks)| {
            let dialogues = talks.iter().map(|t| {
                let log = Log::default();
                logs.push(log.clone());
                let t = t.clone();
                Box::new(Script {
                    messages: t.messages,
                    keep: t.keep,
                    strength: t.strength,
                    seed: t.seed,
                    history: vec![],
                    log,
                    forced: t.forced,
                }) as Box<dyn Dialogue>
            });
            Unit { index, dialogues: dialogues.collect() }
        })
        .collect();
    (units, logs)
}

/// Runs units of talks; returns outcomes by talk.
fn hold(w: &World, units: &[Vec<Talk>], o: EngineOptions) -> Vec<Vec<TurnOutcome>> {
    let engine = Engine::new(&w.model, &w.tokenizer, &w.template, &program(), o).unwrap();
    let (units, logs) = scripts(units);
    engine.run(units, |_| Ok(()), |_| Flow::Continue).unwrap();
    logs.into_iter().map(|l| l.borrow().clone()).collect()
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
        for (p, q) in x.watched.iter().zip(&y.watched) {
            assert!(close(*p, *q));
        }
    }
}

/// Bit for bit, NaN included. On a GPU, where reductions are tuned by shape, up to rounding.
fn identical(a: &[Vec<TurnOutcome>], b: &[Vec<TurnOutcome>]) {
    let bits = |all: &[Vec<TurnOutcome>]| -> Vec<u32> {
        all.iter()
            .flatten()
            .flat_map(|o| o.taps.iter().flat_map(|t| t.rows.iter().flatten()).chain(&o.watched).map(|x| x.to_bits()))
            .collect()
    };
    same(a, b);
    let (a, b) = (bits(a), bits(b));
    let differ = a.iter().zip(&b).filter(|(x, y)| x != y).count();
    if testing::device().unwrap() != Device::flex() {
        println!("{differ} of {} values differ in bits", a.len());
        return;
    }
    assert_eq!((a.len(), differ), (b.len(), 0), "values that differ in bits");
}

/// Kernels are compiled and tuned by shape on a GPU: few cases there.
fn cases() -> u32 {
    if testing::device().unwrap() == Device::flex() { 24 } else { 3 }
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
        let reused = hold(&w, &units, options(4, true, 16, t));
        let anew = hold(&w, &units, options(4, false, 16, t));
        let chunks = hold(&w, &units, options(4, true, 5, t));
        same(&reused, &anew);
        same(&reused, &chunks);
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
            (t.strength, t.seed) = (0.0, 1);
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
    let talk = |strength| {
        let messages = vec!["hello there".into(), "more".into()];
        Talk { messages, keep: 4, strength, seed: 1, forced: vec![] }
    };
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
    let talk = |strength| Talk {
        messages: vec!["hello there".into(), "more".into()],
        keep: 4,
        strength,
        seed: 1,
        forced: vec![],
    };
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
    let text =
        w.template.render(&[ChatTurn::user("hi"), ChatTurn::assistant("yo"), ChatTurn::user("a<bos>b")]).unwrap();
    let ids = w.tokenizer.encode(&text).unwrap();
    assert_eq!(ids.iter().filter(|i| **i == 2).count(), 1);
    assert_eq!(ids[0], 2);
}

#[test]
fn every_end_id_stops() {
    // The chat end (5) and the sequence end (1) are both in the tiny checkpoint's list: make one the
    // only likely token by its own embedding, and the reply is empty.
    let w = world();
    let outcomes = hold(
        &w,
        &[vec![Talk { messages: vec!["x".into()], keep: 1, strength: 0.0, seed: 0, forced: vec![] }]],
        options(1, true, 16, 1.0),
    );
    let o = &outcomes[0][0];
    assert!(!o.ids.contains(&1) && !o.ids.contains(&5));
}

#[test]
fn a_forced_reply_has_the_models_own_probabilities() {
    use friction_model::model::NoProbe;
    use friction_model::{Segment, Step, cache::CacheShape};
    let w = world();
    let said: Vec<u32> = (0..23).map(|i| 40 + i * 7 % 31).collect();
    let talk = |forced: Vec<u32>, strength| Talk {
        messages: vec!["tell me".into(), "and then".into()],
        keep: 5,
        strength,
        seed: 1,
        forced,
    };
    let both = [vec![talk(said.clone(), 0.0), talk(said.clone(), 1.5), talk(vec![], 0.0)]];
    let got = hold(&w, &both, options(3, true, 5, 0.0));
    assert!(got[2][0].forced.is_empty() && got[0][1].forced.is_empty());
    assert_eq!(got[0][0].ids, said);
    // The forced reply is longer than any generated one, and the conversation continues after it.
    assert_eq!((got[0].len(), got[0][0].forced.len()), (2, 23));
    assert_ne!(got[0][0].forced, got[1][0].forced, "edits reach what is said");
    let turns = [ChatTurn::user("tell me")];
    let mut ids = w.tokenizer.encode(&w.template.render(&turns).unwrap()).unwrap();
    let prompt = ids.len();
    ids.extend(&said);
    let n = ids.len();
    let mut cache = w.model.cache(CacheShape::new(&w.model.config, 1, n, n));
    let step =
        Step { ids, segments: vec![Segment { slot: 0, start: 0, len: n }], logits: (prompt - 1..n - 1).collect() };
    let logits = w.model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap().into_data();
    let rows: Vec<f32> = logits.iter::<f32>().collect();
    for ((row, id), got) in rows.chunks(w.model.config.vocab).zip(&said).zip(&got[0][0].forced) {
        let want = friction_engine::sampling::log_probs(row, &[*id])[0];
        assert!((want - got).abs() < 1e-4, "{want} {got}");
    }
}
