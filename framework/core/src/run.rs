//! A run as hooks and analyzers see it, read-only.
use crate::json::numbers;
use crate::{Factors, Position, Result, Site, Tap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers that a hook computes from a turn's activations, by name. Names are letters, digits, `-` and `_`.
pub type Readings = BTreeMap<String, f64>;

/// A finished turn, as [`Hook::read`](crate::Hook::read) gets it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spoken<'a> {
    /// Group index, from 0.
    pub group: usize,
    /// Name of the condition.
    pub condition: &'a str,
    /// Name of the arm; empty for the untouched control.
    pub arm: &'a str,
    /// The condition's level of each factor.
    pub factors: &'a Factors,
    /// Number of the turn in its conversation, from 1.
    pub turn: usize,
    /// The reply's text, without special tokens.
    pub reply: &'a str,
}

/// The activations that a tap read in one turn.
#[derive(Debug, Clone, Copy)]
pub struct TapView<'a> {
    /// The tap.
    pub tap: &'a Tap,
    /// `[positions][width]`, where the width is the site's. NaN where the turn has no such token.
    pub rows: &'a [Vec<f32>],
}

/// One turn of one conversation: a row of `turns.parquet`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnRow {
    /// Group index, from 0.
    pub group: u32,
    /// Name of the condition.
    pub condition: String,
    /// Name of the arm; empty for the untouched control.
    pub arm: String,
    /// The condition's level of each factor.
    pub factors: Factors,
    /// Number of the turn in its conversation, from 1.
    pub turn: u32,
    /// Name of the question's category.
    pub topic: String,
    /// Id of the question, unique in its dataset.
    pub question_id: String,
    /// Number of options of the question.
    pub options: u32,
    /// Letter of the right option, such as `B`.
    pub answer: String,
    /// The whole user message.
    pub user: String,
    /// Index of the wording among the condition's paraphrases, from 0; `None` for the bare question.
    pub phrase: Option<u32>,
    /// The reply as generated, without special tokens.
    pub reply: String,
    /// The text that the history keeps of the reply.
    pub kept: String,
    /// Number of the reply's tokens that were removed from the history.
    pub removed_tokens: u32,
    /// Letter that the primary parser found in the reply; `None` if it found none.
    pub parsed: Option<String>,
    /// Whether `parsed` is the right letter; `false` if there is none.
    pub correct: bool,
    /// Letters that other parsers found, by parser name.
    pub grades: BTreeMap<String, Option<String>>,
    /// Log-probability (nats) of each option's letter as the first reply token, in the order of the options; empty if a
    /// letter is not a single token.
    #[serde(with = "numbers")]
    pub option_logprobs: Vec<f32>,
    /// Log-probability (nats) of each token of the neutral text that the conversation was made to say after its last
    /// turn; empty in other turns, and if there is no such text.
    #[serde(with = "numbers")]
    pub neutral_logprobs: Vec<f32>,
    /// Number of tokens of the prompt: the whole conversation so far, rendered by the chat template.
    pub prompt_tokens: u32,
    /// Number of prompt tokens that were computed in this turn.
    pub prefilled_tokens: u32,
    /// Number of prompt tokens that were taken from the cache.
    pub reused_tokens: u32,
    /// Number of tokens of the reply, without the end id.
    pub reply_tokens: u32,
    /// `stop` (the model generated an end id) or `length` (the reply reached its limit).
    pub finish_reason: String,
    /// Wall-clock milliseconds from the turn's first prefill to its last token. Other conversations of the batch were
    /// computed in the same time.
    #[serde(with = "crate::json::number")]
    pub elapsed_ms: f64,
    /// Numbers that hooks computed in this turn, by `<hook>.<name>`.
    pub readings: Readings,
}

impl TurnRow {
    /// Whether the turn's factors have all of these levels.
    pub fn has(&self, levels: &Factors) -> bool {
        has_levels(&self.factors, levels)
    }

    /// Whether the turn has at least one token at a position: an empty reply has none at `reply`, `reply-mean` and `reply-end`.
    /// If it has, NaN in a tap's first row was computed by the model and does not mean that there is no token.
    pub fn has_token(&self, position: Position) -> bool {
        match position {
            Position::PromptEnd | Position::Reply(_) | Position::UserMean | Position::All => true,
            Position::ReplyAll | Position::ReplyMean | Position::ReplyEnd => self.reply_tokens > 0,
        }
    }
}

/// Whether `factors` have all of `levels`; true if `levels` is empty.
pub fn has_levels(factors: &Factors, levels: &Factors) -> bool {
    levels.iter().all(|(k, v)| factors.get(k) == Some(v))
}

/// Activations of one conversation at one site and one position.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TapArray {
    /// `[turns, positions, width]`: the turns of the conversation, the positions of the tap, the width of the site.
    pub shape: [usize; 3],
    /// The values, row-major; NaN where a turn has no such token.
    pub data: Vec<f32>,
}

/// A run, as analyzers see it. friction-store implements it for files, tests for values in memory. Analyzers may
/// share it among threads.
pub trait RunReader: Sync {
    /// The study's name.
    fn name(&self) -> &str;
    /// The study's seed.
    fn seed(&self) -> u64;
    /// All turns, ordered by group, condition, arm and turn.
    fn turns(&self) -> &[TurnRow];
    /// Activations of a conversation; `None` if they were not tapped.
    ///
    /// # Errors
    /// If what is stored cannot be read.
    fn tap(&self, group: u32, condition: &str, arm: &str, site: Site, position: Position) -> Result<Option<TapArray>>;
    /// The `findings.json` of an analyzer that ran before, by its name; `None` if there is none.
    fn findings(&self, analyzer: &str) -> Option<serde_json::Value>;
}
