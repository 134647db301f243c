//! Groups dealt to two halves by the study's seed, which the lock holds: features are picked in one and
//! tested in the other (Kriegeskorte et al. 2009).
use friction_core::seed::{derive, permutation};

/// Places of groups, each half ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halves {
    /// Where features are picked: half of the groups, rounded down.
    pub discovery: Vec<usize>,
    /// Where they are tested.
    pub confirmation: Vec<usize>,
}

impl Halves {
    /// Deals `groups` groups.
    pub fn of(groups: usize, seed: u64) -> Self {
        let mut order = permutation(groups, derive(&[b"halves", &seed.to_le_bytes()]));
        let mut confirmation = order.split_off(groups / 2);
        order.sort_unstable();
        confirmation.sort_unstable();
        Self { discovery: order, confirmation }
    }

    /// A half's values.
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
