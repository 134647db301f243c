//! Power by simulation, and the smallest number of groups that reaches it.
use super::decide::{flips_reject, pooled_t};
use super::design::Design;
use super::draw::{Sampler, Values};
use super::joint::quantile;
use crate::{Error, Rng};
use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// With fewer groups, no verdict is given.
pub const LEAST: usize = 8;
/// Largest number of groups that is simulated.
pub const MOST: usize = 20_000;
/// Fewest studies of a simulation.
const FEWEST: usize = 50;
/// Most studies of a simulation: the power's standard error is then below 0.0005.
const STUDIES: usize = 1_000_000;
/// Fewest studies without a finding, at the power that is asked for: of fewer, no number of groups can be told.
const MISSES: f64 = 4.0;
/// Numbers of groups around the expected one, as shares of it, between which the smallest is interpolated.
const BRACKET: [f64; 5] = [0.8, 0.9, 1.0, 1.1, 1.25];
/// How often the bracket may move.
const MOVES: usize = 5;

/// The share of simulated studies of one size that were significant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Groups of each study.
    pub groups: usize,
    /// Studies that were simulated.
    pub studies: usize,
    /// Studies that were significant.
    pub found: usize,
}

impl Point {
    /// Power, from 0 to 1.
    pub fn power(&self) -> f64 {
        self.found as f64 / self.studies as f64
    }
    /// Its standard error. A study that is added to each side keeps it above 0 where all or none were significant.
    pub fn error(&self) -> f64 {
        let p = (self.found as f64 + 1.0) / (self.studies as f64 + 2.0);
        (p * (1.0 - p) / self.studies as f64).sqrt()
    }
}

/// The smallest number of groups with the power asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needed {
    /// The number, rounded up.
    pub groups: usize,
    /// Its standard error in groups, from the simulation. 0 where [`LEAST`] groups have more than that power.
    pub error: f64,
}

/// The power of one effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The effect, in the design's unit.
    pub effect: f64,
    /// Power by groups, ascending; the numbers that were asked for and those of the bracket.
    pub points: Vec<Point>,
    /// The smallest number of groups; `None` for an effect of 0, and where no simulated number of groups came so far.
    pub needed: Option<Needed>,
}

impl Curve {
    /// The largest number of groups that was simulated, if none of them reached this power.
    pub fn unreached(&self, power: f64) -> Option<usize> {
        let none = self.needed.is_none() && self.points.iter().all(|p| p.power() < power);
        self.points.last().map(|p| p.groups).filter(|_| none)
    }
}

/// Simulates `studies` studies of `design` with an effect, each as large as the largest number of groups, and counts
/// how many are significant with its first groups: those of `groups`, and others around the smallest number with the
/// given `power`. Between the latter, Φ⁻¹(power) is interpolated as a straight line in the square root of the number.
/// Equal seeds give equal results, on any number of threads; effects with equal seeds share their random numbers.
///
/// # Errors
/// What [`Design::check`] refuses; a power that is not above the test's size and below 1, or so near to 1 that fewer than 4
/// studies find nothing; fewer than 50 studies or more than a million, numbers of groups below 2, and effects that take more
/// than [`MOST`] groups.
pub fn curve(
    design: &Design,
    effect: f64,
    groups: &[usize],
    power: f64,
    studies: usize,
    seed: u64,
) -> Result<Curve, Error> {
    design.check(effect)?;
    design.reachable(power)?;
    if studies < FEWEST {
        return Err(Error::Value(format!("{studies} simulated studies tell nothing: take {FEWEST} or more")));
    }
    if studies > STUDIES {
        return Err(Error::Value(format!("{studies} simulated studies: at most {STUDIES} are simulated")));
    }
    let misses = (1.0 - power) * studies as f64;
    if misses < MISSES - 1e-9 {
        return Err(Error::Value(format!(
            "the power is {power}: {} of {studies} simulated studies would find nothing, and of fewer than {MISSES} no number of groups can be told; simulate more studies, or take a power up to {}",
            short(misses),
            1.0 - MISSES / studies as f64
        )));
    }
    if let Some(n) = groups.iter().find(|n| !(2..=MOST).contains(*n)) {
        return Err(Error::Value(format!("{n} groups: simulated studies have 2 to {MOST}")));
    }
    let mut guess = design.groups(effect, power)?;
    if guess.is_finite() && guess * BRACKET[BRACKET.len() - 1] > MOST as f64 {
        return Err(Error::Value(format!(
            "an effect of {effect} {} takes about {guess:.0} groups; up to {MOST} are simulated: ask for larger effects",
            design.unit()
        )));
    }
    let sampler = Sampler::new(design, effect);
    let mut numbers: Vec<usize> = groups.to_vec();
    if guess.is_finite() {
        numbers.extend(bracket(guess));
    }
    let mut points = simulated(design, &sampler, numbers, studies, seed);
    let mut needed = None;
    for _ in 0..MOVES {
        if !guess.is_finite() {
            break;
        }
        let around = bracket(guess);
        let near: Vec<Point> = points.iter().copied().filter(|p| around.contains(&p.groups)).collect();
        let reached = near.first().is_some_and(|p| p.power() >= power);
        if reached && near.first().is_some_and(|p| p.groups == LEAST) {
            needed = Some(Needed { groups: LEAST, error: 0.0 });
            break;
        }
        let ends = (around.first().copied().unwrap_or(0) as f64, around.last().copied().unwrap_or(0) as f64);
        let n = match interpolated(&near, power, studies) {
            Some((n, error)) => {
                // Beyond its points the line says where to simulate, and is no answer.
                needed = (n <= ends.1).then(|| Needed { groups: (n.ceil() as usize).max(LEAST), error });
                n
            }
            None if reached => guess / 2.0,
            None => break,
        };
        if (ends.0..=ends.1).contains(&n) || n > MOST as f64 {
            break;
        }
        // Simulate where the line leads.
        guess = n.clamp(LEAST as f64, 2.0 * guess);
        let fresh: Vec<usize> = bracket(guess).into_iter().filter(|n| points.iter().all(|p| p.groups != *n)).collect();
        points.extend(simulated(design, &sampler, fresh, studies, seed));
        points.sort_by_key(|p| p.groups);
    }
    Ok(Curve { effect, points, needed })
}

/// A number above 0 with three digits at most: 0.4, 0.05.
fn short(value: f64) -> String {
    let digits = (2.0 - value.log10().floor()).clamp(0.0, 17.0) as usize;
    format!("{value:.digits$}").trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Numbers of groups around one.
fn bracket(guess: f64) -> Vec<usize> {
    let mut out: Vec<usize> = BRACKET.iter().map(|share| ((guess * share).round() as usize).max(LEAST)).collect();
    // Small numbers fall together; a line needs two at least.
    let last = out[BRACKET.len() - 1];
    if last == out[0] {
        out.push(last + 2);
    }
    out.dedup();
    out
}

/// Power at each number of groups, ascending. Smaller studies are the first groups of larger ones.
fn simulated(design: &Design, sampler: &Sampler, mut groups: Vec<usize>, studies: usize, seed: u64) -> Vec<Point> {
    groups.sort_unstable();
    groups.dedup();
    let Some(most) = groups.last().copied() else { return vec![] };
    let per = design.cells.len() / 2;
    let critical: Vec<f64> = groups.iter().map(|n| critical(2 * per * n, design.alpha)).collect();
    let decide = |values: &Values, i: usize| match design.paired {
        true => flips_reject(&values.contrasts[..groups[i]], design.alpha),
        false => {
            let [a, b] = &values.levels;
            pooled_t(&a[..per * groups[i]], &b[..per * groups[i]]) >= critical[i]
        }
    };
    let none = || vec![0usize; groups.len()];
    let found = (0..studies as u64)
        .into_par_iter()
        .map(|i| {
            // Hashed, so that no study's numbers are the next one's a few draws later.
            let own = Rng::new(seed ^ i.wrapping_mul(0xD134_2543_DE82_EF95)).bits();
            let values = sampler.study(most, own);
            (0..groups.len()).map(|i| usize::from(decide(&values, i))).collect::<Vec<_>>()
        })
        .reduce(none, |a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect());
    groups.iter().zip(found).map(|(groups, found)| Point { groups: *groups, studies, found }).collect()
}

/// Critical |t| of two means over `n` values together.
fn critical(n: usize, alpha: f64) -> f64 {
    StudentsT::new(0.0, 1.0, n as f64 - 2.0).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - alpha / 2.0))
}

/// The number of groups at which the line through Φ⁻¹(power) over √groups has the given power, and its standard error:
/// that of the power at one number of groups, divided by the line's steepness there. Points are weighted by their
/// information. `None` where power does not rise.
fn interpolated(points: &[Point], power: f64, studies: usize) -> Option<(f64, f64)> {
    let (mut w, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for p in points {
        let share = (p.found as f64 + 0.5) / (p.studies as f64 + 1.0);
        let (root, z) = ((p.groups as f64).sqrt(), quantile(share));
        let weight = density(z).powi(2) / (share * (1.0 - share));
        w += weight;
        x += weight * root;
        y += weight * z;
        xx += weight * root * root;
        xy += weight * root * z;
    }
    let spread = xx - x * x / w;
    let steep = (xy - x * y / w) / spread;
    if !(spread > 1e-9 * xx && steep > 0.0) {
        return None;
    }
    let goal = quantile(power);
    let root = (x / w + (goal - y / w) / steep).max(0.0);
    let n = root * root;
    let rise = density(goal) * steep / (2.0 * root);
    Some((n, (power * (1.0 - power) / studies as f64).sqrt() / rise)).filter(|(n, e)| n.is_finite() && e.is_finite())
}

/// The standard normal density.
fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::joint::below;
    use super::*;

    #[test]
    fn a_line_of_known_power_is_found_again() {
        // Power Φ(0.25·√n − 1.96) is 0.8 at n = ((1.96 + 0.8416) / 0.25)² = 125.6.
        let point = |groups: usize| {
            let found = (1e6 * below(0.25 * (groups as f64).sqrt() - 1.96)).round() as usize;
            Point { groups, studies: 1_000_000, found }
        };
        let (n, error) = interpolated(&[point(100), point(113), point(126), point(139)], 0.8, 1_000_000).unwrap();
        assert!((n - 125.6).abs() < 0.1, "{n}");
        // The standard error of 0.8 in 10⁶ studies is 0.0004; power rises there by φ(0.8416)·0.25 / (2·√125.6) a group.
        let rise = 0.27996 * 0.25 / (2.0 * 125.6f64.sqrt());
        assert!((error - 0.0004 / rise).abs() < 0.002, "{error}");
        assert_eq!(interpolated(&[point(100)], 0.8, 1_000_000), None);
        assert_eq!((bracket(8.0), bracket(100.0)), (vec![8, 9, 10], vec![80, 90, 100, 110, 125]));
        assert_eq!(bracket(6.0), [8, 10]);
    }
}
