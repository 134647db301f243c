//! A run as hooks and analyzers see it, read-only.
use crate::json::numbers;
use crate::{ChatMessage, Factors, Position, Result, Site, Tap, has_levels};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// Number of the sample, from 0.
    pub sample: usize,
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

/// A turn of another conversation of the group, as [`Hook::forks`](crate::Hook::forks) gets it.
#[derive(Debug, Clone)]
pub struct Peer<'a> {
    /// The turn as it was said: the same number of the turn as the one that is asked about.
    pub turn: Spoken<'a>,
    /// What the hook's taps read in it, in the order of [`HookProgram::all_taps`](crate::HookProgram::all_taps).
    pub taps: Vec<TapView<'a>>,
}

/// A turn that is to come, as [`Hook::foresee`](crate::Hook::foresee) gets it. Samples and arms repeat it.
#[derive(Debug, Clone, Copy)]
pub struct Coming<'a> {
    /// Group index, from 0.
    pub group: usize,
    /// Name of the condition.
    pub condition: &'a str,
    /// The condition's level of each factor.
    pub factors: &'a Factors,
    /// The condition's table in the manifest, without `factors` and `same_as`, as a run's lock holds it.
    pub table: &'a serde_json::Value,
    /// The option by which the conversation may end early on what was said or how it was graded; `None` if there is none.
    pub ends_on: Option<&'a str>,
    /// What stands before turn 1.
    pub opening: &'a [ChatMessage],
    /// Number of the turn in its conversation, from 1.
    pub turn: usize,
    /// Id of the item.
    pub item: &'a str,
    /// The user's message; `None` if it depends on replies, or is filled to a length.
    pub user: Option<&'a str>,
    /// What the model reads of the exchanges before this turn, as [`TurnRow::history`] says it.
    pub history: &'a str,
    /// The text that opens the reply, empty if none does; `None` if it may depend on replies.
    pub prefill: Option<&'a str>,
    /// Whether the reply is given, and not generated.
    pub given: bool,
    /// What of `[generation]` is not as in the run that given replies come from
    /// ([`GivenReplies::unlike`](crate::GivenReplies::unlike)).
    pub unlike: &'a [String],
}

/// A fork of a finished turn: its prompt is read again with vectors in place of activations, and nothing is generated.
/// It leaves no trace in the conversation, and taps do not read it. What is measured is the log-odds (nats) of the right
/// choice as the first token of the reply ([`Outcome::LogOdds`](crate::Outcome::LogOdds)).
#[derive(Debug, Clone, PartialEq)]
pub struct Fork {
    /// Name of the reading that stores what was measured.
    pub name: String,
    /// For each edit that is applied, with strength 1, its name in the hook's own program and its vectors, `[rows, width]`.
    /// Such edits take vectors ([`EditOp::takes_vectors`](crate::EditOp::takes_vectors)); there is one row, or, at
    /// [`EditAt::PromptTail`](crate::program::EditAt::PromptTail), one for each of the last tokens of the prompt.
    pub given: Vec<(String, Arc<[f32]>)>,
}

/// What the model said to an aside: a question that was asked on a fork after a turn.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Aside {
    /// The reply; empty if only the choices were scored.
    pub reply: String,
    /// The answer as a number. With choices that are numbers: their mean, weighted by their probabilities among the
    /// choices. Otherwise the number that the reply consists of. `None` if there is no such number.
    pub value: Option<f64>,
    /// Log-probability (nats) of each choice, in their order; of a choice of several tokens, summed over its tokens.
    #[serde(with = "numbers")]
    pub logprobs: Vec<f32>,
    /// The same, divided by the number of the choice's tokens.
    #[serde(with = "numbers")]
    pub logprobs_per_token: Vec<f32>,
}

/// Names a conversation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ConversationId<'a> {
    /// Group index, from 0.
    pub group: u32,
    /// Name of the condition.
    pub condition: &'a str,
    /// Name of the arm; empty for the untouched control.
    pub arm: &'a str,
    /// Number of the sample, from 0.
    pub sample: u32,
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
    /// Number of the sample, from 0.
    pub sample: u32,
    /// The condition's level of each factor.
    pub factors: Factors,
    /// Number of the turn in its conversation, from 1.
    pub turn: u32,
    /// Number of the turn among those that ask its item, from 1.
    pub round: u32,
    /// Name of the item's category.
    pub topic: String,
    /// Id of the item, unique in its dataset.
    #[serde(alias = "question_id")]
    pub item_id: String,
    /// Number of choices of the item; 0 if it has none.
    #[serde(alias = "options")]
    pub choices: u32,
    /// What is right: the letter of a choice, such as `B`, or the accepted texts joined by ` | `; `None` if nothing is.
    pub target: Option<String>,
    /// The whole user message as the model read it, filler and told exchanges included.
    pub user: String,
    /// Index of the wording among the condition's paraphrases, from 0; `None` for the bare prompt.
    pub phrase: Option<u32>,
    /// The text that opened the reply; empty if none did.
    pub prefill: String,
    /// The whole reply, prefill included, without special tokens.
    pub reply: String,
    /// The text that the history keeps of the reply, prefill included.
    pub kept: String,
    /// Number of the reply's tokens that were removed from the history.
    pub removed_tokens: u32,
    /// The answer that the primary parser read out of the reply; `None` if it read none.
    pub answer: Option<String>,
    /// 1 if the answer is right, 0 if it is wrong or there is none, or a share between; `None` if the reply was not
    /// graded.
    #[serde(with = "optional")]
    pub score: Option<f64>,
    /// The answers that other parsers read, by parser name.
    pub grades: BTreeMap<String, Option<String>>,
    /// Other numbers of the grade, by name.
    pub metrics: BTreeMap<String, f64>,
    /// Log-probability (nats) of each choice's letter as the first token after the prefill, in the order of the choices;
    /// empty if there are no choices or a letter is not a single token there.
    #[serde(with = "numbers", alias = "option_logprobs")]
    pub choice_logprobs: Vec<f32>,
    /// For each choice in the order in which it was shown, its index in the dataset's order, from 0. Empty if the choices
    /// were shown as the dataset has them. Letters (`target`, `answer`, `choice_logprobs`) are those that were shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choice_order: Vec<u32>,
    /// Log-probability (nats) of each choice at the answer slot when the choices were shifted, `[shifts − 1][choices]`, row
    /// by row: in each row the choices stand in the order of `choice_logprobs`, whichever letter they had. Empty if
    /// nothing was shifted.
    #[serde(with = "numbers", skip_serializing_if = "Vec::is_empty")]
    pub shifted_logprobs: Vec<f32>,
    /// Log-probability (nats) of each token of a reply that was replayed; empty if the reply was generated.
    #[serde(with = "numbers")]
    pub replay_logprobs: Vec<f32>,
    /// Log-probability (nats) of each token of the neutral text that the conversation was made to say after its last
    /// turn; empty in other turns, and if there is no such text.
    #[serde(with = "numbers")]
    pub neutral_logprobs: Vec<f32>,
    /// What the model read of the exchanges before this turn: empty (all of them, as the history holds them), `none`, or
    /// `told` (in the user's message).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub history: String,
    /// Number of tokens that filler added to the prompt; `None` if the message asked for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filler_tokens: Option<u32>,
    /// Tokens of the prompt minus those that filler should have made of it. 0: the lengths are equal. `None` as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_difference: Option<i32>,
    /// Number of tokens of the prompt: the whole conversation so far, rendered by the chat template, and the prefill.
    pub prompt_tokens: u32,
    /// Number of prompt tokens that were computed in this turn.
    pub prefilled_tokens: u32,
    /// Number of prompt tokens that were taken from the cache.
    pub reused_tokens: u32,
    /// Number of tokens of the reply, without prefill and end id.
    pub reply_tokens: u32,
    /// Their ids, by which a replay reads what was generated and not what its text is tokenised to. Empty in runs of
    /// versions before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply_ids: Vec<u32>,
    /// `stop` (the model generated an end id or a stop string), `length` (the reply reached its limit) or `replay`. Empty if
    /// it is not known, as in a run that was imported: `removed_tokens` and the numbers of tokens are then 0 and
    /// `elapsed_ms` is NaN, and all of them mean that nothing is known (`turns.parquet` has null).
    pub finish_reason: String,
    /// Wall-clock milliseconds from the turn's first prefill to its last token. Other conversations of the batch were
    /// computed in the same time.
    #[serde(with = "crate::json::number")]
    pub elapsed_ms: f64,
    /// Numbers that hooks computed in this turn, by `<hook>.<name>`.
    pub readings: Readings,
    /// What the model said to the asides after this turn, by name.
    pub asides: BTreeMap<String, Aside>,
    /// What the dataset knows of the item beside its text, as JSON; empty if it knows nothing.
    pub metadata: String,
    /// What stood before turn 1, as JSON: a list of messages with `role` and `content`. Empty if nothing did, and in later
    /// turns.
    pub opening: String,
}

/// A number that may be missing. One that is not finite is written as null.
mod optional {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    pub fn serialize<S: Serializer>(v: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        v.filter(|x| x.is_finite()).serialize(s)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        Option::<f64>::deserialize(d)
    }
}

impl TurnRow {
    /// The conversation that the turn belongs to.
    pub fn conversation(&self) -> ConversationId<'_> {
        let Self { group, condition, arm, sample, .. } = self;
        ConversationId { group: *group, condition, arm, sample: *sample }
    }

    /// Whether the answer is right: a score of at least one half. `None` if the reply was not graded.
    pub fn right(&self) -> Option<bool> {
        self.score.map(|s| s >= 0.5)
    }

    /// Whether tokens and times of the turn are known. Those of a run that was imported may not be.
    pub fn measured(&self) -> bool {
        !self.finish_reason.is_empty() || self.reply_tokens > 0
    }

    /// The reply; `None` if its text is not known. A run that was imported from numbers alone has none.
    pub fn reply_text(&self) -> Option<&str> {
        (self.measured() || !self.reply.is_empty()).then_some(self.reply.as_str())
    }

    /// Whether the turn's factors have all of these levels.
    pub fn has(&self, levels: &Factors) -> bool {
        has_levels(&self.factors, levels)
    }

    /// Whether the turn has at least one token at a position: an empty reply has none at `reply`, `reply-mean` and `reply-end`.
    /// If it has, NaN in a tap's first row was computed by the model and does not mean that there is no token.
    pub fn has_token(&self, position: Position) -> bool {
        match position {
            Position::PromptEnd | Position::PromptTail(_) | Position::Reply(_) | Position::UserMean | Position::All => {
                true
            }
            Position::ReplyAll | Position::ReplyMean | Position::ReplyEnd => self.reply_tokens > 0,
        }
    }
}

/// Activations of one conversation at one site and one position.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TapArray {
    /// `[turns, positions, width]`: the turns of the conversation, the positions of the tap, the width of the site.
    pub shape: [usize; 3],
    /// The values, row-major; NaN where a turn has no such token.
    pub data: Vec<f32>,
}

impl TapArray {
    /// The rows of a turn (from 1) that hold a token, in order; rows of NaN alone pad it to the longest turn and are left
    /// out. `None` if the array does not hold the turn whole.
    pub fn tokens(&self, turn: u32) -> Option<Vec<&[f32]>> {
        let [turns, positions, width] = self.shape;
        let turn = (turn as usize).checked_sub(1).filter(|t| *t < turns && width > 0)?;
        let size = positions.checked_mul(width)?;
        let rows = self.data.get(turn.checked_mul(size)?..(turn + 1).checked_mul(size)?)?;
        Some(rows.chunks_exact(width).filter(|row| !row.iter().all(|v| v.is_nan())).collect())
    }
}

/// A run, as analyzers see it. friction-store implements it for files, tests for values in memory. Analyzers may
/// share it among threads.
pub trait RunReader: Sync {
    /// The study's name.
    fn name(&self) -> &str;
    /// The study's seed.
    fn seed(&self) -> u64;
    /// All turns, ordered by group, condition, arm, sample and turn.
    fn turns(&self) -> &[TurnRow];
    /// Activations of a conversation; `None` if they were not tapped.
    ///
    /// # Errors
    /// If what is stored cannot be read.
    fn tap(&self, conversation: ConversationId, site: Site, position: Position) -> Result<Option<TapArray>>;
    /// The `findings.json` of an analyzer that ran before, by its name; `None` if there is none, or an earlier analysis made
    /// it.
    fn findings(&self, analyzer: &str) -> Option<serde_json::Value>;
    /// Whose replies the model was given to read, in one sentence without its full stop; `None` if it replied itself in all
    /// conditions. Default: `None`.
    fn given(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reply_that_is_not_known_is_no_empty_reply() {
        let silent = TurnRow { finish_reason: "stop".into(), ..TurnRow::default() };
        let said = TurnRow { reply: "B".into(), ..TurnRow::default() };
        assert_eq!([&silent, &said, &TurnRow::default()].map(TurnRow::reply_text), [Some(""), Some("B"), None]);
    }

    #[test]
    fn padding_is_no_token_and_a_turn_that_is_not_there_is_none() {
        let pad = f32::NAN;
        // Two turns of at most three tokens, two wide: the first has one token, the second none of two finite numbers.
        let data = vec![1.0, 2.0, pad, pad, pad, pad, 3.0, pad, 5.0, 6.0, pad, pad];
        let tap = TapArray { shape: [2, 3, 2], data };
        assert_eq!(tap.tokens(1).unwrap(), [[1.0, 2.0]]);
        let second = tap.tokens(2).unwrap();
        assert!(second.len() == 2 && second[0][1].is_nan() && second[1] == [5.0, 6.0], "{second:?}");
        assert!(tap.tokens(0).is_none() && tap.tokens(3).is_none());
        let short = TapArray { shape: [2, 3, 2], data: vec![0.0; 7] };
        assert!(short.tokens(1).is_some() && short.tokens(2).is_none());
        assert!(TapArray::default().tokens(1).is_none());
    }
}
