//! Features by level of a factor: differences within questions, as one number per group.
use crate::halves::Halves;
use crate::questions::{Links, Questions};
use friction_core::{ConversationId, TurnRow};
use friction_sae::Active;
use friction_stats::{Rng, auc, benjamini_hochberg, permutation_p, t_critical, t_statistic};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// One feature's statistics over the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Number of the feature in the autoencoder.
    pub index: u32,
    /// Share of conversations in which it is active, 0 to 1.
    pub rate: f64,
    /// AUC of the conversations' mean activations, level 1 against level 0.
    pub auc: f64,
    /// For each group, its difference between the levels and its association with the answers.
    pub links: Links,
}

/// Mean activation over a turn's tokens, of every feature that is active in one of them.
pub fn mean(tokens: &[Vec<Active>]) -> BTreeMap<u32, f64> {
    let mut out: BTreeMap<u32, f64> = BTreeMap::new();
    tokens.iter().flatten().for_each(|a| *out.entry(a.index).or_default() += f64::from(a.value));
    out.values_mut().for_each(|v| *v /= tokens.len() as f64);
    out
}

/// Features that are active in at least a share `rate` of the conversations, ascending. `values` holds the mean
/// activations of each row (turn).
pub fn features(
    rows: &[&TurnRow],
    values: &[BTreeMap<u32, f64>],
    questions: &Questions,
    (factor, second): (&str, &str),
    rate: f64,
) -> Vec<Feature> {
    let mut conversations: BTreeMap<ConversationId, usize> = BTreeMap::new();
    let mut level = vec![];
    let mut turns: Vec<f64> = vec![];
    let mut of = vec![];
    for r in rows {
        let next = conversations.len();
        let c = *conversations.entry(r.conversation()).or_insert(next);
        if c == level.len() {
            level.push(r.factors.get(factor).is_some_and(|l| l == second));
            turns.push(0.0);
        }
        turns[c] += 1.0;
        of.push(c);
    }
    let mut columns: BTreeMap<u32, Vec<(usize, f64)>> = BTreeMap::new();
    for (i, row) in values.iter().enumerate() {
        row.iter().for_each(|(f, v)| columns.entry(*f).or_default().push((i, *v)));
    }
    let columns: Vec<(u32, Vec<(usize, f64)>)> = columns.into_iter().collect();
    columns
        .par_iter()
        .filter_map(|(index, column)| {
            let mut means = vec![0.0; level.len()];
            let mut fires = vec![false; level.len()];
            for (i, v) in column {
                means[of[*i]] += v / turns[of[*i]];
                fires[of[*i]] = true;
            }
            let share = fires.iter().filter(|f| **f).count() as f64 / level.len() as f64;
            (share >= rate).then(|| Feature {
                index: *index,
                rate: share,
                auc: auc(&means, &level).unwrap_or(f64::NAN),
                links: questions.links(column),
            })
        })
        .collect()
}

/// A feature's difference between the levels, over all groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Number of the feature in the autoencoder.
    pub index: u32,
    /// Its index in the list of features that was compared.
    pub place: usize,
    /// Share of conversations in which it is active, 0 to 1.
    pub rate: f64,
    /// Mean over groups of level 1 minus level 0, within questions, in units of activation.
    pub difference: f64,
    /// The difference divided by its standard deviation across groups (Cohen's d_z).
    pub effect: f64,
    /// AUC of the conversations' mean activations, level 1 against level 0.
    pub auc: f64,
    /// Two-sided p-value by sign flips, one sign per group.
    pub p: f64,
    /// Benjamini–Hochberg q-value over all compared features.
    pub q: f64,
    /// p-value adjusted for all compared features by max-T.
    pub family: f64,
    /// Whether the difference has the same sign in both halves of the groups, with p ≤ 0.05 in each (Student's t).
    pub replicates: bool,
}

/// Differences between the levels, ordered by p. Sign flips use one sign per group and the same flips for all
/// features, so that the largest |t| of each flip gives family-wise p-values (Westfall and Young 1993).
pub fn differences(all: &[Feature], halves: &Halves, permutations: usize, seed: u64) -> Vec<Difference> {
    let groups = all.first().map_or(0, |f| f.links.difference.len());
    let paired: Vec<&[f64]> = all.iter().map(|f| f.links.difference.as_slice()).collect();
    let observed: Vec<f64> = paired.iter().map(|d| t_statistic(d).abs()).collect();
    let flips: Vec<Vec<f64>> = (0..permutations)
        .map(|i| {
            let mut rng = Rng::new(seed.wrapping_add(i as u64));
            (0..groups).map(|_| if rng.bits() & 1 == 0 { 1.0 } else { -1.0 }).collect()
        })
        .collect();
    // Indexed [permutation][feature].
    let permuted: Vec<Vec<f64>> = flips
        .par_iter()
        .map(|signs| {
            let flipped = |d: &[f64]| d.iter().zip(signs).map(|(d, s)| d * s).collect::<Vec<_>>();
            paired.iter().map(|d| t_statistic(&flipped(d)).abs()).collect()
        })
        .collect();
    let largest: Vec<f64> = permuted.iter().map(|v| v.iter().copied().fold(0.0, f64::max)).collect();
    let p: Vec<f64> = (0..all.len())
        .map(|f| permutation_p(observed[f], &permuted.iter().map(|v| v[f]).collect::<Vec<_>>()))
        .collect();
    let q = benjamini_hochberg(&p);
    let critical = [&halves.discovery, &halves.confirmation].map(|h| t_critical(h.len(), 0.95));
    let mut out: Vec<Difference> = all
        .iter()
        .enumerate()
        .map(|(place, f)| {
            let d = paired[place];
            let m = d.iter().sum::<f64>() / d.len() as f64;
            let [a, b] = [&halves.discovery, &halves.confirmation].map(|h| t_statistic(&Halves::take(d, h)));
            Difference {
                index: f.index,
                place,
                rate: f.rate,
                difference: m,
                effect: d_z(d),
                auc: f.auc,
                p: p[place],
                q: q[place],
                family: permutation_p(observed[place], &largest),
                replicates: a * b > 0.0 && a.abs() >= critical[0] && b.abs() >= critical[1],
            }
        })
        .collect();
    out.sort_by(|a, b| a.p.total_cmp(&b.p).then(b.effect.abs().total_cmp(&a.effect.abs())).then(a.index.cmp(&b.index)));
    out
}

/// Cohen's d_z of paired values: mean / standard deviation. 0 if the mean is 0 or the values do not vary.
pub fn d_z(values: &[f64]) -> f64 {
    t_statistic(values) / (values.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_core::Outcome;

    #[test]
    fn each_sample_is_a_conversation_of_its_own() {
        // The feature fires in the second sample alone: in one of two conversations of each group and level.
        let (mut rows, mut values) = (vec![], vec![]);
        for (group, name, sample) in
            (0..4).flat_map(|g| ["a", "b"].into_iter().flat_map(move |l| [(g, l, 0), (g, l, 1)]))
        {
            let factors = [("f".to_string(), name.to_string())].into();
            rows.push(TurnRow { group, sample, condition: name.into(), factors, turn: 2, ..TurnRow::default() });
            values.push(if sample == 1 { BTreeMap::from([(7, 2.0)]) } else { BTreeMap::new() });
        }
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let all = features(&rows, &values, &Questions::new(&rows, "f", "b", &Outcome::Score), ("f", "b"), 0.1);
        assert!(all.len() == 1 && all[0].rate == 0.5 && all[0].links.difference == [0.0; 4], "{all:?}");
    }

    /// Groups with two levels and one turn. Feature 1 is higher at level 1 by `shift`, 2 is noise, 3 is active once.
    fn planted(groups: u32, shift: f64, seed: u64) -> (Vec<Feature>, Halves) {
        let mut rng = Rng::new(seed);
        let (mut rows, mut values) = (vec![], vec![]);
        for group in 0..groups {
            for (level, name) in ["a", "b"].into_iter().enumerate() {
                let of = [(1, 1.0 + shift * level as f64 + 0.2 * rng.normal()), (2, 2.0 + rng.normal())];
                let mut fired = BTreeMap::from(of);
                if group == 0 && level == 1 {
                    fired.insert(3, 9.0);
                }
                values.push(fired);
                let factors = [("f".to_string(), name.to_string())].into();
                rows.push(TurnRow { group, condition: name.into(), factors, turn: 2, ..TurnRow::default() });
            }
        }
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let questions = Questions::new(&rows, "f", "b", &Outcome::Score);
        let halves = Halves::of(questions.groups.len(), seed);
        (features(&rows, &values, &questions, ("f", "b"), 0.1), halves)
    }

    #[test]
    fn a_planted_feature_is_found_and_rare_ones_are_left_out() {
        let (all, halves) = planted(12, 1.0, 1);
        let d = differences(&all, &halves, 500, 3);
        assert_eq!(d.len(), 2);
        assert_eq!(d[0].index, 1);
        assert!(d[0].p < 0.005 && d[0].q < 0.01 && d[0].family < 0.005 && d[0].auc > 0.95 && d[0].replicates, "{d:?}");
        assert!((d[0].difference - 1.0).abs() < 0.3);
    }

    #[test]
    fn noise_is_found_as_often_as_it_says() {
        let (mut found, mut halves_agree) = (0, 0);
        for s in 0..400 {
            // Halves of three groups: |t| ≥ 2 corresponds to p ≤ 0.18.
            let (all, halves) = planted(6, 0.0, 100 + s);
            let d = differences(&all, &halves, 199, s);
            found += usize::from(d.iter().any(|d| d.index == 2 && d.p <= 0.05));
            halves_agree += d.iter().filter(|d| d.replicates).count();
        }
        // Around 5 % of 400, and half of 5 % · 5 % of 800; bounds of a binomial at 1 %.
        assert!((5..=31).contains(&found), "{found} of 400 at 0.05");
        assert!(halves_agree <= 5, "{halves_agree} of 800 noises replicate");
    }
}
