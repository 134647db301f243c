//! What the model reads in a turn: the opening, exchanges as the history holds them, and the turn's message.
use crate::Result;
use crate::filler::{Filled, Scale, fill};
use friction_core::{Ask, ChatMessage, Goal, History, TurnContext};

/// The messages of a conversation so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Messages {
    opening: Vec<ChatMessage>,
    /// The exchanges as the history holds them.
    kept: Vec<ChatMessage>,
    /// The same exchanges without filler and with every reply whole.
    whole: Vec<ChatMessage>,
    /// What the model read in the last turn, and what was kept of its reply.
    last: Vec<ChatMessage>,
}

/// A turn as it is said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// What the condition asks.
    pub ask: Ask,
    /// The message, filler included, as the history will hold it.
    pub message: String,
    /// What the filler came to, if the message asked for any.
    pub filled: Option<Length>,
}

/// What filler made of a prompt's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    /// Tokens that it added.
    pub tokens: u32,
    /// Tokens that the prompt should have.
    pub goal: usize,
}

impl Said {
    /// The whole user message as the model reads it.
    pub fn user(&self) -> String {
        format!("{}{}", self.ask.history.told(), self.message)
    }
}

impl Messages {
    pub fn new(opening: Vec<ChatMessage>) -> Self {
        Self { last: opening.clone(), opening, ..Self::default() }
    }

    /// What stood before turn 1.
    pub fn opening(&self) -> &[ChatMessage] {
        &self.opening
    }

    /// What the model read in the last turn, and what was kept of its reply; the opening before the first turn. Asides and
    /// the neutral text go on from here.
    pub fn last(&self) -> &[ChatMessage] {
        &self.last
    }

    /// What the model reads in a turn with `message` as its user message.
    fn with(&self, exchanges: &[ChatMessage], history: &History, message: String) -> Vec<ChatMessage> {
        let before: &[ChatMessage] = if history.is_kept() { exchanges } else { &[] };
        let user = [ChatMessage::user(format!("{}{message}", history.told()))];
        [&self.opening[..], before, &user].concat()
    }

    /// What the model reads in a turn.
    pub fn read(&self, said: &Said) -> Vec<ChatMessage> {
        self.with(&self.kept, &said.ask.history, said.message.clone())
    }

    /// A turn as it is said: filler is put into the message.
    ///
    /// # Errors
    /// If the filler has no word, or its tokens cannot be counted.
    pub fn say(&self, ask: Ask, cx: &TurnContext, scale: Scale) -> Result<Said> {
        let Some(filler) = &ask.filler else {
            return Ok(Said { message: ask.text.clone(), ask, filled: None });
        };
        let prefill = ask.prefill.as_deref().unwrap_or("");
        let count = |exchanges: &[ChatMessage], text: &str| {
            scale.prompt(&self.with(exchanges, &ask.history, text.into()), prefill)
        };
        let goal = match filler.goal {
            Goal::Whole => count(&self.whole, &ask.text)?,
            Goal::Beyond(tokens) => count(&self.kept, cx.prompt)? + tokens,
        };
        let Filled { text, tokens } = fill(scale, filler, cx.turn, &ask.text, goal, &|text| count(&self.kept, text))?;
        Ok(Said { message: text, filled: Some(Length { tokens: tokens as u32, goal }), ask })
    }

    /// Adds a turn that is over: what was kept of its reply, and the whole of it as the history could have held it.
    pub fn add(&mut self, said: &Said, kept: &str, whole: String) {
        self.last = self.read(said);
        self.last.push(ChatMessage::assistant(kept));
        self.kept.extend([ChatMessage::user(said.message.clone()), ChatMessage::assistant(kept)]);
        self.whole.extend([ChatMessage::user(said.ask.text.clone()), ChatMessage::assistant(whole)]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_checkpoint::{ChatTemplate, Tokenizer, testing};
    use friction_core::{Filler, Item, Place};

    fn texts(messages: &[ChatMessage]) -> Vec<&str> {
        messages.iter().map(|m| m.content.as_str()).collect()
    }

    #[test]
    fn a_turn_reads_what_its_history_says_and_later_turns_what_theirs_do() {
        let tokenizer = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
        let template = ChatTemplate::gemma(&tokenizer).unwrap();
        let scale = Scale { template: &template, tokenizer: &tokenizer };
        let item = Item::default();
        let cx = |turn| TurnContext {
            seed: 0,
            group: 0,
            sample: 0,
            turn,
            turns: 9,
            round: 1,
            rounds: 1,
            topic: "law",
            item: &item,
            prompt: "why?",
            history: &[],
        };
        let mut m = Messages::new(vec![ChatMessage::system("s")]);
        assert_eq!(texts(m.last()), ["s"]);
        let say = |m: &Messages, turn, ask: Ask| m.say(ask, &cx(turn), scale).unwrap();
        let first = say(&m, 1, Ask::new("one"));
        assert_eq!(texts(&m.read(&first)), ["s", "one"]);
        m.add(&first, "a", "a whole one".into());
        let alone = say(&m, 2, Ask { history: History::None, ..Ask::new("two") });
        assert_eq!(texts(&m.read(&alone)), ["s", "two"]);
        m.add(&alone, "b", "b".into());
        assert_eq!(texts(m.last()), ["s", "two", "b"]);
        let told = say(&m, 3, Ask { history: History::Told("so far: ".into()), ..Ask::new("three") });
        assert_eq!((texts(&m.read(&told)), told.user().as_str()), (vec!["s", "so far: three"], "so far: three"));
        m.add(&told, "c", "c".into());
        let all = ["s", "one", "a", "two", "b", "three", "c", "four"];
        assert_eq!(texts(&m.read(&say(&m, 4, Ask::new("four")))), all);

        // One token a character: the reply was cut by ten of them, and the filler and its space take their place.
        let filler = Filler { sentences: vec!["abcd ef g".into()], place: Place::Begin, goal: Goal::Whole };
        let filled = say(&m, 4, Ask { filler: Some(filler.clone()), ..Ask::new("four") });
        assert_eq!((filled.message.as_str(), filled.ask.text.as_str()), ("abcd ef g four", "four"));
        let length = filled.filled.unwrap();
        assert_eq!(length.tokens, 10);
        assert_eq!(scale.prompt(&m.read(&filled), "").unwrap(), length.goal);
        // Later turns read the filler, and nothing is left to fill.
        m.add(&filled, "d", "d".into());
        let next = say(&m, 5, Ask { filler: Some(filler.clone()), ..Ask::new("five") });
        assert_eq!((next.message.as_str(), next.filled.unwrap().tokens), ("five", 0));
        // Five tokens more than the bare prompt: the message itself is one of them.
        let beyond = Filler { goal: Goal::Beyond(5), place: Place::End, ..filler };
        let padded = say(&m, 5, Ask { filler: Some(beyond), ..Ask::new("+why?") });
        // No sum of the words' lengths is four but that of `g` twice, each with its space.
        assert_eq!(padded.message, "+why? g g");
    }
}
