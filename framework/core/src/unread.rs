//! A check for runs in which no answer could be read: analyzers give no verdict on accuracy there.
use crate::TurnRow;

/// Says why accuracy cannot be measured in these turns: no answer could be read in any of their replies. A reply
/// without an answer counts as wrong, so accuracy would be 0 % everywhere and no comparison would show a difference.
/// Turns whose item has no target are left out. Returns `None` if at least one answer was read, or if there are no turns.
///
/// An analyzer whose verdict depends on right and wrong answers calls this first, gives the text as a warning, and
/// reports "cannot be told" instead of a verdict.
///
/// ```
/// use friction_core::{TurnRow, unread};
/// let asked = TurnRow { target: Some("A".into()), ..TurnRow::default() };
/// let silent = [asked.clone(), asked.clone()];
/// assert!(unread(&silent).unwrap().starts_with("none of the 2 replies"));
/// let said = TurnRow { answer: Some("B".into()), ..asked };
/// assert_eq!(unread(silent.iter().chain([&said])), None);
/// ```
pub fn unread<'a>(turns: impl IntoIterator<Item = &'a TurnRow>) -> Option<String> {
    let mut all = 0;
    for t in turns.into_iter().filter(|t| t.target.is_some()) {
        if t.answer.is_some() {
            return None;
        }
        all += 1;
    }
    (all > 0).then(|| {
        format!(
            "none of the {all} replies declares an answer that could be read: all count as wrong, so accuracy says \
             nothing here. Look at the replies; the model may need a larger `generation.max_new_tokens`, or may not be a \
             chat model"
        )
    })
}
