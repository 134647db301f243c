//! Outcomes that were never read: an analyzer states no verdict on them.
use crate::TurnRow;

/// Why accuracy cannot be told of these turns: none of their answers could be read. A reply without an answer
/// counts as wrong, so that accuracy would be a plain 0 % everywhere, and every comparison "no difference".
/// Nothing where at least one answer was read, or there are no turns.
///
/// An analyzer whose verdict stands on right and wrong answers asks this first, gives the text as a warning, and
/// says "cannot be told" in the place of the verdict.
///
/// ```
/// use friction_core::{TurnRow, unread};
/// let silent = [TurnRow::default(), TurnRow::default()];
/// assert!(unread(&silent).unwrap().starts_with("none of the 2 replies"));
/// let said = TurnRow { parsed: Some("B".into()), ..TurnRow::default() };
/// assert_eq!(unread(silent.iter().chain([&said])), None);
/// ```
pub fn unread<'a>(turns: impl IntoIterator<Item = &'a TurnRow>) -> Option<String> {
    let mut all = 0;
    for t in turns {
        if t.parsed.is_some() {
            return None;
        }
        all += 1;
    }
    (all > 0).then(|| {
        format!(
            "none of the {all} replies declares an answer that could be read: all count as wrong, and what is told of \
             accuracy cannot be told from them. Look at the replies; a model may need more `generation.max_new_tokens`, \
             or be no chat model"
        )
    })
}
