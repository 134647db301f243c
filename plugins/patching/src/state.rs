//! The state of a condition: mean differences between partners, and controls made of the same differences.
use crate::donors::Donors;
use crate::options::Patch;
use crate::vectors::{axes, dot, norm};
use friction_core::seed::{derive, permutation};
use friction_core::{Factors, Result, Site};
use std::collections::{BTreeMap, BTreeSet};

/// What partners share, a turn (from 1) and a site.
type Place = ((u32, Factors), usize, Site);

/// Differences between partners at the tokens behind the user's message, `[tokens × width]`: second level of the factor
/// minus first.
#[derive(Debug, Default)]
pub struct Differences {
    /// By place, each group's.
    by: BTreeMap<Place, Vec<(u32, Vec<f32>)>>,
    /// For each control, the sign of each group.
    signs: Vec<BTreeMap<u32, f64>>,
}

/// Signs of the groups in each of `controls`: half of the groups, drawn by the seed, have −1. Equal numbers of both, because
/// signs that are mostly equal leave little but the mean difference.
fn signs(groups: &BTreeSet<u32>, controls: usize, seed: u64) -> Vec<BTreeMap<u32, f64>> {
    let of = |k: usize| {
        let order = permutation(groups.len(), derive(&[&seed.to_le_bytes(), b"sign", &(k as u64).to_le_bytes()]));
        let sign = |rank: usize| if rank < groups.len() / 2 { -1.0 } else { 1.0 };
        groups.iter().zip(order).map(|(g, rank)| (*g, sign(rank))).collect()
    };
    (0..controls).map(of).collect()
}

/// The difference of two turns, b − a.
fn minus(b: &[f32], a: &[f32]) -> Vec<f32> {
    b.iter().zip(a).map(|(b, a)| b - a).collect()
}

/// Hands each pair's difference in each turn at a site to `put`: sample and other factors, group, turn, `[tokens × width]`.
fn each(
    donors: &Donors,
    options: &Patch,
    site: Site,
    groups: impl Fn(u32) -> bool,
    mut put: impl FnMut((u32, Factors), u32, usize, usize, Vec<f32>),
) -> Result<()> {
    let talks = &donors.talks;
    for key in talks.paired.iter().filter(|k| talks.sign(k) > 0.0 && groups(k.0)) {
        let partner = talks.partner(key);
        let [own, other] = [donors.stored(key, site)?, donors.stored(&partner, site)?];
        for turn in donors.turns(key, options.first_turn)? {
            let d = minus(&donors.of_turn(&other, &partner, turn)?, &donors.of_turn(&own, key, turn)?);
            put(talks.shared(key), key.0, turn, own.shape[2], d);
        }
    }
    Ok(())
}

impl Differences {
    /// Reads the differences at all sites, at the last `tokens` tokens of those that are replaced.
    ///
    /// # Errors
    /// If activations cannot be read.
    pub fn read(donors: &Donors, options: &Patch, tokens: usize, seed: u64) -> Result<Self> {
        let mut by = BTreeMap::<Place, Vec<(u32, Vec<f32>)>>::new();
        for site in &options.sites {
            each(
                donors,
                options,
                *site,
                |_| true,
                |pair, group, turn, width, d| {
                    let last = d[d.len().saturating_sub(tokens * width)..].to_vec();
                    by.entry((pair, turn, *site)).or_default().push((group, last));
                },
            )?;
        }
        let groups = donors.talks.paired.iter().map(|k| k.0).collect();
        Ok(Self { by, signs: signs(&groups, options.controls(), seed) })
    }

    /// The mean difference of all groups but `group`, of each token, and its controls, which are as long as it and orthogonal
    /// to it, over all tokens together: the same differences, each with a random sign. A group has one sign in a control, at all sites and turns. `None` if fewer
    /// than two other groups have this turn.
    ///
    /// Orthogonal, because differences that hardly vary between groups would add up to ± the mean difference whatever their
    /// signs, and a control that is the state itself tells nothing.
    pub fn state(&self, pair: &(u32, Factors), turn: usize, site: Site, group: u32) -> Option<State> {
        let all = self.by.get(&(pair.clone(), turn, site))?;
        let others: Vec<&(u32, Vec<f32>)> = all.iter().filter(|(g, _)| *g != group).collect();
        let width = others.first().filter(|_| others.len() > 1)?.1.len();
        let mut mean = vec![0.0; width];
        let mut mixed = vec![vec![0.0; width]; self.signs.len()];
        for (g, d) in &others {
            mean.iter_mut().zip(d).for_each(|(m, x)| *m += f64::from(*x));
            for (v, signs) in mixed.iter_mut().zip(&self.signs) {
                let sign = signs.get(g).copied().unwrap_or(1.0);
                v.iter_mut().zip(d).for_each(|(v, x)| *v += sign * f64::from(*x));
            }
        }
        mean.iter_mut().for_each(|m| *m /= others.len() as f64);
        let controls = mixed.into_iter().map(|v| across(v, &mean)).collect();
        Some(State { mean, controls })
    }
}

/// A mean difference and its controls.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The mean difference, `[tokens × width]`.
    pub mean: Vec<f64>,
    /// The controls, each of the same norm.
    pub controls: Vec<Vec<f64>>,
}

/// The part of `v` that is orthogonal to `mean`, as long as `mean`; zero if there is no such part.
fn across(mut v: Vec<f64>, mean: &[f64]) -> Vec<f64> {
    let (length, before) = (norm(mean), norm(&v));
    for _ in 0..2 {
        let along = if length > 0.0 { dot(&v, mean) / (length * length) } else { 0.0 };
        v.iter_mut().zip(mean).for_each(|(x, m)| *x -= along * m);
    }
    let left = norm(&v);
    let factor = if left > 1e-6 * before { length / left } else { 0.0 };
    v.iter_mut().for_each(|x| *x *= factor);
    v
}

/// The groups in which the subspace is found, of the first `groups`: drawn by the seed, at least one and not all.
pub fn discovery(groups: usize, share: f64, seed: u64) -> BTreeSet<u32> {
    let n = ((groups as f64 * share).round() as usize).clamp(1, groups.saturating_sub(1).max(1));
    let order = permutation(groups, derive(&[&seed.to_le_bytes(), b"patch discovery"]));
    order.into_iter().take(n).map(|g| g as u32).collect()
}

/// The axes of the differences between partners in the discovery groups, at each site: those of all tokens that are
/// replaced, in all turns.
///
/// # Errors
/// If activations cannot be read.
pub fn subspaces(
    donors: &Donors,
    options: &Patch,
    discovery: &BTreeSet<u32>,
    seed: u64,
) -> Result<BTreeMap<Site, Vec<Vec<f64>>>> {
    let mut out = BTreeMap::new();
    for site in options.sites.iter().filter(|_| options.subspace() > 0) {
        let mut rows: Vec<Vec<f32>> = vec![];
        each(
            donors,
            options,
            *site,
            |g| discovery.contains(&g),
            |_, _, _, width, d| {
                rows.extend(d.chunks(width.max(1)).map(<[f32]>::to_vec));
            },
        )?;
        out.insert(*site, axes(&rows, options.subspace(), derive(&[&seed.to_le_bytes(), site.to_string().as_bytes()])));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn differences(all: &[[f32; 3]], controls: usize) -> Differences {
        let rows: Vec<(u32, Vec<f32>)> = all.iter().enumerate().map(|(g, d)| (g as u32, d.to_vec())).collect();
        let groups = rows.iter().map(|(g, _)| *g).collect();
        let by = [(((0, Factors::new()), 2, Site::ResidPost(1)), rows)].into();
        Differences { by, signs: signs(&groups, controls, 5) }
    }

    fn state(d: &Differences, turn: usize, group: u32) -> Option<State> {
        d.state(&(0, Factors::new()), turn, Site::ResidPost(1), group)
    }

    #[test]
    fn the_state_leaves_its_own_group_out() {
        let d = differences(&[[9.0, 9.0, 9.0], [1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [2.0, 1.0, 3.0]], 0);
        assert_eq!(state(&d, 2, 0).unwrap().mean, [2.0, 1.0, 1.0]);
        assert_eq!(state(&d, 2, 3).unwrap().mean, [13.0 / 3.0, 11.0 / 3.0, 3.0]);
        assert!(state(&d, 3, 0).is_none(), "no such turn");
        assert!(state(&differences(&[[1.0; 3]; 2], 0), 2, 0).is_none(), "one group is no mean");
    }

    #[test]
    fn controls_are_as_long_as_the_state_and_orthogonal_to_it() {
        let all = [[1.0, 0.2, 0.0], [1.1, -0.3, 0.1], [0.9, 0.1, -0.4], [1.0, 0.5, 0.2], [1.2, 0.0, 0.3]];
        let State { mean, controls } = state(&differences(&all, 20), 2, 4).unwrap();
        assert_eq!(controls.len(), 20);
        for c in &controls {
            assert!((norm(c) - norm(&mean)).abs() < 1e-9 && dot(c, &mean).abs() < 1e-9, "{c:?}");
        }
        assert!(controls.iter().any(|c| c != &controls[0]));
        // Differences without a part across the mean have no controls, and no differences have no state.
        let same = state(&differences(&[[1.0, 2.0, 3.0]; 4], 3), 2, 0).unwrap();
        assert!(same.controls.iter().all(|c| norm(c) == 0.0), "{same:?}");
        let none = state(&differences(&[[0.0; 3]; 4], 3), 2, 0).unwrap();
        assert!(norm(&none.mean) == 0.0 && none.controls.iter().all(|c| norm(c) == 0.0));
    }

    #[test]
    fn half_of_the_groups_have_the_other_sign() {
        let groups: BTreeSet<u32> = (3..14).collect();
        let all = signs(&groups, 40, 1);
        assert!(all.iter().all(|s| s.len() == 11 && s.values().sum::<f64>() == 1.0), "{all:?}");
        assert!(all[1..].iter().filter(|s| **s != all[0]).count() > 30);
        assert_eq!(signs(&groups, 2, 1), all[..2], "more controls leave the first as they were");
    }

    #[test]
    fn discovery_groups_are_drawn_by_the_seed() {
        let some = discovery(20, 0.5, 1);
        assert_eq!((some.len(), discovery(20, 0.5, 1) == some, discovery(20, 0.5, 2) == some), (10, true, false));
        assert!(some.iter().all(|g| *g < 20));
        assert_eq!((discovery(3, 0.01, 1).len(), discovery(3, 0.99, 1).len()), (1, 2));
    }
}
