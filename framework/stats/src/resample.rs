//! A seeded random number generator, the cluster bootstrap, quantiles, and p-values of permutations.
use crate::{Error, Interval};

/// A seeded random number generator: SplitMix64 (Steele, Lea and Flood 2014). Equal seeds give equal numbers on
/// every machine.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// An integer from 0 to `n` − 1, from the high bits of a product; its bias is below n / 2⁶⁴.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }
    /// A number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
    /// Puts the items in random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Percentile bootstrap interval at `level` of a statistic, drawing whole clusters with replacement (Davison and
/// Hinkley 1997, §3.8). `statistic` receives indices of clusters, 0 to `clusters` − 1, and returns its value or the
/// reason why it has none. Draws without a value are left out; more than half of them is an error. `what` names the
/// statistic in errors.
///
/// # Errors
/// With fewer than two clusters, or when the statistic has no value; the message names it and the reason.
pub fn cluster_bootstrap(
    what: &str,
    clusters: usize,
    draws: usize,
    level: f64,
    seed: u64,
    statistic: impl Fn(&[usize]) -> Result<f64, String>,
) -> Result<Interval, Error> {
    let all: Vec<usize> = (0..clusters).collect();
    let none = |why| Error::TooLittle(format!("{what} has no value over {clusters} groups: {why}"));
    let estimate = statistic(&all).map_err(none)?;
    if clusters < 2 {
        return Err(Error::TooLittle(format!(
            "{what} has no interval: a bootstrap needs 2 groups, there are {clusters}"
        )));
    }
    let mut rng = Rng::new(seed);
    let (mut values, mut last) = (vec![], String::new());
    for _ in 0..draws {
        match statistic(&(0..clusters).map(|_| rng.below(clusters)).collect::<Vec<_>>()) {
            Ok(v) if v.is_finite() => values.push(v),
            Ok(v) => last = format!("it is {v}"),
            Err(why) => last = why,
        }
    }
    if values.len() * 2 < draws.max(2) {
        let (lost, why) = (draws - values.len(), if draws == 0 { "no draws were asked for" } else { last.as_str() });
        let what = format!("{what} has no interval: no value in {lost} of {draws} draws of groups: {why}");
        return Err(Error::TooLittle(what));
    }
    values.sort_by(f64::total_cmp);
    Ok(Interval { estimate, low: quantile(&values, (1.0 - level) / 2.0), high: quantile(&values, (1.0 + level) / 2.0) })
}

/// The `q`-quantile of ascending values, by linear interpolation between order statistics (type 7 of Hyndman and Fan
/// 1996, numpy's default). NaN for an empty slice.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let at = q.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

/// One-sided p-value of an observed statistic among permuted ones: (1 + number at least as large) / (1 + number of
/// permutations), so the observed labelling counts as a permutation (Phipson and Smyth 2010).
pub fn permutation_p(observed: f64, permuted: &[f64]) -> f64 {
    // Values that differ only by rounding count as ties.
    let slack = 1e-12 * observed.abs().max(1.0);
    let beyond = permuted.iter().filter(|v| **v >= observed - slack).count();
    (1 + beyond) as f64 / (1 + permuted.len()) as f64
}
