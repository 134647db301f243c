//! `behavior`: accuracy by condition and turn, hedging, and one primary contrast that is named before the run.
mod contrast;
mod figure;
mod summary;

use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Result, RunReader, unread,
};
use serde::Deserialize;

/// Options of `behavior`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Behavior {
    /// The one contrast that counts, named before the run: `"completion × turn"` (or `x`) asks whether
    /// accuracy falls faster with turns at one level of the factor than at the other.
    #[schemars(example = &"completion × turn")]
    primary: String,
    /// First turn that enters slopes. Default 2: the first turn precedes any treatment.
    #[serde(default = "two")]
    first_turn: u32,
    /// Level of the intervals. Default 0.95.
    #[serde(default = "level")]
    level: f64,
}
fn two() -> u32 {
    2
}
fn level() -> f64 {
    0.95
}

impl Behavior {
    fn factor(&self) -> Option<&str> {
        let (factor, turn) = self.primary.split_once('×').or_else(|| self.primary.split_once(" x "))?;
        (turn.trim() == "turn" && !factor.trim().is_empty()).then(|| factor.trim())
    }
}

impl PluginConfig for Behavior {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        let form = format!("`primary` = {:?} is not `<factor> × turn`, as in \"completion × turn\"", self.primary);
        faults.when(self.factor().is_none(), "primary", form);
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        faults.end()
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

impl Analyzer for Behavior {
    fn needs(&self) -> Needs {
        let factor = self.factor().map(String::from);
        Needs {
            factors: factor.iter().cloned().collect(),
            first_turn: Some(self.first_turn),
            // A slope needs two turns.
            turns: 2,
            levels: factor.iter().map(|f| (f.clone(), 2)).collect(),
            pairs: factor.into_iter().collect(),
            ..Needs::default()
        }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        // Arms are interventions: this analyzer reads the untouched control only.
        let turns: Vec<_> = run.turns().iter().filter(|t| t.arm.is_empty()).collect();
        if turns.is_empty() {
            return Err(Error::other("the run holds no finished group yet"));
        }
        let cells = summary::cells(&turns, self.level);
        summary::tell(&turns, &cells, out);
        out.tables.push(summary::table(&cells));
        out.figures.push(figure::accuracy(&cells)?);
        let Some(factor) = self.factor() else { return Ok(()) };
        if let Some(why) = unread(turns.iter().copied().filter(|t| t.turn >= self.first_turn)) {
            out.say(format!("Primary: {factor} × turn cannot be told, since no answer could be read"));
            out.warn(why);
            out.value("primary", serde_json::json!({"factor": factor, "verdict": "cannot be told"}));
        } else {
            contrast::primary(&turns, factor, self.first_turn, self.level, run.seed(), out)?;
        }
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Behavior>("behavior", "Accuracy by condition and turn, hedging, the primary contrast", env!("CARGO_PKG_VERSION"))
}
