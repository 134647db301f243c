//! Confidence intervals of a proportion and of a mean.
use crate::{Error, t_critical};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// An estimate with its two-sided confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Point estimate.
    pub estimate: f64,
    /// Lower bound, in the estimate's unit.
    pub low: f64,
    /// Upper bound, in the estimate's unit.
    pub high: f64,
}

/// Wilson's score interval of a proportion (Wilson 1927, JASA 22:209). `level` is a confidence level such as 0.95.
/// `None` with no trials, more successes than trials, or a level outside 0 to 1.
pub fn wilson(successes: u64, n: u64, level: f64) -> Option<Interval> {
    if n == 0 || successes > n || !(0.0..1.0).contains(&level) {
        return None;
    }
    let z = Normal::standard().inverse_cdf(0.5 + level / 2.0);
    let (n, p) = (n as f64, successes as f64 / n as f64);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Some(Interval { estimate: p, low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

/// Mean with Student's t interval at `level`: n − 1 degrees of freedom, sample variance.
///
/// # Errors
/// With fewer than two values.
pub fn mean_t(values: &[f64], level: f64) -> Result<Interval, Error> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return Err(Error::TooLittle(format!("an interval needs 2 values, there are {}", values.len())));
    }
    let mean = values.iter().sum::<f64>() / n;
    let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t =
        StudentsT::new(0.0, 1.0, n - 1.0).map_err(|e| Error::TooLittle(e.to_string()))?.inverse_cdf(0.5 + level / 2.0);
    let half = t * (var / n).sqrt();
    Ok(Interval { estimate: mean, low: mean - half, high: mean + half })
}

/// The ratio Σ `values` / Σ `weights`, one pair for each independent unit, with its interval at `level` by Fieller's theorem
/// (Fieller 1954, JRSS B 16:175): a ratio r is inside if and only if Student's t does not tell the mean of value − r · weight
/// from 0, with n − 1 degrees of freedom. Weights may have either sign; where their mean is not told from 0, the interval
/// has no bounds.
///
/// # Errors
/// With fewer than two pairs, a number that is not finite, or weights that sum to 0.
pub fn ratio_t(values: &[f64], weights: &[f64], level: f64) -> Result<Interval, Error> {
    let n = values.len();
    if n < 2 || weights.len() != n {
        return Err(Error::TooLittle(format!("the interval of a ratio needs 2 pairs, there are {n}")));
    }
    if let Some(v) = values.iter().chain(weights).find(|v| !v.is_finite()) {
        return Err(Error::Value(format!("a group's value is {v}: a ratio needs finite values")));
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n as f64;
    let (value, weight) = (mean(values), mean(weights));
    if weight == 0.0 {
        return Err(Error::Value("the weights of the groups sum to 0".into()));
    }
    let t2 = t_critical(n, level).powi(2);
    // t² times the covariance of two means.
    let spread = |a: &[f64], b: &[f64]| {
        let (x, y) = (mean(a), mean(b));
        t2 * a.iter().zip(b).map(|(a, b)| (a - x) * (b - y)).sum::<f64>() / ((n - 1) * n) as f64
    };
    // The bounds solve a r² − 2 b r + c = 0.
    let a = weight * weight - spread(weights, weights);
    let b = value * weight - spread(values, weights);
    let c = value * value - spread(values, values);
    let estimate = value / weight;
    if a <= 0.0 {
        return Ok(Interval { estimate, low: f64::NEG_INFINITY, high: f64::INFINITY });
    }
    let root = (b * b - a * c).max(0.0).sqrt();
    Ok(Interval { estimate, low: (b - root) / a, high: (b + root) / a })
}

/// Mean of one value for each independent unit, such as a group, with its interval at `level`: Wilson's score interval if
/// all values are 0 or 1, otherwise Student's t. The bounds are NaN where there is no interval: of one value, and of equal
/// values other than 0 and 1, which do not tell how units vary. `None` without values.
pub fn mean_of_units(values: &[f64], level: f64) -> Option<Interval> {
    let n = values.len();
    if n > 0 && values.iter().all(|v| *v == 0.0 || *v == 1.0) {
        return wilson(values.iter().filter(|v| **v == 1.0).count() as u64, n as u64, level);
    }
    mean_of_numbers(values, level)
}

/// Mean of one number for each independent unit with Student's interval at `level`, whatever the numbers are. The bounds
/// are NaN where there is no interval: of one value, and of equal values. `None` without values.
pub fn mean_of_numbers(values: &[f64], level: f64) -> Option<Interval> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    if n < 2 || most - least <= 1e-12 * most.abs().max(least.abs()) {
        let estimate = values.iter().sum::<f64>() / n as f64;
        return (n > 0).then_some(Interval { estimate, low: f64::NAN, high: f64::NAN });
    }
    mean_t(values, level).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_bounds_of_a_ratio_are_where_t_is_critical() {
        let (values, weights) = ([1.0, 2.5, 0.5, 3.0, 1.5, 2.0], [4.0, 5.0, 3.0, 6.5, 2.0, 4.5]);
        let i = ratio_t(&values, &weights, 0.95).unwrap();
        assert!((i.estimate - 0.42).abs() < 1e-12, "{i:?}");
        for (r, sign) in [(i.low, 1.0), (i.high, -1.0)] {
            let left: Vec<f64> = values.iter().zip(&weights).map(|(v, w)| v - r * w).collect();
            assert!((crate::t_statistic(&left) - sign * t_critical(6, 0.95)).abs() < 1e-9, "{i:?}");
        }
        assert!((i.low - 0.2503293251860738).abs() < 1e-9 && (i.high - 0.5725243551045206).abs() < 1e-9, "{i:?}");
        // All groups have the same ratio.
        let same = ratio_t(&weights, &weights, 0.95).unwrap();
        assert!((same.low - 1.0).abs() < 1e-6 && (same.high - 1.0).abs() < 1e-6, "{same:?}");
        // Weights that are not told from 0.
        let open = ratio_t(&values, &[1.0, -1.0, 1.0, -1.0, 1.0, 1.0], 0.95).unwrap();
        assert_eq!((open.low, open.high), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(ratio_t(&values[..1], &weights[..1], 0.95).is_err() && ratio_t(&values, &[0.0; 6], 0.95).is_err());
    }
    use crate::Rng;

    #[test]
    fn the_interval_of_units_is_the_one_for_their_values() {
        let binary = [1.0, 0.0, 1.0, 1.0];
        assert_eq!(mean_of_units(&binary, 0.95), wilson(3, 4, 0.95));
        let shares = [1.0, 0.5, 1.0, 0.75];
        assert_eq!(mean_of_units(&shares, 0.9), mean_t(&shares, 0.9).ok());
        for (same, mean) in [(&[0.4][..], 0.4), (&[7.0, 7.0, 7.0], 7.0)] {
            let i = mean_of_units(same, 0.95).unwrap();
            assert!(i.estimate == mean && i.low.is_nan() && i.high.is_nan(), "{i:?}");
        }
        assert_eq!(mean_of_units(&[], 0.95), None);
        assert_eq!(mean_of_units(&[1.0; 9], 0.95), wilson(9, 9, 0.95));
    }

    /// Each unit's value is the mean of correlated answers. Counting answers as units would cover far too seldom.
    #[test]
    fn means_of_correlated_answers_are_covered() {
        let (mut rng, studies) = (Rng::new(5), 1000);
        let (mut covered, mut naive) = (0, 0);
        for _ in 0..studies {
            let mut right = 0;
            let units: Vec<f64> = (0..16)
                .map(|_| {
                    let p = (0.5 + 0.3 * rng.normal()).clamp(0.0, 1.0);
                    let own = (0..10).filter(|_| rng.unit() < p).count();
                    right += own as u64;
                    own as f64 / 10.0
                })
                .collect();
            let holds = |i: Interval| usize::from(i.low <= 0.5 && 0.5 <= i.high);
            covered += holds(mean_of_units(&units, 0.95).unwrap());
            naive += holds(wilson(right, 160, 0.95).unwrap());
        }
        // A correct interval is outside these once in 10,000 times.
        assert!((922..=974).contains(&covered), "{covered} of {studies}");
        assert!(naive < 850, "{naive} of {studies}");
    }
}
