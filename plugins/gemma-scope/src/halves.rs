//! Splits the groups into two halves by the study's seed, which the run's lock stores. Features are picked on one half
//! and tested on the other, against circular analysis (Kriegeskorte et al. 2009, Nat. Neurosci. 12:535).
use friction_core::seed::{derive, permutation};

/// Indices of groups in each half, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halves {
    /// The half in which features are picked: half of the groups, rounded down.
    pub discovery: Vec<usize>,
    /// The half in which they are tested.
    pub confirmation: Vec<usize>,
}

impl Halves {
    /// Splits groups 0 to `groups` − 1 at random.
    pub fn of(groups: usize, seed: u64) -> Self {
        let mut order = permutation(groups, derive(&[b"halves", &seed.to_le_bytes()]));
        let mut confirmation = order.split_off(groups / 2);
        order.sort_unstable();
        confirmation.sort_unstable();
        Self { discovery: order, confirmation }
    }

    /// The halves without the groups for which `keep` is false.
    pub fn only(&self, keep: impl Fn(usize) -> bool) -> Self {
        let of = |half: &[usize]| half.iter().copied().filter(|g| keep(*g)).collect();
        Self { discovery: of(&self.discovery), confirmation: of(&self.confirmation) }
    }

    /// The values of the groups in `half`.
    pub fn take(values: &[f64], half: &[usize]) -> Vec<f64> {
        half.iter().filter_map(|g| values.get(*g)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_in_one_half() {
        for n in [0, 1, 7, 16] {
            let h = Halves::of(n, 5);
            let mut all = [h.discovery.clone(), h.confirmation.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            assert_eq!((h.discovery.len(), h.confirmation.len()), (n / 2, n - n / 2));
            assert_eq!(h, Halves::of(n, 5));
        }
        assert_ne!(Halves::of(16, 5), Halves::of(16, 6));
    }
}
