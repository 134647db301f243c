//! Encoding and decoding on a device.
//!
//! Gemma Scope 2: pre = x·W_enc + b_enc, without scaling the input or subtracting `b_dec`; a = pre where pre >
//! threshold (strictly) and pre > 0, else 0; x̂ = a·W_dec + b_dec, plus x·skip for transcoders with a skip
//! connection. SAELens' autoencoders may normalise each row and subtract `b_dec` first; the reconstruction of a
//! normalised row is scaled back.
//!
//! The encoder is processed in panels of columns, so that any width fits. Panels stay on the device where all of them
//! fit; otherwise each is read from its file in turn. Only active features are copied from a GPU (`fired.rs`). Few
//! features are active, so decoding adds up their decoder rows on the host.
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters};
#[cfg(feature = "cube")]
use burn::tensor::Int;
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_core::manifest::BackendKind;
use friction_core::{Error, Result};
use friction_model::model::matmul;
use rayon::prelude::*;
use std::borrow::Cow;

/// An active feature of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Active {
    /// Index of the feature.
    pub index: u32,
    /// Its activation, above 0.
    pub value: f32,
}

/// Features per panel.
const PANEL: usize = 16384;
/// Elements of one step's pre-activations: 256 MiB in f32.
const STEP: usize = 64 << 20;
/// Largest encoder, in bytes, that is kept on a GPU: a million features of a 4B model.
const RESIDENT: usize = 11 << 30;
/// Largest encoder, in bytes, that is kept in host memory beside the mapped file.
const RESIDENT_HOST: usize = 4 << 30;
/// Features that the host tests together for any that is active.
const BLOCK: usize = 32;
/// Active features per row that a GPU returns in a list; rows with more are copied whole.
#[cfg(feature = "cube")]
const ROOM: usize = 512;

/// A panel: some columns of the encoder, on a device.
#[derive(Clone)]
struct Panel {
    first: usize,
    /// Encoder columns `[input, panel]`.
    weights: Tensor<2>,
    /// Biases, and the thresholds of `Sae::least`: `[2, panel]`.
    #[cfg(feature = "cube")]
    gate: Tensor<2>,
}

/// An autoencoder or transcoder on a device.
pub struct Sae {
    parameters: Parameters,
    /// Per feature, what its pre-activation must exceed: max(threshold, 0).
    least: Vec<f32>,
    panels: Vec<Panel>,
    panel: usize,
    skip: Option<Tensor<2>>,
    host: bool,
    device: Device,
}

impl Sae {
    /// Puts parameters on device `index` of a backend.
    ///
    /// # Errors
    /// When shapes contradict each other or the device is not available.
    pub fn new(parameters: Parameters, kind: BackendKind, index: usize) -> Result<Self> {
        let resident = if kind == BackendKind::Cpu { RESIDENT_HOST } else { RESIDENT };
        Self::with(parameters, kind, index, PANEL, resident)
    }

    /// [`Sae::new`] with panels of `panel` features; an encoder of up to `resident` bytes stays on the device.
    ///
    /// # Errors
    /// As [`Sae::new`].
    pub fn with(
        mut parameters: Parameters,
        kind: BackendKind,
        index: usize,
        panel: usize,
        resident: usize,
    ) -> Result<Self> {
        parameters.check().map_err(Error::config)?;
        // Decoding reads the rows of active features, which must be in one piece to be read fast.
        parameters.w_dec = parameters.w_dec.gathered();
        let device = friction_model::device::open(kind, index).map_err(Error::other)?;
        let (input, output) = (parameters.input(), parameters.output());
        let skip = parameters.skip.clone().map(|s| tensor(s, input, output, &device));
        let host = kind == BackendKind::Cpu;
        let least = match &parameters.activation {
            Activation::JumpRelu(t) => t.iter().map(|t| t.max(0.0)).collect(),
            _ => vec![0.0; parameters.width()],
        };
        let mut sae = Self { panels: vec![], panel: panel.max(1), skip, host, device, least, parameters };
        if sae.parameters.w_enc.len() * 4 <= resident {
            sae.panels = sae.starts().map(|first| sae.upload(first)).collect();
        }
        Ok(sae)
    }

    /// The parameters that it computes with.
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

    /// Uploads the panel that begins at feature `first`.
    fn upload(&self, first: usize) -> Panel {
        let (input, width) = (self.parameters.input(), self.width());
        let cols = self.panel.min(width - first);
        let data = self.parameters.w_enc.block(width, first, cols);
        Panel {
            first,
            weights: tensor(data, input, cols, &self.device),
            #[cfg(feature = "cube")]
            gate: {
                let of = |v: &[f32]| v[first..first + cols].to_vec();
                tensor([of(&self.parameters.b_enc), of(&self.least)].concat(), 2, cols, &self.device)
            },
        }
    }

    /// Uploads rows, normalised and centred where the autoencoder asks for it.
    fn rows(&self, x: &[f32]) -> Tensor<2> {
        let p = &self.parameters;
        // In parallel, because most of the time goes into page faults of fresh memory.
        let mut own = vec![0.0; x.len()];
        own.par_chunks_mut(1 << 16).zip(x.par_chunks(1 << 16)).for_each(|(to, from)| to.copy_from_slice(from));
        if p.normalize != Normalize::None {
            own.par_chunks_mut(p.input()).for_each(|row| p.normalize.apply(row));
        }
        let x = tensor(own, x.len() / p.input(), p.input(), &self.device);
        if p.centred { x - tensor(p.b_dec.clone(), 1, p.input(), &self.device) } else { x }
    }

    /// The active features of each row of `x`, row-major `[rows, input]`, in ascending order of their index.
    pub fn encode(&self, x: &[f32]) -> Vec<Vec<Active>> {
        let input = self.parameters.input();
        let mut out = vec![vec![]; x.len() / input];
        let step = (STEP / self.panel.min(self.width())).clamp(1, 8192);
        let parts = || x.chunks(step * input);
        // With resident panels, each part of the rows passes all panels; otherwise each panel is uploaded once, for
        // all rows.
        if self.panels.is_empty() {
            for panel in self.starts().map(|first| self.upload(first)) {
                self.meet(std::slice::from_ref(&panel), parts(), out.chunks_mut(step));
            }
        } else {
            self.meet(&self.panels, parts(), out.chunks_mut(step));
        }
        if let Some(k) = self.k() {
            out.par_iter_mut().for_each(|row| keep(row, k));
        }
        out
    }

    /// The k of a TopK autoencoder.
    fn k(&self) -> Option<usize> {
        match self.parameters.activation {
            Activation::TopK(k) => Some(k),
            _ => None,
        }
    }

    /// Passes all rows through some panels. The next rows are prepared while the device works.
    fn meet<'a>(
        &self,
        panels: &[Panel],
        mut parts: impl Iterator<Item = &'a [f32]>,
        out: impl Iterator<Item = &'a mut [Vec<Active>]>,
    ) {
        let mut next = parts.next().map(|part| self.rows(part));
        for out in out {
            let Some(x) = next.take() else { break };
            for (n, panel) in panels.iter().enumerate() {
                let product = matmul(self.host, x.clone(), panel.weights.clone());
                let last = n + 1 == panels.len();
                let mut bring = || {
                    if last {
                        next = parts.next().map(|part| self.rows(part));
                    }
                };
                #[cfg(feature = "cube")]
                if !self.host {
                    self.sieve(product, panel, &mut bring, out);
                    continue;
                }
                bring();
                self.scan(&host(&product.into_data()), panel.first, out);
            }
        }
    }

    /// On the host: adds biases to the products `[rows, panel]`, applies thresholds and collects active features.
    fn scan(&self, product: &[f32], first: usize, out: &mut [Vec<Active>]) {
        let cols = product.len() / out.len();
        let (bias, least) = (&self.parameters.b_enc[first..][..cols], &self.least[first..][..cols]);
        let k = self.k().unwrap_or(usize::MAX);
        out.par_iter_mut().zip(product.par_chunks(cols)).for_each(|(on, row)| {
            let blocks = row.chunks(BLOCK).zip(bias.chunks(BLOCK)).zip(least.chunks(BLOCK));
            for (n, ((row, bias), least)) in blocks.enumerate() {
                // Most blocks have no active feature: a branch-free test skips them.
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

    /// On a GPU: the same, and only active features are copied to the host. `meanwhile` runs while the GPU works.
    #[cfg(feature = "cube")]
    fn sieve(&self, product: Tensor<2>, panel: &Panel, meanwhile: &mut dyn FnMut(), out: &mut [Vec<Active>]) {
        let [rows, cols] = product.dims();
        let k = self.k().unwrap_or(0);
        let room = ROOM.max(2 * k).min(cols);
        let fired = crate::fired::fired(product.clone(), panel.gate.clone(), room, k);
        let counts = fired.clone().narrow(1, 0, 1);
        // A device error is reported where results are read.
        let _ = self.device.flush();
        meanwhile();
        let counts = counts.into_data();
        let counts: Vec<usize> = host(&counts).iter().map(|n| *n as usize).collect();
        let most = counts.iter().copied().max().unwrap_or(0).min(room);
        if most == 0 {
            return;
        }
        let pairs = fired.narrow(1, 1, 2 * most).into_data();
        let pairs = host(&pairs);
        let listed = out.par_iter_mut().zip(&counts).zip(pairs.par_chunks(2 * most));
        listed.filter(|((_, n), _)| **n <= room).for_each(|((on, n), pairs)| {
            let from = on.len();
            let of = |p: &[f32]| Active { index: (panel.first + p[0] as usize) as u32, value: p[1] };
            on.extend(pairs.chunks(2).take(*n).map(of));
            on[from..].sort_unstable_by_key(|a| a.index);
        });
        // Rows with more active features than there is room for (the first token of a sequence) are copied whole.
        let over: Vec<usize> = (0..rows).filter(|r| counts[*r] > room).collect();
        if !over.is_empty() {
            let index = over.iter().map(|r| *r as i64).collect();
            let index = Tensor::<1, Int>::from_data(TensorData::new(index, [over.len()]), &self.device);
            let whole = product.select(0, index).into_data();
            for (row, part) in over.iter().zip(host(&whole).chunks(cols)) {
                self.scan(part, panel.first, &mut out[*row..=*row]);
            }
        }
    }

    /// Reconstructions, row-major `[rows, output]`, of encoded rows. `x`, row-major `[rows, input]`, is what was
    /// encoded; skip connections and the scales of normalised rows are computed from it.
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
        if p.normalize != Normalize::None {
            let rows = out.par_chunks_mut(output).zip(x.par_chunks(input));
            rows.for_each(|(y, x)| p.normalize.undo(x, y));
        }
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

/// A tensor's numbers, without a copy where they are contiguous f32.
fn host(data: &TensorData) -> Cow<'_, [f32]> {
    match data.as_slice::<f32>() {
        Ok(v) => Cow::Borrowed(v),
        Err(_) => Cow::Owned(data.iter::<f32>().collect()),
    }
}

fn tensor(v: Vec<f32>, rows: usize, cols: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(v, [rows, cols]), (device, DType::F32))
}

/// Keeps the k largest, the lowest index first among equals, in order of their index.
fn keep(row: &mut Vec<Active>, k: usize) {
    if row.len() > k {
        row.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.index.cmp(&b.index)));
        row.truncate(k);
        row.sort_by_key(|a| a.index);
    }
}

/// Quality of reconstructions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Fraction of variance unexplained, Σ‖x − x̂‖² / Σ‖x − x̄‖².
    pub fvu: f64,
    /// Mean number of active features of a row.
    pub l0: f64,
    /// Fraction of features that are active in no row.
    pub dead: f64,
}

/// Quality over rows. `reconstructed` and `target` are row-major `[rows, output]`, `width` is the number of features.
/// FVU is NaN where the target has no variance.
pub fn quality(features: &[Vec<Active>], reconstructed: &[f32], target: &[f32], width: usize) -> Quality {
    let n = features.len().max(1);
    // Without rows FVU is NaN.
    let d = (target.len() / n).max(1);
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
