//! Fitting inside folds: the scaler, C and the layer are chosen on the training part only.
use crate::folds::{Fold, Key, folds};
use crate::rows::Row;
use friction_stats::{Error, Fit, HeldRows, Interval, Link, Matrix, Scale, Scaler};
use friction_stats::{auc, balanced_accuracy, cross_validated, fit_to, jackknife_variance, nadeau_bengio, r2};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A linear model with the scaler that was fitted on the same rows.
#[derive(Debug, Clone)]
pub struct Probe {
    scaler: Scaler,
    fit: Fit,
}

impl Probe {
    /// Fits the scaler and the model on all rows of `x`; `tolerance` as in [`friction_stats::fit_to`].
    pub fn learn(x: &Matrix, y: &[f64], link: Link, c: f64, tolerance: f64) -> Result<Self, Error> {
        let scaler = Scaler::fit(x);
        let fit = fit_to(&scaler.apply(x), y, link, c, tolerance)?;
        Ok(Self { scaler, fit })
    }
    /// Outputs for each row: log-odds, class scores, or the predicted number.
    pub fn outputs(&self, x: &Matrix) -> Vec<Vec<f64>> {
        let x = self.scaler.apply(x);
        (0..x.rows()).map(|i| self.fit.outputs(x.row(i))).collect()
    }
    /// Gradient of the first output by the unscaled features, `[width]`: the probe's direction.
    pub fn direction(&self) -> Vec<f64> {
        self.fit.weights.iter().zip(&self.scaler.scale).map(|(w, s)| w / s).collect()
    }
}

/// How well outputs predict the target: AUC for two classes, balanced accuracy for more, R² for a number. `None` where
/// it has no value.
pub fn quality(link: Link, outputs: &[Vec<f64>], y: &[f64]) -> Option<f64> {
    match link {
        Link::Logistic => {
            let positive: Vec<bool> = y.iter().map(|y| *y == 1.0).collect();
            auc(&first(outputs), &positive).ok()
        }
        Link::Softmax(_) => {
            let truth: Vec<usize> = y.iter().map(|y| *y as usize).collect();
            Some(balanced_accuracy(&decided(link, outputs), &truth))
        }
        Link::Linear => Some(r2(&first(outputs), y)).filter(|r| r.is_finite()),
    }
}

/// The first output of each row.
pub fn first(outputs: &[Vec<f64>]) -> Vec<f64> {
    outputs.iter().map(|o| o[0]).collect()
}

/// The predicted class of each row.
pub fn decided(link: Link, outputs: &[Vec<f64>]) -> Vec<usize> {
    let best = |o: &Vec<f64>| o.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
    outputs.iter().map(|o| if link == Link::Logistic { usize::from(o[0] > 0.0) } else { best(o) }).collect()
}

/// Tolerance of held-out fits: far below what would change the rank of a score.
const CHOICE: f64 = 1e-5;

/// How folds are made, and the candidates that are chosen among.
#[derive(Debug, Clone)]
pub struct Design<'a> {
    /// All rows of the analysis.
    pub rows: &'a [Row],
    /// Kind of the model.
    pub link: Link,
    /// What training and test rows must not share.
    pub keys: &'a [Key],
    /// Number of parts for each key.
    pub k: usize,
    /// Values of C to choose from.
    pub c: &'a [f64],
    /// Seed of the folds.
    pub seed: u64,
    /// Only rows with these levels of factors are trained on.
    pub train: &'a BTreeMap<String, String>,
    /// Only rows with these levels of factors are tested.
    pub test: &'a BTreeMap<String, String>,
}

/// Outputs on rows that the probe was not fitted on.
#[derive(Debug, Clone, Default)]
pub struct HeldOut {
    /// Indices of the held-out rows, each once.
    pub rows: Vec<usize>,
    /// Outputs of those rows. Outputs of different folds come from different probes and have different scales.
    pub outputs: Vec<Vec<f64>>,
    /// The fold of each of those rows.
    pub folds: Vec<usize>,
    /// Number of training rows of each fold.
    pub learnt: Vec<usize>,
    /// The candidate (layer) and C that were chosen in each fold.
    pub chosen: Vec<(usize, f64)>,
}

impl HeldOut {
    fn push(&mut self, fold: Fold, outputs: Vec<Vec<f64>>) {
        self.folds.extend(std::iter::repeat_n(self.learnt.len(), fold.test.len()));
        self.learnt.push(fold.train.len());
        self.rows.extend(fold.test);
        self.outputs.extend(outputs);
    }
    /// Each row's log-odds of class `k` against all other classes together, out of class scores.
    pub fn against_rest(&self, k: usize) -> Self {
        let odds = |o: &Vec<f64>| {
            let rest = || o.iter().enumerate().filter(|(i, _)| *i != k).map(|(_, v)| *v);
            let most = rest().fold(f64::NEG_INFINITY, f64::max);
            vec![o[k] - most - rest().map(|v| (v - most).exp()).sum::<f64>().ln()]
        };
        Self { outputs: self.outputs.iter().map(odds).collect(), ..self.clone() }
    }
    /// Targets of the held-out rows, out of the targets `y` of all rows.
    pub fn y(&self, y: &[f64]) -> Vec<f64> {
        self.rows.iter().map(|i| y[*i]).collect()
    }
    fn held<'a>(&'a self, groups: &'a [u32], parts: usize) -> HeldRows<'a> {
        let folds = self.learnt.len().max(1) as f64;
        let learnt = self.learnt.iter().sum::<usize>() as f64 / folds;
        let ratio = self.rows.len() as f64 / folds / learnt.max(1.0);
        HeldRows { folds: &self.folds, groups, parts, inflation: nadeau_bengio(self.learnt.len(), ratio) }
    }
    fn measure<'a>(&'a self, link: Link, y: &'a [f64]) -> impl Fn(&[usize]) -> Option<f64> + 'a {
        move |at| {
            let outputs: Vec<Vec<f64>> = at.iter().map(|k| self.outputs[*k].clone()).collect();
            quality(link, &outputs, &at.iter().map(|k| y[self.rows[*k]]).collect::<Vec<_>>())
        }
    }
    /// Quality averaged over folds, on the held-out rows for which `keep` is true of their index in `self.rows`.
    pub fn quality(&self, link: Link, y: &[f64], keep: impl Fn(usize) -> bool) -> Option<f64> {
        self.held(&[], 1).within(keep, self.measure(link, y))
    }
    /// Quality with its interval over groups ([`cross_validated`]). `inflation` ([`Design::inflation`]) replaces Nadeau
    /// and Bengio's factor on the variance where it is smaller; it is never taken below 1.
    ///
    /// # Errors
    /// When the quality has no value in any fold.
    pub fn interval(&self, design: &Design, y: &[f64], level: f64, inflation: Option<f64>) -> Result<Interval, Error> {
        let groups: Vec<u32> = self.rows.iter().map(|i| design.rows[*i].turn.group).collect();
        let scale = if design.link == Link::Linear { Scale::Plain } else { Scale::Logit };
        let mut held = self.held(&groups, design.k);
        held.inflation = inflation.map_or(held.inflation, |i| i.clamp(1.0, held.inflation));
        cross_validated(&held, level, scale, self.measure(design.link, y))
    }
}

impl Design<'_> {
    /// All folds, without the rows that `train` and `test` exclude.
    fn folds(&self) -> Vec<Fold> {
        let all: Vec<usize> = (0..self.rows.len()).collect();
        let mut out = folds(self.rows, &all, self.keys, self.k, self.seed, self.link != Link::Linear);
        for f in &mut out {
            f.train.retain(|i| self.rows[*i].turn.has(self.train));
            f.test.retain(|i| self.rows[*i].turn.has(self.test));
        }
        out.retain(|f| !f.train.is_empty() && !f.test.is_empty());
        out
    }

    fn one(&self, x: &Matrix, y: &[f64], fold: &Fold, c: f64) -> Option<(Probe, Vec<Vec<f64>>)> {
        let at = |i: &[usize]| -> Vec<f64> { i.iter().map(|i| y[*i]).collect() };
        let probe = Probe::learn(&x.take(&fold.train), &at(&fold.train), self.link, c, CHOICE).ok()?;
        let outputs = probe.outputs(&x.take(&fold.test));
        Some((probe, outputs))
    }

    /// The candidate and C that predict best inside the training part, by inner folds.
    fn choose(&self, candidates: &[&Matrix], y: &[f64], train: &[usize]) -> Option<(usize, f64)> {
        let classes = self.link != Link::Linear;
        let inner = folds(self.rows, train, self.keys, self.k.min(3), self.seed ^ 1, classes);
        let all: Vec<(usize, f64)> = (0..candidates.len()).flat_map(|l| self.c.iter().map(move |c| (l, *c))).collect();
        if let [only] = all[..] {
            return Some(only);
        }
        let scored: Vec<f64> = all
            .par_iter()
            .map(|(l, c)| {
                let qualities: Vec<f64> = inner
                    .iter()
                    .filter_map(|f| {
                        let (_, outputs) = self.one(candidates[*l], y, f, *c)?;
                        quality(self.link, &outputs, &f.test.iter().map(|i| y[*i]).collect::<Vec<_>>())
                    })
                    .collect();
                if qualities.is_empty() {
                    f64::NEG_INFINITY
                } else {
                    qualities.iter().sum::<f64>() / qualities.len() as f64
                }
            })
            .collect();
        // Among equals the first wins: the lower layer, then the C that is listed first.
        let best = (0..all.len()).fold(0, |b, i| if scored[i] > scored[b] { i } else { b });
        Some(all[best])
    }

    /// Cross-validated outputs, with the candidate (layer) and C chosen inside each fold.
    ///
    /// # Errors
    /// When no fold can be fitted.
    pub fn held_out(&self, candidates: &[&Matrix], y: &[f64]) -> Result<HeldOut, Error> {
        let mut out = HeldOut::default();
        for fold in self.folds() {
            let Some(chosen) = self.choose(candidates, y, &fold.train) else { continue };
            let Some((_, outputs)) = self.one(candidates[chosen.0], y, &fold, chosen.1) else { continue };
            out.push(fold, outputs);
            out.chosen.push(chosen);
        }
        if out.rows.is_empty() {
            return Err(Error::TooLittle("no fold holds enough rows of every class to learn from".into()));
        }
        Ok(out)
    }

    /// As [`Self::held_out`] at one C, fitted only on the training rows for which `of` is true.
    pub fn learnt_where(&self, x: &Matrix, y: &[f64], c: f64, of: impl Fn(&Row) -> bool) -> HeldOut {
        let mut out = HeldOut::default();
        for mut fold in self.folds() {
            fold.train.retain(|i| of(&self.rows[*i]));
            let Some((_, outputs)) = self.one(x, y, &fold, c) else { continue };
            out.push(fold, outputs);
        }
        out
    }

    /// How much larger the variance of a cross-validated AUC is than with the probes held fixed, because every group is
    /// also in the training part of other folds. It is a ratio of two delete-a-group jackknife variances: one with the
    /// difference of means fitted again without the group, one with fixed scores. It is near 1 where the target is read
    /// well, and 2 or more for noise. `None` unless the target has two classes and the scores vary.
    pub fn inflation(&self, x: &Matrix, y: &[f64]) -> Option<f64> {
        if self.link != Link::Logistic {
            return None;
        }
        let group = |i: usize| self.rows[i].turn.group;
        let groups: BTreeSet<u32> = (0..self.rows.len()).map(group).collect();
        let held = self.mean_difference(x, y);
        let of = |held: &HeldOut, g: u32| held.quality(self.link, y, |k| group(held.rows[k]) != g);
        let groups: Vec<u32> = groups.into_iter().collect();
        let fixed: Vec<f64> = groups.iter().filter_map(|g| of(&held, *g)).collect();
        let anew: Vec<f64> =
            groups.par_iter().filter_map(|g| of(&self.mean_difference_without(x, y, |i| group(i) == *g), *g)).collect();
        let ratio = jackknife_variance(&anew) / jackknife_variance(&fixed);
        (fixed.len() > 2 && ratio.is_finite()).then_some(ratio)
    }

    /// As [`Self::held_out`] with a direction that needs no fit: the difference of the classes' means in the training
    /// part, for more than two classes the nearest of their means, or for numbers the covariance with them.
    pub fn mean_difference(&self, x: &Matrix, y: &[f64]) -> HeldOut {
        self.mean_difference_without(x, y, |_| false)
    }

    fn mean_difference_without(&self, x: &Matrix, y: &[f64], left_out: impl Fn(usize) -> bool) -> HeldOut {
        let mut out = HeldOut::default();
        for mut fold in self.folds() {
            fold.train.retain(|i| !left_out(*i));
            let dot = |i: usize, v: &[f64]| x.row(i).iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
            let outputs = if let Link::Softmax(k) = self.link {
                let means = class_means(x, y, &fold.train, k);
                // A row is nearest to the class whose score is largest: |x − m|² is smaller by twice the score.
                let score = |i: usize, m: &Vec<f64>| dot(i, m) - m.iter().map(|v| v * v).sum::<f64>() / 2.0;
                let one = |i: &usize, m: &Option<Vec<f64>>| m.as_ref().map_or(f64::NEG_INFINITY, |m| score(*i, m));
                fold.test.iter().map(|i| means.iter().map(|m| one(i, m)).collect()).collect()
            } else {
                let direction = mean_difference(x, y, &fold.train);
                fold.test.iter().map(|i| vec![dot(*i, &direction)]).collect()
            };
            out.push(fold, outputs);
        }
        out
    }
}

/// Difference of means, target 1 minus target 0, `[width]`; for numbers, each feature's least-squares slope on them.
pub fn mean_difference(x: &Matrix, y: &[f64], rows: &[usize]) -> Vec<f64> {
    let n = rows.len() as f64;
    let mean_y = rows.iter().map(|i| y[*i]).sum::<f64>() / n;
    let spread: f64 = rows.iter().map(|i| (y[*i] - mean_y).powi(2)).sum();
    let mut out = vec![0.0; x.cols];
    for i in rows {
        // For two classes, covariance divided by variance is the difference of means.
        let w = (y[*i] - mean_y) / spread.max(f64::MIN_POSITIVE);
        out.iter_mut().zip(x.row(*i)).for_each(|(o, v)| *o += w * v);
    }
    out
}

/// Mean of each of `k` classes' rows; `None` for a class without any.
fn class_means(x: &Matrix, y: &[f64], rows: &[usize], k: usize) -> Vec<Option<Vec<f64>>> {
    let mut sums = vec![(0usize, vec![0.0; x.cols]); k];
    for i in rows {
        let (n, sum) = &mut sums[y[*i] as usize];
        *n += 1;
        sum.iter_mut().zip(x.row(*i)).for_each(|(s, v)| *s += v);
    }
    sums.into_iter().map(|(n, s)| (n > 0).then(|| s.into_iter().map(|v| v / n as f64).collect())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::TurnRow;
    use friction_stats::Rng;

    /// Twenty groups of two conversations of five turns. Features have parts of groups, conversations and turns, and
    /// `push` moves the second class along the first feature.
    fn study(push: f64, rng: &mut Rng) -> (Vec<Row>, Matrix) {
        let (mut rows, mut x) = (vec![], Matrix { data: vec![], cols: 8 });
        for group in 0..20 {
            let own: Vec<f64> = (0..8).map(|_| rng.normal()).collect();
            for c in 0..2usize {
                let talk: Vec<f64> = (0..8).map(|_| rng.normal()).collect();
                for turn in 1..=5 {
                    x.data.extend(
                        (0..8).map(|i| {
                            own[i] + talk[i] + rng.normal() + if i == 0 { push * (c as f64 - 0.5) } else { 0.0 }
                        }),
                    );
                    let turn = TurnRow { group, turn, condition: format!("c{c}"), ..TurnRow::default() };
                    rows.push(Row { turn, y: c as f64 });
                }
            }
        }
        (rows, x)
    }

    #[test]
    fn several_classes_have_a_score_each_and_log_odds_against_the_rest() {
        let held =
            HeldOut { outputs: vec![vec![1.0f64.ln(), 2.0f64.ln(), 5.0f64.ln()]], rows: vec![0], ..HeldOut::default() };
        let odds = |k: usize| held.against_rest(k).outputs[0][0];
        assert!((odds(0) - (1.0f64 / 7.0).ln()).abs() < 1e-12 && (odds(2) - (5.0f64 / 3.0).ln()).abs() < 1e-12);
        // Three classes around the corners of a triangle: each row is nearest to its own corner.
        let corner = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]];
        let mut rng = Rng::new(9);
        let (mut rows, mut x) = (vec![], Matrix { data: vec![], cols: 2 });
        for (group, class) in (0..12).flat_map(|g| (0..3usize).map(move |c| (g, c))) {
            x.data.extend(corner[class].map(|v| v + 0.5 * rng.normal()));
            rows.push(Row { turn: TurnRow { group, ..TurnRow::default() }, y: class as f64 });
        }
        let (y, none): (Vec<f64>, _) = (rows.iter().map(|r| r.y).collect(), BTreeMap::new());
        let (link, keys) = (Link::Softmax(3), &[Key::Group]);
        let design = Design { rows: &rows, link, keys, k: 4, c: &[1.0], seed: 2, train: &none, test: &none };
        let near = design.mean_difference(&x, &y).quality(link, &y, |_| true).unwrap();
        assert!(near > 0.95, "{near}");
        let held = design.held_out(&[&x], &y).unwrap();
        assert!(held.quality(link, &y, |_| true).unwrap() > 0.95);
        let second: Vec<f64> = y.iter().map(|v| f64::from(u8::from(*v == 1.0))).collect();
        assert!(held.against_rest(1).quality(Link::Logistic, &second, |_| true).unwrap() > 0.95);
    }

    #[test]
    fn folds_share_more_of_noise_than_of_an_effect() {
        let mut rng = Rng::new(4);
        let none = BTreeMap::new();
        let mut mean = |push: f64| -> f64 {
            let all: Vec<f64> = (0..30)
                .map(|seed| {
                    let (rows, x) = study(push, &mut rng);
                    let design = Design {
                        rows: &rows,
                        link: Link::Logistic,
                        keys: &[Key::Group],
                        k: 5,
                        c: &[1.0],
                        seed,
                        train: &none,
                        test: &none,
                    };
                    let y: Vec<f64> = rows.iter().map(|r| r.y).collect();
                    design.inflation(&x, &y).unwrap()
                })
                .collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let (noise, effect) = (mean(0.0), mean(4.0));
        assert!(noise > 2.0, "{noise}");
        assert!((0.8..1.7).contains(&effect), "{effect}");
    }
}
