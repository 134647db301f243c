//! Against scipy 1.x; `oracle.py` prints the numbers.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_stats::{mean_t, sign_flip, slope::scale, slope_sum, wilson};

#[test]
fn sign_flip_equals_scipys_exact_permutation() {
    let t = sign_flip(&[12, -4, 0, 7, 7, -1, 3, 20, -9, 5]);
    assert_eq!((t.sum, t.informative), (40, 9));
    assert!((t.p - 0.171875).abs() < 1e-12);
    assert_eq!(sign_flip(&[]).p, 1.0);
    assert_eq!(sign_flip(&[0, 0]).p, 1.0);
}

#[test]
fn wilson_equals_scipys() {
    for (k, n, low, high) in [
        (0, 10, 0.0, 0.27753279986288926),
        (7, 20, 0.1811918241010821, 0.5671457233147637),
        (320, 1000, 0.2918240089814416, 0.34955362407335827),
    ] {
        let i = wilson(k, n, 0.95).unwrap();
        assert!((i.low - low).abs() < 1e-9 && (i.high - high).abs() < 1e-9, "{i:?}");
    }
    assert!(wilson(0, 0, 0.95).is_none());
}

#[test]
fn students_interval_equals_scipys() {
    let i = mean_t(&[0.1, -0.2, 0.35, 0.05, 0.0, 0.4], 0.95).unwrap();
    assert!((i.low + 0.11955350229099028).abs() < 1e-9 && (i.high - 0.3528868356243236).abs() < 1e-9);
    assert!(mean_t(&[1.0], 0.95).is_err());
}

#[test]
fn slopes_equal_scipys_linregress() {
    let y = [true, true, false, true, false, false, true];
    assert!((slope_sum(&y) as f64 / scale(7) + 0.07142857142857142).abs() < 1e-12);
}
