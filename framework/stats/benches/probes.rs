//! Times the logistic probes of a whole study: 18 layers × 5 positions × 12 fits, each a scaler and a fit on 3,000 ×
//! 640 features. Run `cargo bench -p friction-stats --bench probes`; `probes.py` times scikit-learn on the same
//! sizes.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_stats::{Link, Matrix, Rng, Scaler, fit_to};
use rayon::prelude::*;
use std::time::Instant;

const ROWS: usize = 3000;
const COLS: usize = 640;

fn main() {
    let count: usize = std::env::var("PROBES").ok().and_then(|n| n.parse().ok()).unwrap_or(18 * 5 * 12);
    // Forty data sets are used in turn, because only the fitting is timed.
    let sets: Vec<(Matrix, Vec<f64>)> = (0..count.min(40) as u64)
        .into_par_iter()
        .map(|seed| {
            let mut rng = Rng::new(seed);
            let data: Vec<f64> = (0..ROWS * COLS).map(|_| rng.normal() * 3.0 + 1.0).collect();
            let x = Matrix { data, cols: COLS };
            let y = (0..ROWS)
                .map(|i| f64::from(x.row(i)[..8].iter().map(|v| v - 1.0).sum::<f64>() / 4.0 + 2.0 * rng.normal() > 0.0))
                .collect();
            (x, y)
        })
        .collect();
    let began = Instant::now();
    let iterations: u64 = (0..count)
        .into_par_iter()
        .map(|i| {
            let (x, y) = &sets[i % sets.len()];
            let scaler = Scaler::fit(x);
            fit_to(&scaler.apply(x), y, Link::Logistic, 0.01, 1e-4).unwrap().iterations
        })
        .sum();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} probes of {ROWS} × {COLS} in {seconds:.1} s: {:.1} ms each, {:.1} iterations",
        1e3 * seconds / count as f64,
        iterations as f64 / count as f64
    );
}
