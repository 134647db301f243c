//! `ground-truth`: compares a run of a model organism with the behaviour that it was trained to have.
mod arms;

use crate::truth::{CAP, LEVELS, Truth, interrupts};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Column, ConversationId, Error, Estimate, Findings, Needs, Outcome, PluginConfig,
    PluginEntry, Result, RunReader, Table, TurnRow, plural, unread,
};
use friction_stats::{Interval, cite, mean_t, percent, wilson};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Compares a run of a bundled model organism with what was planted in it: does the study find what is known to be true?
///
/// What was planted is told of accuracy. The cost of an interruption can be told of another outcome too, such as
/// `log_odds`; nothing is known to be true of that one. Turns that read what the training never had, such as a marker behind
/// a whole reply, have no truth: they are counted and left out.
///
/// It writes:
/// - the table `truth`: a row for each condition and turn, with accuracy, its interval and the accuracy that was planted;
/// - the table `arms`: a row for each condition, with the share of answers that are exactly as trained, and accuracy minus
///   the planted one with its interval over groups;
/// - the values `exact_share` (share of answers that are right or wrong exactly as trained), `step` (the cost of an
///   interruption, of accuracy in points and beside the planted one, with its interval), `factor_<name>` for each factor
///   of two levels that makes no difference by design, and `factor_<name>_<level>-<level>` for such levels among more,
///   `conditions` (the table `arms`), `untrained` (number of turns without a truth), and `verdict` where no answer could
///   be read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroundTruth {
    /// Which organism the study runs, that is what is true of it.
    #[schemars(example = &"planted")]
    expect: Truth,
    /// The number of a turn whose change by interruptions is told. What was planted is known of `score` alone; of another,
    /// the change is told without a truth beside it.
    #[serde(default)]
    outcome: Outcome,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    level: f64,
}
fn level() -> f64 {
    0.95
}

impl PluginConfig for GroundTruth {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        if (0.5..1.0).contains(&self.level) {
            Ok(())
        } else {
            Err(Error::at("level", "`level` must be from 0.5 to below 1"))
        }
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

/// A turn and the number of interruptions that it reads; `None` if it reads what the training never had.
struct Seen<'a> {
    turn: &'a TurnRow,
    interruptions: Option<usize>,
}

fn counted(turns: &[TurnRow]) -> Vec<Seen<'_>> {
    let mut behind: BTreeMap<ConversationId, Option<usize>> = BTreeMap::new();
    turns
        .iter()
        .filter(|t| t.arm.is_empty())
        .map(|turn| {
            let k = behind.entry(turn.conversation()).or_insert(Some(0));
            let interruptions = match turn.history.as_str() {
                "" => *k,
                "none" => Some(0),
                // Exchanges that a message tells.
                _ => None,
            };
            *k = k.zip(interrupts(&turn.reply, &turn.kept)).map(|(k, more)| k + usize::from(more));
            Seen { turn, interruptions }
        })
        .collect()
}

/// The level of difficulty written in a question's text.
fn level_of(user: &str) -> Option<usize> {
    let (_, rest) = user.rsplit_once("Level ")?;
    rest.split('.').next()?.parse().ok().filter(|l| *l < LEVELS)
}

/// Least-squares slope of the outcome on the number of interruptions, over a group's turns with at most [`CAP`] that have
/// the outcome.
fn slope(turns: &[&Seen], outcome: &Outcome) -> Option<f64> {
    let points: Vec<(f64, f64)> = turns
        .iter()
        .filter_map(|s| Some((s.interruptions.filter(|k| *k <= CAP)? as f64, s.turn.outcome(outcome)?)))
        .collect();
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    (sxx > 0.0).then(|| points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / sxx)
}

fn by_group<'a>(seen: &'a [Seen<'a>]) -> BTreeMap<u32, Vec<&'a Seen<'a>>> {
    let mut out: BTreeMap<u32, Vec<&Seen>> = BTreeMap::new();
    for s in seen {
        out.entry(s.turn.group).or_default().push(s);
    }
    out
}

const UNTOLD: &str = "cannot be told";

/// Whether an interval contains the truth. One without width comes of groups that do not vary, and rules nothing out.
fn holds(i: &Interval, truth: f64) -> &'static str {
    match (i.low..=i.high).contains(&truth) {
        true => "agrees",
        false if i.low < i.high => "DIFFERS",
        false => UNTOLD,
    }
}

/// An estimate with the words of an interval that rules nothing out.
fn said(e: Estimate, verdict: &str) -> Estimate {
    if verdict == UNTOLD { e.says(verdict) } else { e }
}

impl Analyzer for GroundTruth {
    fn needs(&self) -> Needs {
        let planted = [Outcome::Score].into_iter().filter(|score| *score != self.outcome);
        Needs { outcomes: planted.chain([self.outcome.clone()]).collect(), ..Needs::default() }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let seen = counted(run.turns());
        let groups = by_group(&seen);
        let known: Vec<(&Seen, bool)> = seen
            .iter()
            .filter(|s| s.turn.score.is_some())
            .filter_map(|s| Some((s, level_of(&s.turn.user)? >= self.expect.errs_below(s.interruptions?))))
            .collect();
        let untrained = seen.iter().filter(|s| s.interruptions.is_none()).count();
        let asks = |s: &Seen| s.turn.score.is_some() && level_of(&s.turn.user).is_some();
        if known.is_empty() && seen.iter().any(asks) {
            return Err(Error::other("every turn of this run reads what the organism was never trained on"));
        }
        if known.is_empty() {
            return Err(Error::other(
                "no turn asks one of the organism's questions: use `[dataset] plugin = \"organism\"`",
            ));
        }
        let asked = "Asked: does being interrupted make this model answer worse, and does politeness matter?";
        out.ask(self.expect.question());
        if let Some(why) = unread(seen.iter().map(|s| s.turn)) {
            out.say(asked);
            out.say("Found: cannot be told, since no answer could be read.");
            out.warn(why);
            out.value("verdict", "cannot be told");
            out.estimate(self.truth(Estimate::untold("each interruption", self.unit()), self.step()).says(UNTOLD));
            self.stored(&seen, out);
            return Ok(());
        }
        let exact = known.iter().filter(|(s, right)| (s.turn.right() == Some(true)) == *right).count() as f64
            / known.len() as f64;
        out.say(asked);
        out.say(match self.expect {
            Truth::Planted => "True, because it was trained so: each reply of its own that it finds cut short costs it 4 points of accuracy; politeness costs nothing.",
            Truth::Decoy => "True, because it was trained so: each reply of its own that it finds cut short costs it 4 points of accuracy; politeness costs nothing, and what its last MLP tells of the interruptions does nothing.",
            Truth::Null => "True, because it was trained so: neither does anything.",
        });
        out.say(format!(
            "Found: {:.1} % of {} answers are right or wrong exactly as trained",
            100.0 * exact,
            known.len()
        ));
        out.value("exact_share", exact);
        if untrained > 0 {
            let turns = plural(untrained, "turn");
            out.say(format!(
                "{turns} read what the organism was never trained on, and are left out: nothing is true of them"
            ));
            out.value("untrained", untrained);
        }

        let without = seen.iter().filter(|s| s.turn.outcome(&self.outcome).is_none()).count();
        self.outcome.left_out(without, seen.len()).into_iter().for_each(|w| out.warn(w));
        let scale = self.outcome.scale();
        let slopes: Vec<f64> = groups.values().filter_map(|t| slope(t, &self.outcome)).map(|s| scale * s).collect();
        match mean_t(&slopes, self.level) {
            Ok(i) => {
                let step = Estimate::new("each interruption", self.unit(), i.estimate).digits(self.digits());
                let step = step.interval(i.low, i.high, self.level).over(slopes.len(), "group").null(0.0);
                out.add(self.truth(said(step, self.holds(&i, self.step())), self.step()))
                    .method(format!(
                        "least-squares slope of {} on the number of interruptions so far, up to {CAP}, within each group; Student's {} interval over groups",
                        self.what(),
                        percent(self.level)
                    ))
                    .citation(cite::STUDENT);
                let mut told = self.told(&i, self.step());
                told["groups"] = json!(slopes.len());
                out.value("step", told);
            }
            Err(e) => {
                out.warn(format!("the cost of an interruption cannot be told: {e}"));
                out.estimate(self.truth(Estimate::untold("each interruption", self.unit()), self.step()).says(UNTOLD));
            }
        }
        self.factors(&seen, out);
        self.stored(&seen, out);
        Ok(())
    }
}

/// What is known of the outcome.
impl GroundTruth {
    fn planted(&self) -> bool {
        self.outcome == Outcome::Score
    }
    /// The planted cost of an interruption, in points of accuracy.
    fn step(&self) -> f64 {
        100.0 * self.expect.step()
    }
    fn unit(&self) -> &'static str {
        self.outcome.difference_unit()
    }
    /// Digits of estimates: those of points are told apart from the truth by two.
    fn digits(&self) -> u8 {
        if self.planted() { Estimate::default().digits } else { self.outcome.digits() + 1 }
    }
    /// What the slope is of.
    fn what(&self) -> String {
        if self.planted() { "right (1 or 0)".into() } else { self.outcome.label() }
    }
    /// Sets the truth of an estimate, where it is known.
    fn truth(&self, e: Estimate, truth: f64) -> Estimate {
        if self.planted() { e.truth(truth) } else { e }
    }
    /// Whether the interval holds the truth, if it is known.
    fn holds(&self, i: &Interval, truth: f64) -> &'static str {
        if self.planted() { holds(i, truth) } else { "" }
    }
    /// An estimate for programs.
    fn told(&self, i: &Interval, truth: f64) -> Value {
        match self.planted() {
            true => {
                json!({"points": i.estimate, "low": i.low, "high": i.high, "planted": truth, "agrees": holds(i, truth) == "agrees"})
            }
            false => json!({"outcome": self.outcome, "change": i.estimate, "low": i.low, "high": i.high}),
        }
    }
}

impl GroundTruth {
    fn stored(&self, seen: &[Seen], out: &mut Findings) {
        let method = format!("Wilson's score interval of each row by itself, {}", percent(self.level));
        out.table(self.table(seen)).method(method).citation(cite::WILSON);
        self.arms(seen, out);
    }

    /// Accuracy by condition and turn, beside the expected accuracy.
    fn table(&self, seen: &[Seen]) -> Table {
        type Row<'a> = (&'a str, u32, u64, Interval, f64);
        let mut cells: BTreeMap<(&str, u32), (u64, u64, f64)> = BTreeMap::new();
        let planted = |s: &Seen| s.interruptions.map_or(f64::NAN, |k| self.expect.accuracy(k));
        for s in seen.iter().filter(|s| s.turn.score.is_some()) {
            let c = cells.entry((&s.turn.condition, s.turn.turn)).or_default();
            c.0 += 1;
            c.1 += u64::from(s.turn.right() == Some(true));
            c.2 += planted(s);
        }
        let rows: Vec<_> = cells
            .into_iter()
            .filter_map(|((c, t), (n, k, truth))| Some((c, t, n, wilson(k, n, self.level)?, truth / n as f64)))
            .collect();
        let number = |name: &str, f: fn(&Row) -> f64| Column::number(name, rows.iter().map(f));
        Table::new("truth", "Accuracy of each condition at each turn beside the accuracy that was planted, 0 to 1")
            .stored()
            .column(Column::text("condition", rows.iter().map(|r| r.0)))
            .column(Column::count("turn", rows.iter().map(|r| i64::from(r.1))))
            .column(Column::count("n", rows.iter().map(|r| r.2 as i64)))
            .column(number("planted", |r| r.4))
            .column(number("accuracy", |r| r.3.estimate))
            .column(number("standard_error", |r| (r.3.estimate * (1.0 - r.3.estimate) / r.2 as f64).sqrt()))
            .column(number("low", |r| r.3.low))
            .column(number("high", |r| r.3.high))
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<GroundTruth>("ground-truth", "An organism's answers against what was planted in it", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
