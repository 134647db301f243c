//! The joint distribution of two standard normal variables, and the latent correlation of two binary ones.
use statrs::distribution::{ContinuousCDF, Normal};
use std::f64::consts::{PI, TAU};

/// Steps of Simpson's rule; even.
const STEPS: usize = 200;
/// Halvings of the interval in which the latent correlation lies.
const HALVINGS: usize = 50;

/// The standard normal quantile.
pub(super) fn quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// The standard normal distribution function.
pub(super) fn below(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

/// P(X ≤ `h` and Y ≤ `k`) of standard normal X and Y with correlation `r`, 0 ≤ r < 1: Φ(h)Φ(k) + 1/2π · ∫ from 0 to
/// asin r of exp(−(h² + k² − 2hk·sin θ) / 2cos² θ) dθ (Drezner and Wesolowsky 1990, J. Stat. Comput. Simul. 35:101).
pub(super) fn both(h: f64, k: f64, r: f64) -> f64 {
    let end = r.clamp(0.0, 1.0).asin().min(PI / 2.0 - 1e-9);
    let step = end / STEPS as f64;
    let at = |i: usize| {
        let (sin, cos) = (step * i as f64).sin_cos();
        (-(h * h + k * k - 2.0 * h * k * sin) / (2.0 * cos * cos)).exp()
    };
    let inner: f64 = (1..STEPS).map(|i| if i % 2 == 1 { 4.0 * at(i) } else { 2.0 * at(i) }).sum();
    below(h) * below(k) + step / 3.0 * (at(0) + inner + at(STEPS)) / TAU
}

/// The latent correlation with which two binary variables, each 1 with probability `p`, have the correlation `phi`,
/// from 0 to below 1.
pub(super) fn latent(phi: f64, p: f64) -> f64 {
    if phi <= 0.0 {
        return 0.0;
    }
    let (h, variance) = (quantile(p), p * (1.0 - p));
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if (both(h, h, middle) - p * p) / variance < phi { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By scipy.integrate.quad over x of φ(x)·Φ((k − r·x) / √(1 − r²)), up to h.
    const JOINT: [(f64, f64, f64, f64); 6] = [
        (-0.4677, -0.4677, 0.72, 0.2111957128766879),
        (0.0, 0.0, 0.5, 0.3333333333333334),
        (-1.5, -0.4, 0.9, 0.06654894426497998),
        (1.2, -0.3, 0.3, 0.3589507631317978),
        (-1.55, -0.47, 0.72, 0.05462394923165756),
        (-0.47, -0.47, 0.99, 0.29901012111653197),
    ];
    /// By scipy.optimize.brentq over the same integral.
    const LATENT: [(f64, f64, f64); 4] = [
        (0.5, 0.32, 0.7200194200535516),
        (0.2, 0.5, 0.3090169943749469),
        (0.8, 0.1, 0.9668321283693785),
        (0.95, 0.32, 0.997093156814786),
    ];

    #[test]
    fn agrees_with_scipy() {
        for (h, k, r, want) in JOINT {
            assert!((both(h, k, r) - want).abs() < 1e-8, "{h} {k} {r}: {}", both(h, k, r));
        }
        for (phi, p, want) in LATENT {
            assert!((latent(phi, p) - want).abs() < 1e-6, "{phi} {p}: {}", latent(phi, p));
        }
        assert_eq!(latent(0.0, 0.3), 0.0);
    }
}
