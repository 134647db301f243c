//! What a conversation is made of.
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The levels of a condition, by factor: `{ completion = "interrupt", tone = "blunt" }`.
/// Analyzers speak of factors and never of condition names.
pub type Factors = BTreeMap<String, String>;

/// A subject that questions are drawn from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Its name, as the dataset spells it; `{topic}` in a template.
    pub name: String,
    /// How many questions it holds.
    pub questions: usize,
}

/// One multiple-choice question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Unique in its dataset: `<category>_<row>`.
    pub id: String,
    /// The category's name.
    pub category: String,
    /// The question, stripped.
    pub text: String,
    /// The real options, stripped, without padding.
    pub options: Vec<String>,
    /// Index of the right option.
    pub answer: usize,
}

impl Question {
    /// The letter of option `index`: 0 is `A`.
    pub fn letter(index: usize) -> char {
        (b'A' + (index % 26) as u8) as char
    }
    /// The letter of the right option.
    pub fn answer_letter(&self) -> char {
        Self::letter(self.answer)
    }
}

/// What a dataset says about a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grade {
    /// The answer that the primary parser found, as a letter.
    pub parsed: Option<char>,
    /// Whether it is the right one; no answer is a wrong answer.
    pub correct: bool,
    /// Other parsers' answers side by side, by parser name.
    #[serde(default)]
    pub others: BTreeMap<String, Option<char>>,
}

/// Text that the user sends, and which of several wordings it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The whole user message.
    pub text: String,
    /// Index of the wording among the condition's paraphrases; `None` for the bare question.
    #[serde(default)]
    pub phrase: Option<u32>,
}

/// Turns token ids into text, for conditions that cut replies by tokens.
pub trait TextCodec {
    /// The text of `ids`, special tokens left out. Where the ids end inside a character that is spelled in several
    /// tokens, the piece of it is left out, so that no text ends in a broken character; a U+FFFD that the ids spell
    /// stays. What begins inside a character, as the rest of a reply may, begins with U+FFFD.
    ///
    /// # Errors
    /// When the ids cannot be decoded.
    fn decode(&self, ids: &[u32]) -> Result<String>;

    /// How many of `ids`, from the first on, that text holds: those behind hold nothing but a piece of a character.
    /// Default: all.
    ///
    /// # Errors
    /// As of [`Self::decode`].
    fn whole(&self, ids: &[u32]) -> Result<usize> {
        Ok(ids.len())
    }
}

/// A reply as the model gave it.
pub struct Reply<'a> {
    /// Its text, special tokens left out.
    pub text: &'a str,
    /// Its token ids without the end id.
    pub ids: &'a [u32],
    /// For text of a part of `ids`.
    pub codec: &'a dyn TextCodec,
}

/// What the history keeps of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The text that stands in the history as the model's reply.
    pub text: String,
    /// How many of the reply's tokens were removed; 0 where nothing was.
    #[serde(default)]
    pub removed_tokens: usize,
}

impl Kept {
    /// The whole reply.
    pub fn whole(reply: &Reply) -> Self {
        Self { text: reply.text.to_string(), removed_tokens: 0 }
    }
}

/// Where in the design a condition is asked.
#[derive(Debug, Clone)]
pub struct TurnContext<'a> {
    /// The study's seed.
    pub seed: u64,
    /// Group index, from 0.
    pub group: usize,
    /// Turn, from 1.
    pub turn: usize,
    /// Turns of the conversation.
    pub turns: usize,
    /// The topic of this turn.
    pub topic: &'a str,
    /// The dataset's prompt for this turn's question.
    pub question: &'a str,
}
