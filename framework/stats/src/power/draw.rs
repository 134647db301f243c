//! Draws the outcomes of studies.
use super::design::Design;
use super::joint::{latent, quantile};
use crate::Rng;

/// Draws groups of a design with one effect.
pub(super) struct Sampler {
    weights: Vec<i64>,
    /// `[turns][cells]`: the latent ability below which a reply is right.
    thresholds: Vec<Vec<f64>>,
    /// Factors of what an item, a condition's item and a reply add to the latent ability.
    parts: [f64; 3],
    added: Vec<bool>,
    samples: usize,
    paired: bool,
}

/// The values of groups, in whole numbers on one scale.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// A group's contrast, where groups are paired.
    pub contrasts: Vec<i64>,
    /// Of each group, the values of the conditions that are added, and of those that are subtracted, without pairing.
    pub levels: [Vec<i64>; 2],
}

/// Standard normal numbers, two at a time (Box and Muller 1958).
struct Normals {
    rng: Rng,
    spare: Option<f64>,
}

impl Normals {
    fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.rng.unit()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.rng.unit()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }
}

impl Sampler {
    pub fn new(d: &Design, effect: f64) -> Self {
        let (across, within) = (latent(d.correlation, d.base), latent(d.sample_correlation, d.base));
        // Without pairing no item is shared between conditions, but samples of a conversation share theirs.
        let across = if d.paired { across } else { 0.0 };
        // One sample alone has nothing to share with others of its condition.
        let within = if d.samples > 1 { within.max(across) } else { across };
        let of = |t: u32| -> Vec<f64> { d.cells.iter().map(|c| quantile(d.accuracy(c, t, effect))).collect() };
        Self {
            weights: d.weights().0,
            thresholds: (d.turns.0..=d.turns.1).map(of).collect(),
            parts: [across.sqrt(), (within - across).max(0.0).sqrt(), (1.0 - within).sqrt()],
            added: d.cells.iter().map(|c| c.added).collect(),
            samples: d.samples,
            paired: d.paired,
        }
    }

    /// The values of a study of so many groups.
    pub fn study(&self, groups: usize, seed: u64) -> Values {
        let mut normals = Normals { rng: Rng::new(seed), spare: None };
        let [item, own, rest] = self.parts;
        let mut out = Values::default();
        let mut sums = vec![0i64; self.added.len()];
        for _ in 0..groups {
            sums.fill(0);
            for (weight, thresholds) in self.weights.iter().zip(&self.thresholds) {
                let shared = if item > 0.0 { item * normals.next() } else { 0.0 };
                for (sum, threshold) in sums.iter_mut().zip(thresholds) {
                    let mine = if own > 0.0 { own * normals.next() } else { 0.0 };
                    let limit = (threshold - shared - mine) / rest;
                    let right = (0..self.samples).filter(|_| normals.next() < limit).count();
                    *sum += weight * right as i64;
                }
            }
            if self.paired {
                out.contrasts.push(sums.iter().zip(&self.added).map(|(s, added)| if *added { *s } else { -s }).sum());
            } else {
                sums.iter().zip(&self.added).for_each(|(s, added)| out.levels[usize::from(!added)].push(*s));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::Measure;
    use super::*;

    /// Mean and variance of the contrast over many groups are those that were asked for.
    #[test]
    fn means_and_variances_are_those_of_the_design() {
        let plain = Design::pairs(2, Measure::Slope, (1, 14));
        let drifting = plain.cells.iter().map(|c| super::super::Cell { drift: -0.4, ..*c }).collect();
        for d in [
            plain.clone(),
            Design { cells: drifting, rises: true, ..plain.clone() },
            Design { samples: 3, sample_correlation: 0.7, ..Design::pairs(1, Measure::Mean, (2, 5)) },
        ] {
            let (effect, groups) = (1.0, 40_000);
            let values = Sampler::new(&d, effect).study(groups, 5).contrasts;
            let unit = 100.0 / (d.weights().1 * d.moved() as f64 * d.samples as f64);
            let all: Vec<f64> = values.iter().map(|v| unit * *v as f64).collect();
            let mean = all.iter().sum::<f64>() / groups as f64;
            let sd = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / groups as f64).sqrt();
            let want = d.sd(effect).unwrap_or(f64::NAN);
            let off = 4.0 * want / (groups as f64).sqrt();
            assert!((mean - if d.rises { effect } else { -effect }).abs() < off, "{mean} ± {off}: {d:?}");
            assert!((sd / want - 1.0).abs() < 0.02, "{sd}, not {want}: {d:?}");
        }
    }
}
