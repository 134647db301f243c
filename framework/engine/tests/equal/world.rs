//! Models of every family, and runs of conversations on them.
use crate::program::program;
use crate::talks::{Log, Talk, scripts, talks};
use burn::tensor::Device;
use friction_checkpoint::{ChatTemplate, Tokenizer, testing};
use friction_engine::{Engine, EngineOptions, Flow, Progress, Sampling, TurnOutcome};
use friction_model::{Model, testing as devices};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use std::rc::Rc;

/// A model with everything that conversations need.
pub struct World {
    pub name: String,
    pub model: Model,
    pub tokenizer: Rc<Tokenizer>,
    pub template: Rc<ChatTemplate>,
}

/// One token per character, and Gemma's template: how a text is rendered does not depend on the family.
pub fn texts() -> (Rc<Tokenizer>, Rc<ChatTemplate>) {
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    (Rc::new(tokenizer), Rc::new(template))
}

/// Every tiny model of every family.
pub fn worlds() -> Vec<World> {
    let (tokenizer, template) = texts();
    let world = |(name, model)| World { name, model, tokenizer: tokenizer.clone(), template: template.clone() };
    devices::models().unwrap().into_iter().map(world).collect()
}

/// Checks a property on every model, each with random conversations of its own that are greedy or drawn.
pub fn on_every_model(property: impl Fn(&World, Vec<Talk>, f64) -> TestCaseResult) {
    // There are many models. On a GPU each costs the compilation of its kernels.
    let cases = if devices::device().unwrap() == Device::flex() { 2 } else { 1 };
    for w in worlds() {
        let config =
            ProptestConfig { cases, max_shrink_iters: 100, source_file: Some(file!()), ..ProptestConfig::default() };
        let random = (talks(), prop::sample::select(vec![0f64, 1.0]));
        let told = TestRunner::new(config).run(&random, |(talks, temperature)| property(&w, talks, temperature));
        told.unwrap_or_else(|e| panic!("{}: {e}", w.name));
    }
}

pub fn options(slots: usize, reuse: bool, chunk: usize, temperature: f64) -> EngineOptions {
    EngineOptions {
        slots,
        capacity: 900,
        max_new_tokens: 9,
        fork_tokens: 80,
        sampling: Sampling { temperature, ..Sampling::GREEDY },
        stop: Default::default(),
        chunk,
        step_tokens: 64,
        reuse,
    }
}

/// The outcomes of a run, by talk.
pub struct Told {
    pub turns: Vec<Vec<TurnOutcome>>,
    pub asides: Vec<Vec<TurnOutcome>>,
    pub progress: Progress,
}

/// Runs units of talks.
pub fn whole(w: &World, units: &[Vec<Talk>], o: EngineOptions) -> Told {
    let engine = Engine::new(&w.model, &w.tokenizer, &w.template, &program(), o).unwrap();
    let (units, logs, asides) = scripts(units);
    let progress = engine.run(units, |_| Ok(()), |_| Flow::Continue).unwrap();
    let told = |logs: Vec<Log>| logs.into_iter().map(|l| l.borrow().clone()).collect();
    Told { turns: told(logs), asides: told(asides), progress }
}

/// Runs units of talks; returns outcomes of turns by talk.
pub fn hold(w: &World, units: &[Vec<Talk>], o: EngineOptions) -> Vec<Vec<TurnOutcome>> {
    whole(w, units, o).turns
}
