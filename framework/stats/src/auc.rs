//! Measures of a score or a decision against the truth: AUC, balanced accuracy, correlation, R².
use crate::Error;

/// Area under the ROC curve: the share of pairs (positive, negative) in which the positive scores
/// higher, ties counted half. It is the Mann–Whitney U divided by n₊·n₋. `scores[i]` belongs to `positive[i]`.
///
/// # Errors
/// When a class is empty, the lengths differ, or a score is NaN.
pub fn auc(scores: &[f64], positive: &[bool]) -> Result<f64, Error> {
    let n1 = positive.iter().filter(|p| **p).count();
    let n0 = positive.len() - n1;
    if scores.len() != positive.len() || n1 == 0 || n0 == 0 {
        return Err(Error::TooLittle(format!("an AUC needs both classes: {n1} positive, {n0} negative")));
    }
    if scores.iter().any(|s| s.is_nan()) {
        return Err(Error::Value("a score is not a number".into()));
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    // Sum of the positives' mid-ranks.
    let (mut ranks, mut i) = (0.0, 0);
    while i < order.len() {
        let mut j = i;
        while j < order.len() && scores[order[j]] == scores[order[i]] {
            j += 1;
        }
        let mid = (i + j + 1) as f64 / 2.0;
        ranks += mid * order[i..j].iter().filter(|k| positive[**k]).count() as f64;
        i = j;
    }
    let (n1, n0) = (n1 as f64, n0 as f64);
    Ok((ranks - n1 * (n1 + 1.0) / 2.0) / (n1 * n0))
}

/// Balanced accuracy: the mean over classes of recall (the share of a class's rows that were decided rightly).
/// Classes that do not occur in `truth` are left out. As scikit-learn's `balanced_accuracy_score`.
pub fn balanced_accuracy(decided: &[usize], truth: &[usize]) -> f64 {
    let classes = truth.iter().max().map_or(0, |m| m + 1);
    let recalls: Vec<f64> = (0..classes)
        .filter_map(|c| {
            let of: Vec<usize> = (0..truth.len()).filter(|i| truth[*i] == c).collect();
            let right = of.iter().filter(|i| decided[**i] == c).count();
            (!of.is_empty()).then(|| right as f64 / of.len() as f64)
        })
        .collect();
    recalls.iter().sum::<f64>() / recalls.len() as f64
}

/// Pearson's correlation of two rows of equal length, −1 to 1; 0 where one of them is constant.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let cov: f64 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let (va, vb): (f64, f64) = (a.iter().map(|x| (x - ma).powi(2)).sum(), b.iter().map(|y| (y - mb).powi(2)).sum());
    if va * vb > 0.0 { cov / (va * vb).sqrt() } else { 0.0 }
}

/// R², the share of variance explained: 1 − Σ(y − ŷ)² / Σ(y − ȳ)². At most 1; negative where ŷ predicts worse
/// than the mean ȳ does. As scikit-learn's `r2_score`.
pub fn r2(predicted: &[f64], truth: &[f64]) -> f64 {
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    let rest: f64 = predicted.iter().zip(truth).map(|(p, t)| (t - p).powi(2)).sum();
    let all: f64 = truth.iter().map(|t| (t - mean).powi(2)).sum();
    1.0 - rest / all
}
