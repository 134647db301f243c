//! The parts of a conversation: messages, replies, grades, and what the history keeps.
use crate::{Filler, History, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The level of each factor of a condition: `{ completion = "interrupt", tone = "blunt" }`. Analyzers compare factors
/// and never refer to conditions by name.
pub type Factors = BTreeMap<String, String>;

/// Whether `factors` have all of `levels`; true if `levels` is empty.
pub fn has_levels(factors: &Factors, levels: &Factors) -> bool {
    levels.iter().all(|(k, v)| factors.get(k) == Some(v))
}

/// The levels of all factors but these.
pub fn other_factors(factors: &Factors, but: &[&str]) -> Factors {
    factors.iter().filter(|(k, _)| !but.contains(&k.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The system prompt: instructions before the first user message.
    System,
    /// The user's message.
    User,
    /// The model's reply.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// Author of the message.
    pub role: Role,
    /// Text of the message.
    pub content: String,
}

impl ChatMessage {
    /// A system prompt.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }
    /// A user message.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }
    /// A reply of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// A dataset's grade of a reply.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Grade {
    /// 1 if the answer is right, 0 if it is wrong or none could be read; graders may give shares between. `None` if the
    /// reply was not graded, because nothing is right or wrong about it.
    pub score: Option<f64>,
    /// The answer that the primary parser read, such as a letter; `None` if it read none.
    pub answer: Option<String>,
    /// The answers that other parsers read, by parser name.
    pub others: BTreeMap<String, Option<String>>,
    /// Other numbers about the reply, by name: letters, digits, `-` and `_`. Analyzers read them as `metric.<name>`.
    pub metrics: BTreeMap<String, f64>,
}

impl Grade {
    /// Whether the answer is right: a score of at least one half. `None` if the reply was not graded.
    pub fn right(&self) -> Option<bool> {
        self.score.map(|s| s >= 0.5)
    }
}

/// What the user says in a turn, and how the reply begins or what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// The user's message, without filler and without a text that tells the exchanges before it.
    pub text: String,
    /// Index of the wording among the condition's paraphrases, from 0; `None` for the bare prompt.
    pub phrase: Option<u32>,
    /// Text that opens the reply, such as `(`: the model goes on from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<String>,
    /// The reply, if it is given: the model reads it by teacher forcing and generates nothing. Taps read its tokens,
    /// and the log-probability of each is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// What the model reads of the exchanges before this turn.
    #[serde(skip_serializing_if = "History::is_kept")]
    pub history: History,
    /// Neutral words that make the prompt as long as another one. What the history holds of the message has them too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler: Option<Filler>,
    /// The tokens of `replay`, where they are known: a stored run's. Without them the text is tokenised, which may give
    /// other tokens than those that a model once generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_tokens: Option<ReplayTokens>,
}

/// The tokens of a reply that is given, and how they are read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayTokens {
    /// Token ids of the reply, without prefill and end id, in the study's own tokenizer.
    pub ids: Vec<u32>,
    /// Whether the model ended the reply itself: the logits behind its last token are then computed as they were.
    pub stopped: bool,
    /// Whether the tokens are read one a step, as they were generated, instead of many at once.
    pub stepwise: bool,
}

impl Ask {
    /// A message that is no paraphrase, with a reply that the model generates whole.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
    /// Sets the index of the wording.
    pub fn phrase(mut self, index: u32) -> Self {
        self.phrase = Some(index);
        self
    }
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
    /// The text that was generated or replayed, without special tokens and without the prefill.
    pub text: &'a str,
    /// Its token ids, without the end id.
    pub ids: &'a [u32],
    /// The text that opened the reply; empty if none did.
    pub prefill: &'a str,
    /// Decodes parts of `ids`.
    pub codec: &'a dyn TextCodec,
}

/// What the history keeps of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The text that the history holds of the reply, without the prefill, which stands before it in any case.
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

/// A turn that is over, as later turns of its conversation see it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Exchange {
    /// Number of the turn in its conversation, from 1.
    pub turn: usize,
    /// Number of the turn among those of its item, from 1.
    pub round: usize,
    /// Id of the item.
    pub item: String,
    /// The user's message as the history holds it: with filler, without a text that told the exchanges before it.
    pub user: String,
    /// The whole reply, the prefill included, as the grader read it.
    pub reply: String,
    /// What the history holds of the reply, the prefill included.
    pub kept: String,
    /// Number of the reply's tokens that were removed from the history.
    pub removed_tokens: usize,
    /// Number of tokens of the reply, without prefill and end id.
    pub reply_tokens: usize,
    /// Why the reply ended: `stop`, `length` or `replay`.
    pub finish_reason: String,
    /// The reply's grade.
    pub grade: Grade,
}

/// Replies that a condition gives the model to read, in the place of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GivenReplies {
    /// Whose they are: `hf:a/model in the run ../runs/base`.
    pub of: String,
    /// Which replies are given: `all`, `all but the last`, `up to turn 3`.
    pub which: String,
    /// What of `[generation]` is not as in the run that they come from, such as `` `temperature` is 1.0 and was 0.0 ``. It
    /// matters where the study generates other replies itself; the lock of a study that generates none leaves it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlike: Vec<String>,
}

/// What a condition says of itself, for the checks before a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Whether messages, replays or the end of the conversation depend on what was said before.
    pub reads_history: bool,
    /// Longest message in tokens, if it may be longer than what [`Condition::ask`](crate::Condition::ask) says to
    /// made-up replies of the longest length. `None`: the made-up replies show the longest message.
    pub message_tokens: Option<usize>,
    /// Name of the schedule by which something happens in some turns and not in others, such as cuts; `None` if there is
    /// none. Conditions with the same schedule do it in the same turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Name of the schedule whose complement the condition has: it happens in exactly the other turns. A study without a
    /// condition that has the schedule itself is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complement: Option<String>,
    /// The option by which conversations end early, if it depends on nothing that was said: `stop_when`. Where no
    /// conversation ends early, a warning names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_by: Option<String>,
    /// The option by which conversations end early, if it depends on what was said or how it was graded: `stop_when`. What
    /// compares turns then compares those that such an end has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_on: Option<String>,
}
