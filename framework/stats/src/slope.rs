//! Least-squares slopes of 0/1 outcomes on turns, as integers where they are integers.

/// 2(x − x̄) for x = first, …, first + n − 1: integers, summing to 0.
pub fn centred(n: usize) -> Vec<i64> {
    (0..n as i64).map(|i| 2 * i - (n as i64 - 1)).collect()
}

/// Σ 2(x − x̄)·y. The least-squares slope of y on the turn is this over [`scale`].
pub fn slope_sum(y: &[bool]) -> i64 {
    centred(y.len()).iter().zip(y).map(|(c, y)| if *y { *c } else { 0 }).sum()
}

/// 2·Σ(x − x̄)²: what [`slope_sum`] is divided by to give a slope per turn.
pub fn scale(n: usize) -> f64 {
    let n = n as f64;
    n * (n * n - 1.0) / 6.0
}
