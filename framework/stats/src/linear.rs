//! L2-penalised linear models, fitted to convergence: logistic, multinomial logistic, ridge.
//!
//! The objective is scikit-learn's, C·Σ loss + ½‖w‖² with an unpenalised intercept, so its coefficients are the
//! reference in the tests. L-BFGS with Moré and Thuente's line search (crate `argmin`) runs until the largest
//! component of the mean gradient is below 1e-9, or until no step improves the objective.
use crate::Error;
use argmin::core::{CostFunction, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use rayon::prelude::*;
use std::cell::RefCell;

/// A feature matrix, row-major `[rows, cols]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// The values, row after row; the length is a multiple of `cols`.
    pub data: Vec<f64>,
    /// Number of columns (features).
    pub cols: usize,
}

impl Matrix {
    /// Copies rows of equal length into one matrix.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let mut out = Self::default();
        for r in rows {
            out.cols = r.len();
            out.data.extend_from_slice(r);
        }
        out
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.cols).unwrap_or(0)
    }
    /// Row `i`, `[cols]`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }
    /// A copy of the rows at `indices`, in that order.
    pub fn take(&self, indices: &[usize]) -> Self {
        Self { data: indices.iter().flat_map(|i| self.row(*i)).copied().collect(), cols: self.cols }
    }
}

/// The kind of model: its targets, outputs and loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Logistic regression: targets 0 and 1; one output, the log-odds of 1.
    Logistic,
    /// Multinomial logistic regression with K classes: targets 0, …, K − 1; K outputs (logits).
    Softmax(usize),
    /// Ridge regression: any finite targets; one output, squared loss ½(y − ŷ)².
    Linear,
}

impl Link {
    fn outputs(self) -> usize {
        match self {
            Link::Softmax(k) => k,
            _ => 1,
        }
    }
}

/// A fitted model: outputs are `weights` · x + `intercepts`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// `[outputs, cols]`, row-major; one row for [`Link::Logistic`] and [`Link::Linear`].
    pub weights: Vec<f64>,
    /// `[outputs]`.
    pub intercepts: Vec<f64>,
    /// L-BFGS iterations until convergence.
    pub iterations: u64,
    /// Largest absolute component of the mean gradient at the solution.
    pub gradient: f64,
}

impl Fit {
    /// Outputs `[outputs]` for one row of features: log-odds, logits or the prediction.
    pub fn outputs(&self, x: &[f64]) -> Vec<f64> {
        let p = x.len();
        self.intercepts.iter().enumerate().map(|(k, b)| b + dot(&self.weights[k * p..(k + 1) * p], x)).collect()
    }
    /// The first output for every row: log-odds of [`Link::Logistic`], predictions of [`Link::Linear`].
    pub fn scores(&self, x: &Matrix) -> Vec<f64> {
        (0..x.rows()).map(|i| self.outputs(x.row(i))[0]).collect()
    }
    /// The index of the largest output for every row: the predicted class of [`Link::Softmax`].
    pub fn classes(&self, x: &Matrix) -> Vec<usize> {
        let best = |o: Vec<f64>| o.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
        (0..x.rows()).map(|i| best(self.outputs(x.row(i)))).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The objective and its gradient, both divided by C·n: mean loss + penalty/2 · ‖w‖² with penalty 1/(C·n).
struct Problem<'a> {
    x: &'a Matrix,
    y: &'a [f64],
    link: Link,
    penalty: f64,
}

/// Rows that one rayon task takes: enough to pay for the task, few enough that all cores get some.
const CHUNK: usize = 256;

impl Problem<'_> {
    /// Loss of one row with target `y` and outputs `o`. Overwrites `o` with the derivative by the outputs.
    fn loss(&self, y: f64, o: &mut [f64]) -> f64 {
        match self.link {
            Link::Logistic => {
                let z = o[0];
                // log(1 + eᶻ) without overflow.
                let soft = z.max(0.0) + (-z.abs()).exp().ln_1p();
                o[0] = 1.0 / (1.0 + (-z).exp()) - y;
                soft - y * z
            }
            Link::Softmax(_) => {
                let top = o.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = o.iter().map(|z| (z - top).exp()).sum();
                let loss = sum.ln() + top - o[y as usize];
                o.iter_mut().enumerate().for_each(|(k, z)| *z = (*z - top).exp() / sum - f64::from(k == y as usize));
                loss
            }
            Link::Linear => {
                o[0] -= y;
                0.5 * o[0] * o[0]
            }
        }
    }

    fn evaluate(&self, w: &[f64]) -> (f64, Vec<f64>) {
        let (n, p, k) = (self.x.rows(), self.x.cols, self.link.outputs());
        let chunks: Vec<usize> = (0..n).step_by(CHUNK).collect();
        let parts: Vec<(f64, Vec<f64>)> = chunks
            .into_par_iter()
            .map(|start| {
                let (mut loss, mut g) = (0.0, vec![0.0; k * (p + 1)]);
                for i in start..(start + CHUNK).min(n) {
                    let x = self.x.row(i);
                    let mut o: Vec<f64> = (0..k).map(|c| w[k * p + c] + dot(&w[c * p..(c + 1) * p], x)).collect();
                    loss += self.loss(self.y[i], &mut o);
                    for (c, d) in o.iter().enumerate() {
                        g[c * p..(c + 1) * p].iter_mut().zip(x).for_each(|(g, x)| *g += d * x);
                        g[k * p + c] += d;
                    }
                }
                (loss, g)
            })
            .collect();
        // Summed in a fixed order, so that the number of threads does not change a bit.
        let (mut loss, mut g) = (0.0, vec![0.0; k * (p + 1)]);
        for (l, part) in parts {
            loss += l;
            g.iter_mut().zip(part).for_each(|(g, p)| *g += p);
        }
        g.iter_mut().for_each(|g| *g /= n as f64);
        g[..k * p].iter_mut().zip(w).for_each(|(g, w)| *g += self.penalty * w);
        (loss / n as f64 + 0.5 * self.penalty * dot(&w[..k * p], &w[..k * p]), g)
    }
}

/// A point, its objective and its gradient.
type Evaluated = (Vec<f64>, f64, Vec<f64>);

/// Caches the last point: the solver asks for the objective and the gradient of the same point in two calls.
struct Remembered<'a>(Problem<'a>, RefCell<Evaluated>);

impl Remembered<'_> {
    fn at<T>(&self, w: &[f64], f: impl Fn(f64, &Vec<f64>) -> T) -> T {
        if self.1.borrow().0 != w {
            let (value, gradient) = self.0.evaluate(w);
            *self.1.borrow_mut() = (w.to_vec(), value, gradient);
        }
        let last = self.1.borrow();
        f(last.1, &last.2)
    }
}

impl CostFunction for &Remembered<'_> {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, w: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        Ok(self.at(w, |v, _| v))
    }
}

impl Gradient for &Remembered<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, w: &Vec<f64>) -> Result<Vec<f64>, argmin::core::Error> {
        Ok(self.at(w, |_, g| g.clone()))
    }
}

/// Fits a model to convergence. `x` is `[rows, features]`, `y` one target per row, and `c` scikit-learn's C, the
/// inverse strength of the L2 penalty.
///
/// # Errors
/// With fewer than two rows, targets of one class, values that are not finite, or when the solver stops with a
/// gradient above 1e-6.
pub fn fit(x: &Matrix, y: &[f64], link: Link, c: f64) -> Result<Fit, Error> {
    fit_to(x, y, link, c, GRADIENT)
}

/// As [`fit`], but stops at a mean gradient whose largest component is `tolerance`. Choosing among many fits (C,
/// layer) needs fewer digits than a coefficient that is reported.
///
/// # Errors
/// As [`fit`].
pub fn fit_to(x: &Matrix, y: &[f64], link: Link, c: f64, tolerance: f64) -> Result<Fit, Error> {
    let (n, p, k) = (x.rows(), x.cols, link.outputs());
    if n != y.len() || n < 2 {
        return Err(Error::TooLittle(format!("a fit needs at least 2 rows with as many targets: {n} and {}", y.len())));
    }
    if x.data.iter().chain(y).any(|v| !v.is_finite()) || !(c > 0.0 && c.is_finite()) {
        return Err(Error::Value("a fit needs finite features, finite targets and a C above 0".into()));
    }
    if link != Link::Linear {
        let classes = if link == Link::Logistic { 2 } else { k };
        if y.iter().any(|y| y.fract() != 0.0 || *y < 0.0 || *y >= classes as f64) {
            return Err(Error::Value(format!("targets of {classes} classes are 0 to {}", classes - 1)));
        }
        if y.iter().all(|v| *v == y[0]) {
            return Err(Error::TooLittle("all targets are of one class".into()));
        }
    }
    let penalty = 1.0 / (c * n as f64);
    let problem = Remembered(Problem { x, y, link, penalty }, RefCell::default());
    let solve = |start: Vec<f64>| -> Result<(Vec<f64>, u64), argmin::core::Error> {
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), 10)
            .with_tolerance_grad(tolerance)?
            .with_tolerance_cost(f64::EPSILON)?;
        let done = Executor::new(&problem, solver).configure(|s| s.param(start).max_iters(20_000)).run()?;
        let state = done.state();
        let best = state.get_best_param().or(state.get_param()).cloned();
        Ok((best.unwrap_or_default(), state.get_iter()))
    };
    // A line search that fails in the last digits ends the solver early. Restarting it there with an empty
    // L-BFGS history helps; up to five times.
    let mut at = vec![0.0; k * (p + 1)];
    let mut iterations = 0;
    let largest = |w: &[f64]| problem.at(w, |_, g| g.iter().fold(0.0f64, |m, g| m.max(g.abs())));
    for _ in 0..5 {
        match solve(at.clone()) {
            Ok((w, i)) if w.len() == at.len() => (at, iterations) = (w, iterations + i),
            _ => break,
        }
        if largest(&at) <= tolerance {
            break;
        }
    }
    let gradient = largest(&at);
    if gradient > tolerance.max(LOOSE) {
        return Err(Error::Value(format!(
            "the fit did not converge: {iterations} iterations leave a gradient of {gradient:.1e}; scale the features or lower C"
        )));
    }
    Ok(Fit { intercepts: at[k * p..].to_vec(), weights: at[..k * p].to_vec(), iterations, gradient })
}

/// Where the solver stops. The ∞-norm checked here is never above the 2-norm that the solver checks.
const GRADIENT: f64 = 1e-9;
/// The largest gradient that is accepted as converged: rounding may prevent less.
const LOOSE: f64 = 1e-6;

/// Standardises features: subtracts the mean and divides by the population standard deviation, as scikit-learn's
/// `StandardScaler`. Constant features have scale 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaler {
    /// Mean of each feature, `[cols]`.
    pub mean: Vec<f64>,
    /// Population standard deviation of each feature, `[cols]`.
    pub scale: Vec<f64>,
}

impl Scaler {
    /// Mean and standard deviation of the columns of `x`.
    pub fn fit(x: &Matrix) -> Self {
        let n = x.rows() as f64;
        let mut mean = vec![0.0; x.cols];
        let mut square = vec![0.0; x.cols];
        for i in 0..x.rows() {
            mean.iter_mut().zip(x.row(i)).for_each(|(m, v)| *m += v / n);
        }
        for i in 0..x.rows() {
            square.iter_mut().zip(x.row(i)).zip(&mean).for_each(|((s, v), m)| *s += (v - m).powi(2) / n);
        }
        // The deviation of a constant feature is a rounding error, not 0.
        let scale = square.iter().zip(&mean).map(|(s, m)| if s.sqrt() > 1e-12 * m.abs() { s.sqrt() } else { 1.0 });
        Self { scale: scale.collect(), mean }
    }
    /// The standardised rows, (x − mean) / scale.
    pub fn apply(&self, x: &Matrix) -> Matrix {
        let mut out = x.clone();
        for row in out.data.chunks_exact_mut(x.cols.max(1)) {
            row.iter_mut().zip(&self.mean).zip(&self.scale).for_each(|((v, m), s)| *v = (*v - m) / s);
        }
        out
    }
}
