//! Discovery and confirmation: groups in which something is looked for, and groups in which it is tested.
use crate::seed;

/// Number of groups among which the parts are drawn at once, so that few groups are split evenly too.
const BLOCK: usize = 4;

/// Whether a group is one of discovery. `share` is the share of such groups, from 0 to 1; of the first n groups, share × n
/// are of discovery, give or take two. It depends on its arguments alone, so that shards, resumed runs and analyzers
/// agree.
///
/// ```
/// use friction_core::split::discovery;
/// let n = (0..40).filter(|g| discovery(7, *g, 0.5)).count();
/// assert_eq!(n, 20);
/// assert!((0..9).all(|g| !discovery(7, g, 0.0) && discovery(7, g, 1.0)));
/// ```
pub fn discovery(seed: u64, group: usize, share: f64) -> bool {
    let (block, at) = (group / BLOCK, group % BLOCK);
    // What a block's share leaves of a whole group is carried to the next.
    let until = |blocks: usize| (share.clamp(0.0, 1.0) * (BLOCK * blocks) as f64 + 1e-9).floor() as usize;
    let wanted = until(block + 1) - until(block);
    let drawn = seed::derive(&[&seed.to_le_bytes(), b"discovery", &(block as u64).to_le_bytes()]);
    seed::permutation(BLOCK, drawn)[at] < wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_share_holds_for_any_number_of_groups(seed in any::<u64>(), n in 1usize..300, share in 0.0f64..=1.0) {
            let found = (0..n).filter(|g| discovery(seed, *g, share)).count();
            prop_assert!((found as f64 - share * n as f64).abs() <= 2.0 + 1e-6, "{found} of {n} at {share}");
        }
    }

    #[test]
    fn seeds_give_other_parts_and_equal_seeds_the_same() {
        let of = |seed| (0..60).map(|g| discovery(seed, g, 0.5)).collect::<Vec<_>>();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
        // Neither part is every other group.
        assert!(of(3).windows(2).any(|w| w[0] == w[1]));
    }
}
