//! `behavior`: accuracy by condition and turn, hedging, and one primary contrast that is named before the run.
mod contrast;
mod figure;
mod summary;

use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Result, RunReader, unread,
};
use friction_stats::{cite, percent};
use serde::Deserialize;

/// Tells how the replies turned out: accuracy by condition and turn, how often replies hedge, and one contrast that was
/// named before the run. Conversations with interventions are left out.
///
/// It writes:
/// - the table `conditions`: a row for each condition, with accuracy, parsed replies and hedges;
/// - the table `accuracy`: a row for each condition and turn, with the number of replies, accuracy and its Wilson interval,
///   parsed replies, hedges, and how often the right letter was the most probable one;
/// - the figure `accuracy`: the same by turn;
/// - the values `primary` (the contrast: points of accuracy per turn, interval, p), `groups`, `turns`, `chance`,
///   `unparsed_share` and `length_share`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Behavior {
    /// The one contrast that counts, named before the run. `"completion × turn"` (or `"completion x turn"`) asks whether
    /// accuracy falls faster with turns at one level of the factor `completion` than at the other. The factor must have two
    /// levels.
    #[schemars(example = &"completion × turn")]
    primary: String,
    /// First turn that enters the slopes, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    first_turn: u32,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
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
        out.section("Accuracy");
        summary::tell(&turns, &cells, out);
        let wilson = format!("Wilson's score interval of each row by itself, {}", percent(self.level));
        out.table(summary::table(&cells)).method(wilson.as_str()).citation(cite::WILSON);
        out.figure(figure::accuracy(&cells, &turns, self.level)?).method(wilson).citation(cite::WILSON);
        let Some(factor) = self.factor() else { return Ok(()) };
        out.section("Primary contrast");
        if let Some(why) = unread(turns.iter().copied().filter(|t| t.turn >= self.first_turn)) {
            out.say(format!("Primary: {factor} × turn cannot be told, since no answer could be read"));
            out.warn(why);
            out.value("primary", serde_json::json!({"factor": factor, "verdict": "cannot be told"}));
            contrast::untold(factor, out);
        } else {
            contrast::primary(&turns, factor, self.first_turn, self.level, run.seed(), out)?;
        }
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Behavior>("behavior", "Accuracy by condition and turn, hedging, the primary contrast", env!("CARGO_PKG_VERSION"))
}
