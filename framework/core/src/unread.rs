//! Checks for runs whose answers or log-odds say nothing: no answer could be read, or the letters of the choices are not
//! what the model would say.
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
        // A score above 0 was given by other means, such as people.
        if t.answer.is_some() || t.score.is_some_and(|s| s > 0.0) {
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

/// Says that log-odds are those of replies that the model would hardly give: in most turns with log-probabilities of the
/// choices' letters, all letters together have less than half of the probability. `None` otherwise.
///
/// ```
/// use friction_core::{TurnRow, off_letters};
/// let row = |p: f32| TurnRow { choices: 2, choice_logprobs: vec![p.ln(), p.ln()], ..TurnRow::default() };
/// assert_eq!(off_letters(&[row(0.4), row(0.3), row(0.01)]), None);
/// assert!(off_letters(&[row(0.01), row(0.4), row(0.02)]).unwrap().contains("in 2 of 3 turns"));
/// ```
pub fn off_letters<'a>(turns: impl IntoIterator<Item = &'a TurnRow>) -> Option<String> {
    let scored = turns.into_iter().filter(|t| !t.choice_logprobs.is_empty());
    let mass = |t: &TurnRow| t.choice_logprobs.iter().map(|l| f64::from(*l).exp()).sum::<f64>();
    let (off, all) = scored.fold((0, 0), |(off, all), t| (off + usize::from(mass(t) < 0.5), all + 1));
    (2 * off > all).then(|| {
        format!(
            "the letters of the choices have less than half of the probability in {off} of {all} turns: log-odds say \
             little of what is replied there. Open the reply with a `prefill`, or ask for the letter alone"
        )
    })
}
