//! Adjusted p-values for several tests at once.

/// Benjamini and Hochberg's adjusted p-values (1995, JRSS B 57:289), in the order of `p`. Rejecting those at or
/// below q keeps the expected share of false discoveries at q for independent or positively dependent tests.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let n = p.len() as f64;
    let order = descending(p);
    let (mut out, mut least) = (vec![1.0; p.len()], 1.0f64);
    for (i, k) in order.iter().enumerate() {
        least = least.min(p[*k] * n / (n - i as f64));
        out[*k] = least;
    }
    out
}

/// Holm's adjusted p-values (1979, Scand. J. Stat. 6:65), in the order of `p`. They control the family-wise error
/// rate under any dependence.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let n = p.len();
    let (mut out, mut most) = (vec![1.0; n], 0.0f64);
    for (i, k) in descending(p).iter().rev().enumerate() {
        most = most.max((p[*k] * (n - i) as f64).min(1.0));
        out[*k] = most;
    }
    out
}

fn descending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    order
}
