//! Primary contrasts that a lock could name, beside the one that study.toml names. A stored run is analysed as if its
//! lock held them.
use crate::Error;
use crate::views::{CHANGE, Outcome, STEP};
use friction_core::{Analyzer, BuildContext};
use friction_study::Plan;
use serde_json::json;

/// A primary contrast.
pub struct Locked {
    /// Name of its analysis in the table.
    pub analysis: &'static str,
    contrast: &'static str,
    first_turn: u32,
    /// Outcomes without an effect.
    pub without: &'static [Outcome],
    /// The outcome whose effect is exactly the smallest of interest.
    pub exactly: Outcome,
}

/// The contrasts whose verdicts are calibrated: a slope, a difference of slopes, and a trend.
pub const LOCKED: [Locked; 3] = [
    Locked {
        analysis: "primary-slope",
        contrast: "completion × turn",
        first_turn: 2,
        // study.toml's own contrast, `behavior`, has these.
        without: &[],
        exactly: Outcome::Slope,
    },
    Locked {
        analysis: "primary-crossed",
        contrast: "completion × tone × turn",
        first_turn: 2,
        without: &[Outcome::Own, Outcome::Coin],
        exactly: Outcome::Crossed,
    },
    Locked {
        analysis: "primary-trend",
        contrast: "trend(rank)",
        first_turn: 1,
        without: &[Outcome::Ranked],
        exactly: Outcome::Trend,
    },
];

/// The smallest effect of interest where there is none: so small that every estimate whose interval is beyond 0 counts.
const SMALL: f64 = 0.5;

impl Locked {
    /// The size of the effect in the outcome `exactly`, in points per turn or per level; its sign is −. Conversations have
    /// `turns` turns, at least 3.
    pub fn effect(&self, turns: usize) -> f64 {
        let each = 100.0 * CHANGE / turns.saturating_sub(2).max(1) as f64;
        match self.exactly {
            // Two conditions change against each other, or two differences do.
            Outcome::Slope => 2.0 * each,
            Outcome::Crossed => 4.0 * each,
            _ => 100.0 * STEP,
        }
    }

    /// The analyzer `behavior` of a study, under a lock that names this contrast.
    ///
    /// # Errors
    /// When the study has no such analyzer, or it cannot be built.
    pub fn analyzer(&self, plan: &Plan, outcome: Outcome) -> Result<Box<dyn Analyzer>, Error> {
        let m = &plan.manifest;
        let behavior = m.analyzers.iter().find(|a| a.plugin == "behavior");
        let behavior = behavior.ok_or("study.toml has no analyzer `behavior`")?;
        let (direction, smallest) =
            if outcome == self.exactly { ("falls", self.effect(m.study.items())) } else { ("either", SMALL) };
        let primary = json!({
            "contrast": self.contrast, "first_turn": self.first_turn, "direction": direction, "smallest": smallest,
        });
        let cx = BuildContext { primary: Some(serde_json::from_value(primary)?), ..BuildContext::new(m, &plan.base) };
        Ok((behavior.build)(&cx)?)
    }
}
