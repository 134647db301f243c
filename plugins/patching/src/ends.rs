//! Whether partners' prompts end in the tokens that are replaced, as far as that is known before a run.
use crate::options::Patch;
use crate::tail;
use crate::talks::{Key, Talks, short};
use friction_core::{BuildContext, ChatMessage, Coming, Error, Result};
use std::collections::BTreeMap;

/// Largest number of groups whose prompts are tokenised.
const GROUPS: usize = 20;

/// Refuses to replace more tokens than those in which the prompts of partners end alike, or than they have. A prompt is known
/// in turn 1, and in later turns from the user's last message on: where partners say the same there, what stands before it
/// is compared when it has been said.
///
/// # Errors
/// Names the turn in which the fewest are the same, and what to set.
pub fn check(cx: &BuildContext, talks: &Talks, coming: &[&Coming], o: &Patch) -> Result<()> {
    let (tokens, key_of) = (o.tokens(), |c: &Coming| (c.group as u32, 0, c.factors.clone()));
    let entering = coming.iter().filter(|c| c.turn >= o.first_turn && c.group < GROUPS);
    let by: BTreeMap<(Key, usize), &Coming> = entering.map(|c| ((key_of(c), c.turn), *c)).collect();
    let mut pairs: Vec<(&Key, &Coming, &Coming)> = vec![];
    for ((key, turn), own) in &by {
        if talks.sign(key) > 0.0
            && let Some(partner) = by.get(&(talks.partner(key), *turn))
            // The last token alone is the template's, or that of a prefill.
            && (tokens > 1 || own.prefill != partner.prefill)
        {
            pairs.push((key, *own, *partner));
        }
    }
    if pairs.is_empty() {
        return Ok(());
    }
    let (tokenizer, template) = tail::writer(cx)?;
    // A message that the template refuses is reported where the study is planned.
    let ids = |c: &Coming| -> Option<Vec<u32>> {
        let message = [ChatMessage::user(c.user?)];
        let messages = if c.turn == 1 { [c.opening, &message].concat() } else { message.to_vec() };
        let text = template.render(&messages).ok()? + &template.of_reply(c.prefill?);
        tokenizer.encode(&text).ok()
    };
    let mut fewest: Option<(usize, Error)> = None;
    for (key, own, partner) in pairs {
        let (Some(a), Some(b)) = (ids(own), ids(partner)) else { continue };
        let alike = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
        let whole = alike == a.len().min(b.len());
        let known = !whole || own.turn == 1;
        if !known || alike >= tokens || fewest.as_ref().is_some_and(|(fewest, _)| *fewest <= alike) {
            continue;
        }
        let place = || format!("turn 1 of group {}, condition `{}`", own.group, own.condition);
        let fault = if whole { short(&place(), alike, tokens) } else { talks.apart(key, own.turn, alike, tokens) };
        fewest = Some((alike, fault));
    }
    fewest.map_or(Ok(()), |(_, fault)| Err(fault))
}
