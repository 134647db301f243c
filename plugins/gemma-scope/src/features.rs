//! Features by factor: conversation means, paired by group.
use friction_sae::Active;
use friction_stats::{Rng, auc, benjamini_hochberg, permutation_p};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A conversation's mean activation of every feature that fired in it.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// Group.
    pub group: u32,
    /// 0 or 1: the factor's level.
    pub level: usize,
    /// Mean over its tokens.
    pub mean: BTreeMap<u32, f64>,
}

/// Encoded tokens to means: each token counts once.
pub fn mean(tokens: &[Vec<Active>]) -> BTreeMap<u32, f64> {
    let mut out: BTreeMap<u32, f64> = BTreeMap::new();
    tokens.iter().flatten().for_each(|a| *out.entry(a.index).or_default() += f64::from(a.value));
    out.values_mut().for_each(|v| *v /= tokens.len() as f64);
    out
}

/// One feature's difference between the levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The feature.
    pub index: u32,
    /// Share of conversations in which it fires.
    pub rate: f64,
    /// Mean over groups of level 1 less level 0.
    pub difference: f64,
    /// That over its standard deviation across groups (Cohen's d of paired values).
    pub effect: f64,
    /// Of conversations' means, level 1 against level 0.
    pub auc: f64,
    /// Two-sided, groups' signs flipped.
    pub p: f64,
    /// Benjamini–Hochberg over the features that fire often enough.
    pub q: f64,
    /// p of the largest |t| over all features (max-T).
    pub family: f64,
    /// Whether both halves of the groups agree in sign at p ≤ 0.05.
    pub replicates: bool,
}

/// Features that fire in at least `rate` of the conversations, in order of p. Within a group the levels'
/// means are differenced; under no effect each group's sign may flip. All features see the same flips,
/// so that the largest of them has a p of its own (Westfall and Young 1993).
pub fn differences(all: &[Conversation], rate: f64, permutations: usize, seed: u64) -> Vec<Difference> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    all.iter().flat_map(|c| c.mean.keys()).for_each(|k| *counts.entry(*k).or_default() += 1);
    let often: Vec<(u32, f64)> = counts
        .into_iter()
        .map(|(k, n)| (k, n as f64 / all.len() as f64))
        .filter(|(_, r)| *r >= rate && *r > 0.0)
        .collect();
    let groups: Vec<u32> = all.iter().map(|c| c.group).collect::<BTreeSet<_>>().into_iter().collect();
    let paired: Vec<Vec<f64>> = often.par_iter().map(|(k, _)| by_group(all, &groups, *k)).collect();
    let observed: Vec<f64> = paired.iter().map(|d| t(d).abs()).collect();
    let flips: Vec<Vec<f64>> = (0..permutations)
        .map(|i| {
            let mut rng = Rng::new(seed.wrapping_add(i as u64));
            groups.iter().map(|_| if rng.bits() & 1 == 0 { 1.0 } else { -1.0 }).collect()
        })
        .collect();
    // [permutation][feature]
    let permuted: Vec<Vec<f64>> = flips
        .par_iter()
        .map(|signs| {
            paired.iter().map(|d| t(&d.iter().zip(signs).map(|(d, s)| d * s).collect::<Vec<_>>()).abs()).collect()
        })
        .collect();
    let largest: Vec<f64> = permuted.iter().map(|v| v.iter().copied().fold(0.0, f64::max)).collect();
    let p: Vec<f64> = (0..often.len())
        .map(|f| permutation_p(observed[f], &permuted.iter().map(|v| v[f]).collect::<Vec<_>>()))
        .collect();
    let q = benjamini_hochberg(&p);
    let level: Vec<bool> = all.iter().map(|c| c.level == 1).collect();
    let mut out: Vec<Difference> = often
        .iter()
        .enumerate()
        .map(|(f, (index, rate))| {
            let d = &paired[f];
            let m = d.iter().sum::<f64>() / d.len() as f64;
            let sd = (d.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (d.len() as f64 - 1.0)).sqrt();
            let scores: Vec<f64> = all.iter().map(|c| c.mean.get(index).copied().unwrap_or(0.0)).collect();
            // Critical |t| at 0.05 of a half's size is near 2; halves of groups dealt alternately.
            let half = |odd: usize| t(&d.iter().copied().skip(odd).step_by(2).collect::<Vec<_>>());
            let (a, b) = (half(0), half(1));
            Difference {
                index: *index,
                rate: *rate,
                difference: m,
                effect: if sd > 0.0 { m / sd } else { 0.0 },
                auc: auc(&scores, &level).unwrap_or(f64::NAN),
                p: p[f],
                q: q[f],
                family: permutation_p(observed[f], &largest),
                replicates: a * b > 0.0 && a.abs() >= 2.0 && b.abs() >= 2.0,
            }
        })
        .collect();
    out.sort_by(|a, b| a.p.total_cmp(&b.p).then(b.effect.abs().total_cmp(&a.effect.abs())).then(a.index.cmp(&b.index)));
    out
}

/// Each group's mean at level 1 less its mean at level 0; 0 where a level is missing.
fn by_group(all: &[Conversation], groups: &[u32], feature: u32) -> Vec<f64> {
    let mut sums: BTreeMap<u32, [(f64, f64); 2]> = BTreeMap::new();
    for c in all {
        let s = &mut sums.entry(c.group).or_default()[c.level];
        *s = (s.0 + c.mean.get(&feature).copied().unwrap_or(0.0), s.1 + 1.0);
    }
    let of =
        |g: &u32| sums.get(g).map_or(0.0, |[a, b]| if a.1 > 0.0 && b.1 > 0.0 { b.0 / b.1 - a.0 / a.1 } else { 0.0 });
    groups.iter().map(of).collect()
}

/// Student's t of a mean; 0 for values that are all 0, infinite for equal values other than 0.
fn t(d: &[f64]) -> f64 {
    let n = d.len() as f64;
    let m = d.iter().sum::<f64>() / n;
    let var = d.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (n - 1.0);
    if m == 0.0 { 0.0 } else { m / (var / n).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve groups of two levels; feature 1 is higher at level 1, 2 is noise, 3 fires once.
    fn planted(seed: u64) -> Vec<Conversation> {
        let mut rng = Rng::new(seed);
        let mut out = vec![];
        for group in 0..12 {
            for level in 0..2 {
                let mut mean = BTreeMap::from([(1, 1.0 + level as f64 + 0.2 * rng.normal()), (2, 2.0 + rng.normal())]);
                if group == 0 && level == 1 {
                    mean.insert(3, 9.0);
                }
                out.push(Conversation { group, level, mean });
            }
        }
        out
    }

    #[test]
    fn a_planted_feature_is_found_and_rare_ones_are_left_out() {
        let d = differences(&planted(1), 0.1, 500, 3);
        assert_eq!(d.len(), 2);
        assert_eq!(d[0].index, 1);
        assert!(d[0].p < 0.005 && d[0].q < 0.01 && d[0].family < 0.005 && d[0].auc > 0.95 && d[0].replicates, "{d:?}");
        assert!((d[0].difference - 1.0).abs() < 0.3);
    }

    #[test]
    fn noise_is_found_as_often_as_it_says() {
        let found = (0..200)
            .filter(|s| differences(&planted(100 + s), 0.1, 199, *s).iter().any(|d| d.index == 2 && d.p <= 0.05))
            .count();
        assert!((2..=20).contains(&found), "{found} of 200 at 0.05");
    }
}
