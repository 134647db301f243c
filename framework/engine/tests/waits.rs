//! Conversations that wait for others of their unit.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use burn::tensor::DType;
use common::options;
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer, testing, weights::random::RandomWeights};
use friction_core::HookProgram;
use friction_engine::{Dialogue, Engine, Error, Flow, Request, Result, TurnOutcome, Unit};
use friction_model::{Model, testing as devices};
use std::cell::RefCell;
use std::rc::Rc;

/// Which conversation said which turn, in this order.
type Log = Rc<RefCell<Vec<(usize, usize)>>>;

/// Says `turns` turns, each longer than the last conversation's. Behind each turn it waits until all `of` conversations have
/// said it, or all of their own.
struct Step {
    own: usize,
    of: Vec<usize>,
    said: usize,
    log: Log,
}

impl Dialogue for Step {
    fn ready(&self) -> bool {
        let said = |i: usize| self.log.borrow().iter().filter(|(own, _)| *own == i).count();
        self.of.iter().enumerate().all(|(i, turns)| said(i) >= self.said.min(*turns))
    }
    fn next(&mut self) -> friction_core::Result<Option<Request>> {
        assert!(self.ready());
        let messages = vec![ChatMessage::user(format!("0 1 2 {}", self.said))];
        let request = Request { messages, max_new_tokens: 1 + 2 * self.own, ..Request::default() };
        Ok((self.said < self.of[self.own]).then_some(request))
    }
    fn replied(&mut self, _: TurnOutcome) -> friction_core::Result<()> {
        self.said += 1;
        self.log.borrow_mut().push((self.own, self.said));
        Ok(())
    }
    fn place(&self) -> String {
        format!("conversation {}", self.own)
    }
}

fn run(slots: usize, units: &[&[usize]], of: &[usize]) -> Result<Vec<(usize, usize)>> {
    let config = testing::config();
    let weights = RandomWeights::new(&config, 7);
    let model = Model::load(&config, &weights, &devices::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    let engine = Engine::new(&model, &tokenizer, &template, &HookProgram::default(), options(slots))?;
    let log = Log::default();
    let step =
        |own: &usize| -> Box<dyn Dialogue> { Box::new(Step { own: *own, of: of.to_vec(), said: 0, log: log.clone() }) };
    let unit = |(index, members): (usize, &&[usize])| Unit { index, dialogues: members.iter().map(step).collect() };
    let units: Vec<Unit> = units.iter().enumerate().map(unit).collect();
    engine.run(units, |_| Ok(()), |_| Flow::Continue)?;
    Ok(log.take())
}

#[test]
fn conversations_go_on_together() {
    let log = run(3, &[&[0, 1, 2]], &[3, 1, 3]).unwrap();
    // Nobody says a turn before the others have said the one before it; one that has ended is not waited for.
    let turns: Vec<usize> = log.iter().map(|(_, turn)| *turn).collect();
    assert_eq!(turns, [1, 1, 1, 2, 2, 3, 3], "{log:?}");
}

#[test]
fn waiting_for_what_is_not_held_is_an_error() {
    let e = run(2, &[&[0, 1], &[2]], &[2, 2, 2]).unwrap_err();
    assert!(matches!(&e, Error::Waits { place } if place.starts_with("conversation ")), "{e}");
}
