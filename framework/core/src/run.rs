//! Core's read-only view of a run.
use crate::json::numbers;
use crate::{Factors, Position, Result, Site, Tap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a hook reads out of a turn, by name. Names are letters, digits, `-` and `_`.
pub type Readings = BTreeMap<String, f64>;

/// A turn that is over, as a hook that reads activations is told of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spoken<'a> {
    /// Group index, from 0.
    pub group: usize,
    /// Condition name.
    pub condition: &'a str,
    /// Arm name; empty for the untouched control.
    pub arm: &'a str,
    /// The condition's factors.
    pub factors: &'a Factors,
    /// Turn, from 1.
    pub turn: usize,
    /// The reply's text.
    pub reply: &'a str,
}

/// What a tap holds of one turn.
#[derive(Debug, Clone, Copy)]
pub struct TapView<'a> {
    /// Which.
    pub tap: &'a Tap,
    /// Its rows, one a position, each as wide as the site; NaN where the turn has no such token.
    pub rows: &'a [Vec<f32>],
}

/// One turn of one conversation: one row of `turns.parquet`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnRow {
    /// Group index, from 0.
    pub group: u32,
    /// Condition name.
    pub condition: String,
    /// Arm name; empty for the untouched control.
    pub arm: String,
    /// The condition's factors.
    pub factors: Factors,
    /// Turn, from 1.
    pub turn: u32,
    /// Category name.
    pub topic: String,
    /// Question id.
    pub question_id: String,
    /// Number of real options.
    pub options: u32,
    /// Letter of the right option.
    pub answer: String,
    /// The user's message.
    pub user: String,
    /// Wording index.
    pub phrase: Option<u32>,
    /// The reply as generated.
    pub reply: String,
    /// What the history keeps of it.
    pub kept: String,
    /// Tokens of the reply that were removed from the history.
    pub removed_tokens: u32,
    /// Letter that the primary parser found.
    pub parsed: Option<String>,
    /// Whether it is right.
    pub correct: bool,
    /// Other parsers' letters.
    pub grades: BTreeMap<String, Option<String>>,
    /// Log-probability of each option's letter as the first reply token (nats); empty where a
    /// letter is not one token.
    #[serde(with = "numbers")]
    pub option_logprobs: Vec<f32>,
    /// Log-probability (nats) of each token of the neutral text that the conversation was made to say
    /// behind its last turn; empty elsewhere.
    #[serde(with = "numbers")]
    pub neutral_logprobs: Vec<f32>,
    /// Tokens of the whole rendered prompt.
    pub prompt_tokens: u32,
    /// Tokens of it that were computed in this turn.
    pub prefilled_tokens: u32,
    /// Tokens of it that stood in the cache.
    pub reused_tokens: u32,
    /// Tokens of the reply, the end id excluded.
    pub reply_tokens: u32,
    /// `stop` (an end id) or `length`.
    pub finish_reason: String,
    /// Wall-clock milliseconds from the turn's first prefill to its last token, shared with its batch.
    #[serde(with = "crate::json::number")]
    pub elapsed_ms: f64,
    /// What hooks read out of this turn, by `<hook>.<name>`.
    pub readings: Readings,
}

impl TurnRow {
    /// Whether its factors have these levels.
    pub fn has(&self, levels: &Factors) -> bool {
        has_levels(&self.factors, levels)
    }

    /// Whether the turn has a token at a position: an empty reply has none of its own. Where it has, what a tap holds
    /// there are numbers; NaN is a number that the model computed.
    pub fn has_token(&self, position: Position) -> bool {
        match position {
            Position::PromptEnd | Position::Reply(_) | Position::UserMean | Position::All => true,
            Position::ReplyMean | Position::ReplyEnd => self.reply_tokens > 0,
        }
    }
}

/// Whether factors have all of these levels; no levels are always had.
pub fn has_levels(factors: &Factors, levels: &Factors) -> bool {
    levels.iter().all(|(k, v)| factors.get(k) == Some(v))
}

/// Activations of one conversation at one site and position.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TapArray {
    /// `[turns, positions, width]`.
    pub shape: [usize; 3],
    /// Row-major f32; NaN where a turn has no such token.
    pub data: Vec<f32>,
}

/// A run, as analyzers see it. friction-store implements it over files; tests over memory. Analyzers may
/// share it among threads.
pub trait RunReader: Sync {
    /// The study's name.
    fn name(&self) -> &str;
    /// The study's seed.
    fn seed(&self) -> u64;
    /// All turns, ordered by group, condition, arm and turn.
    fn turns(&self) -> &[TurnRow];
    /// Activations of a conversation; `None` where they were not tapped.
    fn tap(&self, group: u32, condition: &str, arm: &str, site: Site, position: Position) -> Result<Option<TapArray>>;
    /// Findings of an analyzer that ran before.
    fn findings(&self, analyzer: &str) -> Option<serde_json::Value>;
}
