//! What a condition knows when it is asked.
use crate::{ChatMessage, Exchange, Item};

/// The place in the design at which a condition is asked, and what was said before.
#[derive(Debug, Clone)]
pub struct TurnContext<'a> {
    /// The study's seed.
    pub seed: u64,
    /// Group index, from 0.
    pub group: usize,
    /// Number of the sample, from 0; 0 in the checks before a run. Only for conditions that read what was recorded of each
    /// sample: what others say should not depend on it.
    pub sample: usize,
    /// Number of the turn in its conversation, from 1.
    pub turn: usize,
    /// Number of turns of the conversation if it does not end early.
    pub turns: usize,
    /// Number of the turn among those that ask this item, from 1.
    pub round: usize,
    /// Number of turns that ask this item.
    pub rounds: usize,
    /// Name of the item's category.
    pub topic: &'a str,
    /// The item that the turn is about.
    pub item: &'a Item,
    /// What the dataset asks in this turn: the message of the item's script, or the dataset's prompt for the item.
    pub prompt: &'a str,
    /// The turns before this one, oldest first.
    pub history: &'a [Exchange],
}

/// What a condition knows before the first turn.
#[derive(Debug, Clone)]
pub struct OpeningContext<'a> {
    /// The study's seed.
    pub seed: u64,
    /// Group index, from 0.
    pub group: usize,
    /// The items of the conversation, in order.
    pub items: &'a [Item],
    /// The messages that the dataset puts before the first turn: its instruction and worked examples, or the system
    /// prompt of a transcript.
    pub given: &'a [ChatMessage],
}
