//! Confidence intervals of a proportion and of a mean.
use crate::Error;
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
