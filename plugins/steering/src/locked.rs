//! Best: one locked question over all doses at once. Does the direction move the answers the way that was
//! named before the run, and further than random directions of the same push?
//!
//! A group's value is the mean over the tested doses of its change of accuracy, with the sign that the manifest
//! expects at that dose: doses above the untouched one push up, doses below push down. p is the larger of two:
//! sign flips of the groups' values (one sign per group, all doses together), and the rank of the size of the
//! mean among the random directions', which were given the same doses.
use crate::arms::Kind;
use crate::response::Arm;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Result};
use friction_stats::{Flips, Says, bounds, groups_needed, p_words, permutation_p, sign_flips, signed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Fewer groups than these can tell nothing.
pub const FEWEST_GROUPS: usize = 8;
/// Fewer random directions than these cannot make p ≤ 0.05: the least is 1 / (1 + their number).
pub const FEWEST_CONTROLS: usize = 19;
const ALPHA: f64 = 0.05;

/// What accuracy does as the dose grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// It rises: doses below the untouched one lower it.
    Rises,
    /// It falls: doses below the untouched one raise it.
    Falls,
}

/// The question, as the manifest locks it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// What plays the tested direction.
    pub tested: Kind,
    /// What accuracy does as the dose grows; `None` explores.
    pub expect: Option<Expect>,
    /// The dose that changes nothing.
    pub zero: f32,
    /// Smallest change of interest, in points.
    pub smallest: f64,
    /// Level of the interval.
    pub level: f64,
    /// Of random sign patterns, where there are too many to try all.
    pub seed: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Doses that entered: those at which all random directions ran too.
    pub doses: Vec<f32>,
    /// Doses of the tested direction that did not enter.
    pub left_out: Vec<f32>,
    /// Mean over the doses of the change as expected, in points; without `expect`, of the change as the dose
    /// grows.
    pub points: Option<Flips>,
    /// Sizes of the same mean of the random directions.
    pub controls: Vec<f64>,
    /// Of the rank among them.
    pub p_rank: Option<f64>,
    /// The larger of both p.
    pub p: Option<f64>,
    /// The verdict.
    pub says: Says,
    /// Its reason, a sentence without its full stop.
    pub why: String,
}

/// Asks the question of a run's arms.
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
        points: None,
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
        let mean = |g: &u32| of.iter().map(|(s, by)| Some(s * by.get(g)?)).sum::<Option<f64>>();
        first.keys().filter_map(mean).map(|sum| sum / of.len() as f64).collect()
    };
    let own = values(q.tested);
    if own.len() >= 2 {
        let flips = sign_flips(&own, q.level, q.seed).map_err(Error::other)?;
        out.controls = random.iter().map(|k| mean(&values(*k)).abs()).filter(|v| v.is_finite()).collect();
        let rank = permutation_p(flips.estimate.abs(), &out.controls);
        out.points = Some(flips);
        out.p_rank = Some(rank);
        out.p = Some(flips.p.max(rank));
    }
    (out.says, out.why) = verdict(q, &out, &own)?;
    Ok(out)
}

/// The sign of the change that is expected at a dose.
fn expected(q: &Question, dose: f32) -> f64 {
    let up = if dose > q.zero { 1.0 } else { -1.0 };
    if q.expect == Some(Expect::Falls) { -up } else { up }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn verdict(q: &Question, a: &Answer, own: &[f64]) -> Result<(Says, String)> {
    let untold = |why: String| Ok((Says::CannotBeTold, why));
    let (Some(points), Some(p)) = (&a.points, a.p) else {
        return untold(format!(
            "at no dose but {} (`zero`, which is taken to change nothing) did the direction run beside every random direction over two groups or more (doses {})",
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
    if points.n < FEWEST_GROUPS {
        return untold(format!("{} groups: at least {FEWEST_GROUPS} are needed", points.n));
    }
    let change = format!("{} points ({})", signed(points.estimate, 1), bounds(points.low, points.high, 1));
    let alike = a.controls.iter().filter(|c| **c >= points.estimate.abs()).count();
    if points.high < 0.0 {
        return Ok((Says::NotReached, format!("the answers change the other way: {change} in the expected direction")));
    }
    let narrow = sign_flips(own, 0.90, q.seed).map_err(Error::other)?;
    if narrow.low > -q.smallest && narrow.high < q.smallest {
        let why = format!("the change is smaller than {} points: {change}", q.smallest);
        return Ok((Says::NotReached, why));
    }
    if p <= ALPHA && points.low > 0.0 && points.estimate >= q.smallest {
        let why = format!(
            "changing what the direction says changes the answers as expected, by {change}, and {} of {} random directions as much",
            if alike == 0 { "none".into() } else { format!("only {alike}") },
            a.controls.len(),
        );
        return Ok((Says::Reached, why));
    }
    if points.low > 0.0 && points.estimate < q.smallest {
        return untold(format!("the change of {change} is smaller than the {} points of interest", q.smallest));
    }
    if points.low > 0.0 && alike > 0 {
        return untold(format!(
            "the answers change by {change}, but {alike} of {} random directions change them as much",
            a.controls.len()
        ));
    }
    let needed = groups_needed(own, 0.8).filter(|_| points.estimate > 0.0);
    let needed = needed
        .map_or(String::new(), |n| format!("; a change of that size would be seen with {n} groups in 80 % of studies"));
    untold(format!("the change of {change} on {} groups could be chance, {}{needed}", points.n, p_words(p)))
}

/// Doses in words.
pub fn listed(doses: &[f32]) -> String {
    if doses.is_empty() {
        return "none".into();
    }
    doses.iter().map(f32::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
