//! How large a feature's links must be, and how the outcome that it is linked with is called.
use friction_core::Outcome;
use friction_stats::signed;

/// The outcome as the plural of what a feature goes with.
pub fn answers(outcome: &Outcome) -> String {
    if *outcome == Outcome::Score { "answers".into() } else { outcome.label() }
}

/// The manifest's limits on a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits<'a> {
    /// Most features that discovery may pick.
    pub discover: usize,
    /// Smallest |d_z| of the feature's difference between the levels.
    pub effect: f64,
    /// Smallest association with the outcome, in points (of another outcome than a share: in its unit) per standard
    /// deviation of the feature.
    pub points: f64,
    /// What features are linked with.
    pub outcome: &'a Outcome,
}

impl Limits<'_> {
    /// What a feature does that is linked with the outcome.
    pub fn goes(&self) -> String {
        match self.outcome {
            Outcome::Score => "predicts the answers".into(),
            other => format!("goes with the {}", other.label()),
        }
    }
    /// What a condition has an effect on.
    pub fn effect_on(&self) -> String {
        match self.outcome {
            Outcome::Score => "accuracy".into(),
            other => format!("the {}", other.label()),
        }
    }
    /// A change of the outcome as text, without its unit.
    pub fn bound(&self, v: f64) -> String {
        signed(v, usize::from(self.outcome.digits()))
    }
    /// A change of the outcome as text, with its unit.
    pub fn amount(&self, v: f64) -> String {
        self.with_unit(&self.bound(v))
    }
    /// The smallest association, with its unit.
    pub fn least(&self) -> String {
        self.with_unit(&self.points.to_string())
    }
    fn with_unit(&self, number: &str) -> String {
        format!("{number} {}", self.outcome.difference_unit()).trim_end().to_string()
    }
}
