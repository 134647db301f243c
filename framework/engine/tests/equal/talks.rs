//! Conversations that follow a script, and random ones.
use crate::program::wave;
use friction_checkpoint::ChatMessage;
use friction_checkpoint::testing::tiny::HIDDEN;
use friction_core::ReplayTokens;
use friction_engine::{Dialogue, Doses, Given, Request, TurnOutcome, Unit};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Outcomes in the order in which they came.
pub type Log = Rc<RefCell<Vec<TurnOutcome>>>;

/// What a conversation says and does.
#[derive(Debug, Clone, Default)]
pub struct Talk {
    pub opening: Vec<ChatMessage>,
    pub messages: Vec<String>,
    /// Number of characters of each reply that stay in the history.
    pub keep: usize,
    pub strength: f32,
    pub seed: u64,
    /// For each turn, the reply that is given, if one is.
    pub forced: Vec<Option<String>>,
    /// For each turn, the tokens of the reply that is given, if they are given too.
    pub tokens: Vec<Option<ReplayTokens>>,
    pub prefill: String,
    /// Asked after every turn.
    pub asides: Vec<String>,
    /// Number of turns after which the conversation ends.
    pub ends: usize,
    /// For each turn, the number of exchanges before it that are taken out of the history.
    pub forgets: Vec<usize>,
    /// For each turn, whether it reads none of the exchanges before it. Later turns read them again.
    pub alone: Vec<bool>,
}

impl Talk {
    /// What edits do in every turn.
    fn doses(&self) -> Doses {
        // A vector that differs by conversation; where the strength is 0 there is none.
        let own: Given = (self.strength != 0.0).then(|| Arc::from(wave(HIDDEN, self.seed as f32)));
        Doses { strengths: vec![self.strength; 5], given: [vec![None; 4], vec![own]].concat() }
    }
}

/// A conversation of these messages, and nothing else.
pub fn says(messages: &[&str]) -> Talk {
    Talk { messages: messages.iter().map(|m| (*m).into()).collect(), keep: 4, seed: 1, ends: 9, ..Talk::default() }
}

/// Each conversation as a unit of its own.
pub fn apart(talks: &[Talk]) -> Vec<Vec<Talk>> {
    talks.iter().map(|t| vec![t.clone()]).collect()
}

/// One to five random conversations.
pub fn talks() -> impl Strategy<Value = Vec<Talk>> {
    let given = prop::collection::vec(prop::option::weighted(0.3, "[a-z ]{0,80}"), 0..4);
    let prefill = prop::sample::select(vec!["", "", "(", "I say "]);
    let opening = prop::option::weighted(0.5, "[a-z ]{1,90}");
    let asides = prop::collection::vec("[a-z ]{1,40}", 0..4);
    let forgets = prop::collection::vec(prop::sample::select(vec![0usize, 0, 0, 1, 2]), 0..4);
    let alone = prop::collection::vec(prop::bool::weighted(0.25), 0..4);
    let talk = (
        prop::collection::vec("[a-z ]{1,24}", 1..5),
        0usize..12,
        prop::sample::select(vec![0f32, 0.0, 1.5]),
        0u64..3,
        (given, prefill, opening, asides, 1usize..5, (forgets, alone)),
    )
        .prop_map(
            |(messages, keep, strength, seed, (forced, prefill, opening, asides, ends, (forgets, alone)))| {
                let opening = opening.map_or(vec![], |o| {
                    vec![ChatMessage::system(o), ChatMessage::user("x"), ChatMessage::assistant("y")]
                });
                let (prefill, tokens) = (prefill.to_string(), vec![]);
                Talk { opening, messages, keep, strength, seed, forced, tokens, prefill, asides, ends, forgets, alone }
            },
        );
    prop::collection::vec(talk, 1..6)
}

/// Says what a talk says; keeps the first characters of each reply.
struct Script {
    talk: Talk,
    history: Vec<ChatMessage>,
    /// What the last turn read, and its reply.
    read: Vec<ChatMessage>,
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
            let mut messages = self.read.clone();
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
        let exchanges = (self.history.len() - t.opening.len()) / 2;
        let forgotten = t.forgets.get(self.said).copied().unwrap_or(0).min(exchanges);
        self.history.truncate(self.history.len() - 2 * forgotten);
        self.history.push(ChatMessage::user(m));
        self.read = match t.alone.get(self.said) {
            Some(true) => [&t.opening[..], &[ChatMessage::user(m)]].concat(),
            _ => self.history.clone(),
        };
        let forced = t.forced.get(self.said).cloned().flatten();
        let forced_tokens = t.tokens.get(self.said).cloned().flatten();
        self.aside = false;
        Ok(Some(Request { messages: self.read.clone(), forced, forced_tokens, prefill: t.prefill.clone(), ..base }))
    }
    fn replied(&mut self, o: TurnOutcome) -> friction_core::Result<()> {
        let o = TurnOutcome { elapsed_ms: 0.0, ..o };
        if self.aside {
            self.asides.borrow_mut().push(o);
            return Ok(());
        }
        let kept: String = o.text.chars().take(self.talk.keep).collect();
        let kept = ChatMessage::assistant(format!("{}{kept}.", self.talk.prefill));
        self.history.push(kept.clone());
        self.read.push(kept);
        (self.said, self.asked) = (self.said + 1, 0);
        self.log.borrow_mut().push(o);
        Ok(())
    }
}

/// Units of talks, and the turns and asides of each talk.
pub fn scripts(units: &[Vec<Talk>]) -> (Vec<Unit>, Vec<Log>, Vec<Log>) {
    let (mut logs, mut asides): (Vec<Log>, Vec<Log>) = (vec![], vec![]);
    let units = units
        .iter()
        .enumerate()
        .map(|(index, talks)| {
            let dialogues = talks.iter().map(|t| {
                let (log, aside) = (Log::default(), Log::default());
                logs.push(log.clone());
                asides.push(aside.clone());
                let (history, read, said, asked) = (vec![], vec![], 0, 0);
                let script = Script { talk: t.clone(), history, read, said, asked, aside: false, log, asides: aside };
                Box::new(script) as Box<dyn Dialogue>
            });
            Unit { index, dialogues: dialogues.collect() }
        })
        .collect();
    (units, logs, asides)
}
