//! Checks before a run that messages which must be equally long in tokens are.
use crate::filler::Scale;
use crate::lists::PlannedItem;
use crate::planned::PlannedCondition;
use crate::rehearsal::{Course, MadeUp, place};
use crate::wrong::Wrong;
use friction_core::{Ask, Condition, Error, Goal, Result, TextCodec, TurnContext, plural};

/// Largest number of groups whose messages are counted.
const GROUPS: usize = 32;

/// A made-up reply of one word.
const REPLY: &str = "word";

struct Whole;

impl TextCodec for Whole {
    fn decode(&self, ids: &[u32]) -> Result<String> {
        Ok(if ids.is_empty() { String::new() } else { REPLY.into() })
    }
}

/// Refuses conditions of which some messages should be equally long in tokens and are not: wordings that one turn draws
/// from, and messages that are longer than what filler would make of them. The first groups are held with made-up replies.
pub(crate) fn check(wrong: &mut Wrong, scale: Scale, conditions: &[PlannedCondition], groups: &[Vec<PlannedItem>]) {
    let m = wrong.manifest;
    for (c, choice) in
        conditions.iter().filter_map(|c| Some((c, m.conditions.iter().find(|o| o.chosen.name == c.name)?)))
    {
        let plugin = c.plugin.as_ref();
        let made_up = MadeUp { text: REPLY, ids: &[0], codec: &Whole, score: None, forgiving: true };
        let held = groups.iter().take(GROUPS).enumerate().try_for_each(|(g, list)| {
            let course = Course::new(plugin, list, m.study.most_turns());
            let mut first = None;
            let told = made_up.watched(c, &course, (m.study.seed, g), list, &mut |cx, ask| {
                if first.is_none() {
                    first = differ(scale, plugin, cx)?.or(beyond(scale, cx, ask)?).map(|what| (cx.turn, what));
                }
                Ok(())
            });
            match (told, first) {
                (Ok(_), Some((turn, what))) => Err(Error::config(format!("{}: {what}", place(turn, g, &c.name)))),
                // What a condition cannot say is reported elsewhere.
                _ => Ok(()),
            }
        });
        wrong.plugin(&choice.chosen.path, held);
    }
}

/// Says how many tokens the wordings of a turn take, if they should be equal and are not.
fn differ(scale: Scale, condition: &dyn Condition, cx: &TurnContext) -> Result<Option<String>> {
    let all = condition.equals(cx)?;
    let counts = all.iter().map(|text| tokens(scale, text)).collect::<Result<Vec<_>>>()?;
    if counts.iter().all(|n| Some(n) == counts.first()) {
        return Ok(None);
    }
    let each = counts.iter().enumerate().map(|(i, n)| format!("{i}: {n}")).collect::<Vec<_>>().join(", ");
    Ok(Some(format!(
        "its wordings should be equally long, and take these tokens by this tokenizer, by their number from 0: {each}; reword them until the numbers are equal"
    )))
}

/// Says that a message is longer already than its filler would make it.
fn beyond(scale: Scale, cx: &TurnContext, ask: &Ask) -> Result<Option<String>> {
    let Some(Goal::Beyond(goal)) = ask.filler.as_ref().map(|f| f.goal) else { return Ok(None) };
    let own = tokens(scale, &ask.text)?.saturating_sub(tokens(scale, cx.prompt)?);
    Ok((own > goal).then(|| {
        format!(
            "its message has {} more than the bare prompt by this tokenizer, and filler should make it {goal}: raise that number in all conditions that share it, or shorten the wording",
            plural(own, "token")
        )
    }))
}

/// Tokens of a user message.
fn tokens(scale: Scale, text: &str) -> Result<usize> {
    scale.message(text).map_err(Error::other)
}
