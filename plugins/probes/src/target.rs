//! What a probe reads out.
use friction_core::Outcome;

/// What a probe reads out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A factor of the conditions.
    Factor(String),
    /// How many replies behind the turn the history holds cut: a number.
    Interruptions,
    /// A number of the turn, such as whether the answer to come is right.
    Outcome(Outcome),
}

impl Target {
    /// The target that a manifest's `target` names, where its `outcome` is this one.
    pub fn new(name: &str, outcome: &Outcome) -> Self {
        match name {
            "interruptions" => Self::Interruptions,
            // A score that says what was found in replies.
            "correct" if *outcome == Outcome::Match => Self::Outcome(Outcome::Match),
            "correct" => Self::Outcome(Outcome::Score),
            "outcome" => Self::Outcome(outcome.clone()),
            factor => Self::Factor(factor.into()),
        }
    }

    /// As part of a sentence: "can … be read out". `classes` are the names of the target's classes.
    pub fn words(&self, classes: &[String]) -> String {
        match self {
            Self::Factor(name) => format!("`{name}` ({})", classes.join(" against ")),
            Self::Interruptions => "the number of interruptions so far".into(),
            Self::Outcome(Outcome::Score) if !classes.is_empty() => "whether the answer to come is right".into(),
            Self::Outcome(Outcome::Match) if !classes.is_empty() => "whether the reply to come matches".into(),
            Self::Outcome(Outcome::Answered) => "whether the reply to come has an answer".into(),
            Self::Outcome(outcome) => format!("`{outcome}` ({})", outcome.label()),
        }
    }

    /// As the question that a run ends with asks for it.
    pub fn asked(&self, classes: &[String]) -> String {
        match self {
            Self::Factor(name) => name.clone(),
            Self::Outcome(Outcome::Score) if !classes.is_empty() => "whether the next answer is right".into(),
            Self::Outcome(
                outcome @ (Outcome::Score | Outcome::LogOdds | Outcome::LogOddsShifted | Outcome::ReplyTokens),
            ) => {
                format!("the {}", outcome.label())
            }
            Self::Outcome(Outcome::Match) if !classes.is_empty() => "whether the next reply matches".into(),
            Self::Outcome(Outcome::Answered) => self.words(classes),
            Self::Outcome(outcome) => outcome.label(),
            Self::Interruptions => self.words(classes),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Factor(name) => f.write_str(name),
            Target::Interruptions => f.write_str("interruptions"),
            Target::Outcome(Outcome::Score | Outcome::Match) => f.write_str("correct"),
            Target::Outcome(outcome) => outcome.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_says_what_was_found_is_not_called_right() {
        let classes = ["no match".to_string(), "a match".to_string()];
        let of = |outcome: &Outcome| {
            let target = Target::new("correct", outcome);
            (target.to_string(), target.words(&classes), target.asked(&classes))
        };
        let told = |name: &str, words: &str, asked: &str| (name.to_string(), words.to_string(), asked.to_string());
        let matches = told("correct", "whether the reply to come matches", "whether the next reply matches");
        assert_eq!(of(&Outcome::Match), matches);
        let right = told("correct", "whether the answer to come is right", "whether the next answer is right");
        assert_eq!(of(&Outcome::Score), right);
    }
}
