//! Training of an autoencoder: TopK (Gao et al. 2024, arXiv 2406.04093) or JumpReLU with straight-through estimators
//! for the thresholds (Rajamanoharan et al. 2024, arXiv 2407.14435).
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters};
use crate::sae::{Sae, quality};
use crate::tokens::Tokens;
use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{DType, Tensor, TensorData, activation};
use friction_core::manifest::BackendKind;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Result, Site};
use friction_stats::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// From pre-activations to activations, while training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// TopK: the `k` largest features of each token are active.
    TopK,
    /// JumpReLU: features above a learnt threshold are active; their mean number is driven to `k`.
    JumpRelu,
}

/// Hyperparameters of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Activation function.
    pub kind: Kind,
    /// Number of features; at most 2^20.
    pub width: usize,
    /// TopK: active features per token. JumpReLU: target mean L0. From 1 to `width`.
    pub k: usize,
    /// Number of Adam steps.
    pub steps: usize,
    /// Tokens per step; at most 2^20.
    pub batch: usize,
    /// Peak learning rate: linear warm-up over 50 steps, cosine decay to 0.
    pub rate: f64,
    /// Seed of the initialisation and of the batches.
    pub seed: u64,
}

/// Largest `width` and `batch`.
const LARGEST: usize = 1 << 20;

impl Training {
    /// Checks that the values are in range.
    ///
    /// # Errors
    /// Names every value that is not.
    pub fn check(&self) -> Result<()> {
        let mut faults = friction_core::error::Faults::default();
        let of = format!("`k` is from 1 to `width`, which is {}", self.width);
        faults.when(self.k == 0 || self.k > self.width, "k", of);
        faults.when(self.steps == 0, "steps", "`steps` must be above 0");
        faults.when(self.batch == 0, "batch", "`batch` must be above 0");
        faults.when(self.width > LARGEST, "width", format!("`width` is at most {LARGEST}"));
        faults.when(self.batch > LARGEST, "batch", format!("`batch` is at most {LARGEST}"));
        faults.when(!(self.rate > 0.0 && self.rate.is_finite()), "rate", "`rate` must be above 0");
        faults.end()
    }
}

/// The result of training.
pub struct Trained {
    /// The trained parameters.
    pub parameters: Parameters,
    /// Every 50 steps: step, FVU of its batch, mean active features per token.
    pub curve: Vec<(usize, f64, f64)>,
}

/// Width of the window around a threshold in which the threshold gets gradients (ε), in standard deviations of the
/// activations.
const BANDWIDTH: f64 = 0.1;
/// Initial thresholds, in the same units.
const THRESHOLD: f64 = 0.1;
/// Weight of the JumpReLU sparsity term (L0 / k − 1)² relative to FVU.
const SPARSITY: f64 = 0.3;

#[derive(Module, Debug)]
struct Net {
    w_enc: Param<Tensor<2>>,
    b_enc: Param<Tensor<2>>,
    w_dec: Param<Tensor<2>>,
    b_dec: Param<Tensor<2>>,
    log_threshold: Param<Tensor<2>>,
}

impl Net {
    /// Reconstructions `[rows, d]`, and the mean number of active features.
    fn forward(&self, x: Tensor<2>, o: &Training) -> (Tensor<2>, Tensor<1>) {
        let pre = (x - self.b_dec.val()).matmul(self.w_enc.val()) + self.b_enc.val();
        let rows = pre.dims()[0] as f64;
        let (on, l0) = match o.kind {
            Kind::TopK => {
                // Zeroes what is below the k-th largest of its row.
                let least = pre.clone().detach().topk(o.k, 1).min_dim(1);
                let off = pre.clone().detach().lower(least.expand(pre.dims()));
                let on = activation::relu(pre).mask_fill(off, 0.0);
                let l0 = on.clone().detach().greater_elem(0.0).float().sum() / rows;
                (on, l0)
            }
            Kind::JumpRelu => {
                let threshold = self.log_threshold.val().exp().expand(pre.dims());
                let (at, fixed) = (pre.clone().detach(), threshold.clone().detach());
                let gate = at.clone().greater(fixed.clone()).float();
                // The paper's pseudo-derivatives by the threshold: −θ/ε·K for the activation, −1/ε·K for the step
                // function, with K the indicator of the window. Each term has value 0 and contributes only its
                // gradient.
                let near = ((at - fixed.clone()) / BANDWIDTH).abs().lower_elem(0.5).float() / BANDWIDTH;
                let slope = |coefficient: Tensor<2>| {
                    let term = threshold.clone() * coefficient;
                    term.clone() - term.detach()
                };
                let on = activation::relu(pre) * gate.clone() + slope(near.clone() * fixed).neg();
                let l0 = (gate + slope(near).neg()).sum() / rows;
                (on, l0)
            }
        };
        (on.matmul(self.w_dec.val()) + self.b_dec.val(), l0)
    }
}

/// Trains with Adam on rows `x`, row-major `[n, d]`. The loss is FVU, for JumpReLU plus a multiple of (L0 / k − 1)².
/// Rows are centred and scaled to unit variance for training; the scale is folded back into the parameters. On a GPU,
/// products may be rounded to tf32: the result is judged by its measured quality.
///
/// # Errors
/// When a hyperparameter is out of range, the device is not available, the rows are none, all equal or not finite, or
/// training diverges.
pub fn train(x: &[f32], d: usize, o: &Training, kind: BackendKind, index: usize) -> Result<Trained> {
    o.check()?;
    let n = x.len().checked_div(d).unwrap_or(0);
    if n == 0 || n * d != x.len() {
        return Err(Error::other(format!("{} numbers are no rows of {d}: there is nothing to learn from", x.len())));
    }
    let mut mean = vec![0.0f64; d];
    x.chunks(d).for_each(|r| mean.iter_mut().zip(r).for_each(|(m, v)| *m += f64::from(*v) / n as f64));
    let square: f64 = x.chunks(d).flat_map(|r| r.iter().zip(&mean).map(|(v, m)| (f64::from(*v) - m).powi(2))).sum();
    let scale = (square / x.len() as f64).sqrt();
    if !scale.is_finite() {
        return Err(Error::other("the activations hold numbers that are not finite: nothing can be learnt from them"));
    }
    if x.chunks(d).all(|row| row == &x[..d]) || scale < f64::from(f32::MIN_POSITIVE) {
        return Err(Error::other("the activations are the same at every token: there is nothing to learn"));
    }
    let device = friction_model::device::open(kind, index).map_err(Error::other)?.autodiff();
    let mut rng = Rng::new(o.seed);
    let up = |v: Vec<f32>, r: usize, c: usize| {
        Param::from_tensor(Tensor::<2>::from_data(TensorData::new(v, [r, c]), (&device, DType::F32)))
    };
    // Decoder rows are random unit vectors; the encoder starts as the decoder's transpose.
    let w = o.width;
    let mut dec: Vec<f32> = (0..w * d).map(|_| rng.normal() as f32).collect();
    for row in dec.chunks_mut(d) {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
    }
    let enc: Vec<f32> = (0..d * w).map(|i| dec[(i % w) * d + i / w]).collect();
    let mut net = Net {
        w_enc: up(enc, d, w),
        b_enc: up(vec![0.0; w], 1, w),
        w_dec: up(dec, w, d),
        b_dec: up(vec![0.0; d], 1, d),
        log_threshold: up(vec![THRESHOLD.ln() as f32; w], 1, w),
    };
    let mut adam = AdamConfig::new().init();
    let mut curve = vec![];
    for step in 0..o.steps {
        let mut rows = Vec::with_capacity(o.batch * d);
        for _ in 0..o.batch {
            let at = rng.below(n) * d;
            rows.extend(x[at..at + d].iter().zip(&mean).map(|(v, m)| ((f64::from(*v) - m) / scale) as f32));
        }
        let batch = Tensor::<2>::from_data(TensorData::new(rows, [o.batch, d]), (&device, DType::F32));
        let (reconstructed, l0) = net.forward(batch.clone(), o);
        let off = reconstructed - batch;
        let fvu = (off.clone() * off).mean();
        let loss = match o.kind {
            Kind::TopK => fvu.clone(),
            Kind::JumpRelu => {
                // The sparsity term is ramped up over the first fifth, so that features find their directions first.
                let weight = SPARSITY * (5.0 * step as f64 / o.steps as f64).min(1.0);
                let excess = l0.clone() / o.k as f64 - 1.0;
                fvu.clone() + excess.clone() * excess * weight
            }
        };
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        let warm = ((step + 1) as f64 / 50.0).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / o.steps as f64).cos());
        net = adam.step(o.rate * warm * cosine, net, grads);
        if (step + 1) % 50 == 0 {
            let number = |t: Tensor<1>| t.into_data().iter::<f64>().next().unwrap_or(f64::NAN);
            curve.push((step + 1, number(fvu), number(l0)));
        }
    }
    let read = |p: &Param<Tensor<2>>| -> Vec<f32> { p.val().inner().into_data().iter::<f32>().collect() };
    let s = scale as f32;
    let parameters = Parameters {
        w_enc: read(&net.w_enc).into(),
        b_enc: read(&net.b_enc).into_iter().map(|v| v * s).collect(),
        w_dec: read(&net.w_dec).into(),
        b_dec: read(&net.b_dec).into_iter().zip(&mean).map(|(v, m)| v * s + *m as f32).collect(),
        skip: None,
        activation: match o.kind {
            Kind::TopK => Activation::TopK(o.k),
            Kind::JumpRelu => Activation::JumpRelu(read(&net.log_threshold).into_iter().map(|t| t.exp() * s).collect()),
        },
        centred: true,
        normalize: Normalize::None,
    };
    let finite = |v: &[f32]| v.iter().all(|v| v.is_finite());
    let Parameters { w_enc, b_enc, w_dec, b_dec, .. } = &parameters;
    let all = [&w_enc.all()[..], b_enc, &w_dec.all()[..], b_dec].into_iter().all(finite);
    if !all || curve.iter().any(|(_, fvu, _)| !fvu.is_finite()) {
        return Err(Error::other(format!("training diverged: set `rate` below {}", o.rate)));
    }
    Ok(Trained { parameters, curve })
}

/// Reports the quality (FVU, L0, dead features) on training and held-out tokens: (key, sentence, values) for each.
///
/// # Errors
/// When the device is not available.
pub fn told(
    trained: &Trained,
    tokens: &Tokens,
    site: Site,
    kind: BackendKind,
    index: usize,
) -> Result<Vec<(String, String, Value)>> {
    let sae = Sae::new(trained.parameters.clone(), kind, index)?;
    let parts = [("learnt", "learnt from", &tokens.learnt), ("held_out", "held out", &tokens.held)];
    Ok(parts
        .into_iter()
        .map(|(key, words, x)| {
            let f = sae.encode(x);
            let q = quality(&f, &sae.decode(&f, x), x, sae.width());
            let sentence = format!(
                "{} tokens of `{site}` {words}: variance unexplained (FVU) {:.3}, {:.1} active a token (L0), {:.1} % never active",
                f.len(), q.fvu, q.l0, 100.0 * q.dead
            );
            (key.to_string(), sentence, json!({"tokens": f.len(), "fvu": q.fvu, "l0": q.l0, "dead": q.dead}))
        })
        .collect())
}
