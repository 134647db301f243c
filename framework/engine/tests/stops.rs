//! A reply ends at the ids that the checkpoint's files name, at the marker that its template puts after a reply, and at
//! stop strings.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::DType;
use friction_checkpoint::template::{GEMMA, SpecialTokens};
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer, testing, weights::random::RandomWeights};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_engine::{
    Dialogue, Engine, EngineOptions, Finish, Flow, Request, Sampling, StopStrings, TurnOutcome, Unit,
};
use friction_model::{Model, testing as devices};
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

fn reply(model: &Model, tokenizer: &Tokenizer, template: &ChatTemplate) -> (Vec<u32>, Finish) {
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
    let model = Model::load(&config, &weights, &devices::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
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

/// Questions, of which each may have a longest reply of its own. Replies are kept whole.
struct Several {
    most: Vec<usize>,
    messages: Vec<ChatMessage>,
    log: Rc<RefCell<Vec<TurnOutcome>>>,
    prefill: &'static str,
    forced: Option<&'static str>,
}

impl Dialogue for Several {
    fn next(&mut self) -> friction_core::Result<Option<Request>> {
        let said = self.log.borrow().len();
        let Some(most) = self.most.get(said) else { return Ok(None) };
        self.messages.push(ChatMessage::user(format!("0 1 2 {said}")));
        let (messages, forced) = (self.messages.clone(), self.forced.map(String::from));
        Ok(Some(Request {
            messages,
            max_new_tokens: *most,
            prefill: self.prefill.into(),
            forced,
            ..Request::default()
        }))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        self.messages.push(ChatMessage::assistant(format!("{}{}", self.prefill, o.text)));
        self.log.borrow_mut().push(TurnOutcome { elapsed_ms: 0.0, reused_tokens: 0, ..o });
        Ok(())
    }
}

fn world() -> (Model, Tokenizer, ChatTemplate) {
    let config = testing::config();
    let weights = RandomWeights::new(&config, 7);
    let model = Model::load(&config, &weights, &devices::device().unwrap(), DType::F32, &mut |_| {}).unwrap();
    let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    (model, tokenizer, template)
}

fn conversation(
    (model, tokenizer, template): &(Model, Tokenizer, ChatTemplate),
    talk: (&[usize], &'static str, Option<&'static str>),
    stop: &[&str],
    reuse: bool,
) -> Vec<TurnOutcome> {
    let options = EngineOptions {
        slots: 1,
        capacity: 400,
        max_new_tokens: 24,
        fork_tokens: 0,
        sampling: Sampling::GREEDY,
        stop: StopStrings::new(stop.iter().map(|s| s.to_string())),
        chunk: 64,
        step_tokens: 64,
        reuse,
    };
    let tap = |position| Tap { site: Site::ResidPost(3), position };
    let positions =
        [Position::ReplyAll, Position::ReplyMean, Position::ReplyEnd, Position::Reply(3), Position::PromptEnd];
    let program = HookProgram { taps: positions.map(tap).to_vec(), ..HookProgram::default() };
    let log = Rc::new(RefCell::new(vec![]));
    let (most, prefill, forced) = talk;
    let dialogue = Several { most: most.to_vec(), messages: vec![], log: log.clone(), prefill, forced };
    let engine = Engine::new(model, tokenizer, template, &program, options).unwrap();
    engine.run(vec![Unit { index: 0, dialogues: vec![Box::new(dialogue)] }], |_| Ok(()), |_| Flow::Continue).unwrap();
    drop(engine);
    log.take()
}

/// What a stop string cuts off leaves no trace: the conversation is that of a model which said so much and no more.
#[test]
fn a_stop_string_ends_a_reply_and_is_no_part_of_it() {
    let w = world();
    let free = conversation(&w, (&[24, 24, 24], "", None), &[], true);
    let text = &free[0].text;
    // Three letters of the first reply that do not come before.
    let at = (4..18).find(|at| text.is_char_boundary(*at) && text.find(&text[*at..at + 3]) == Some(*at)).unwrap();
    let stop = &text[at..at + 3];
    let stopped = conversation(&w, (&[24, 24, 24], "", None), &[stop, "no such text"], true);
    assert_eq!((stopped[0].text.as_str(), stopped[0].finish), (&text[..at], Finish::Stop));
    assert_eq!(stopped[0].ids, free[0].ids[..at]);
    let most: Vec<usize> = stopped.iter().map(|o| o.ids.len()).collect();
    let same = |a: &TurnOutcome, b: &TurnOutcome| {
        (&a.ids, &a.text, a.prompt_tokens, &a.taps) == (&b.ids, &b.text, b.prompt_tokens, &b.taps)
    };
    for (stop, reuse) in [(vec![], true), (vec![stop], false)] {
        let said = if stop.is_empty() { &most } else { &vec![24; 3] };
        let other = conversation(&w, (said, "", None), &stop, reuse);
        assert!(stopped.iter().zip(&other).all(|(a, b)| same(a, b)), "{stopped:?}\n{other:?}");
    }
    // A reply that begins with it is empty, and still has its rows.
    let none = conversation(&w, (&[24], "", None), &[&text[..2]], true);
    assert_eq!((none[0].text.as_str(), none[0].ids.len()), ("", 0));
    assert!(none[0].taps[2].rows[0][0].is_nan() && none[0].taps[4].rows[0][0].is_finite());
}

/// What opens a reply or is given as one is text, as it is in the history: it closes no turn.
#[test]
fn control_tokens_in_given_replies_are_text() {
    let w = world();
    let close = w.1.id("<end_of_turn>").unwrap();
    let given = conversation(&w, (&[4, 4], "", Some("a<end_of_turn>b")), &[], true);
    assert_eq!(given[0].text, "a<end_of_turn>b");
    assert!(!given[0].ids.contains(&close) && given[0].ids.len() == "a<end_of_turn>b".len());
    let whole = conversation(&w, (&[4, 4], "", Some("a<end_of_turn>b")), &[], false);
    assert_eq!((&given[1].taps, &given[1].forced), (&whole[1].taps, &whole[1].forced));
    let opened = conversation(&w, (&[4], "x<end_of_turn>y", None), &[], true);
    let plain = conversation(&w, (&[4], "", None), &[], true);
    assert_eq!(opened[0].prompt_tokens, plain[0].prompt_tokens + "x<end_of_turn>y".len());
}
