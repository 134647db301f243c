//! Studies by a perfect organism: right or wrong exactly as the truth says, no model run.
use friction_core::seed::derive;
use friction_core::{Position, Result, RunReader, Site, TapArray, TurnRow};
use friction_organism::truth::{LEVELS, Truth};
use friction_study::Plan;

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
/// condition interrupts if its factor `completion` says so.
pub fn study(plan: &Plan, truth: Truth, seed: u64) -> Memory {
    let mut rows = vec![];
    for group in 0..plan.manifest.study.groups {
        for condition in &plan.conditions {
            let interrupts = condition.factors.get("completion").is_some_and(|l| l == "interrupt");
            for turn in 0..plan.manifest.study.turns {
                let draw = derive(&[
                    b"level",
                    &seed.to_le_bytes(),
                    &(group as u64).to_le_bytes(),
                    &(turn as u64).to_le_bytes(),
                ]);
                let level = (draw % LEVELS as u64) as usize;
                let behind = if interrupts { turn } else { 0 };
                rows.push(TurnRow {
                    group: group as u32,
                    condition: condition.name.clone(),
                    factors: condition.factors.clone(),
                    turn: turn as u32 + 1,
                    correct: level >= truth.errs_below(behind),
                    ..TurnRow::default()
                });
            }
        }
    }
    Memory { seed, turns: rows }
}
