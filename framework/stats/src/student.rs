//! Student's t of a mean, and the number of groups that a test needs.
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// One-sample t: the mean divided by its standard error. 0 where the mean is 0 or there are fewer than two values;
/// infinite for equal values other than 0.
pub fn t_statistic(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    if values.len() < 2 || mean == 0.0 { 0.0 } else { mean / (var / n).sqrt() }
}

/// Two-sided critical value of t for `n` values: |t| exceeds it with probability 1 − `level` under no effect, with
/// n − 1 degrees of freedom. Infinite with fewer than two values.
pub fn t_critical(n: usize, level: f64) -> f64 {
    if n < 2 {
        return f64::INFINITY;
    }
    StudentsT::new(0.0, 1.0, n as f64 - 1.0).map_or(f64::INFINITY, |t| t.inverse_cdf(0.5 + level / 2.0))
}

/// Sample size: how many groups a two-sided test at 0.05 needs for the given power (such as 0.8), if the mean and
/// standard deviation are those of `values` (one per group). The normal approximation ((z₀.₉₇₅ + z_power)·sd/mean)², at
/// least 8. `None` where the mean is 0 or there are fewer than two values.
pub fn groups_needed(values: &[f64], power: f64) -> Option<usize> {
    let t = t_statistic(values);
    if t == 0.0 || t.is_nan() {
        return None;
    }
    let z = |p: f64| Normal::standard().inverse_cdf(p);
    let d = t / (values.len() as f64).sqrt();
    let n = ((z(0.975) + z(power)) / d).powi(2).ceil();
    (n < 1e9).then(|| (n as usize).max(8))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.ttest_1samp([1, 2, 4, 9], 0).statistic; scipy.stats.t.ppf(0.975, [5, 2]).
        assert!((t_statistic(&[1.0, 2.0, 4.0, 9.0]) - 2.2478059477960657).abs() < 1e-12);
        assert!((t_critical(6, 0.95) - 2.5705818356363146).abs() < 1e-9);
        assert!((t_critical(3, 0.95) - 4.302652729749462).abs() < 1e-9);
        assert_eq!(t_statistic(&[0.0; 5]), 0.0);
        assert_eq!(t_statistic(&[2.0; 5]), f64::INFINITY);
        assert_eq!((t_statistic(&[2.0]), t_critical(1, 0.95)), (0.0, f64::INFINITY));
    }

    #[test]
    fn groups_for_a_power() {
        // d = 0.5: (1.959964 + 0.841621)² / 0.25 = 31.4.
        let half: Vec<f64> = [-1.0, 1.0].iter().map(|v| 0.5 + v * 0.5f64.sqrt()).collect();
        assert_eq!(groups_needed(&half, 0.8), Some(32));
        assert_eq!(groups_needed(&[3.0; 4], 0.8), Some(8));
        assert_eq!(groups_needed(&[0.0; 4], 0.8), None);
    }
}
