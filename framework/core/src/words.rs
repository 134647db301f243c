//! The parts of a conversation: questions, messages, replies, and what the history keeps.
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The level of each factor of a condition: `{ completion = "interrupt", tone = "blunt" }`. Analyzers compare factors
/// and never refer to conditions by name.
pub type Factors = BTreeMap<String, String>;

/// A subject that questions are drawn from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Its name, as the dataset spells it. A condition's template inserts it as `{topic}`.
    pub name: String,
    /// Number of questions in it.
    pub questions: usize,
}

/// A multiple-choice question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Id, unique in its dataset: `<category>_<row>`.
    pub id: String,
    /// Name of its category.
    pub category: String,
    /// The question, without white space around it.
    pub text: String,
    /// The options' texts, without white space around them and without padding entries such as `N/A`.
    pub options: Vec<String>,
    /// Index of the right option, from 0.
    pub answer: usize,
}

impl Question {
    /// The letter of option `index`: 0 is `A`, 25 is `Z`.
    pub fn letter(index: usize) -> char {
        (b'A' + (index % 26) as u8) as char
    }
    /// The letter of the right option.
    pub fn answer_letter(&self) -> char {
        Self::letter(self.answer)
    }
}

/// A dataset's grade of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grade {
    /// The letter that the primary parser found; `None` if it found no answer.
    pub parsed: Option<char>,
    /// Whether `parsed` is the right letter; `false` if there is no answer.
    pub correct: bool,
    /// The letters that other parsers found, by parser name.
    #[serde(default)]
    pub others: BTreeMap<String, Option<char>>,
}

/// A message of the user, and which of several wordings it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The whole user message.
    pub text: String,
    /// Index of the wording among the condition's paraphrases, from 0; `None` for the bare question.
    #[serde(default)]
    pub phrase: Option<u32>,
}

/// Turns token ids into text, for conditions that cut replies by tokens.
pub trait TextCodec {
    /// The text of `ids`, without special tokens. If the ids end inside a character that takes several tokens, the
    /// incomplete character is left out, so that no text ends in a broken character. A U+FFFD that the ids spell out is
    /// kept. If the ids begin inside a character, as the rest of a cut reply may, the text begins with U+FFFD.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    fn decode(&self, ids: &[u32]) -> Result<String>;

    /// How many of `ids`, counted from the first, the text of [`Self::decode`] holds. The ids after them hold only part
    /// of a character. Default: all.
    ///
    /// # Errors
    /// As for [`Self::decode`].
    fn whole(&self, ids: &[u32]) -> Result<usize> {
        Ok(ids.len())
    }
}

/// A reply as the model gave it.
pub struct Reply<'a> {
    /// Its text, without special tokens.
    pub text: &'a str,
    /// Its token ids, without the end id.
    pub ids: &'a [u32],
    /// Decodes parts of `ids`.
    pub codec: &'a dyn TextCodec,
}

/// What the history keeps of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The text that the history holds as the model's reply.
    pub text: String,
    /// Number of the reply's tokens that were removed.
    #[serde(default)]
    pub removed_tokens: usize,
}

impl Kept {
    /// Keeps the whole reply.
    pub fn whole(reply: &Reply) -> Self {
        Self { text: reply.text.to_string(), removed_tokens: 0 }
    }
}

/// The place in the design at which a condition is asked.
#[derive(Debug, Clone)]
pub struct TurnContext<'a> {
    /// The study's seed.
    pub seed: u64,
    /// Group index, from 0.
    pub group: usize,
    /// Number of the turn in its conversation, from 1.
    pub turn: usize,
    /// Number of turns of the conversation.
    pub turns: usize,
    /// Name of the category of this turn's question.
    pub topic: &'a str,
    /// The text with which the dataset asks this turn's question.
    pub question: &'a str,
}
