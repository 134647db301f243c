//! Cyclic shifts of an item's choices: before a turn, its message is asked on forks with the choices in other orders, and
//! the choices' log-probabilities are measured (`dataset.option_shifts`).
//!
//! Forks come before the turn itself, so that what the cache holds of the conversation is what it would hold without them.
//! Conversations whose first turns are equal then compute these one by one, and share what their prompts begin with.
use crate::rehearsal::asked;
use friction_core::{Ask, ChatMessage, Condition, Dataset, Item, Result, TurnContext};
use friction_engine::Request;
use std::collections::VecDeque;

/// The shifts of one turn.
#[derive(Debug, Default)]
pub(crate) struct Shifts {
    /// What the condition asks in the turn, while forks come before it.
    pub ask: Option<Ask>,
    /// Orders that are still to be asked.
    pub queue: VecDeque<Vec<u32>>,
    /// What was measured: [`friction_core::TurnRow::shifted_logprobs`].
    pub logprobs: Vec<f32>,
}

impl Shifts {
    /// Notes the log-probabilities of the letters, where the choices stood in this order. Without them, because a letter is
    /// no single token, nothing of the turn is measured.
    pub fn note(&mut self, order: &[u32], letters: &[f32]) {
        if letters.len() != order.len() {
            return self.leave();
        }
        let from = self.logprobs.len();
        self.logprobs.resize(from + order.len(), f32::NAN);
        for (choice, p) in order.iter().zip(letters) {
            if let Some(place) = self.logprobs.get_mut(from + *choice as usize) {
                *place = *p;
            }
        }
    }
    /// Gives up the turn's shifts.
    pub fn leave(&mut self) {
        self.queue.clear();
        self.logprobs.clear();
    }
}

/// The request of a fork: the message that the condition asks where the item's choices stand in this order. `None` if the
/// message does not show them, so that it is the same. `read` gives all that the model reads where the condition asks so.
///
/// # Errors
/// If a plugin fails.
pub(crate) fn request(
    dataset: &dyn Dataset,
    condition: &dyn Condition,
    (cx, ask): (&TurnContext, &Ask),
    read: &dyn Fn(Ask, &TurnContext) -> Result<Vec<ChatMessage>>,
    order: &[u32],
) -> Result<Option<Request>> {
    let Some(item) = cx.item.reordered(order) else { return Ok(None) };
    let prompt = dataset.prompt(&item)?;
    let cx = TurnContext { item: &item, prompt: &prompt, ..*cx };
    let Some(shifted) = asked(condition, &cx)?.filter(|s| s.text != ask.text) else { return Ok(None) };
    let prefill = shifted.prefill.clone().unwrap_or_default();
    let messages = read(shifted, &cx)?;
    let choices = (0..item.choices.len()).map(|i| Item::letter(i).to_string()).collect();
    Ok(Some(Request { messages, prefill, choices, fork: true, ..Request::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_stands_in_the_order_of_the_turn() {
        let mut shifts = Shifts::default();
        // Letter A shows choice 2, B shows 0, C shows 1.
        shifts.note(&[2, 0, 1], &[-1.0, -2.0, -3.0]);
        shifts.note(&[1, 2, 0], &[-4.0, -5.0, -6.0]);
        assert_eq!(shifts.logprobs, [-2.0, -3.0, -1.0, -6.0, -4.0, -5.0]);
        shifts.queue.push_back(vec![0, 1, 2]);
        shifts.note(&[0, 1, 2], &[]);
        assert!(shifts.logprobs.is_empty() && shifts.queue.is_empty());
    }
}
