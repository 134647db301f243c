//! Differences that are 0 but for rounding. A sign-flip test compares sums of differences with each other, so that a rest of
//! 1e-16 in each group, all of one sign, would be as significant as any effect.

/// Share of what a number is computed from below which it is a rest of rounding: far above the rounding of a few hundred
/// operations (1e-16 each), and far below the resolution of any outcome, which has 24 bits or counts answers.
const REST: f64 = 1e-11;

/// `value`, or exactly 0 where it is a rest of rounding beside `size`: the sum of the sizes of what was added to make it.
///
/// ```
/// use friction_stats::settled;
/// assert_eq!(settled(0.1 + 0.2 - 0.3, 0.6), 0.0);
/// assert_eq!(settled(1e-9, 2.0), 1e-9);
/// ```
pub fn settled(value: f64, size: f64) -> f64 {
    if size.is_finite() && value.abs() <= REST * size { 0.0 } else { value }
}

/// The sum of `terms`, or exactly 0 where they cancel but for rounding.
pub fn settled_sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut size) = (0.0, 0.0);
    for term in terms {
        sum += term;
        size += term.abs();
    }
    settled(sum, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_of_rounding_are_zero_and_small_effects_stay() {
        // The numbers 1, 10 and 3, less their mean: a trend over equal outcomes.
        let mean = 14.0 / 3.0;
        let equal = [1.0 - mean, 10.0 - mean, 3.0 - mean].map(|s| s * 0.883);
        assert!(equal.iter().sum::<f64>().abs() > 0.0);
        assert_eq!(settled_sum(equal), 0.0);
        let small = settled_sum([0.883, -0.883 + 1e-9]);
        assert!((small - 1e-9).abs() < 1e-15, "{small}");
        assert_eq!((settled_sum([]), settled_sum([1e-300])), (0.0, 1e-300));
        // What is not finite is told as such.
        assert!(settled_sum([f64::INFINITY, 1.0]).is_infinite() && settled_sum([f64::NAN]).is_nan());
    }
}
