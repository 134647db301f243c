//! Least-squares slopes of 0/1 outcomes on turns, computed in integers so that permutation tests are exact.

/// The centred turns 2(x − x̄) for x = 1, …, `n`: integers that sum to 0. The first turn's number does not matter.
pub fn centred(n: usize) -> Vec<i64> {
    (0..n as i64).map(|i| 2 * i - (n as i64 - 1)).collect()
}

/// Σ 2(x − x̄)·y over the turns x of one conversation. Divided by [`scale`] it is the least-squares slope of y on
/// the turn.
pub fn slope_sum(y: &[bool]) -> i64 {
    centred(y.len()).iter().zip(y).map(|(c, y)| if *y { *c } else { 0 }).sum()
}

/// 2·Σ(x − x̄)² = n(n² − 1)/6: [`slope_sum`] divided by it is the slope per turn.
pub fn scale(n: usize) -> f64 {
    let n = n as f64;
    n * (n * n - 1.0) / 6.0
}
