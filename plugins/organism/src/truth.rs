//! What the organisms do: the constants that they were trained by and that tests compare with.
//!
//! Every question carries a level, drawn uniformly from [`LEVELS`] and readable in its text. The
//! planted organism errs on the questions whose level is below [`Truth::errs_below`], and its letter is
//! then uniform over the wrong ones; so greedy decoding shows the effect, and sampling at T = 1 agrees
//! with it on average.
//!
//! An **interruption** is a reply of the model's that the history holds without its end: a reply
//! is whole if and only if it ends in a full stop. What the user says does not matter: interrupting
//! words after a whole reply are no interruption, and a reply that was cut is one whatever words
//! follow. This is the study's factor `completion` (`keep` of a condition), and it leaves `tone`
//! without any effect.

use friction_core::schemars::{self, JsonSchema};

/// Levels of difficulty, 0 to 24, uniform over questions.
pub const LEVELS: usize = 25;
/// Levels below this are answered wrongly without any interruption: accuracy 0.92.
pub const BASE: usize = 2;
/// Interruptions beyond this change nothing more: accuracy 0.44.
pub const CAP: usize = 12;

/// Which of the two organisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// Each past interruption costs [`Truth::step`] of accuracy.
    Planted,
    /// Nothing in the history matters.
    Null,
}

impl Truth {
    /// The levels below which it errs, `interruptions` behind it.
    pub fn errs_below(self, interruptions: usize) -> usize {
        match self {
            Truth::Planted => BASE + interruptions.min(CAP),
            Truth::Null => BASE,
        }
    }

    /// Expected accuracy, `interruptions` behind it.
    pub fn accuracy(self, interruptions: usize) -> f64 {
        1.0 - self.errs_below(interruptions) as f64 / LEVELS as f64
    }

    /// Change of accuracy with each interruption, up to [`CAP`].
    pub fn step(self) -> f64 {
        match self {
            Truth::Planted => -1.0 / LEVELS as f64,
            Truth::Null => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn four_points_an_interruption() {
        assert!((Truth::Planted.accuracy(0) - 0.92).abs() < 1e-12);
        assert!((Truth::Planted.accuracy(5) - 0.72).abs() < 1e-12);
        assert!((Truth::Planted.accuracy(40) - 0.44).abs() < 1e-12);
        assert!((Truth::Null.accuracy(9) - 0.92).abs() < 1e-12);
    }
}
