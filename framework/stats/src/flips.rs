//! The sign-flip test with one sign for each group: for paired designs, with its interval and a max-T correction.
//!
//! The value of a group is a difference between conditions that asked the same questions. Under the null hypothesis
//! it could as well have the other sign. All pairs of a group share its questions, so a group has **one** sign; one
//! sign per pair rejects too often where the pairs of a group correlate. Flipping signs does not change the sum of
//! squares, so ranking by the sum is the same as ranking by Student's t: the test is studentised.
use crate::{Error, Rng, settled_sum};

/// Up to this many groups all 2ⁿ sign patterns are computed; with more groups, [`DRAWS`] random ones.
const EXACT: usize = 14;
/// Number of random sign patterns. Together with the observed one they make 20,000.
const DRAWS: usize = 19_999;

/// The mean of one value per group, with its sign-flip test and interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flips {
    /// Mean over groups; for [`ratio_flips`] the ratio Σ values / Σ weights.
    pub estimate: f64,
    /// Lower bound of the interval; −∞ where there are too few groups for the level.
    pub low: f64,
    /// Upper bound of the interval; +∞ where there are too few groups for the level.
    pub high: f64,
    /// Two-sided p-value of the null hypothesis that the mean is 0.
    pub p: f64,
    /// One-sided p-value: the share of sign patterns whose sum is at least the observed one.
    pub greater: f64,
    /// Number of groups.
    pub n: usize,
}

/// Tests by sign flips whether the mean of `values` (one per group) is 0, and inverts the test into an interval at
/// `level` (such as 0.95): a mean m is inside if and only if the test does not reject the values minus m.
///
/// With up to 14 groups all 2ⁿ patterns are used. With more, 19,999 patterns are drawn from `seed`, and the observed
/// pattern counts as one more (Phipson and Smyth 2010). The bounds are order statistics of the means of all subsets
/// of the groups (Hartigan 1969, JASA 64:1303). The test is exact for symmetric distributions.
///
/// # Errors
/// With fewer than two groups, or a value that is not finite.
pub fn sign_flips(values: &[f64], level: f64, seed: u64) -> Result<Flips, Error> {
    ratio_flips(values, &vec![1.0; values.len()], level, seed)
}

/// The same test and interval as [`sign_flips`] for the ratio Σ `values` / Σ `weights`, one pair per group. For a
/// least-squares slope, a group's value is its sum of cross products and its weight its sum of squares. A ratio r is
/// inside the interval if and only if the test does not reject value − r · weight.
///
/// # Errors
/// With fewer than two groups, a value that is not finite, a weight below 0, or weights of 0 only.
pub fn ratio_flips(values: &[f64], weights: &[f64], level: f64, seed: u64) -> Result<Flips, Error> {
    let n = values.len();
    if n < 2 || weights.len() != n {
        return Err(Error::TooLittle(format!("sign flips need 2 groups, there are {n}")));
    }
    if let Some(v) = values.iter().chain(weights).find(|v| !v.is_finite()) {
        return Err(Error::Value(format!("a group's value is {v}: sign flips need finite values")));
    }
    let (sum, weight) = (settled_sum(values.iter().copied()), weights.iter().sum::<f64>());
    if weights.iter().any(|w| *w < 0.0) || weight <= 0.0 {
        return Err(Error::Value("the weights of the groups sum to 0".into()));
    }
    let slack = 1e-12 * values.iter().map(|v| v.abs()).sum::<f64>();
    let (mut two, mut one, mut all) = (0usize, 0usize, 0usize);
    let mut ratios = Vec::new();
    for_patterns(n, seed, |flipped| {
        let (mut part, mut w) = (0.0, 0.0);
        for i in flipped.iter() {
            part += values[i];
            w += weights[i];
        }
        let other = sum - 2.0 * part;
        two += usize::from(other.abs() >= sum.abs() - slack);
        one += usize::from(other >= sum - slack);
        all += 1;
        if w > 0.0 {
            ratios.push(part / w);
        }
    });
    // The interval runs from the k-th smallest to the k-th largest ratio.
    let k = ((1.0 - level) / 2.0 * all as f64 + 1e-9).floor() as usize;
    let (low, high) = match k {
        0 => (f64::NEG_INFINITY, f64::INFINITY),
        k if k > ratios.len() => (f64::NEG_INFINITY, f64::INFINITY),
        k => {
            let last = ratios.len() - k;
            let low = *ratios.select_nth_unstable_by(k - 1, f64::total_cmp).1;
            (low, *ratios.select_nth_unstable_by(last, f64::total_cmp).1)
        }
    };
    let share = |k: usize| k as f64 / all as f64;
    Ok(Flips { estimate: sum / weight, low, high, p: share(two), greater: share(one), n })
}

/// Family-wise adjusted p-values of several means over the same groups (Westfall and Young 1993, single-step max-T).
/// The p of a mean is the share of sign patterns in which the largest |t| of all means reaches that mean's own |t|.
/// A pattern has one sign per group, shared by all means. `values[h][g]` is hypothesis `h` in group `g`; a
/// hypothesis whose values are all 0 has p = 1.
///
/// # Errors
/// As [`sign_flips`], and when the rows differ in length.
pub fn max_t(values: &[Vec<f64>], seed: u64) -> Result<Vec<f64>, Error> {
    let n = values.first().map_or(0, Vec::len);
    if n < 2 {
        return Err(Error::TooLittle(format!("sign flips need 2 groups, there are {n}")));
    }
    if values.iter().any(|v| v.len() != n || v.iter().any(|v| !v.is_finite())) {
        return Err(Error::Value("hypotheses need one finite value for each of the same groups".into()));
    }
    // Scaled to a sum of squares of 1, |t| is the same increasing function of |sum| for every hypothesis.
    let unit: Vec<Vec<f64>> = values
        .iter()
        .map(|v| {
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.iter().map(|x| if norm > 0.0 { x / norm } else { 0.0 }).collect()
        })
        .collect();
    let sums: Vec<f64> = unit.iter().map(|v| v.iter().sum()).collect();
    let (mut beyond, mut all) = (vec![0usize; values.len()], 0usize);
    for_patterns(n, seed, |flipped| {
        let most = unit
            .iter()
            .zip(&sums)
            .map(|(v, s)| (s - 2.0 * flipped.iter().map(|i| v[i]).sum::<f64>()).abs())
            .fold(0.0, f64::max);
        all += 1;
        beyond.iter_mut().zip(&sums).for_each(|(b, s)| *b += usize::from(most >= s.abs() - 1e-12));
    });
    Ok(beyond.into_iter().map(|b| b as f64 / all as f64).collect())
}

/// The groups whose sign a pattern flips, as a bit set: bit i % 64 of word i / 64 is group i.
struct Flipped(Vec<u64>);

impl Flipped {
    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(w, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    64 * w + bit
                })
            })
        })
    }
}

/// Calls `each` with the pattern that flips nothing, then with all other patterns or [`DRAWS`] random ones.
fn for_patterns(n: usize, seed: u64, mut each: impl FnMut(&Flipped)) {
    let mut pattern = Flipped(vec![0; n.div_ceil(64)]);
    each(&pattern);
    if n <= EXACT {
        for bits in 1..1u64 << n {
            pattern.0[0] = bits;
            each(&pattern);
        }
        return;
    }
    let mut rng = Rng::new(seed ^ 0x5167_6e66);
    let last = n % 64;
    for _ in 0..DRAWS {
        pattern.0.iter_mut().for_each(|w| *w = rng.bits());
        if let (true, Some(w)) = (last > 0, pattern.0.last_mut()) {
            *w &= (1 << last) - 1;
        }
        each(&pattern);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn equals_the_exact_convolution() {
        let d = [12i64, -4, 0, 7, 7, -1, 3, 20, -9, 5];
        let f = sign_flips(&d.map(|v| v as f64), 0.95, 0).unwrap();
        let exact = crate::sign_flip(&d);
        assert!((f.p - exact.p).abs() < 1e-12, "{f:?}, {exact:?}");
        assert!((f.estimate - 4.0).abs() < 1e-12);
    }

    #[test]
    fn the_interval_inverts_the_test() {
        let mut rng = Rng::new(3);
        for n in [8usize, 12, 40] {
            let d: Vec<f64> = (0..n).map(|_| rng.normal() + 0.3).collect();
            let f = sign_flips(&d, 0.95, 1).unwrap();
            for (mean, inside) in [
                (f.low - 1e-6, false),
                (f.low + 1e-6, true),
                (f.estimate, true),
                (f.high - 1e-6, true),
                (f.high + 1e-6, false),
            ] {
                let moved: Vec<f64> = d.iter().map(|v| v - mean).collect();
                let p = sign_flips(&moved, 0.95, 1).unwrap().p;
                // Beyond 14 groups patterns are random, so the shares in the two tails differ a little.
                let slack = if n > EXACT { 0.004 } else { 0.0 };
                let holds = if inside { p > 0.05 - slack } else { p <= 0.05 + slack };
                assert!(holds, "{n} groups, {mean}: p {p}, {f:?}");
            }
        }
    }

    #[test]
    fn few_groups_exclude_nothing() {
        let f = sign_flips(&[1.0, 1.1, 0.9, 1.2], 0.95, 0).unwrap();
        assert_eq!((f.low, f.high, f.p), (f64::NEG_INFINITY, f64::INFINITY, 0.125));
        assert_eq!(f.greater, 1.0 / 16.0);
        let same = sign_flips(&[0.0; 9], 0.95, 0).unwrap();
        assert_eq!((same.low, same.high, same.p), (0.0, 0.0, 1.0));
        assert!(sign_flips(&[1.0], 0.95, 0).is_err());
        assert!(sign_flips(&[1.0, f64::NAN], 0.95, 0).unwrap_err().to_string().contains("NaN"));
    }

    #[test]
    fn covers_as_often_as_it_says() {
        // A correct implementation falls outside each bound once in 10,000 tests.
        for (n, studies, covers, finds) in [(12usize, 2000, 1862..=1938, 62..=138), (30, 600, 548..=590, 10..=52)] {
            let mut rng = Rng::new(n as u64);
            let (mut covered, mut found) = (0, 0);
            for s in 0..studies {
                let d: Vec<f64> = (0..n).map(|_| rng.normal() * (1.0 + 2.0 * rng.unit())).collect();
                let f = sign_flips(&d, 0.95, s).unwrap();
                covered += usize::from(f.low <= 0.0 && 0.0 <= f.high);
                found += usize::from(f.p <= 0.05);
            }
            assert!(covers.contains(&covered), "{covered} of {studies} intervals of {n} groups hold the truth");
            assert!(finds.contains(&found), "{found} of {studies} tests of {n} groups reject");
        }
    }

    #[test]
    fn the_largest_of_many_is_found_in_five_percent() {
        let mut rng = Rng::new(11);
        let (mut found, studies) = (0, 400);
        for s in 0..studies {
            let shared: Vec<f64> = (0..20).map(|_| rng.normal()).collect();
            let rows: Vec<Vec<f64>> = (0..30).map(|_| shared.iter().map(|x| x + rng.normal()).collect()).collect();
            found += usize::from(max_t(&rows, s).unwrap().iter().any(|p| *p <= 0.05));
        }
        assert!((5..=38).contains(&found), "{found} of {studies}");
        let real: Vec<f64> = (0..20).map(|_| 1.0 + 0.3 * rng.normal()).collect();
        let p = max_t(&[real, vec![0.0; 20]], 0).unwrap();
        assert!(p[0] < 0.001 && p[1] == 1.0, "{p:?}");
        assert!(max_t(&[vec![1.0; 3], vec![1.0; 4]], 0).is_err());
    }
}
