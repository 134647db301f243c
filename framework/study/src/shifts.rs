//! Cyclic shifts of an item's choices: before a turn, its message is asked on forks with the choices in other orders, and
//! the choices' log-probabilities are measured (`dataset.option_shifts`).
//!
//! Forks come before the turn itself, so that what the cache holds of the conversation is what it would hold without them.
//! Conversations whose first turns are equal then compute these one by one, and share what their prompts begin with.
use crate::idle::Words;
use crate::lists::PlannedItem;
use crate::options;
use crate::planned::PlannedCondition;
use crate::rehearsal::{Course, MadeUp, asked, place};
use crate::wrong::Wrong;
use friction_core::manifest::Path as KeyPath;
use friction_core::{Ask, ChatMessage, Condition, Dataset, Item, Result, TurnContext};
use friction_engine::Request;
use std::collections::VecDeque;

/// Largest number of groups whose messages are asked with shifted choices before a run.
const GROUPS: usize = 8;

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

/// Refuses conditions that cannot ask with an item's choices in another order, as those that say recorded messages.
pub(crate) fn check(
    wrong: &mut Wrong,
    dataset: &dyn Dataset,
    conditions: &[PlannedCondition],
    groups: &[Vec<PlannedItem>],
) {
    let (study, wanted) = (&wrong.manifest.study, wrong.manifest.options.option_shifts);
    if wanted < 2 {
        return;
    }
    let fails = |c: &PlannedCondition| {
        groups.iter().take(GROUPS).enumerate().find_map(|(g, list)| {
            let plugin = c.plugin.as_ref();
            let made_up = MadeUp { text: "word0", ids: &[0], codec: &Words, score: None, forgiving: true };
            let mut first = None;
            let mut see = |cx: &TurnContext, ask: &Ask| {
                let order = options::shifts(cx.item, wanted).into_iter().next();
                if let (Some(order), 1, None) = (order, cx.round, &first) {
                    let fork = request(dataset, plugin, (cx, ask), &|_, _| Ok(vec![]), &order);
                    first = fork.err().map(|e| format!("{}: {e}", place(cx.turn, g, &c.name)));
                }
                Ok(())
            };
            let course = Course::new(plugin, list, study.most_turns());
            // What a condition cannot say at all is reported elsewhere.
            made_up.watched(c, &course, (study.seed, g), list, &mut see).ok().and(first)
        })
    };
    if let Some(what) = conditions.iter().find_map(fails) {
        let help = "set `dataset.option_shifts = 1`: recorded messages cannot show their choices in another order";
        let path = KeyPath::default().key("dataset").key("option_shifts");
        wrong.issues.push(path, format!("the message cannot be asked with shifted choices: {what}"), Some(help.into()));
    }
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
