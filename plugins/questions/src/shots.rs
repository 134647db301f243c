//! Worked examples: items with their answers, as messages.
use crate::read::Rows;
use friction_core::choice::prompt_with;
use friction_core::{ChatMessage, Item, Result, Target};

/// Why an item cannot be a worked example.
pub(crate) fn fault(item: &Item) -> Option<&'static str> {
    match (item.script.is_empty(), &item.target) {
        (true, None) => Some("a worked example needs an answer: `answer`, `target`, or a `script` with replies"),
        (false, _) if item.script.iter().any(|t| t.reply.is_none()) => {
            Some("a worked example with a `script` needs a `reply` to each of its messages")
        }
        _ if !item.opening.is_empty() => Some("a worked example cannot have an opening of its own"),
        _ => None,
    }
}

/// The messages of a worked example: its script, or its prompt and its answer, which is the letter of a choice or the
/// first target text.
///
/// # Errors
/// If the instruction names letters, and the item has no choices.
pub(crate) fn messages(item: &Item, instruction: Option<&str>) -> Result<Vec<ChatMessage>> {
    let pair = |user: String, reply: String| [ChatMessage::user(user), ChatMessage::assistant(reply)];
    if item.script.is_empty() {
        let answer = match &item.target {
            Some(Target::Choice(i)) => Item::letter(*i).to_string(),
            Some(Target::Text(texts)) => texts.first().cloned().unwrap_or_default(),
            None => String::new(),
        };
        return Ok(pair(prompt_with(item, instruction)?, answer).to_vec());
    }
    Ok(item.script.iter().flat_map(|t| pair(t.user.clone(), t.reply.clone().unwrap_or_default())).collect())
}

/// The item among `asked` that asks the same as a worked example.
pub(crate) fn same<'a>(shot: &Item, asked: &'a Rows) -> Option<(usize, &'a Item)> {
    let says = |a: &Item| a.text == shot.text && a.choices == shot.choices && a.script == shot.script;
    asked.iter().find(|(_, item)| says(item)).map(|(at, item)| (*at, item))
}
