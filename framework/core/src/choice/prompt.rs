//! How an item is asked.
use crate::{Error, Item, Result};
use regex::Regex;
use std::sync::LazyLock;

/// The sentence that closes the prompt of an item with choices.
const CLOSING: &str = "Please provide your answer as a single letter ({letters}).";

#[allow(clippy::unwrap_used)] // The pattern is constant; the tests compile it.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{([a-z_]+)\}").unwrap());

/// The user message for an item. With choices: its text, a blank line, one line per choice (`A. …`), a blank line, and
/// an instruction that names the letters of this item's choices. Without: its text.
pub fn prompt(item: &Item) -> String {
    let instruction = if item.choices.is_empty() { "" } else { CLOSING };
    written(item, instruction)
}

/// As [`prompt`], with another instruction at the end: `{letters}` stands for the letters of the choices, such as `A-D`.
/// An empty instruction adds none. `None`: as [`prompt`].
///
/// # Errors
/// If the instruction names letters, and the item has no choices.
pub fn prompt_with(item: &Item, instruction: Option<&str>) -> Result<String> {
    let Some(instruction) = instruction else { return Ok(prompt(item)) };
    if item.choices.is_empty() && instruction.contains("{letters}") {
        let what = "has no choices, so `{letters}` of the instruction names nothing";
        return Err(Error::at("instruction", format!("item `{}` {what}", item.id)));
    }
    Ok(written(item, instruction.trim()))
}

/// Checks that an instruction has no placeholders but `known`, such as `letters`. Other braces are text.
///
/// # Errors
/// If it has another.
pub fn check_instruction(instruction: &str, known: &[&str]) -> Result<()> {
    let other = PLACEHOLDER.captures_iter(instruction).find(|c| !known.contains(&&c[1]));
    other.map_or(Ok(()), |c| {
        let what = format!("`{}` is no placeholder of `instruction`", &c[0]);
        let all = known.iter().map(|k| format!("`{{{k}}}`")).collect::<Vec<_>>().join(", ");
        Err(Error::at("instruction", what).help(format!("known here: {all}")))
    })
}

fn written(item: &Item, instruction: &str) -> String {
    let mut out = item.text.clone();
    if !item.choices.is_empty() {
        out.push('\n');
        for (i, choice) in item.choices.iter().enumerate() {
            out.push_str(&format!("\n{}. {choice}", Item::letter(i)));
        }
    }
    if !instruction.is_empty() {
        let letters = match item.choices.len() {
            0 => String::new(),
            1 => "A".into(),
            n => format!("A-{}", Item::letter(n - 1)),
        };
        out.push_str(&format!("\n\n{}", instruction.replace("{letters}", &letters)));
    }
    out
}
