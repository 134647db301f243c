//! `ground-truth`: compares a run of a model organism with the behaviour that it was trained to have.
use crate::truth::{CAP, LEVELS, Truth};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Column, ConversationId, Error, Estimate, Findings, Needs, Outcome, PluginConfig,
    PluginEntry, Result, RunReader, Table, TurnRow, unread,
};
use friction_stats::{Interval, cite, mean_t, percent, wilson};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Compares a run of a bundled model organism with what was planted in it: does the study find what is known to be true?
///
/// What was planted is told of accuracy. The cost of an interruption can be told of another outcome too, such as
/// `log_odds`; nothing is known to be true of that one.
///
/// It writes:
/// - the table `truth`: a row for each condition and turn, with accuracy, its interval and the accuracy that was planted;
/// - the values `exact_share` (share of answers that are right or wrong exactly as trained), `step` (the cost of an
///   interruption, of accuracy in points and beside the planted one, with its interval), `factor_<name>` for each factor
///   that makes no difference by design, and `verdict` where no answer could be read.
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

/// A turn and the number of interruptions before it.
struct Seen<'a> {
    turn: &'a TurnRow,
    interruptions: usize,
}

fn counted(turns: &[TurnRow]) -> Vec<Seen<'_>> {
    let mut behind: BTreeMap<ConversationId, usize> = BTreeMap::new();
    turns
        .iter()
        .filter(|t| t.arm.is_empty())
        .map(|turn| {
            let k = behind.entry(turn.conversation()).or_default();
            let seen = Seen { turn, interruptions: *k };
            *k += usize::from(turn.removed_tokens > 0);
            seen
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
        .filter(|s| s.interruptions <= CAP)
        .filter_map(|s| Some((s.interruptions as f64, s.turn.outcome(outcome)?)))
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

/// For each group, the difference of the outcome (`b` minus `a`) between two levels of a factor that cuts no reply.
fn differences(groups: &BTreeMap<u32, Vec<&Seen>>, outcome: &Outcome, factor: &str, a: &str, b: &str) -> Vec<f64> {
    let mean = |turns: &[&Seen], l: &str| {
        let of = turns.iter().filter(|s| s.turn.factors.get(factor).is_some_and(|v| v == l));
        let values: Vec<f64> = of.filter_map(|s| s.turn.outcome(outcome)).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    groups.values().map(|t| outcome.scale() * (mean(t, b) - mean(t, a))).filter(|d| d.is_finite()).collect()
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
            .filter_map(|s| Some((s, level_of(&s.turn.user)? >= self.expect.errs_below(s.interruptions))))
            .collect();
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
            Truth::Null => "True, because it was trained so: neither does anything.",
        });
        out.say(format!(
            "Found: {:.1} % of {} answers are right or wrong exactly as trained",
            100.0 * exact,
            known.len()
        ));
        out.value("exact_share", exact);

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
        self.tones(&seen, &groups, out);
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
    /// Reports factors whose levels cut replies alike; they must make no difference.
    fn tones(&self, seen: &[Seen], groups: &BTreeMap<u32, Vec<&Seen>>, out: &mut Findings) {
        let names: BTreeSet<&String> = seen.iter().flat_map(|s| s.turn.factors.keys()).collect();
        for factor in names {
            let levels: BTreeSet<&String> = seen.iter().filter_map(|s| s.turn.factors.get(factor)).collect();
            let levels: Vec<&String> = levels.into_iter().collect();
            let [a, b] = levels[..] else { continue };
            let cuts = |l: &String| {
                let of = seen.iter().filter(|s| s.turn.factors.get(factor) == Some(l));
                let (cut, all) = of.fold((0, 0), |(c, n), s| (c + usize::from(s.turn.removed_tokens > 0), n + 1));
                cut as f64 / f64::from(all.max(1))
            };
            if (cuts(a) - cuts(b)).abs() > 0.01 {
                continue;
            }
            let differences = differences(groups, &self.outcome, factor, a, b);
            if let Ok(i) = mean_t(&differences, self.level) {
                let what = format!("{factor}: {b} - {a}");
                let e = Estimate::new(what, self.unit(), i.estimate).digits(self.digits());
                let e = e.interval(i.low, i.high, self.level).over(differences.len(), "group").null(0.0);
                out.add(self.truth(said(e, self.holds(&i, 0.0)), 0.0))
                    .method(format!(
                        "difference of {} between the levels within each group; Student's {} interval over groups",
                        self.outcome.label(),
                        percent(self.level)
                    ))
                    .citation(cite::STUDENT);
                out.value(&format!("factor_{factor}"), self.told(&i, 0.0));
            }
        }
    }

    fn stored(&self, seen: &[Seen], out: &mut Findings) {
        let method = format!("Wilson's score interval of each row by itself, {}", percent(self.level));
        out.table(self.table(seen)).method(method).citation(cite::WILSON);
    }

    /// Accuracy by condition and turn, beside the expected accuracy.
    fn table(&self, seen: &[Seen]) -> Table {
        type Row<'a> = (&'a str, u32, u64, Interval, f64);
        let mut cells: BTreeMap<(&str, u32), (u64, u64, f64)> = BTreeMap::new();
        for s in seen.iter().filter(|s| s.turn.score.is_some()) {
            let c = cells.entry((&s.turn.condition, s.turn.turn)).or_default();
            c.0 += 1;
            c.1 += u64::from(s.turn.right() == Some(true));
            c.2 += self.expect.accuracy(s.interruptions);
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
