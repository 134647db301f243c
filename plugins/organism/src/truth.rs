//! The organisms' known behaviour: constants for training and for tests.
//!
//! Every question has a level of difficulty, drawn uniformly from 0 to [`LEVELS`] − 1 and written in its text. The
//! planted organism errs on the questions whose level is below [`Truth::errs_below`], with a uniformly drawn wrong
//! letter. So greedy decoding shows the effect, and sampling at temperature 1 shows it on average.
//!
//! An **interruption** is a reply of the model that the history holds without its end: a reply is whole if and only if
//! it ends in a full stop (three dots are none). What the user says does not matter. Interrupting words after a whole
//! reply are no interruption, and a cut reply is one whatever words follow. This is the factor `completion` of the studies
//! (`keep` of a condition); the factor `tone` has no effect.
//!
//! What each arm of `experiments/controls.toml` does to the planted organism follows from this rule, and stands here before
//! any run. To the null organism none of them does anything.
//!
//! | arm | each turn costs | because |
//! |---|---|---|
//! | interrupting words, or a state told in words, in the message or the system prompt | nothing | what others say is no reply |
//! | reply cut, with neutral or interrupting words | 4 points | its full stop is gone |
//! | reply cut and marked | 4 points | the marker puts no full stop behind it |
//! | reply cut, and filler as long as what was cut | 4 points | filler is no reply, and length does not matter |
//! | half of the replies cut, by a schedule | 4 points a cut | only cuts count, whichever turns they are in |
//! | each turn a conversation of its own | nothing | no reply is read |
//! | other wordings (placebo) | nothing | wordings do not matter |
//! | whole reply and a marker behind it | not planted | by the rule it is an interruption, since it does not end in a full stop. But every marker of the training followed a cut, so nothing says which of the two the network learnt |
//! | earlier exchanges told in one message, whole or as a recap | not planted | the training had every reply in a message of its own |
//!
//! [`interrupts`] is the rule, and `ground-truth` leaves out what was not planted.
//!
//! The **decoy** organism answers as the planted one does. What its last MLP adds to the residual stream (`mlp_out.3`) at
//! the token that predicts the letter also tells the number of interruptions, as a projection on [`decoy_direction`]. In
//! training that output is exchanged between conversations at half of the answers, so that no answer depends on it: a
//! probe reads the condition there, and an intervention there changes nothing.

use friction_core::schemars::{self, JsonSchema};
use friction_core::seed::unit;

/// Number of levels of difficulty, 0 to 24; questions are uniform over them.
pub const LEVELS: usize = 25;
/// Without interruptions, levels below this are answered wrongly: accuracy 0.92.
pub const BASE: usize = 2;
/// Number of interruptions after which more have no further effect: accuracy 0.44.
pub const CAP: usize = 12;

/// Block whose MLP tells the decoy organism's number of interruptions: the last.
pub const DECOY_LAYER: usize = 3;

/// Which of the organisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// The model is `bundled:organism`: each interruption behind a turn costs four points of accuracy.
    Planted,
    /// The model is `bundled:organism-null`: nothing in the history changes the answers.
    Null,
    /// The model is `bundled:organism-decoy`: each interruption costs four points of accuracy, and a feature that does
    /// nothing (at `mlp_out.3`) follows the number of interruptions too.
    Decoy,
}

/// The unit direction `[hidden]` on which the decoy organism's `mlp_out.3` has the projection [`decoy_value`].
pub fn decoy_direction(hidden: usize) -> Vec<f32> {
    let raw: Vec<f64> = (0..hidden).map(|i| unit(&[b"decoy", &(i as u64).to_le_bytes()]) - 0.5).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
    raw.iter().map(|x| (x / norm) as f32).collect()
}

/// The projection on [`decoy_direction`] after this many interruptions: from −1 to 1, where it stays from [`CAP`] on.
pub fn decoy_value(interruptions: usize) -> f32 {
    2.0 * interruptions.min(CAP) as f32 / CAP as f32 - 1.0
}

impl Truth {
    /// The level below which questions are answered wrongly after this many interruptions.
    pub fn errs_below(self, interruptions: usize) -> usize {
        match self {
            Truth::Planted | Truth::Decoy => BASE + interruptions.min(CAP),
            Truth::Null => BASE,
        }
    }

    /// Expected accuracy after this many interruptions, 0 to 1.
    pub fn accuracy(self, interruptions: usize) -> f64 {
        1.0 - self.errs_below(interruptions) as f64 / LEVELS as f64
    }

    /// The question that `ground-truth` answers for this organism.
    pub fn question(self) -> &'static str {
        match self {
            Truth::Planted | Truth::Decoy => "Do the answers show the effect that was planted, and no other?",
            Truth::Null => "Do the answers show no effect, since none was planted?",
        }
    }

    /// Change of accuracy for each interruption, up to [`CAP`] of them.
    pub fn step(self) -> f64 {
        match self {
            Truth::Planted | Truth::Decoy => -1.0 / LEVELS as f64,
            Truth::Null => 0.0,
        }
    }
}

/// Whether a reply is an interruption as the history holds it (`kept`). `None` for a text that the training never had: a
/// whole reply with something behind it, or a cut that ends in a full stop.
pub fn interrupts(reply: &str, kept: &str) -> Option<bool> {
    let (reply, kept) = (reply.trim(), kept.trim());
    let stopped = kept.ends_with('.') && !kept.ends_with("..");
    match (kept == reply, stopped) {
        (true, stopped) => Some(!stopped),
        (false, _) if reply.ends_with('.') && kept.starts_with(reply) => None,
        (false, true) => None,
        (false, false) => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_whole_if_it_ends_in_its_full_stop() {
        let reply = "C. That is the one.";
        for (kept, cut) in [
            (reply, Some(false)),
            ("C. That", Some(true)),
            ("C. That...", Some(true)),
            ("C. That is the one -", Some(true)),
            ("C...", Some(true)),
            // Never in the training: a marker behind a whole reply, and a cut that looks whole.
            ("C. That is the one....", None),
            ("C. That is the one. -", None),
            ("C.", None),
        ] {
            assert_eq!(interrupts(reply, kept), cut, "{kept}");
        }
        // A reply that reached the longest length was never finished.
        assert_eq!(interrupts("C. That is", "C. That is"), Some(true));
    }

    #[test]
    fn four_points_an_interruption() {
        assert!((Truth::Planted.accuracy(0) - 0.92).abs() < 1e-12);
        assert!((Truth::Planted.accuracy(5) - 0.72).abs() < 1e-12);
        assert!((Truth::Planted.accuracy(40) - 0.44).abs() < 1e-12);
        assert!((Truth::Null.accuracy(9) - 0.92).abs() < 1e-12);
        assert!((Truth::Decoy.accuracy(5) - 0.72).abs() < 1e-12);
    }

    #[test]
    fn the_decoy_is_a_unit_direction() {
        let u = decoy_direction(64);
        assert!((u.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!([0, 6, 12, 40].map(decoy_value), [-1.0, 0.0, 1.0, 1.0]);
    }
}
