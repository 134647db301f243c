//! A reply ends at the ids that the checkpoint's files name and at the marker that its template puts after a reply.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::DType;
use friction_core::HookProgram;
use friction_engine::{Dialogue, Engine, EngineOptions, Finish, Flow, Request, Sampling, TurnOutcome, Unit};
use friction_model::template::{GEMMA, SpecialTokens};
use friction_model::{ChatMessage, ChatTemplate, Gemma3, Tokenizer, testing, weights::random::RandomWeights};
use std::cell::RefCell;
use std::rc::Rc;

/// One question.
struct Once(Rc<RefCell<Vec<TurnOutcome>>>);

impl Dialogue for Once {
    fn next(&mut self) -> friction_core::Result<Option<Request>> {
        let messages = vec![ChatMessage::user("0 1 2")];
        let request = Request { messages, max_new_tokens: 12, ..Request::default() };
        Ok(self.0.borrow().is_empty().then_some(request))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        self.0.borrow_mut().push(o);
        Ok(())
    }
}

fn reply(model: &Gemma3, tokenizer: &Tokenizer, template: &ChatTemplate) -> (Vec<u32>, Finish) {
    let options = EngineOptions {
        slots: 1,
        capacity: 200,
        max_new_tokens: 12,
        fork_tokens: 0,
        sampling: Sampling::GREEDY,
        stop: Default::default(),
        chunk: 64,
        step_tokens: 64,
        reuse: true,
    };
    let log = Rc::new(RefCell::new(vec![]));
    let unit = Unit { index: 0, dialogues: vec![Box::new(Once(log.clone()))] };
    let engine = Engine::new(model, tokenizer, template, &HookProgram::default(), options).unwrap();
    engine.run(vec![unit], |_| Ok(()), |_| Flow::Continue).unwrap();
    let all = log.borrow();
    (all[0].ids.clone(), all[0].finish)
}

#[test]
fn the_templates_marker_ends_a_reply() {
    let config = testing::config();
    let weights = RandomWeights::new(&config, 7);
    let model = Gemma3::load(&config, &weights, &testing::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let plain = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let (ids, finish) = reply(&model, &plain, &ChatTemplate::gemma(&plain).unwrap());
    assert_eq!((ids.len(), finish), (12, Finish::Length));
    // The token that the model generates becomes the control token that the template writes after each reply.
    let end = *ids
        .iter()
        .find(|id| (8..102).contains(*id) && !"user model 0 1 2".contains(&plain.token(**id).unwrap()))
        .unwrap();
    let text = plain.token(end).unwrap();
    let added = format!(
        "\"added_tokens\":[{{\"id\":{end},\"content\":{text:?},\"special\":true,\"normalized\":false,\"lstrip\":false,\"rstrip\":false,\"single_word\":false}},"
    );
    let marked =
        Tokenizer::from_bytes(testing::tokenizer_json().replace("\"added_tokens\":[", &added).as_bytes()).unwrap();
    assert!(marked.specials().contains(&text));
    let source = GEMMA.replace(
        "{{ '<end_of_turn>\n' }}",
        &format!("{{{{ ({text:?} if role == 'model' else '') + '<end_of_turn>\n' }}}}"),
    );
    assert_ne!(source, GEMMA);
    let template = ChatTemplate::new(&source, SpecialTokens::gemma(&marked), &marked).unwrap();
    assert_eq!(template.end_of_turn(), Some(end));
    assert!(!config.eos.contains(&end));
    let until: Vec<u32> = ids.iter().copied().take_while(|id| *id != end).collect();
    assert_eq!(reply(&model, &marked, &template), (until, Finish::Stop));
}
