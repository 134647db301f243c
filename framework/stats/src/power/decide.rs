//! Whether a study of whole-numbered values is significant.
use super::joint::below;
use std::f64::consts::TAU;

/// All sign patterns are counted where the sum's standard deviation has fewer steps, and where one value has a larger
/// share of its variance: the expansion is then poor.
const FINE: f64 = 60.0;
const SHARE: f64 = 0.1;
/// As a share of the size: where the expansion is nearer to it, all sign patterns are counted. It is 1 % off at most.
const NEAR: f64 = 0.15;

/// Whether the two-sided sign-flip test over all 2ⁿ patterns rejects at `alpha`. Most decisions are clear by an Edgeworth
/// expansion of the sum's distribution (Feller 1971, vol. 2, XVI.4); near `alpha` the patterns are counted.
pub(super) fn flips_reject(values: &[i64], alpha: f64) -> bool {
    let sum = values.iter().sum::<i64>().unsigned_abs();
    let unit = values.iter().fold(0, |g, v| divisor(g, v.unsigned_abs()));
    if sum == 0 || unit == 0 {
        return false;
    }
    let squares = values.iter().map(|v| (*v as f64).powi(2));
    let (square, largest) = (squares.clone().sum::<f64>(), squares.fold(0.0, f64::max));
    let sd = square.sqrt();
    if sd >= FINE * unit as f64 && largest <= SHARE * square {
        let fourth = -2.0 * values.iter().map(|v| (*v as f64).powi(4)).sum::<f64>() / square.powi(2);
        // Sums are two units apart; half of the observed one's probability lies beyond it.
        let z = (sum as f64 - unit as f64) / sd;
        let density = (-z * z / 2.0).exp() / TAU.sqrt();
        let p = 2.0 * (1.0 - below(z) + density * fourth / 24.0 * (z.powi(3) - 3.0 * z));
        if (p - alpha).abs() > NEAR * alpha {
            return p <= alpha;
        }
    }
    counted(values, sum, unit) <= alpha + 1e-12
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// The share of all sign patterns whose |sum| is at least `sum`, which is above 0; all values are multiples of `unit`.
///
/// A pattern's sum is at least `sum` where the values that it makes negative sum to (Σ|v| − sum) / 2 at most, so sums
/// above that are not followed. The other tail is as large.
fn counted(values: &[i64], sum: u64, unit: u64) -> f64 {
    let mut sizes: Vec<usize> = values.iter().map(|v| (v.unsigned_abs() / unit) as usize).filter(|v| *v > 0).collect();
    sizes.sort_unstable();
    let last = (sizes.iter().sum::<usize>() - (sum / unit) as usize) / 2;
    let (mut mass, mut next) = (vec![0.0f64; last + 1], vec![0.0f64; last + 1]);
    mass[0] = 1.0;
    let mut reach = 0;
    for size in sizes {
        reach = (reach + size).min(last);
        let stays = size.min(reach + 1);
        next[..stays].iter_mut().zip(&mass).for_each(|(n, m)| *n = 0.5 * m);
        let flipped = mass.iter().zip(&mass[stays..=reach]);
        next[stays..=reach].iter_mut().zip(flipped).for_each(|(n, (lower, m))| *n = 0.5 * (m + lower));
        std::mem::swap(&mut mass, &mut next);
    }
    2.0 * mass.iter().sum::<f64>()
}

/// |t| of the difference between two means with the pooled variance (Student 1908); 0 where nothing varies.
pub(super) fn pooled_t(a: &[i64], b: &[i64]) -> f64 {
    let moments = |all: &[i64]| {
        let mean = all.iter().sum::<i64>() as f64 / all.len() as f64;
        (mean, all.iter().map(|v| (*v as f64 - mean).powi(2)).sum::<f64>())
    };
    let ((x, sx), (y, sy)) = (moments(a), moments(b));
    let (n, m) = (a.len() as f64, b.len() as f64);
    let se = ((sx + sy) / (n + m - 2.0) * (1.0 / n + 1.0 / m)).sqrt();
    if se > 0.0 { (x - y).abs() / se } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rng, sign_flip};

    /// Every decision is that of the exact test over integers, whose code is another.
    #[test]
    fn decides_as_the_exact_test() {
        let mut rng = Rng::new(8);
        let (mut rejected, mut studies) = (0, 0);
        for (groups, steps, shift, times) in [
            (8, 40.0, 0.9, 150),
            (13, 90.0, 0.7, 150),
            (17, 60.0, 0.6, 150),
            (40, 70.0, 0.33, 60),
            (90, 50.0, 0.22, 40),
            (60, 1.0, 0.3, 150),
        ] {
            for _ in 0..times {
                let values: Vec<i64> = (0..groups).map(|_| (steps * (rng.normal() + shift)).round() as i64).collect();
                let p = sign_flip(&values).p;
                for alpha in [0.05, 0.0167] {
                    let exact = p <= alpha;
                    assert_eq!(flips_reject(&values, alpha), exact, "{groups} groups at {alpha}: {values:?}");
                    rejected += usize::from(exact);
                    studies += 1;
                }
            }
        }
        assert!(rejected * 5 > studies && rejected * 5 < 4 * studies, "{rejected} of {studies}");
    }

    #[test]
    fn patterns_are_counted() {
        // Of 2⁶ patterns 2 have a sum as large as that of six equal signs.
        assert!((counted(&[3; 6], 18, 3) - 2.0 / 64.0).abs() < 1e-15);
        for values in [vec![12i64, -4, 0, 7, 7, -1, 3, 20, -9, 5], vec![5, 5, -3, 2, 2, 2, 8, -1, 6]] {
            let sum = values.iter().sum::<i64>().unsigned_abs();
            assert!((counted(&values, sum, 1) - sign_flip(&values).p).abs() < 1e-12);
        }
        assert!(!flips_reject(&[0; 9], 0.05) && !flips_reject(&[4, -4], 0.05) && !flips_reject(&[], 0.05));
        // With 5 groups no pattern is rare enough.
        assert!(!flips_reject(&[7; 5], 0.05) && flips_reject(&[7; 6], 0.05));
    }

    #[test]
    fn t_agrees_with_scipy() {
        // scipy.stats.ttest_ind([1, 2, 4, 9], [0, -3, 2, 2, 1]).statistic.
        assert!((pooled_t(&[1, 2, 4, 9], &[0, -3, 2, 2, 1]) - 1.9110661718118183).abs() < 1e-12);
        assert_eq!(pooled_t(&[1, 1], &[1, 1]), 0.0);
    }
}
