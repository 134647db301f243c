//! Indirect effects of patches as shares of the total effect of the condition, with intervals over groups; the rank of
//! `state` among its controls; and the tests that must come out exactly.
use crate::arms::Arm;
use crate::units::{Unit, Units};
use friction_core::Site;
use friction_stats::{Flips, Interval, permutation_p, ratio_flips, ratio_t};
use std::collections::BTreeMap;

/// How effects are computed.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Level of the intervals.
    pub level: f64,
    /// Seed of the draws.
    pub seed: u64,
    /// Smallest total effect that is shared, in nats.
    pub least: f64,
}

/// Sums over the units of a group: the effect, the total effect, the number of units.
type Sums = BTreeMap<u32, (f64, f64, f64)>;

/// Sums of the units in which `effect` has a value.
fn sums<'u>(units: impl Iterator<Item = &'u Unit>, effect: impl Fn(&Unit) -> Option<f64>) -> Sums {
    let mut out = Sums::new();
    for unit in units {
        let Some(e) = effect(unit) else { continue };
        let of = out.entry(unit.group).or_default();
        *of = (of.0 + e, of.1 + unit.total(), of.2 + 1.0);
    }
    out
}

/// Mean effect of a unit in nats, by sign flips of groups; `None` with fewer than two groups.
fn mean(sums: &Sums, rules: Rules) -> Option<Flips> {
    let (values, weights): (Vec<f64>, Vec<f64>) = sums.values().map(|(e, _, n)| (*e, *n)).unzip();
    ratio_flips(&values, &weights, rules.level, rules.seed).ok()
}

/// Σ effect / Σ total effect with its interval over groups by Fieller's theorem; `None` with fewer than two groups. A
/// percentile bootstrap of few groups holds the truth too rarely.
fn share(sums: &Sums, level: f64) -> Option<Interval> {
    let (effects, totals): (Vec<f64>, Vec<f64>) = sums.values().map(|(e, t, _)| (*e, *t)).unzip();
    ratio_t(&effects, &totals, level).ok()
}

/// What the condition does in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// Mean of donor minus recipient, in nats; `None` with fewer than two groups.
    pub mean: Option<Flips>,
    /// Number of units.
    pub units: usize,
    /// Number of groups.
    pub groups: usize,
    /// Smallest total effect that is shared, in nats.
    pub least: f64,
}

impl Total {
    /// The total effect of a direction.
    pub fn of(units: &Units, direction: usize, rules: Rules) -> Self {
        let sums = sums(units.of_direction(direction), |u| Some(u.total()));
        let (mean, units) = (mean(&sums, rules), units.of_direction(direction).count());
        Self { mean, units, groups: sums.len(), least: rules.least }
    }

    /// Whether its interval lies beyond 0, and it is large enough, so that shares of it mean something.
    pub fn told(&self) -> bool {
        self.mean.as_ref().is_some_and(|m| (m.low > 0.0 || m.high < 0.0) && m.estimate.abs() >= self.least)
    }
}

/// What patching a site does in one direction. Shares are of the total effect; `None` where the arm was not run or there
/// is no total effect to share.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The site.
    pub site: Site,
    /// The direction, as in [`Unit`].
    pub direction: usize,
    /// Mean change by the partner's activations, in nats.
    pub change: Option<Flips>,
    /// Share of `partner`, with the interval of the options.
    pub partner: Option<Interval>,
    /// The same with an interval at 90 %, for equivalence.
    pub narrow: Option<Interval>,
    /// Share of `placebo`.
    pub placebo: Option<Interval>,
    /// Share of `partner` minus share of `placebo`.
    pub over_placebo: Option<Interval>,
    /// Share of `state`.
    pub state: Option<Interval>,
    /// p of `state` among its controls, with the largest of all sites counted for each (max-T).
    pub p: Option<f64>,
    /// Shares of the controls.
    pub controls: Vec<f64>,
    /// Share of `subspace`.
    pub subspace: Option<Interval>,
    /// Share of `complement`.
    pub complement: Option<Interval>,
    /// Share of `partner` minus share of `complement`, in the same units.
    pub over_complement: Option<Interval>,
}

/// The effects of all sites in one direction.
pub fn effects(units: &Units, direction: usize, total: &Total, rules: Rules) -> Vec<Effect> {
    let ranks = ranks(units, direction, total);
    let of = |site: Site| {
        let sums_of = |arm: Arm| sums(units.of_direction(direction), |u| u.indirect(arm, site));
        let share_of = |arm: Arm| share(&sums_of(arm), rules.level).filter(|_| total.told());
        let over = |less: Arm| {
            let both = |u: &Unit| Some(u.indirect(Arm::Partner, site)? - u.indirect(less, site)?);
            share(&sums(units.of_direction(direction), both), rules.level).filter(|_| total.told())
        };
        let one = |arm: Arm| {
            let sums = sums_of(arm);
            let (e, t) = sums.values().fold((0.0, 0.0), |(e, t), s| (e + s.0, t + s.1));
            if sums.is_empty() || t == 0.0 { f64::NAN } else { e / t }
        };
        Effect {
            site,
            direction,
            change: mean(&sums_of(Arm::Partner), rules),
            partner: share_of(Arm::Partner),
            narrow: share(&sums_of(Arm::Partner), 0.9).filter(|_| total.told()),
            placebo: share_of(Arm::Placebo),
            over_placebo: over(Arm::Placebo),
            state: share_of(Arm::State),
            p: ranks.get(&site).copied().filter(|_| total.told()),
            controls: match total.told() {
                true => (0..units.controls).map(|k| one(Arm::Control(k))).collect(),
                false => vec![],
            },
            subspace: share_of(Arm::Subspace),
            complement: share_of(Arm::Complement),
            over_complement: over(Arm::Complement),
        }
    };
    units.sites.iter().map(|site| of(*site)).collect()
}

/// p of `state` at each site: the share of `state` and controls whose largest standardised effect at any site reaches that of
/// `state` at this one. Effects are in the direction of the total effect, and standardised at each site by the mean and
/// standard deviation over `state` and all controls, which are exchangeable if the state is no more than any mixture of the
/// groups' differences (Westfall and Young 1993, single-step max-T). Empty without controls.
fn ranks(units: &Units, direction: usize, total: &Total) -> BTreeMap<Site, f64> {
    let towards = total.mean.as_ref().map_or(1.0, |m| if m.estimate < 0.0 { -1.0 } else { 1.0 });
    let standard = |site: Site| -> Option<Vec<f64>> {
        let sum = |arm: Arm| {
            let of: Vec<f64> = units.of_direction(direction).filter_map(|u| u.indirect(arm, site)).collect();
            (!of.is_empty()).then(|| towards * of.iter().sum::<f64>())
        };
        let controls = (0..units.controls).map(Arm::Control);
        let all: Vec<f64> = std::iter::once(Arm::State).chain(controls).map(sum).collect::<Option<_>>()?;
        let n = all.len() as f64;
        let middle = all.iter().sum::<f64>() / n;
        let sd = (all.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / n).sqrt();
        // Effects that differ by rounding alone are equal.
        let scale = 1e-9 * all.iter().map(|v| v.abs()).fold(0.0, f64::max);
        Some(all.iter().map(|v| if sd > scale { (v - middle) / sd } else { 0.0 }).collect())
    };
    if units.controls == 0 {
        return BTreeMap::new();
    }
    let by: BTreeMap<Site, Vec<f64>> = units.sites.iter().filter_map(|s| Some((*s, standard(*s)?))).collect();
    let largest: Vec<f64> =
        (1..=units.controls).map(|k| by.values().map(|v| v[k]).fold(f64::NEG_INFINITY, f64::max)).collect();
    by.into_iter().map(|(site, v)| (site, permutation_p(v[0], &largest))).collect()
}

/// The tests that must come out exactly in one direction: largest absolute differences in nats; `None` where the test was
/// not run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exact {
    /// The recipient's own activations, at all sites: 0.
    pub own: Option<f64>,
    /// The partner's embeddings: 0.
    pub embed: Option<f64>,
    /// The partner's last block against the partner: 0.
    pub last: Option<f64>,
}

impl Exact {
    /// The tests of a direction.
    pub fn of(units: &Units, direction: usize) -> Self {
        let largest = |arm: Arm, against: fn(&Unit) -> f64| {
            let of = |u: &Unit| {
                let own = u.patched.iter().filter(|((a, _), _)| *a == arm);
                own.map(|(_, v)| (v - against(u)).abs()).reduce(f64::max)
            };
            units.of_direction(direction).map(of).reduce(|a, b| Some(a?.max(b?))).flatten()
        };
        Self {
            own: largest(Arm::Own, |u| u.own),
            embed: largest(Arm::TestEmbed, |u| u.own),
            last: largest(Arm::TestLast, |u| u.donor),
        }
    }

    /// The tests that were not run.
    pub fn missing(&self) -> Vec<&'static str> {
        let all = [("own activations", self.own), ("embeddings", self.embed), ("last block", self.last)];
        all.into_iter().filter(|(_, v)| v.is_none()).map(|(name, _)| name).collect()
    }

    /// Whether all were run, and none is more than `most`.
    pub fn pass(&self, most: f64) -> bool {
        [self.own, self.embed, self.last].iter().all(|v| v.is_some_and(|v| v <= most))
    }
}
