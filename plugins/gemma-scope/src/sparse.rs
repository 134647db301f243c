//! k-sparse probes (Gurnee et al. 2023, arXiv 2305.01610): how few features tell the factor's levels apart as well as
//! the whole activation does.
use friction_core::seed::permutation;
use friction_stats::{HeldRows, Interval, Link, Matrix, Scale, Scaler, auc, cross_validated, fit_to, nadeau_bengio};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The rows (turns) that are classified.
pub struct Rows<'a> {
    /// For each row, the mean activation of every feature that is active in it.
    pub features: &'a [BTreeMap<u32, f64>],
    /// The mean whole activation of each row, `[rows, width]`.
    pub dense: &'a Matrix,
    /// Whether the row has level 1 of the factor.
    pub level: &'a [bool],
    /// Group of each row.
    pub groups: &'a [u32],
}

/// A probe's AUC on held-out groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// AUC, mean over folds; NaN if no fold contains both levels.
    pub auc: f64,
    /// Its 95 % interval over groups; `None` if there are too few groups.
    pub interval: Option<Interval>,
}

const FOLDS: usize = 5;
const C: [f64; 4] = [0.001, 0.01, 0.1, 1.0];

impl Rows<'_> {
    /// Pairs of training and test rows; whole groups are held out.
    fn folds(&self, seed: u64) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut groups: Vec<u32> = self.groups.to_vec();
        groups.sort_unstable();
        groups.dedup();
        let order = permutation(groups.len(), seed);
        let fold: BTreeMap<u32, usize> =
            order.iter().enumerate().map(|(place, g)| (groups[*g], place % FOLDS)).collect();
        (0..FOLDS.min(groups.len()))
            .map(|f| (0..self.level.len()).partition(|i| fold.get(&self.groups[*i]) != Some(&f)))
            .collect()
    }

    /// Held-out AUC (mean over folds) for each k, of a probe on the k features that differ most between the levels in
    /// the training rows; and of a probe on the whole activation. C is chosen inside each fold.
    pub fn aucs(&self, ks: &[usize], seed: u64, level: f64) -> (Vec<(usize, Quality)>, Quality) {
        let folds = self.folds(seed);
        let sparse: Vec<Vec<Option<Vec<f64>>>> = folds
            .par_iter()
            .map(|(train, test)| {
                let order = self.order(train);
                ks.iter()
                    .map(|k| {
                        let chosen: Vec<u32> = order.iter().take(*k).copied().collect();
                        self.scores(&self.matrix(&chosen), train, test, 1.0)
                    })
                    .collect()
            })
            .collect();
        let dense: Vec<Option<Vec<f64>>> = folds
            .par_iter()
            .map(|(train, test)| {
                // C is chosen on the last fifth of the training groups.
                let mut groups: Vec<u32> = train.iter().map(|i| self.groups[*i]).collect();
                groups.sort_unstable();
                groups.dedup();
                let inner: Vec<u32> = groups.iter().copied().skip(groups.len() * 4 / 5).collect();
                let (check, learn): (Vec<usize>, Vec<usize>) =
                    train.iter().partition(|i| inner.contains(&self.groups[**i]));
                let of = |c: f64| {
                    let scores = self.scores(self.dense, &learn, &check, c)?;
                    auc(&scores, &self.levels(&check)).ok()
                };
                let best = C.into_iter().map(|c| (c, of(c).unwrap_or(0.0))).max_by(|a, b| a.1.total_cmp(&b.1));
                self.scores(self.dense, train, test, best.map_or(0.01, |b| b.0))
            })
            .collect();
        let curve = ks.iter().enumerate().map(|(j, k)| {
            let of: Vec<Option<&Vec<f64>>> = sparse.iter().map(|f| f[j].as_ref()).collect();
            (*k, self.quality(&folds, &of, level))
        });
        (curve.collect(), self.quality(&folds, &dense.iter().map(Option::as_ref).collect::<Vec<_>>(), level))
    }

    /// AUC within folds, with its interval; folds without scores are left out.
    fn quality(&self, folds: &[(Vec<usize>, Vec<usize>)], scores: &[Option<&Vec<f64>>], level: f64) -> Quality {
        let (mut fold, mut row, mut score) = (vec![], vec![], vec![]);
        for (f, ((_, test), scores)) in folds.iter().zip(scores).enumerate() {
            let Some(scores) = scores else { continue };
            fold.extend(test.iter().map(|_| f));
            row.extend_from_slice(test);
            score.extend_from_slice(scores);
        }
        let groups: Vec<u32> = row.iter().map(|i| self.groups[*i]).collect();
        let measure = |at: &[usize]| {
            let s: Vec<f64> = at.iter().map(|k| score[*k]).collect();
            auc(&s, &at.iter().map(|k| self.level[row[*k]]).collect::<Vec<_>>()).ok()
        };
        let ratio = 1.0 / (folds.len() as f64 - 1.0).max(1.0);
        let inflation = nadeau_bengio(folds.len(), ratio);
        let held = HeldRows { folds: &fold, groups: &groups, parts: folds.len(), inflation };
        Quality {
            auc: held.within(|_| true, measure).unwrap_or(f64::NAN),
            interval: cross_validated(&held, level, Scale::Logit, measure).ok(),
        }
    }

    fn levels(&self, rows: &[usize]) -> Vec<bool> {
        rows.iter().map(|i| self.level[*i]).collect()
    }

    /// Features ordered by |Welch's t| between the levels over `rows`, largest first.
    fn order(&self, rows: &[usize]) -> Vec<u32> {
        let mut sums: BTreeMap<u32, [(f64, f64); 2]> = BTreeMap::new();
        let mut n = [0.0f64; 2];
        for i in rows {
            let l = usize::from(self.level[*i]);
            n[l] += 1.0;
            for (f, v) in &self.features[*i] {
                let s = &mut sums.entry(*f).or_default()[l];
                *s = (s.0 + v, s.1 + v * v);
            }
        }
        let t = |s: &[(f64, f64); 2]| {
            let m = [s[0].0 / n[0], s[1].0 / n[1]];
            let var = |l: usize| (s[l].1 / n[l] - m[l] * m[l]).max(0.0) / n[l];
            ((m[1] - m[0]) / (var(0) + var(1)).sqrt().max(1e-12)).abs()
        };
        let mut all: Vec<(u32, f64)> = sums.iter().map(|(f, s)| (*f, t(s))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.into_iter().map(|(f, _)| f).collect()
    }

    fn matrix(&self, chosen: &[u32]) -> Matrix {
        let value = |row: &BTreeMap<u32, f64>, f: &u32| row.get(f).copied().unwrap_or(0.0);
        Matrix {
            data: self.features.iter().flat_map(|r| chosen.iter().map(move |f| value(r, f))).collect(),
            cols: chosen.len(),
        }
    }

    /// Scores of the test rows by a logistic probe fitted on the training rows; `None` if those have one level only.
    fn scores(&self, x: &Matrix, train: &[usize], test: &[usize], c: f64) -> Option<Vec<f64>> {
        let learn = x.take(train);
        let scaler = Scaler::fit(&learn);
        let y: Vec<f64> = train.iter().map(|i| f64::from(u8::from(self.level[*i]))).collect();
        let fit = fit_to(&scaler.apply(&learn), &y, Link::Logistic, c, 1e-4).ok()?;
        Some(fit.scores(&scaler.apply(&x.take(test))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_stats::Rng;

    #[test]
    fn one_feature_is_enough_where_one_tells_and_none_where_none_does() {
        let mut rng = Rng::new(3);
        let (mut features, mut dense, mut level, mut groups) =
            (vec![], Matrix { data: vec![], cols: 2 }, vec![], vec![]);
        for g in 0..30 {
            for l in [false, true] {
                let tells = f64::from(u8::from(l)) + 0.1 * rng.normal();
                features.push(BTreeMap::from([(7, tells), (8, rng.normal()), (9, rng.normal())]));
                dense.data.extend([tells + rng.normal(), rng.normal()]);
                level.push(l);
                groups.push(g);
            }
        }
        let rows = Rows { features: &features, dense: &dense, level: &level, groups: &groups };
        let (curve, whole) = rows.aucs(&[1, 2], 1, 0.95);
        let at = |q: &Quality| (q.auc, q.interval.map_or(f64::NAN, |i| i.low));
        assert!(
            at(&curve[0].1).0 > 0.99 && at(&curve[1].1).1 > 0.8 && (0.5..0.99).contains(&whole.auc),
            "{curve:?} {whole:?}"
        );
        let noise: Vec<BTreeMap<u32, f64>> =
            features.iter().map(|f| f.iter().filter(|(k, _)| **k != 7).map(|(k, v)| (*k, *v)).collect()).collect();
        let (curve, _) = Rows { features: &noise, ..rows }.aucs(&[1], 1, 0.95);
        let i = curve[0].1.interval.map(|i| (i.low, i.high));
        assert!(i.is_some_and(|(low, high)| low < 0.5 && 0.5 < high), "{curve:?}");
    }
}
