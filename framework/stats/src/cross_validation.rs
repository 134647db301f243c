//! Confidence intervals of a measure (such as an AUC) that was cross-validated, with groups as the unit.
use crate::{Error, Interval, wilson};
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::collections::{BTreeMap, BTreeSet};

/// The scale on which an interval is symmetric around its estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Log-odds, for measures from 0 to 1 such as an AUC: the bounds stay between 0 and 1.
    Logit,
    /// The measure's own scale.
    Plain,
}

/// The held-out rows of a cross-validation, and what an interval needs to know about their folds and groups.
#[derive(Debug, Clone)]
pub struct HeldRows<'a> {
    /// The fold in which each row was held out.
    pub folds: &'a [usize],
    /// The group of each row. Rows of one group are not independent, so whole groups are the unit.
    pub groups: &'a [u32],
    /// Number of parts that the groups were split into. Where folds also keep phrases or questions apart, there are
    /// more folds than parts.
    pub parts: usize,
    /// Factor on the variance, because folds share training rows ([`nadeau_bengio`]); 1 where they share none.
    pub inflation: f64,
}

/// The factor by which the variance of a cross-validated measure grows because its folds share training rows:
/// 1 + folds · (test rows / training rows) (Nadeau and Bengio 2003, Machine Learning 52:239). It assumes that the
/// results of two folds correlate by tested / (tested + learnt). Without any effect the interval is a little too
/// wide.
pub fn nadeau_bengio(folds: usize, tested_over_learnt: f64) -> f64 {
    1.0 + folds as f64 * tested_over_learnt
}

/// Jackknife variance of a statistic, from its values with one unit left out at a time: (m − 1)/m · Σ(vᵢ − v̄)²
/// (Efron and Stein 1981, Ann. Stat. 9:586).
pub fn jackknife_variance(without: &[f64]) -> f64 {
    let m = without.len() as f64;
    let mean = without.iter().sum::<f64>() / m;
    (m - 1.0) / m * without.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
}

impl HeldRows<'_> {
    /// The mean of a measure over folds, weighted by their numbers of rows. Folds in which it has no value are left
    /// out; `None` where no fold has one. `keep` selects rows, and `measure` receives the indices of one fold's rows.
    ///
    /// Scores of different folds are never compared: each fold's model has its own intercept, and an AUC of pooled
    /// scores is biased below 0.5.
    pub fn within(&self, keep: impl Fn(usize) -> bool, measure: impl Fn(&[usize]) -> Option<f64>) -> Option<f64> {
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (k, fold) in self.folds.iter().enumerate().filter(|(k, _)| keep(*k)) {
            rows.entry(*fold).or_default().push(k);
        }
        let (mut sum, mut weight) = (0.0, 0.0);
        for of in rows.values() {
            if let Some(v) = measure(of).filter(|v| v.is_finite()) {
                sum += v * of.len() as f64;
                weight += of.len() as f64;
            }
        }
        (weight > 0.0).then(|| sum / weight)
    }
}

/// The mean of a measure over folds ([`HeldRows::within`]) with an interval at `level` from Student's t.
///
/// The variance is that of the delete-a-group jackknife with the fitted models held fixed, times
/// [`HeldRows::inflation`]: folds learn from the same groups, so their results correlate. The degrees of freedom are
/// groups − parts. Two cases have no usable jackknife. Where every fold separates the classes completely (a measure
/// of 0 or 1 on [`Scale::Logit`]), the interval is Wilson's with one trial for each group. With no more groups than
/// parts the interval is the whole scale.
///
/// # Errors
/// When the measure has no value in any fold; the message tells the numbers of rows and groups.
pub fn cross_validated(
    held: &HeldRows,
    level: f64,
    scale: Scale,
    measure: impl Fn(&[usize]) -> Option<f64>,
) -> Result<Interval, Error> {
    let groups: BTreeSet<u32> = held.groups.iter().copied().collect();
    let n = groups.len();
    let estimate = held.within(|_| true, &measure).ok_or_else(|| {
        Error::TooLittle(format!(
            "no fold of {} held-out rows in {n} groups holds what the measure needs (both classes, or values that differ)",
            held.folds.len()
        ))
    })?;
    // With one group in each part, differences between groups cannot be estimated: nothing is excluded.
    if n <= held.parts.max(2) {
        let (low, high) = if scale == Scale::Logit { (0.0, 1.0) } else { (f64::NEG_INFINITY, f64::INFINITY) };
        return Ok(Interval { estimate, low, high });
    }
    if scale == Scale::Logit && (estimate <= 0.0 || estimate >= 1.0) {
        let i = wilson((estimate.round() as u64) * n as u64, n as u64, level);
        return i.ok_or_else(|| Error::Value(format!("`level` {level} is no level of an interval")));
    }
    let without: Vec<f64> = groups.iter().filter_map(|g| held.within(|k| held.groups[k] != *g, &measure)).collect();
    let se = (jackknife_variance(&without) * held.inflation).sqrt();
    let df = (n - held.parts) as f64;
    let t = StudentsT::new(0.0, 1.0, df).map_err(|e| Error::TooLittle(e.to_string()))?.inverse_cdf(0.5 + level / 2.0);
    let (low, high) = match scale {
        Scale::Plain => (estimate - t * se, estimate + t * se),
        Scale::Logit => {
            let at = (estimate / (1.0 - estimate)).ln();
            let half = t * se / (estimate * (1.0 - estimate));
            let back = |z: f64| 1.0 / (1.0 + (-z).exp());
            (back(at - half), back(at + half))
        }
    };
    Ok(Interval { estimate, low, high })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Rng, auc};

    /// A simulated study: groups of four conversations of seven turns. Features have a part that the group shares,
    /// one that the conversation shares, and one of the turn. Two conversations of a group are of each class, which
    /// moves the features by ±`effect`. A row's score comes from the difference of means of the other folds.
    fn study(groups: usize, effect: f64, rng: &mut Rng) -> (Vec<f64>, Vec<bool>, Vec<usize>, Vec<u32>) {
        const WIDTH: usize = 12;
        const FOLDS: usize = 5;
        let normal = |rng: &mut Rng| -> Vec<f64> { (0..WIDTH).map(|_| rng.normal()).collect() };
        let (mut x, mut y, mut group): (Vec<Vec<f64>>, Vec<bool>, Vec<u32>) = (vec![], vec![], vec![]);
        for g in 0..groups {
            let own = normal(rng);
            for c in 0..4 {
                let talk = normal(rng);
                for _ in 0..7 {
                    let turn = normal(rng);
                    let push = if c >= 2 { effect } else { -effect };
                    x.push((0..WIDTH).map(|i| own[i] + talk[i] + turn[i] + push).collect());
                    y.push(c >= 2);
                    group.push(g as u32);
                }
            }
        }
        let mut order: Vec<usize> = (0..groups).collect();
        rng.shuffle(&mut order);
        let fold: Vec<usize> = group.iter().map(|g| order[*g as usize] % FOLDS).collect();
        let score = (0..x.len())
            .map(|i| {
                let mut way = [0.0; WIDTH];
                for j in (0..x.len()).filter(|j| fold[*j] != fold[i]) {
                    let sign = if y[j] { 1.0 } else { -1.0 };
                    way.iter_mut().zip(&x[j]).for_each(|(w, v)| *w += sign * v);
                }
                way.iter().zip(&x[i]).map(|(w, v)| w * v).sum()
            })
            .collect();
        (score, y, fold, group)
    }

    fn intervals(groups: usize, effect: f64, studies: usize) -> Vec<Interval> {
        let mut rng = Rng::new(groups as u64);
        (0..studies)
            .map(|_| {
                let (score, y, folds, group) = study(groups, effect, &mut rng);
                let held = HeldRows { folds: &folds, groups: &group, parts: 5, inflation: nadeau_bengio(5, 0.25) };
                cross_validated(&held, 0.95, Scale::Logit, |at| {
                    let s: Vec<f64> = at.iter().map(|k| score[*k]).collect();
                    let p: Vec<bool> = at.iter().map(|k| y[*k]).collect();
                    auc(&s, &p).ok()
                })
                .unwrap()
            })
            .collect()
    }

    #[test]
    fn intervals_of_noise_cover_a_half() {
        let all = intervals(16, 0.0, 400);
        let covered = all.iter().filter(|i| i.low <= 0.5 && 0.5 <= i.high).count();
        assert!((363..=396).contains(&covered), "{covered} of 400");
        let mean = all.iter().map(|i| i.estimate).sum::<f64>() / 400.0;
        assert!((mean - 0.5).abs() < 0.012, "{mean}");
    }

    #[test]
    fn intervals_of_an_effect_exclude_a_half() {
        let all = intervals(16, 0.6, 60);
        let above = all.iter().filter(|i| i.low > 0.5).count();
        assert!(above >= 54, "{above} of 60");
        let truth = all.iter().map(|i| i.estimate).sum::<f64>() / 60.0;
        let covered = all.iter().filter(|i| i.low <= truth && truth <= i.high).count();
        assert!(covered >= 52, "{covered} of 60");
    }

    #[test]
    fn what_has_no_value_says_why() {
        let held = HeldRows { folds: &[0, 0, 1], groups: &[1, 2, 3], parts: 2, inflation: 1.0 };
        let e = cross_validated(&held, 0.95, Scale::Logit, |_| None).unwrap_err().to_string();
        assert!(e.contains("3 held-out rows in 3 groups"), "{e}");
        let whole = cross_validated(&held, 0.95, Scale::Logit, |_| Some(1.0)).unwrap();
        assert!(whole.low > 0.3 && whole.low < 1.0 && whole.high == 1.0, "{whole:?}");
        let few = HeldRows { parts: 3, ..held };
        let open = cross_validated(&few, 0.95, Scale::Plain, |_| Some(1.0)).unwrap();
        assert_eq!((open.low, open.high), (f64::NEG_INFINITY, f64::INFINITY));
    }
}
