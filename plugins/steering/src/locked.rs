//! The verdict: one question over all doses together, fixed before the run. Does steering along the direction change
//! the outcome in the expected direction, and more than random directions with the same push do?
//!
//! A group's value is the mean over doses of its change of the outcome, with the sign that the manifest expects at that
//! dose: doses above `zero` push up, doses below it push down. p is the larger one of two: of sign flips of the groups'
//! values (one sign per group, all doses together), and of the rank of the absolute mean among those of the random
//! directions at the same doses.
use crate::arms::Kind;
use crate::effects::Arm;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Outcome, Result, Says, brief};
use friction_stats::{Flips, bounds, groups_needed, p_words, permutation_p, settled_sum, sign_flips, signed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The smallest number of groups that can support a verdict.
pub const FEWEST_GROUPS: usize = 8;
/// The smallest number of random directions: with fewer, the smallest p, 1 / (1 + their number), is above 0.05.
pub const FEWEST_CONTROLS: usize = 19;
const ALPHA: f64 = 0.05;

/// What the outcome does as the dose grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// It rises as the dose grows.
    Rises,
    /// It falls as the dose grows.
    Falls,
}

/// The question that the manifest fixes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question<'a> {
    /// The number whose change is asked for.
    pub outcome: &'a Outcome,
    /// The kind of arm that is tested as the direction.
    pub tested: Kind,
    /// Whether the outcome is expected to rise or fall with the dose; `None` means exploration, without a verdict.
    pub expect: Option<Expect>,
    /// The dose that changes nothing, `zero`.
    pub zero: f32,
    /// Smallest change of interest, in points of a share or in the outcome's unit.
    pub smallest: f64,
    /// Level of the interval, such as 0.95.
    pub level: f64,
    /// Seed of the random sign patterns, if there are too many groups for all patterns.
    pub seed: u64,
}

impl Question<'_> {
    /// What changes, in words that go on with how.
    pub fn what(&self) -> String {
        match self.outcome {
            Outcome::Score => "the answers change".into(),
            other => format!("the {} changes", other.label()),
        }
    }
}

/// The answer to the question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Doses that were used: those at which all random directions ran too.
    pub doses: Vec<f32>,
    /// Doses of the tested direction that were not used.
    pub left_out: Vec<f32>,
    /// Mean over doses of the change, in points of a share or in the outcome's unit; positive in the expected direction,
    /// or without `expect` if the outcome rises with the dose.
    pub change: Option<Flips>,
    /// Absolute value of the same mean for each random direction.
    pub controls: Vec<f64>,
    /// p-value of the rank among `controls`.
    pub p_rank: Option<f64>,
    /// The larger one of the p-values of sign flips and rank.
    pub p: Option<f64>,
    /// The verdict.
    pub says: Says,
    /// The reason for the verdict: a sentence without a full stop.
    pub why: String,
}

/// Answers the question from a run's arms.
///
/// # Errors
/// When a value is not finite.
pub fn ask(q: &Question, arms: &[Arm]) -> Result<Answer> {
    let random: BTreeSet<Kind> =
        arms.iter().map(|a| a.name.kind).filter(|k| matches!(k, Kind::Random(_)) && *k != q.tested).collect();
    let ran = |kind: Kind, dose: f32| arms.iter().find(|a| a.name.kind == kind && a.name.dose == dose);
    let own = arms.iter().filter(|a| a.name.kind == q.tested).map(|a| a.name.dose);
    let (doses, left_out): (Vec<f32>, Vec<f32>) =
        own.partition(|d| *d != q.zero && random.iter().all(|k| ran(*k, *d).is_some()));
    let mut out = Answer {
        doses,
        left_out,
        change: None,
        controls: vec![],
        p_rank: None,
        p: None,
        says: Says::CannotBeTold,
        why: String::new(),
    };
    let values = |kind: Kind| -> Vec<f64> {
        let of: Vec<(f64, &BTreeMap<u32, f64>)> =
            out.doses.iter().filter_map(|d| Some((expected(q, *d), &ran(kind, *d)?.effect.groups))).collect();
        let Some((_, first)) = of.first() else { return vec![] };
        let mean =
            |g: &u32| of.iter().map(|(s, by)| Some(s * by.get(g)?)).collect::<Option<Vec<f64>>>().map(settled_sum);
        first.keys().filter_map(mean).map(|sum| sum / of.len() as f64).collect()
    };
    let own = values(q.tested);
    if own.len() >= 2 {
        let flips = sign_flips(&own, q.level, q.seed).map_err(Error::other)?;
        out.controls = random.iter().map(|k| mean(&values(*k)).abs()).filter(|v| v.is_finite()).collect();
        let rank = permutation_p(flips.estimate.abs(), &out.controls);
        out.change = Some(flips);
        out.p_rank = Some(rank);
        out.p = Some(flips.p.max(rank));
    }
    (out.says, out.why) = verdict(q, &out, &own)?;
    Ok(out)
}

/// The sign of the change that is expected at a dose; without `expect`, that of an outcome that rises.
fn expected(q: &Question, dose: f32) -> f64 {
    let up = if dose > q.zero { 1.0 } else { -1.0 };
    if q.expect == Some(Expect::Falls) { -up } else { up }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn verdict(q: &Question, a: &Answer, own: &[f64]) -> Result<(Says, String)> {
    let untold = |why: String| Ok((Says::CannotBeTold, why));
    let (Some(found), Some(p)) = (&a.change, a.p) else {
        return untold(format!(
            "at no dose other than {} (`zero`, which changes nothing) did the direction and every random direction run in at least two groups (doses of the direction: {})",
            q.zero,
            listed(&a.left_out)
        ));
    };
    if q.expect.is_none() {
        return untold("no direction of effect was named before the run (`expect`), so this is an exploration".into());
    }
    if a.controls.len() < FEWEST_CONTROLS {
        return untold(format!(
            "{} random directions: at least {FEWEST_CONTROLS} are needed for p ≤ 0.05 among them (`random` of the hook `steer`)",
            a.controls.len()
        ));
    }
    if found.n < FEWEST_GROUPS {
        return untold(format!("{} groups: at least {FEWEST_GROUPS} are needed", found.n));
    }
    let digits = usize::from(q.outcome.digits());
    let unit = Some(q.outcome.difference_unit()).filter(|u| !u.is_empty()).map_or(String::new(), |u| format!(" {u}"));
    let change = format!("{}{unit} ({})", signed(found.estimate, digits), bounds(found.low, found.high, digits));
    // Answers change, other outcomes do.
    let what = q.what();
    let alike = a.controls.iter().filter(|c| **c >= found.estimate.abs()).count();
    if found.high < 0.0 {
        return Ok((Says::NotReached, format!("{what} the other way: {change} in the expected direction")));
    }
    let narrow = sign_flips(own, 0.90, q.seed).map_err(Error::other)?;
    if narrow.low > -q.smallest && narrow.high < q.smallest {
        let why = format!("the change is smaller than {}{unit}: {change}", brief(q.smallest));
        return Ok((Says::NotReached, why));
    }
    if p <= ALPHA && found.low > 0.0 && found.estimate >= q.smallest {
        let why = format!(
            "with steering along the direction {what} as expected, by {change}, and {} of {} random directions do as much",
            if alike == 0 { "none".into() } else { format!("only {alike}") },
            a.controls.len(),
        );
        return Ok((Says::Reached, why));
    }
    if found.low > 0.0 && found.estimate < q.smallest {
        return untold(format!("the change of {change} is smaller than the {}{unit} of interest", brief(q.smallest)));
    }
    if found.low > 0.0 && alike > 0 {
        return untold(format!("{what} by {change}, but {alike} of {} random directions do as much", a.controls.len()));
    }
    let needed = groups_needed(own, 0.8).filter(|_| found.estimate > 0.0);
    let needed = needed
        .map_or(String::new(), |n| format!("; a change of that size would be seen with {n} groups in 80 % of studies"));
    untold(format!("the change of {change} on {} groups could be chance, {}{needed}", found.n, p_words(p)))
}

/// Doses as text, separated by commas.
pub fn listed(doses: &[f32]) -> String {
    if doses.is_empty() {
        return "none".into();
    }
    doses.iter().map(f32::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
