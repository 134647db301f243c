//! Permutations of the targets that the design could have produced, and p of the difference of means among them.
use crate::report::{Report, association};
use crate::rows::Row;
use crate::target::Target;
use friction_core::seed::derive;
use friction_stats::{Rng, permutation_p};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Levels within each group: all its pairs change together, so that conversations change places with those that agree in
/// the other factors.
fn levels(rows: &[Row], y: &[f64], classes: usize, rng: &mut Rng) -> Vec<f64> {
    let mut dealt: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let one = |(y, r): (&f64, &Row)| {
        let levels = dealt.entry(r.turn.group).or_insert_with(|| {
            let mut levels: Vec<usize> = (0..classes).collect();
            rng.shuffle(&mut levels);
            levels
        });
        levels[*y as usize] as f64
    };
    y.iter().zip(rows).map(one).collect()
}

/// Numbers and answers between groups, at the same condition, sample and turn, so that what condition and turn alone
/// predict stays in. A group takes the values of another; where that one lacks the turn, those of the next along the
/// permutation that has it. So the values of each turn are permuted, whichever groups have it.
fn between_groups(rows: &[Row], y: &[f64], rng: &mut Rng) -> Vec<f64> {
    let place = |r: &Row| (r.turn.condition.clone(), r.turn.sample, r.turn.turn);
    let mut at: BTreeMap<_, BTreeMap<u32, usize>> = BTreeMap::new();
    for (i, r) in rows.iter().enumerate() {
        at.entry(place(r)).or_default().insert(r.turn.group, i);
    }
    let groups: Vec<u32> = rows.iter().map(|r| r.turn.group).collect::<BTreeSet<_>>().into_iter().collect();
    let mut other = groups.clone();
    rng.shuffle(&mut other);
    let other: BTreeMap<u32, u32> = groups.into_iter().zip(other).collect();
    let mut out = y.to_vec();
    for of in at.values() {
        for (group, i) in of {
            let mut from = other[group];
            // The cycle comes back to the group itself, which has the turn.
            while !of.contains_key(&from) {
                from = other[&from];
            }
            out[*i] = y[of[&from]];
        }
    }
    out
}

impl Report<'_> {
    pub(crate) fn rng(&self, what: &[u8], i: u64) -> Rng {
        Rng::new(derive(&[what, &self.design.seed.to_le_bytes(), &i.to_le_bytes()]))
    }

    /// A permutation of the targets that the design could have produced.
    fn permuted(&self, rng: &mut Rng) -> Vec<f64> {
        match self.target {
            Target::Factor(_) => levels(&self.rows.rows, self.y, self.rows.classes.len(), rng),
            _ => between_groups(&self.rows.rows, self.y, rng),
        }
    }

    /// p-values of the difference of means among permuted labels: for each layer, and for the largest quality over
    /// layers (max-T). `None` if none are asked for.
    pub(crate) fn permutations(&self) -> Option<(Vec<f64>, f64)> {
        let n = self.options.permutations;
        if n == 0 {
            return None;
        }
        let score = |y: &[f64]| -> Vec<f64> {
            self.layers
                .iter()
                .map(|(_, x)| association(self.design.link, &self.design.mean_difference(x, y), y))
                .collect()
        };
        let observed = score(self.y);
        let all: Vec<Vec<f64>> =
            (0..n as u64).into_par_iter().map(|i| score(&self.permuted(&mut self.rng(b"permute", i)))).collect();
        let most = |v: &Vec<f64>| v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let each = (0..observed.len())
            .map(|l| permutation_p(observed[l], &all.iter().map(|s| s[l]).collect::<Vec<_>>()))
            .collect();
        Some((each, permutation_p(most(&observed), &all.iter().map(most).collect::<Vec<_>>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_core::TurnRow;

    fn row(group: u32, condition: &str, sample: u32, turn: u32) -> Row {
        let turn = TurnRow { group, condition: condition.into(), sample, turn, ..TurnRow::default() };
        Row { turn, y: 0.0 }
    }

    /// Group g has g + 1 turns in two conditions, and two samples of each. Each value occurs once.
    fn ragged() -> (Vec<Row>, Vec<f64>) {
        let mut rows = vec![];
        for (group, condition) in (0..6).flat_map(|g| ["a", "b"].map(|c| (g, c))) {
            rows.extend((0..2).flat_map(|s| (1..=group + 1).map(move |t| row(group, condition, s, t))));
        }
        let y = (0..rows.len()).map(|i| i as f64).collect();
        (rows, y)
    }

    #[test]
    fn values_of_a_turn_are_permuted_among_the_groups_that_have_it() {
        let (rows, y) = ragged();
        let place = |r: &Row| (r.turn.condition.clone(), r.turn.sample, r.turn.turn);
        let mut moved = 0;
        for seed in 0..20 {
            let permuted = between_groups(&rows, &y, &mut Rng::new(seed));
            let mut sorted = permuted.clone();
            sorted.sort_by(f64::total_cmp);
            assert_eq!(sorted, y, "each value is used once");
            for (i, v) in permuted.iter().enumerate() {
                assert_eq!(place(&rows[*v as usize]), place(&rows[i]));
            }
            moved += permuted.iter().zip(&y).filter(|(a, b)| a != b).count();
        }
        // The last turn has one group alone, in two conditions and two samples; all others change places.
        assert!(moved > 20 * rows.len() / 2, "{moved} of {}", 20 * rows.len());
    }

    #[test]
    fn levels_change_places_in_whole_groups_and_samples() {
        let rows: Vec<Row> =
            (0..4).flat_map(|g| (0..3).flat_map(move |c| (0..2).map(move |s| row(g, &c.to_string(), s, 1)))).collect();
        let y: Vec<f64> = (0..rows.len()).map(|i| ((i / 2) % 3) as f64).collect();
        let permuted = levels(&rows, &y, 3, &mut Rng::new(4));
        for pair in permuted.chunks(2) {
            assert_eq!(pair[0], pair[1], "samples of a conversation keep one level");
        }
        for group in permuted.chunks(6) {
            let mut levels: Vec<i64> = group.iter().map(|v| *v as i64).collect();
            levels.sort_unstable();
            assert_eq!(levels, [0, 0, 1, 1, 2, 2]);
        }
        assert_ne!(permuted, y);
    }
}
