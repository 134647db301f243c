//! The last tokens of a prompt: taps read them, and forks put the activations of another conversation in their place.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use burn::tensor::{DType, Device};
use common::options;
use friction_checkpoint::weights::random::RandomWeights;
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer, testing};
use friction_core::program::{Edit, EditAt, EditOp};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_engine::{Dialogue, Doses, Engine, Error, Flow, Request, Result, TurnOutcome, Unit};
use friction_model::{Model, testing as devices};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Number of tokens of each prompt below that are read and replaced: more than a chunk, and fewer than a prompt.
const TAIL: usize = 20;

/// Block 5 is the one that attends to the whole prompt.
fn sites() -> [Site; 4] {
    [Site::Embed, Site::ResidPost(5), Site::AttnOut(5), Site::ResidPost(testing::config().layers() - 1)]
}

fn width(site: Site) -> usize {
    testing::config().spec("tiny").width(site).unwrap()
}

/// Reads and replaces `tail` tokens at all sites.
fn program(tail: usize) -> HookProgram {
    let edit = |site: Site| Edit {
        name: site.to_string(),
        site,
        at: EditAt::PromptTail(tail),
        turns: None,
        gate: None,
        op: EditOp::Replace { width: width(site), digest: String::new() },
    };
    let tap = |site, position| Tap { site, position };
    let tails = sites().map(|site| tap(site, Position::PromptTail(tail)));
    HookProgram {
        taps: [&tails[..], &[tap(Site::ResidPost(5), Position::All)]].concat(),
        edits: sites().map(edit).to_vec(),
        ..HookProgram::default()
    }
}

/// The vectors that a fork gives to a site, if any.
type Given = Option<(usize, Vec<f32>)>;
/// What a conversation says, and its forks after the first message.
type Script = ([&'static str; 2], Vec<Given>);
type Log = Rc<RefCell<Vec<TurnOutcome>>>;

/// Says two messages, with forks after the first.
struct Talk {
    messages: [&'static str; 2],
    forks: Vec<Given>,
    history: Vec<ChatMessage>,
    turns: Log,
    forked: Log,
    fork: bool,
}

impl Dialogue for Talk {
    fn next(&mut self) -> friction_core::Result<Option<Request>> {
        let choices = vec!["a".to_string(), "b".to_string()];
        let (said, asked) = (self.turns.borrow().len(), self.forked.borrow().len());
        self.fork = said == 1 && asked < self.forks.len();
        if self.fork {
            let mut doses = Doses::default();
            if let Some((site, vectors)) = &self.forks[asked] {
                doses.strengths = (0..4).map(|i| f32::from(u8::from(i == *site))).collect();
                doses.given = (0..4).map(|i| (i == *site).then(|| Arc::from(vectors.as_slice()))).collect();
            }
            return Ok(Some(Request { choices, doses, fork: true, again: true, ..Request::default() }));
        }
        let Some(message) = self.messages.get(said) else { return Ok(None) };
        self.history.push(ChatMessage::user(*message));
        Ok(Some(Request { messages: self.history.clone(), choices, max_new_tokens: 6, ..Request::default() }))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        let o = TurnOutcome { elapsed_ms: 0.0, reused_tokens: 0, ..o };
        if self.fork {
            self.forked.borrow_mut().push(o);
        } else {
            self.history.push(ChatMessage::assistant("it."));
            self.turns.borrow_mut().push(o);
        }
        Ok(())
    }
}

/// Turns and forks of conversations that run as one unit.
fn held(tail: usize, talks: Vec<Script>) -> Result<Vec<[Vec<TurnOutcome>; 2]>> {
    let config = testing::config();
    let weights = RandomWeights::new(&config, 7);
    let model = Model::load(&config, &weights, &devices::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    let options = options(talks.len());
    let engine = Engine::new(&model, &tokenizer, &template, &program(tail), options).unwrap();
    let logs: Vec<[Log; 2]> = talks.iter().map(|_| <[Log; 2]>::default()).collect();
    let talk = |((messages, forks), [turns, forked]): (Script, &[Log; 2])| {
        let (turns, forked) = (turns.clone(), forked.clone());
        Box::new(Talk { messages, forks, history: vec![], turns, forked, fork: false }) as Box<dyn Dialogue>
    };
    let dialogues = talks.into_iter().zip(&logs).map(talk).collect();
    engine.run([Unit { index: 0, dialogues }], |_| Ok(()), |_| Flow::Continue)?;
    Ok(logs.iter().map(|l| [l[0].borrow().clone(), l[1].borrow().clone()]).collect())
}

/// Two conversations of equal length that end alike.
const A: [&str; 2] = ["xx, and now tell me what it is?", "so?"];
const B: [&str; 2] = ["bad, but now tell me what it is", "no?"];

/// The first message of another conversation, whose last characters are those of `A`.
const C: [&str; 2] = ["y. and now tell me what it is?", "well?"];

fn tail(of: &TurnOutcome, site: usize) -> Vec<f32> {
    of.taps[site].rows.concat()
}

/// Whether two turns measured the same of their choices: on a GPU up to rounding, since steps of one token and of several
/// are other kernels there.
fn same(a: &TurnOutcome, b: &TurnOutcome) -> bool {
    let most = if devices::device().unwrap() == Device::flex() { 0.0 } else { 1e-5 };
    a.choices.len() == 2 && a.choices.iter().zip(&b.choices).all(|(x, y)| (x - y).abs() <= most)
}

#[test]
fn taps_read_the_last_tokens_of_a_prompt() {
    for said in held(TAIL, vec![(A, vec![]), (C, vec![])]).unwrap() {
        let [turns, _] = said;
        for turn in &turns {
            assert!(turn.taps[..4].iter().all(|t| t.rows.len() == TAIL));
        }
        let (tail, all) = (&turns[0].taps[1].rows, &turns[0].taps[4].rows);
        let prompt = turns[0].prompt_tokens;
        assert_eq!(tail[..], all[prompt - TAIL..prompt], "the last of them is the token before the reply");
        // Of the second turn, the tail reaches into the first.
        assert!(turns[1].taps[1].rows.iter().flatten().all(|v| v.is_finite()));
    }
    // A prompt that is shorter than the tail: rows before its first token are NaN.
    let said = held(200, vec![(A, vec![])]).unwrap();
    let turn = &said[0][0][0];
    let missing = turn.taps[1].rows.iter().take_while(|r| r.iter().all(|v| v.is_nan())).count();
    assert_eq!(missing, 200 - turn.prompt_tokens);
}

#[test]
fn a_fork_has_the_activations_that_it_is_given() {
    let plain = held(TAIL, vec![(A, vec![]), (C, vec![])]).unwrap();
    let [own, donor] = [&plain[0][0][0], &plain[1][0][0]];
    let last = |v: Vec<f32>, site: usize| v[v.len() - width(sites()[site])..].to_vec();
    let mut forks: Vec<Given> = vec![None];
    forks.extend((0..4).map(|s| Some((s, tail(own, s)))));
    forks.extend((0..4).map(|s| Some((s, tail(donor, s)))));
    forks.push(Some((2, last(tail(donor, 2), 2))));
    let both = held(TAIL, vec![(A, forks), (C, vec![])]).unwrap();
    let [turns, forked] = &both[0];
    for (i, fork) in forked[..5].iter().enumerate() {
        assert!(same(fork, own), "fork {i} changes nothing, bit for bit: {:?} {:?}", fork.choices, own.choices);
    }
    assert!(forked.iter().all(|f| f.taps.is_empty() && f.ids.is_empty() && f.prompt_tokens == own.prompt_tokens));
    assert!(same(&forked[5], own), "tokens that are alike have equal embeddings");
    assert!(same(&forked[8], donor), "the last block's output decides alone");
    let apart = |a: &TurnOutcome, b: &TurnOutcome| a.choices.iter().zip(&b.choices).any(|(x, y)| (x - y).abs() > 2e-6);
    assert!(apart(own, donor) && [6, 7, 9].iter().all(|i| apart(&forked[*i], own)));
    assert!(apart(&forked[7], &forked[9]), "one token is not {TAIL}");
    // Nothing of the forks is left.
    for (with, without) in turns.iter().chain(&both[1][0]).zip(plain[0][0].iter().chain(&plain[1][0])) {
        assert!(same(with, without) && with.ids == without.ids && with.prompt_tokens == without.prompt_tokens);
        let rows = |o: &TurnOutcome| o.taps.iter().map(|t| t.rows.len()).collect::<Vec<_>>();
        assert_eq!(rows(with), rows(without), "what a turn adds does not depend on forks before it");
    }
}

#[test]
fn a_prompt_that_is_replaced_whole_is_the_other_prompt() {
    let lengths = held(1, vec![(A, vec![]), (B, vec![])]).unwrap();
    let n = lengths[0][0][0].prompt_tokens;
    assert_eq!(n, lengths[1][0][0].prompt_tokens, "prompts of equal length");
    let plain = held(n, vec![(A, vec![]), (B, vec![])]).unwrap();
    let donor = &plain[1][0][0];
    let forks = vec![Some((0, tail(donor, 0))), Some((1, tail(donor, 1)))];
    let both = held(n, vec![(A, forks), (B, vec![])]).unwrap();
    assert!(!same(&plain[0][0][0], donor));
    for fork in &both[0][1] {
        assert!(same(fork, donor), "every later block sees the other prompt");
    }
}

#[test]
fn more_vectors_than_tokens_are_refused() {
    let w = width(Site::ResidPost(5));
    for n in [0, w + 1, (TAIL + 1) * w] {
        let e = held(TAIL, vec![(A, vec![Some((1, vec![0.5; n]))])]).unwrap_err();
        assert!(matches!(&e, Error::Given { what, .. } if what.contains("up to 20 vectors of width")), "{e}");
    }
}
