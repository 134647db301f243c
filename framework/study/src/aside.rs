//! Asides: questions on a fork after a turn.
use friction_core::manifest::AsideSection;
use friction_core::{Aside, ChatMessage, thinking};
use friction_engine::{Request, TurnOutcome};

/// One request of an aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Index of the aside in the manifest.
    pub aside: usize,
    /// The choice whose tokens are read one by one; `None` for the reply, or for all choices at once.
    pub choice: Option<usize>,
}

/// Makes the request of a step. `messages` is the conversation so far.
pub fn request(aside: &AsideSection, step: Step, mut messages: Vec<ChatMessage>) -> Request {
    messages.push(ChatMessage::user(aside.user.clone()));
    let forced = step.choice.and_then(|c| aside.choices.get(c).cloned());
    Request {
        messages,
        prefill: aside.prefill.clone().unwrap_or_default(),
        choices: if step.choice.is_none() { aside.choices.clone() } else { vec![] },
        max_new_tokens: aside.max_new_tokens.unwrap_or(0),
        forced,
        fork: true,
        ..Request::default()
    }
}

/// Notes what a step measured. Returns the steps that are still needed: one for each choice, if they could not be
/// measured at once because one of them is not a single token. `opens` is what opens a thought at the end of the prompt,
/// if the chat template writes that: a thought is no part of the answer.
pub fn note(aside: &AsideSection, step: Step, outcome: &TurnOutcome, opens: &str, out: &mut Aside) -> Vec<Step> {
    match step.choice {
        Some(_) => {
            let sum: f32 = outcome.forced.iter().sum();
            out.logprobs.push(sum);
            out.logprobs_per_token.push(sum / outcome.forced.len().max(1) as f32);
        }
        None if aside.choices.is_empty() => {
            let prefill = aside.prefill.as_deref().unwrap_or("");
            out.reply = format!("{prefill}{}", outcome.text);
            let answer = thinking::split(&outcome.text, thinking::inside(&format!("{opens}{prefill}"))).answer;
            out.value = answer.trim().parse().ok().filter(|v: &f64| v.is_finite());
        }
        None if outcome.choices.is_empty() => {
            return (0..aside.choices.len()).map(|c| Step { choice: Some(c), ..step }).collect();
        }
        None => {
            out.logprobs.clone_from(&outcome.choices);
            out.logprobs_per_token.clone_from(&outcome.choices);
        }
    }
    if !aside.choices.is_empty() && out.logprobs.len() == aside.choices.len() {
        out.value = value(&aside.choices, &out.logprobs);
    }
    vec![]
}

/// The answer as a number. If all choices are numbers: their mean, weighted by the probabilities among the choices.
/// Otherwise the probability of the first choice among the choices.
fn value(choices: &[String], logprobs: &[f32]) -> Option<f64> {
    let most = logprobs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logprobs.iter().map(|l| f64::from(l - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    let numbers: Option<Vec<f64>> = choices.iter().map(|c| c.trim().parse().ok()).collect();
    let sum = match numbers {
        Some(numbers) => numbers.iter().zip(&weights).map(|(n, w)| n * w).sum(),
        None => *weights.first()?,
    };
    Some(sum / total).filter(|v: &f64| v.is_finite())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_are_averaged_and_words_give_the_share_of_the_first() {
        let choices = |all: &[&str]| all.iter().map(|c| (*c).to_string()).collect::<Vec<_>>();
        let mean = value(&choices(&["1", "2", "9"]), &[0.5f32.ln(), 0.25f32.ln(), 0.25f32.ln()]).unwrap();
        assert!((mean - 3.25).abs() < 1e-6, "{mean}");
        // Only the probability among the choices counts.
        let scaled = value(&choices(&["1", "2", "9"]), &[0.05f32.ln(), 0.025f32.ln(), 0.025f32.ln()]).unwrap();
        assert!((scaled - 3.25).abs() < 1e-5, "{scaled}");
        let share = value(&choices(&["yes", "no"]), &[0.3f32.ln(), 0.1f32.ln()]).unwrap();
        assert!((share - 0.75).abs() < 1e-6, "{share}");
        assert_eq!(value(&choices(&["yes", "no"]), &[f32::NEG_INFINITY; 2]), None);
    }
}
