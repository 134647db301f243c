//! What the parameters compute.
//!
//! Gemma Scope 2 (facts of its release): no scaling of the input, no subtraction of `b_dec`;
//! pre = x·W_enc + b_enc; a = pre where pre > threshold (strict) and pre > 0, else 0;
//! x̂ = a·W_dec + b_dec, and for transcoders with a skip connection + x·skip.
//!
//! The encoder's columns are worked through in panels, so that any width fits: panels that fit stay on
//! the device, others are read from their file when their turn comes. What leaves a GPU is only the
//! blocks of features in which something fires. Few features fire, so decoding adds up their rows.
use crate::values::Values;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use friction_core::manifest::BackendKind;
use friction_core::{Error, Result};
use friction_model::model::matmul;
use rayon::prelude::*;
use std::borrow::Cow;

/// From pre-activations to activations.
#[derive(Debug, Clone, PartialEq)]
pub enum Activation {
    /// max(pre, 0).
    Relu,
    /// pre where it is above 0 and above its feature's threshold, strictly.
    JumpRelu(Vec<f32>),
    /// The k largest of each row, where they are above 0.
    TopK(usize),
}

/// Parameters, row-major f32.
#[derive(Clone)]
pub struct Parameters {
    /// `[input, width]`.
    pub w_enc: Values,
    /// `[width]`.
    pub b_enc: Vec<f32>,
    /// `[width, output]`.
    pub w_dec: Values,
    /// `[output]`.
    pub b_dec: Vec<f32>,
    /// `[input, output]`, transcoders with an affine skip.
    pub skip: Option<Vec<f32>>,
    /// From pre-activations to activations.
    pub activation: Activation,
    /// Whether `b_dec` is taken from the input first (SAELens' `apply_b_dec_to_input`).
    pub centred: bool,
}

/// One feature: what it reads, what it writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its column of the encoder, `[input]`.
    pub encoder: Vec<f32>,
    /// Its bias; a centred input's is in it.
    pub bias: f32,
    /// It fires above this, strictly, and above 0.
    pub threshold: f32,
    /// Its row of the decoder, `[output]`.
    pub decoder: Vec<f32>,
}

impl Parameters {
    /// Number of features.
    pub fn width(&self) -> usize {
        self.b_enc.len()
    }
    /// Width of what is read.
    pub fn input(&self) -> usize {
        self.w_enc.len().checked_div(self.width()).unwrap_or(0)
    }
    /// Width of what is reconstructed.
    pub fn output(&self) -> usize {
        self.b_dec.len()
    }

    /// Whether shapes agree.
    ///
    /// # Errors
    /// When they contradict each other; the words name them.
    pub fn check(&self) -> std::result::Result<(), String> {
        let (input, width, output) = (self.input(), self.width(), self.output());
        let fits = input * width == self.w_enc.len()
            && width * output == self.w_dec.len()
            && self.skip.as_ref().is_none_or(|s| s.len() == input * output)
            && (!self.centred || input == output)
            && match &self.activation {
                Activation::JumpRelu(t) => t.len() == width,
                Activation::TopK(k) => (1..=width).contains(k),
                Activation::Relu => true,
            };
        if fits && input > 0 && output > 0 {
            return Ok(());
        }
        Err(format!(
            "the autoencoder's tensors contradict each other: W_enc {}, b_enc {width}, W_dec {}, b_dec {output}",
            self.w_enc.len(),
            self.w_dec.len()
        ))
    }

    /// One feature's parameters.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature(&self, index: usize) -> Result<Feature> {
        let (input, width, output) = (self.input(), self.width(), self.output());
        if index >= width {
            return Err(Error::config(format!("the autoencoder has features 0 to {}, not {index}", width - 1)));
        }
        let mut encoder = vec![0.0; input];
        for (r, v) in encoder.iter_mut().enumerate() {
            self.w_enc.read(r * width + index, std::slice::from_mut(v));
        }
        let mut decoder = vec![0.0; output];
        self.w_dec.read(index * output, &mut decoder);
        let shift: f32 = if self.centred { encoder.iter().zip(&self.b_dec).map(|(e, b)| e * b).sum() } else { 0.0 };
        let threshold = match &self.activation {
            Activation::JumpRelu(t) => t[index],
            _ => 0.0,
        };
        Ok(Feature { encoder, bias: self.b_enc[index] - shift, threshold, decoder })
    }
}

/// One active feature of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Active {
    /// Feature.
    pub index: u32,
    /// Its activation, above 0.
    pub value: f32,
}

/// Features of a panel.
const PANEL: usize = 16384;
/// Elements of one step's activations: 256 MiB in f32.
const STEP: usize = 64 << 20;
/// Bytes of the encoder that stay on a GPU: a million features of a 4B model.
const RESIDENT: usize = 11 << 30;
/// Bytes of it that stay in the host's memory beside the mapped file.
const RESIDENT_HOST: usize = 4 << 30;
/// Features of a block, of which one that fires brings all from the device.
const BLOCK: usize = 32;

/// An autoencoder on a device.
pub struct Sae {
    parameters: Parameters,
    panels: Vec<Tensor<2>>,
    panel: usize,
    skip: Option<Tensor<2>>,
    host: bool,
    device: Device,
}

impl Sae {
    /// Puts parameters on a device.
    ///
    /// # Errors
    /// When shapes contradict each other or the device is not there.
    pub fn new(parameters: Parameters, kind: BackendKind, index: usize) -> Result<Self> {
        let resident = if kind == BackendKind::Cpu { RESIDENT_HOST } else { RESIDENT };
        Self::with(parameters, kind, index, PANEL, resident)
    }

    /// As [`Sae::new`], with `panel` features at once, of which `resident` bytes stay on the device.
    ///
    /// # Errors
    /// As [`Sae::new`].
    pub fn with(
        parameters: Parameters,
        kind: BackendKind,
        index: usize,
        panel: usize,
        resident: usize,
    ) -> Result<Self> {
        parameters.check().map_err(Error::config)?;
        let device = friction_model::device::open(kind, index).map_err(Error::other)?;
        let (input, output) = (parameters.input(), parameters.output());
        let skip = parameters.skip.clone().map(|s| tensor(s, input, output, &device));
        let host = kind == BackendKind::Cpu;
        let mut sae = Self { panels: vec![], panel: panel.max(1), skip, host, device, parameters };
        if sae.parameters.w_enc.len() * 4 <= resident {
            sae.panels = (0..sae.starts().count()).map(|p| sae.upload(p)).collect();
        }
        Ok(sae)
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }
    /// Number of features.
    pub fn width(&self) -> usize {
        self.parameters.width()
    }

    fn starts(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.width()).step_by(self.panel)
    }

    /// Columns of the encoder, `[input, panel]`.
    fn upload(&self, panel: usize) -> Tensor<2> {
        let (input, width) = (self.parameters.input(), self.width());
        let first = panel * self.panel;
        let cols = self.panel.min(width - first);
        let mut data = vec![0.0; input * cols];
        let read = |(r, out): (usize, &mut [f32])| self.parameters.w_enc.read(r * width + first, out);
        data.par_chunks_mut(cols).enumerate().for_each(read);
        tensor(data, input, cols, &self.device)
    }

    /// The active features of each row of `x`, row-major `[rows, input]`, in order of their index.
    pub fn encode(&self, x: &[f32]) -> Vec<Vec<Active>> {
        let p = &self.parameters;
        let input = p.input();
        let mut out = vec![vec![]; x.len() / input];
        let step = (STEP / self.panel.min(self.width())).clamp(1, 8192);
        let rows = |part: &[f32]| {
            let x = tensor(part.to_vec(), part.len() / input, input, &self.device);
            if p.centred { x - tensor(p.b_dec.clone(), 1, input, &self.device) } else { x }
        };
        let fire = |x: Tensor<2>, w: Tensor<2>, first: usize, out: &mut [Vec<Active>]| {
            let product = matmul(self.host, x, w);
            if self.host { self.scan(product, first, out) } else { self.sieve(product, first, out) }
        };
        // What stays on the device is met by all that comes; what does not is brought once, for all rows.
        if self.panels.is_empty() {
            for (panel, first) in self.starts().enumerate() {
                let w = self.upload(panel);
                for (part, out) in x.chunks(step * input).zip(out.chunks_mut(step)) {
                    fire(rows(part), w.clone(), first, out);
                }
            }
        } else {
            for (part, out) in x.chunks(step * input).zip(out.chunks_mut(step)) {
                let x = rows(part);
                for (w, first) in self.panels.iter().zip(self.starts()) {
                    fire(x.clone(), w.clone(), first, out);
                }
            }
        }
        if let Activation::TopK(k) = p.activation {
            out.par_iter_mut().for_each(|row| keep(row, k));
        }
        out
    }

    /// Bias, threshold and what fires, in one pass over the product.
    fn scan(&self, product: Tensor<2>, first: usize, out: &mut [Vec<Active>]) {
        let cols = product.dims()[1];
        let bias = &self.parameters.b_enc[first..first + cols];
        // Above 0 and above the threshold is above the larger of both.
        let least: Vec<f32> = match &self.parameters.activation {
            Activation::JumpRelu(t) => t[first..first + cols].iter().map(|t| t.max(0.0)).collect(),
            _ => vec![0.0; cols],
        };
        let k = match self.parameters.activation {
            Activation::TopK(k) => k,
            _ => usize::MAX,
        };
        let data = product.into_data();
        let values = host(&data);
        out.par_iter_mut().zip(values.par_chunks(cols)).for_each(|(on, row)| {
            let blocks = row.chunks(BLOCK).zip(bias.chunks(BLOCK)).zip(least.chunks(BLOCK));
            for (n, ((row, bias), least)) in blocks.enumerate() {
                // Most blocks hold nothing: one test without branches for each.
                let fires = row.iter().zip(bias).zip(least).fold(false, |any, ((v, b), l)| any | (v + b > *l));
                if fires {
                    let all = row.iter().zip(bias).zip(least).enumerate();
                    on.extend(
                        all.filter(|(_, ((v, b), l))| *v + *b > **l)
                            .map(|(i, ((v, b), _))| Active { index: (first + n * BLOCK + i) as u32, value: v + b }),
                    );
                }
            }
            keep(on, k);
        });
    }

    /// The same on a GPU: activations stay there, but for blocks in which something fires.
    fn sieve(&self, product: Tensor<2>, first: usize, out: &mut [Vec<Active>]) {
        let [rows, cols] = product.dims();
        let p = &self.parameters;
        let part = |v: &[f32]| tensor(v[first..first + cols].to_vec(), 1, cols, &self.device);
        let pre = product + part(&p.b_enc);
        let mut off = pre.clone().lower_equal_elem(0.0);
        if let Activation::JumpRelu(t) = &p.activation {
            off = off.bool_or(pre.clone().lower_equal(part(t).expand(pre.dims())));
        }
        let on = pre.mask_fill(off, 0.0);
        let block = if cols.is_multiple_of(BLOCK) { BLOCK } else { cols };
        let blocks = on.reshape([rows * cols / block, block]);
        let most = blocks.clone().max_dim(1).into_data();
        let most = host(&most);
        let hit: Vec<usize> = (0..most.len()).filter(|b| most[*b] > 0.0).collect();
        if hit.is_empty() {
            return;
        }
        let index: Vec<i64> = hit.iter().map(|b| *b as i64).collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [hit.len()]), &self.device);
        let data = blocks.select(0, index).into_data();
        let values = host(&data);
        let each = cols / block;
        out.par_iter_mut().enumerate().for_each(|(row, on)| {
            let from = hit.partition_point(|b| *b < row * each);
            for (n, b) in hit.iter().enumerate().skip(from).take_while(|(_, b)| **b < (row + 1) * each) {
                let start = first + (b - row * each) * block;
                let fired = values[n * block..][..block].iter().enumerate().filter(|(_, v)| **v > 0.0);
                on.extend(fired.map(|(i, v)| Active { index: (start + i) as u32, value: *v }));
            }
        });
    }

    /// Reconstructions, row-major `[rows, output]`, of encoded rows; `x` is read by skip connections.
    pub fn decode(&self, features: &[Vec<Active>], x: &[f32]) -> Vec<f32> {
        let p = &self.parameters;
        let (input, output) = (p.input(), p.output());
        let mut out = vec![0.0; features.len() * output];
        out.par_chunks_mut(output).zip(features).for_each_init(
            || vec![0.0; output],
            |row, (y, on)| {
                for a in on {
                    p.w_dec.read(a.index as usize * output, row);
                    y.iter_mut().zip(row.iter()).for_each(|(y, w)| *y += a.value * w);
                }
                y.iter_mut().zip(&p.b_dec).for_each(|(y, b)| *y += b);
            },
        );
        if let Some(skip) = &self.skip {
            for (part, out) in x.chunks(8192 * input).zip(out.chunks_mut(8192 * output)) {
                let x = tensor(part.to_vec(), part.len() / input, input, &self.device);
                let y = matmul(self.host, x, skip.clone()).into_data();
                out.iter_mut().zip(y.iter::<f32>()).for_each(|(o, v)| *o += v);
            }
        }
        out
    }
}

/// Numbers of a tensor on the host, without a copy where they lie in a row.
fn host(data: &TensorData) -> Cow<'_, [f32]> {
    match data.as_slice::<f32>() {
        Ok(v) => Cow::Borrowed(v),
        Err(_) => Cow::Owned(data.iter::<f32>().collect()),
    }
}

fn tensor(v: Vec<f32>, rows: usize, cols: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(v, [rows, cols]), (device, DType::F32))
}

/// The k largest, the first of equals, in order of their index.
fn keep(row: &mut Vec<Active>, k: usize) {
    if row.len() > k {
        row.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.index.cmp(&b.index)));
        row.truncate(k);
        row.sort_by_key(|a| a.index);
    }
}

/// How well reconstructions do on rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Fraction of variance unexplained, Σ‖x − x̂‖² / Σ‖x − x̄‖².
    pub fvu: f64,
    /// Mean number of active features of a row.
    pub l0: f64,
    /// Share of features that no row activates.
    pub dead: f64,
}

/// Quality over rows: `target` is what is reconstructed, row-major `[rows, output]`.
pub fn quality(features: &[Vec<Active>], reconstructed: &[f32], target: &[f32], width: usize) -> Quality {
    let n = features.len().max(1);
    let d = target.len() / n;
    let mut mean = vec![0.0f64; d];
    target.chunks(d).for_each(|r| mean.iter_mut().zip(r).for_each(|(m, v)| *m += f64::from(*v) / n as f64));
    let (mut rest, mut all) = (0.0, 0.0);
    for (r, t) in reconstructed.chunks(d).zip(target.chunks(d)) {
        for ((r, t), m) in r.iter().zip(t).zip(&mean) {
            rest += (f64::from(*t) - f64::from(*r)).powi(2);
            all += (f64::from(*t) - m).powi(2);
        }
    }
    let mut alive = vec![false; width];
    features.iter().flatten().for_each(|a| alive[a.index as usize] = true);
    Quality {
        fvu: rest / all,
        l0: features.iter().map(Vec::len).sum::<usize>() as f64 / n as f64,
        dead: alive.iter().filter(|a| !**a).count() as f64 / width as f64,
    }
}
