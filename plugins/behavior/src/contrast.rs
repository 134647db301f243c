//! A contrast between two levels: paired within groups, tested by sign flips with one sign per group.
use crate::values::Course;
use friction_stats::{Error, Flips, centred, settled_sum, sign_flip, sign_flips, slope};
use std::collections::{BTreeMap, BTreeSet};

/// What of a difference by turn is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Its mean over turns.
    Mean,
    /// Its least-squares slope on the turn's number.
    Slope,
}

/// The weight of each turn, and what the weighted sum is divided by.
struct Weights {
    turns: Vec<i64>,
    scale: f64,
}

impl Measure {
    /// `None` with too few turns: one for a mean, two for a slope.
    fn weights(self, turns: &[u32]) -> Option<Weights> {
        let n = turns.len();
        match self {
            Measure::Mean => (n > 0).then(|| Weights { turns: vec![1; n], scale: n as f64 }),
            Measure::Slope if n < 2 => None,
            Measure::Slope if turns.windows(2).all(|w| w[1] == w[0] + 1) => {
                Some(Weights { turns: centred(n), scale: slope::scale(n) })
            }
            // n times the centred turns are whole numbers where turns are missing too.
            Measure::Slope => {
                let sum: i64 = turns.iter().map(|t| i64::from(*t)).sum();
                let c: Vec<i64> = turns.iter().map(|t| n as i64 * i64::from(*t) - sum).collect();
                let scale = c.iter().map(|c| (c * c) as f64).sum::<f64>() / n as f64;
                Some(Weights { turns: c, scale })
            }
        }
    }
}

/// A contrast with its test.
#[derive(Debug, Clone)]
pub struct Contrast {
    /// Estimate, interval and p-value.
    pub flips: Flips,
    /// Whether p is exact: whole differences, and groups of equal size.
    pub exact: bool,
    /// Number of pairs in all groups.
    pub pairs: usize,
    /// Number of groups whose value is not 0.
    pub informative: usize,
}

/// A contrast, or why there is none, and the number of pairs with too few turns in common, which are left out.
pub struct Tested {
    /// The contrast.
    pub contrast: Result<Contrast, Error>,
    /// Number of pairs left out.
    pub short: usize,
}

/// A pair's weights, their weighted sum, and what it is divided by.
type Term = (Vec<i64>, f64, f64);

/// The pairs of each group, and the number of pairs that have too few turns.
fn terms(differences: &[Course], measure: Measure) -> (BTreeMap<u32, Vec<Term>>, usize) {
    let mut groups: BTreeMap<u32, Vec<Term>> = BTreeMap::new();
    let mut short = 0;
    for d in differences {
        let turns: Vec<u32> = d.turns.keys().copied().collect();
        match measure.weights(&turns) {
            Some(w) => {
                let sum = settled_sum(w.turns.iter().zip(d.turns.values()).map(|(w, d)| *w as f64 * d));
                groups.entry(d.group).or_default().push((w.turns, sum, w.scale));
            }
            None => short += 1,
        }
    }
    (groups, short)
}

/// The value of each group: the mean over its pairs, times `unit`. What is 0 but for rounding is 0 here and in the
/// differences, so that no rest is tested.
fn values(groups: &BTreeMap<u32, Vec<Term>>, unit: f64) -> Vec<f64> {
    let mean = |v: &Vec<Term>| settled_sum(v.iter().map(|(_, sum, scale)| unit * sum / scale)) / v.len() as f64;
    groups.values().map(mean).collect()
}

/// The estimate of [`contrast`] without its test, which takes most of the time; `None` where there is no test.
pub fn estimate(differences: &[Course], measure: Measure, unit: f64) -> Option<f64> {
    let values = values(&terms(differences, measure).0, unit);
    let told = values.len() > 1 && values.iter().all(|v| v.is_finite());
    told.then(|| settled_sum(values.iter().copied()) / values.len() as f64)
}

/// Tests differences by turn. Of each pair the measure is taken, times `unit`; a group's value is the mean over its
/// pairs. All pairs of a group have one sign, because they share its items.
pub fn contrast(differences: &[Course], measure: Measure, unit: f64, level: f64, seed: u64) -> Tested {
    let (groups, short) = terms(differences, measure);
    let values = values(&groups, unit);
    // If all groups have the same numbers of pairs and turns, sums of small whole numbers are on one scale, and p can be
    // exact.
    let alike: BTreeSet<(usize, &Vec<i64>)> = groups.values().flat_map(|v| v.iter().map(|t| (v.len(), &t.0))).collect();
    let whole = differences.iter().flat_map(|d| d.turns.values()).all(|d| d.fract() == 0.0 && d.abs() <= 2.0);
    let exact = whole && alike.len() <= 1;
    let sum = |v: &Vec<Term>| v.iter().map(|t| t.1).sum::<f64>();
    let informative = values.iter().filter(|v| **v != 0.0).count();
    let pairs = groups.values().map(Vec::len).sum();
    let contrast = sign_flips(&values, level, seed).map(|mut flips| {
        if exact {
            flips.p = sign_flip(&groups.values().map(|v| sum(v) as i64).collect::<Vec<_>>()).p;
        }
        Contrast { flips, exact, pairs, informative }
    });
    Tested { contrast, short }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_stats::Rng;

    fn difference(group: u32, turns: &[(u32, f64)]) -> Course {
        let turns = turns.iter().copied().collect();
        Course { group, condition: String::new(), factors: Default::default(), turns, replies: 0 }
    }

    /// The slope through points, by its textbook formula.
    fn slope_of(points: &[(u32, f64)]) -> f64 {
        let n = points.len() as f64;
        let (mx, my) =
            (points.iter().map(|p| f64::from(p.0)).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
        let sxy: f64 = points.iter().map(|p| (f64::from(p.0) - mx) * (p.1 - my)).sum();
        sxy / points.iter().map(|p| (f64::from(p.0) - mx).powi(2)).sum::<f64>()
    }

    #[test]
    fn slopes_are_those_of_least_squares_with_and_without_gaps() {
        let mut rng = Rng::new(2);
        for turns in [vec![2, 3, 4, 5], vec![1, 2, 5, 9], vec![3, 4]] {
            let of = |_| turns.iter().map(|t| (*t, rng.normal())).collect::<Vec<_>>();
            let all: Vec<Vec<(u32, f64)>> = (0..6).map(of).collect();
            let courses: Vec<Course> = (0..).zip(&all).map(|(g, points)| difference(g, points)).collect();
            let found = contrast(&courses, Measure::Slope, 100.0, 0.95, 1).contrast.unwrap();
            let want = all.iter().map(|points| 100.0 * slope_of(points)).sum::<f64>() / 6.0;
            assert!((found.flips.estimate - want).abs() < 1e-9 && !found.exact, "{turns:?}: {found:?}, {want}");
            assert_eq!(estimate(&courses, Measure::Slope, 100.0), Some(found.flips.estimate));
            let mean = contrast(&courses, Measure::Mean, 1.0, 0.95, 1).contrast.unwrap();
            assert_eq!(estimate(&courses, Measure::Mean, 1.0), Some(mean.flips.estimate));
            let want = all.iter().flatten().map(|p| p.1).sum::<f64>() / (6 * turns.len()) as f64;
            assert!((mean.flips.estimate - want).abs() < 1e-12);
        }
    }

    #[test]
    fn whole_differences_are_tested_exactly_and_short_pairs_counted() {
        // 18 groups are too many for all patterns of the general test.
        let courses: Vec<Course> = (0..18).map(|g| difference(g, &[(2, 0.0), (3, f64::from(g % 3 > 0))])).collect();
        let found = contrast(&courses, Measure::Slope, 100.0, 0.95, 1).contrast.unwrap();
        assert!(found.exact && found.informative == 12 && found.pairs == 18, "{found:?}");
        assert!((found.flips.p - 2f64.powi(-11)).abs() < 1e-12, "{found:?}");
        let mut short = courses;
        short.push(difference(18, &[(2, 1.0)]));
        let tested = contrast(&short, Measure::Slope, 100.0, 0.95, 1);
        let of = tested.contrast.unwrap().flips;
        assert_eq!((tested.short, of.n), (1, 18));
        assert!(contrast(&short[..1], Measure::Mean, 1.0, 0.95, 1).contrast.is_err());
        // Where there is no test there is no estimate by itself either.
        assert_eq!(estimate(&short[..1], Measure::Mean, 1.0), None);
        assert_eq!(estimate(&short, Measure::Slope, 100.0), Some(of.estimate));
    }
}
