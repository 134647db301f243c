//! Numbers that are not finite stop a run, and the error says where they begin; units finished before are kept.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;

use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_checkpoint::testing::{self, tiny};
use friction_checkpoint::weights::TensorSource;
use friction_checkpoint::{Arch, ChatMessage, ChatTemplate, Tokenizer, weights::random::RandomWeights};
use friction_core::program::{Edit, EditAt, EditOp};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_engine::finite::Noticed;
use friction_engine::{Dialogue, Doses, Engine, Error, Flow, NotFinite, Request, TurnOutcome, Unit};
use friction_model::{Model, testing as devices};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Weights, one number of one tensor replaced.
struct Damaged<W> {
    inner: W,
    name: &'static str,
    value: f32,
}

impl<W: TensorSource> TensorSource for Damaged<W> {
    fn f32(&self, name: &str, shape: &[usize]) -> friction_checkpoint::Result<Vec<f32>> {
        let mut v = self.inner.f32(name, shape)?;
        if name == self.name {
            v[0] = self.value;
        }
        Ok(v)
    }
    fn parameters(&self) -> u64 {
        self.inner.parameters()
    }
}

/// Asks `turns` questions and watches nothing.
struct Asks {
    turns: usize,
    strength: f32,
    history: Vec<ChatMessage>,
    said: Rc<RefCell<Vec<TurnOutcome>>>,
}

impl Dialogue for Asks {
    fn next(&mut self) -> friction_core::Result<Option<Request>> {
        if self.said.borrow().len() == self.turns {
            return Ok(None);
        }
        self.history.push(ChatMessage::user("what is it?"));
        let messages = self.history.clone();
        let doses = Doses { strengths: vec![self.strength], ..Doses::default() };
        Ok(Some(Request { messages, doses, max_new_tokens: 6, ..Request::default() }))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        self.history.push(ChatMessage::assistant("it."));
        self.said.borrow_mut().push(o);
        Ok(())
    }
    fn place(&self) -> String {
        format!("turn {} of a test", self.said.borrow().len() + 1)
    }
}

/// A run's end: units finished, their replies, and why it stopped.
type End = (usize, Vec<TurnOutcome>, Option<NotFinite>);

fn held(weights: &dyn TensorSource, program: &HookProgram, strengths: &[f32]) -> End {
    held_by(&testing::config(), weights, program, strengths)
}

fn held_by(arch: &Arch, weights: &dyn TensorSource, program: &HookProgram, strengths: &[f32]) -> End {
    let model = Model::load(arch, weights, &devices::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    let engine = Engine::new(&model, &tokenizer, &template, program, common::options(1)).unwrap();
    let said = Rc::new(RefCell::new(vec![]));
    let mut finished = 0;
    let units = strengths.iter().enumerate().map(|(index, strength)| {
        let said = if index == 0 { said.clone() } else { Rc::default() };
        let asks = Asks { turns: 2, strength: *strength, history: vec![], said };
        Unit { index, dialogues: vec![Box::new(asks) as Box<dyn Dialogue>] }
    });
    let result = engine.run(
        units,
        |_| {
            finished += 1;
            Ok(())
        },
        |_| Flow::Continue,
    );
    let why = match result {
        Ok(_) => None,
        Err(Error::NotFinite(why)) => Some(*why),
        Err(other) => panic!("{other}"),
    };
    let said = said.borrow().clone();
    (finished, said, why)
}

fn whole() -> RandomWeights {
    RandomWeights::new(&testing::config(), 7)
}

fn edit(site: Site, at: EditAt, op: EditOp) -> HookProgram {
    HookProgram {
        edits: vec![Edit { name: "push".into(), site, at, turns: None, gate: None, op }],
        ..HookProgram::default()
    }
}

/// In every family.
#[test]
fn a_damaged_weight_is_told_by_its_layer() {
    let mut archs = tiny::archs().unwrap();
    archs.dedup_by_key(|(_, arch)| arch.family);
    for (name, arch) in &archs {
        let whole = || tiny::Weights::new(arch, 7);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let weights = Damaged { inner: whole(), name: "layers.3.mlp.down_proj.weight", value };
            let (finished, said, why) = held_by(arch, &weights, &HookProgram::default(), &[0.0]);
            let why = why.unwrap();
            assert_eq!((finished, said.len()), (0, 0), "{name}");
            assert_eq!(why.noticed, Noticed::Logits { token: 1 }, "{name}");
            assert_eq!(why.first.as_ref().unwrap().site, Site::MlpOut(3), "{name}: {why}");
            assert!(why.to_string().contains("turn 1 of a test") && why.to_string().contains("mlp_out.3"), "{why}");
        }
        let (finished, said, why) = held_by(arch, &whole(), &HookProgram::default(), &[0.0]);
        assert_eq!((finished, said.len(), why), (1, 2, None), "{name}");
    }
}

#[test]
fn an_edit_that_overflows_is_told_by_its_name_and_what_was_finished_stays() {
    let program = edit(Site::ResidPost(2), EditAt::All, EditOp::Add(vec![2.0; 32]));
    let (finished, said, why) = held(&whole(), &program, &[0.0, 3e38]);
    let why = why.unwrap();
    assert_eq!((finished, said.len()), (1, 2), "the unit that was not pushed");
    let first = why.first.as_ref().unwrap();
    assert_eq!((first.site, &first.edits), (Site::ResidPost(2), &vec![("push".to_string(), 3e38)]), "{why}");
    assert!(why.to_string().contains("`push` of strength 3e38: lower its dose"), "{why}");
}

#[test]
fn what_begins_within_a_reply_is_noticed_too() {
    // Only tokens of replies after `prompt-end` are edited: the first token is unchanged.
    let push = |x: Tensor<2>, s: Tensor<2>| {
        let rows = x.dims()[0];
        if rows > 1 { x } else { x + s * f32::INFINITY }
    };
    let program =
        edit(Site::ResidPost(2), EditAt::Reply, EditOp::Custom { run: Arc::new(push), digest: "push".into() });
    let why = held(&whole(), &program, &[1.0]).2.unwrap();
    assert_eq!(why.noticed, Noticed::Logits { token: 2 }, "{why}");
}

#[test]
fn a_tapped_activation_is_called_what_it_is() {
    let weights = Damaged { inner: whole(), name: "layers.3.mlp.down_proj.weight", value: f32::NAN };
    let taps = vec![Tap { site: Site::ResidPost(4), position: Position::PromptEnd }];
    let why = held(&weights, &HookProgram { taps, ..HookProgram::default() }, &[0.0]).2.unwrap();
    assert!(why.to_string().starts_with("NaN at `resid_post.4`, `prompt-end`, turn 1 of a test"), "{why}");
    assert_eq!(why.first.unwrap().site, Site::MlpOut(3));
}

#[test]
fn an_edit_may_forbid_tokens() {
    let mut forbidden = vec![0.0; 128];
    forbidden[6..70].fill(f32::NEG_INFINITY);
    let run = move |x: Tensor<2>, _: Tensor<2>| {
        let on: &Device = &x.device();
        x + Tensor::from_data(TensorData::new(forbidden.clone(), [1, 128]), (on, DType::F32))
    };
    let op = EditOp::Custom { run: Arc::new(run), digest: "forbid".into() };
    let (finished, said, why) = held(&whole(), &edit(Site::Logits, EditAt::All, op), &[1.0]);
    assert_eq!((finished, why), (1, None));
    assert!(said.iter().all(|o| o.ids.iter().all(|id| !(6..70).contains(id))), "{said:?}");
}
