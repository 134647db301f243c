//! Exact tests on paired differences.
use std::collections::BTreeMap;

/// Result of an exact sign-flip permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTest {
    /// The observed sum of the differences.
    pub sum: i64,
    /// Two-sided p-value: the share of all 2ⁿ sign patterns whose |sum| is at least the observed one.
    pub p: f64,
    /// Number of differences other than 0. The others carry no information.
    pub informative: usize,
}

/// Tests by all 2ⁿ sign patterns whether paired integer differences are centred at 0. The distribution of the sum is
/// an exact convolution over integers, so p needs no random numbers (Fisher 1935; Pitman 1937).
pub fn sign_flip(differences: &[i64]) -> PairedTest {
    let sum: i64 = differences.iter().sum();
    let mut mass: BTreeMap<i64, f64> = BTreeMap::from([(0, 1.0)]);
    let mut informative = 0;
    for d in differences.iter().filter(|d| **d != 0) {
        informative += 1;
        let mut next = BTreeMap::new();
        for (s, m) in &mass {
            *next.entry(s + d).or_insert(0.0) += m / 2.0;
            *next.entry(s - d).or_insert(0.0) += m / 2.0;
        }
        mass = next;
    }
    let p: f64 = mass.iter().filter(|(s, _)| s.abs() >= sum.abs()).map(|(_, m)| m).sum();
    PairedTest { sum, p: p.min(1.0), informative }
}
