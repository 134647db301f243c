//! Studies by a perfect organism: right or wrong exactly as the truth says, no model run.
use friction_core::seed::unit;
use friction_core::{Position, Result, RunReader, Site, TapArray, TurnRow};
use friction_organism::truth::{LEVELS, Truth};
use friction_study::Plan;
use friction_study::plan::PlannedCondition;

/// A run from memory, without activations.
pub struct Memory {
    seed: u64,
    turns: Vec<TurnRow>,
}

impl RunReader for Memory {
    fn name(&self) -> &str {
        "simulated"
    }
    fn seed(&self) -> u64 {
        self.seed
    }
    fn turns(&self) -> &[TurnRow] {
        &self.turns
    }
    fn findings(&self, _: &str) -> Option<serde_json::Value> {
        None
    }
    fn tap(&self, _: u32, _: &str, _: &str, _: Site, _: Position) -> Result<Option<TapArray>> {
        Ok(None)
    }
}

/// A study of a plan's design. As in a real one, all conditions of a group ask the same questions; a
/// condition interrupts if its factor `completion` says so. In a share `noise` of the turns the letter
/// is drawn from ten at random, anew for every conversation: what sampling does.
pub fn study(plan: &Plan, truth: Truth, noise: f64, seed: u64) -> Memory {
    let mut rows = vec![];
    for group in 0..plan.manifest.study.groups {
        for (c, condition) in plan.conditions.iter().enumerate() {
            for turn in 0..plan.manifest.study.turns {
                let place = [seed, group as u64, turn as u64].map(u64::to_le_bytes).concat();
                let level = (unit(&[b"level", &place]) * LEVELS as f64) as usize;
                let behind = behind(condition, turn);
                let own = (c as u64).to_le_bytes();
                let correct = if unit(&[b"noise", &place, &own]) < noise {
                    unit(&[b"letter", &place, &own]) < 0.1
                } else {
                    level >= truth.errs_below(behind)
                };
                rows.push(TurnRow {
                    group: group as u32,
                    condition: condition.name.clone(),
                    factors: condition.factors.clone(),
                    turn: turn as u32 + 1,
                    correct,
                    ..TurnRow::default()
                });
            }
        }
    }
    Memory { seed, turns: rows }
}

/// Interruptions behind a turn, from 0, of a condition that interrupts always or never.
fn behind(condition: &PlannedCondition, turn: usize) -> usize {
    if condition.factors.get("completion").is_some_and(|l| l == "interrupt") { turn } else { 0 }
}

/// The noise that lowers the accuracy of a perfect organism in a plan's design to the measured one.
pub fn noise(plan: &Plan, truth: Truth, accuracy: f64) -> f64 {
    let turns = plan.manifest.study.turns;
    let mut expected = vec![];
    for condition in &plan.conditions {
        expected.extend((0..turns).map(|t| truth.accuracy(behind(condition, t))));
    }
    let perfect = expected.iter().sum::<f64>() / expected.len() as f64;
    ((perfect - accuracy) / (perfect - 0.1)).clamp(0.0, 1.0)
}
