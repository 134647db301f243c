//! Logistic regression with cluster-robust standard errors.
use crate::Error;
use crate::linear::Matrix;

/// A coefficient with its cluster-robust standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficient {
    /// Change of the log-odds for one unit of the column.
    pub estimate: f64,
    /// Cluster-robust standard error of `estimate`.
    pub se: f64,
}

/// Unpenalised logistic regression of `y` on the columns of `x`, fitted by Newton's method; one [`Coefficient`] for
/// each column. An intercept needs a column of ones. `cluster[i]` is the cluster of row i. The covariance is the
/// sandwich estimator over clusters (Liang and Zeger 1986, Biometrika 73:13) with the small-sample factor G/(G − 1)·(n
/// − 1)/(n − p) that statsmodels and Stata use, for G clusters, n rows and p columns.
///
/// # Errors
/// With fewer than two clusters, no more rows than columns, collinear columns, or columns that separate the
/// two classes.
pub fn clustered_logit(x: &Matrix, y: &[bool], cluster: &[u32]) -> Result<Vec<Coefficient>, Error> {
    let (n, p) = (x.rows(), x.cols);
    if n != y.len() || n != cluster.len() || n <= p {
        return Err(Error::TooLittle(format!("a regression on {p} columns needs more than {n} rows")));
    }
    let mut b = vec![0.0; p];
    let mut bread = vec![];
    for step in 0..=STEPS {
        let (mut g, mut h) = (vec![0.0; p], vec![0.0; p * p]);
        for (i, y) in y.iter().enumerate() {
            let (r, mu) = residual(x.row(i), &b, *y);
            for (j, v) in x.row(i).iter().enumerate() {
                g[j] += r * v;
                x.row(i).iter().enumerate().for_each(|(k, u)| h[j * p + k] += mu * (1.0 - mu) * v * u);
            }
        }
        bread = inverse(h, p).ok_or_else(|| {
            Error::Value("the columns of the regression are collinear, or separate the classes".into())
        })?;
        let d = times(&bread, &g);
        b.iter_mut().zip(&d).for_each(|(b, d)| *b += d);
        if d.iter().all(|d| d.abs() < 1e-10) {
            break;
        }
        if step == STEPS || b.iter().any(|b| !b.is_finite()) {
            return Err(Error::Value("the regression did not converge: the columns separate the classes".into()));
        }
    }
    let mut scores: std::collections::BTreeMap<u32, Vec<f64>> = std::collections::BTreeMap::new();
    for (i, (y, cluster)) in y.iter().zip(cluster).enumerate() {
        let r = residual(x.row(i), &b, *y).0;
        let s = scores.entry(*cluster).or_insert_with(|| vec![0.0; p]);
        s.iter_mut().zip(x.row(i)).for_each(|(s, v)| *s += r * v);
    }
    let groups = scores.len() as f64;
    if groups < 2.0 {
        return Err(Error::TooLittle("clustered standard errors need at least 2 clusters".into()));
    }
    let small = groups / (groups - 1.0) * (n as f64 - 1.0) / (n as f64 - p as f64);
    // The sandwich's diagonal: Σ over clusters of (bread · score)².
    let mut var = vec![0.0; p];
    for s in scores.values() {
        times(&bread, s).iter().zip(&mut var).for_each(|(v, out)| *out += v * v);
    }
    Ok(b.into_iter().zip(var).map(|(estimate, v)| Coefficient { estimate, se: (small * v).sqrt() }).collect())
}

/// More Newton steps than any problem with a finite answer takes.
const STEPS: usize = 50;

/// y − μ and μ of a row.
fn residual(x: &[f64], b: &[f64], y: bool) -> (f64, f64) {
    let z: f64 = x.iter().zip(b).map(|(x, b)| x * b).sum();
    let mu = 1.0 / (1.0 + (-z).exp());
    (f64::from(y) - mu, mu)
}

fn times(m: &[f64], v: &[f64]) -> Vec<f64> {
    m.chunks_exact(v.len()).map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
}

/// Gauss–Jordan with partial pivoting; `None` for a matrix that is singular to rounding.
fn inverse(mut a: Vec<f64>, p: usize) -> Option<Vec<f64>> {
    let mut inv: Vec<f64> = (0..p * p).map(|i| f64::from(i / p == i % p)).collect();
    let size = a.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for c in 0..p {
        let pivot = (c..p).max_by(|i, j| a[i * p + c].abs().total_cmp(&a[j * p + c].abs()))?;
        if a[pivot * p + c].abs() <= 1e-12 * size {
            return None;
        }
        for k in 0..p {
            a.swap(c * p + k, pivot * p + k);
            inv.swap(c * p + k, pivot * p + k);
        }
        let d = a[c * p + c];
        for k in 0..p {
            a[c * p + k] /= d;
            inv[c * p + k] /= d;
        }
        for r in (0..p).filter(|r| *r != c) {
            let f = a[r * p + c];
            for k in 0..p {
                a[r * p + k] -= f * a[c * p + k];
                inv[r * p + k] -= f * inv[c * p + k];
            }
        }
    }
    Some(inv)
}
