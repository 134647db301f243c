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
            Target::Outcome(Outcome::Score) => f.write_str("correct"),
            Target::Outcome(outcome) => outcome.fmt(f),
        }
    }
}
