//! The operations of edits on a device: [`EditOp`] with its vectors uploaded. Operations made of data compute with
//! device tensors alone, so that a recorded decode step can hold them. No row depends on another.
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_core::EditOp;
use friction_core::program::{Autoencoder, EditFn, Encoder, Readout};
use friction_model::model::{least_rows, matmul};
use std::collections::HashMap;
use std::sync::Arc;

/// An operation, ready to run.
// There are few of them, and they are never moved, so the unequal sizes do not matter.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Op {
    /// x + s·v.
    Add(Tensor<2>),
    /// x + s·(clamp(r, min, max) − r)·along. [`EditOp::Remove`], [`EditOp::Project`] and [`EditOp::Clamp`] are such too.
    Push { read: Read, along: Tensor<2>, min: Option<f32>, max: Option<f32> },
    /// x + s·(x̂ − x).
    Reconstruct(Arc<Reconstruction>),
    /// x + s·v, where v is the conversation's own.
    Given,
    /// x + s·(v − x), where v is the conversation's own; v where s is 1.
    Replace,
    /// Any function.
    Custom(EditFn),
}

/// Reads a number from each row: `[rows, width]` → `[rows, 1]`.
#[allow(clippy::large_enum_variant)] // As above.
pub(crate) enum Read {
    Linear { vector: Tensor<2>, bias: f32, threshold: Option<f32> },
    TopK { encoder: Arc<Encoding>, feature: usize, k: usize },
}

/// An encoder: weights `[width, features]`, bias `[1, features]`.
pub(crate) struct Encoding {
    weights: Tensor<2>,
    bias: Tensor<2>,
}

/// An autoencoder: `least` `[1, features]`, decoder `[features, width]`, its bias `[1, width]`.
pub(crate) struct Reconstruction {
    encoder: Encoding,
    least: Tensor<2>,
    k: Option<usize>,
    decoder: Tensor<2>,
    decoder_bias: Tensor<2>,
}

/// Uploads operations. What several of them share is uploaded once.
pub(crate) struct Uploads<'d> {
    device: &'d Device,
    encoders: HashMap<*const Encoder, Arc<Encoding>>,
    autoencoders: HashMap<*const Autoencoder, Arc<Reconstruction>>,
}

impl<'d> Uploads<'d> {
    pub fn new(device: &'d Device) -> Self {
        Self { device, encoders: HashMap::new(), autoencoders: HashMap::new() }
    }

    /// A row-major matrix of `rows` rows.
    fn matrix(&self, v: &[f32], rows: usize) -> Tensor<2> {
        let shape = [rows, v.len() / rows.max(1)];
        Tensor::from_data(TensorData::new(v.to_vec(), shape), (self.device, DType::F32))
    }

    fn encoding(&self, e: &Encoder) -> Encoding {
        let width = e.weights.len() / e.bias.len().max(1);
        Encoding { weights: self.matrix(&e.weights, width), bias: self.matrix(&e.bias, 1) }
    }

    /// Uploads a readout.
    pub fn read(&mut self, r: &Readout) -> Read {
        match r {
            Readout::Linear { vector, bias, threshold } => {
                Read::Linear { vector: self.matrix(vector, 1), bias: *bias, threshold: *threshold }
            }
            Readout::TopK { encoder, feature, k } => {
                let key = Arc::as_ptr(encoder);
                let there = self.encoders.get(&key).cloned().unwrap_or_else(|| Arc::new(self.encoding(encoder)));
                self.encoders.insert(key, there.clone());
                Read::TopK { encoder: there, feature: *feature, k: *k }
            }
        }
    }

    /// Uploads an operation.
    pub fn op(&mut self, op: &EditOp) -> Op {
        match op {
            EditOp::Add(v) => Op::Add(self.matrix(v, 1)),
            EditOp::Remove(v) => self.along(v, 0.0, 0.0),
            EditOp::Project { direction, value } => self.along(direction, *value, *value),
            EditOp::Clamp { direction, min, max } => self.along(direction, *min, *max),
            EditOp::Push { read, along, min, max } => {
                Op::Push { read: self.read(read), along: self.matrix(along, 1), min: *min, max: *max }
            }
            EditOp::Reconstruct(a) => {
                let key = Arc::as_ptr(a);
                let there = self.autoencoders.get(&key).cloned().unwrap_or_else(|| Arc::new(self.reconstruction(a)));
                self.autoencoders.insert(key, there.clone());
                Op::Reconstruct(there)
            }
            EditOp::Given { .. } => Op::Given,
            EditOp::Replace { .. } => Op::Replace,
            EditOp::Custom { run, .. } => Op::Custom(run.clone()),
        }
    }

    /// A push along a direction that brings the projection on it to a range.
    fn along(&mut self, direction: &[f32], min: f32, max: f32) -> Op {
        let read = self.read(&Readout::projection(direction));
        let along = match &read {
            Read::Linear { vector, .. } => vector.clone(),
            Read::TopK { .. } => unreachable!("a projection is linear"),
        };
        Op::Push { read, along, min: Some(min), max: Some(max) }
    }

    fn reconstruction(&self, a: &Autoencoder) -> Reconstruction {
        Reconstruction {
            encoder: self.encoding(&a.encoder),
            least: self.matrix(&a.least, 1),
            k: a.k,
            decoder: self.matrix(&a.decoder, a.least.len()),
            decoder_bias: self.matrix(&a.decoder_bias, 1),
        }
    }
}

/// x `[rows, in]` · w `[in, out]`. On the processor rows are repeated up to the number from which on the result of a row
/// is bit for bit the same whatever rows are beside it.
fn product(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let flex = x.device() == Device::flex();
    let (rows, least) = (x.dims()[0], least_rows(flex, w.dims()[1]));
    let x = if rows < least { x.repeat_dim(0, least.div_ceil(rows)) } else { x };
    let y = matmul(flex, x, w);
    if y.dims()[0] > rows { y.narrow(0, 0, rows) } else { y }
}

impl Encoding {
    fn of(&self, x: Tensor<2>) -> Tensor<2> {
        product(x, self.weights.clone()) + self.bias.clone()
    }
}

impl Read {
    /// The number of each row of `x` `[rows, width]`: `[rows, 1]`.
    pub fn of(&self, x: &Tensor<2>) -> Tensor<2> {
        match self {
            Self::Linear { vector, bias, threshold } => {
                let mut p = (x.clone() * vector.clone()).sum_dim(1);
                if *bias != 0.0 {
                    p = p + *bias;
                }
                match threshold {
                    Some(t) => {
                        let off = p.clone().lower_equal_elem(*t);
                        p.mask_fill(off, 0.0)
                    }
                    None => p,
                }
            }
            Self::TopK { encoder, feature, k } => {
                let all = encoder.of(x.clone());
                let own = all.clone().narrow(1, *feature, 1);
                // Counted and not sorted: the number of pre-activations that are larger.
                let larger = all.greater(own.clone()).float().cast(DType::F32).sum_dim(1);
                let off = larger.greater_equal_elem(*k as f32).bool_or(own.clone().lower_equal_elem(0.0));
                own.mask_fill(off, 0.0)
            }
        }
    }
}

impl Reconstruction {
    fn of(&self, x: Tensor<2>) -> Tensor<2> {
        let on = self.encoder.of(x);
        let off = on.clone().lower_equal(self.least.clone());
        let mut on = on.mask_fill(off, 0.0);
        if let Some(k) = self.k.filter(|k| *k < on.dims()[1]) {
            let smallest = on.clone().topk(k, 1).min_dim(1);
            let off = on.clone().lower(smallest);
            on = on.mask_fill(off, 0.0);
        }
        product(on, self.decoder.clone()) + self.decoder_bias.clone()
    }
}

impl Op {
    /// The changed rows of `x` `[rows, width]` with strengths `s` `[rows, 1]`. `given` holds the rows' own vectors,
    /// `[rows, width]`, for [`Op::Given`] and [`Op::Replace`].
    pub fn apply(&self, x: Tensor<2>, s: Tensor<2>, given: Option<Tensor<2>>) -> Tensor<2> {
        match self {
            Self::Add(v) => x + s * v.clone(),
            Self::Push { read, along, min, max } => {
                let r = read.of(&x);
                let to = match (min, max) {
                    (Some(min), Some(max)) if min == max => r.neg() + *min,
                    (Some(min), Some(max)) => r.clone().clamp(*min, *max) - r,
                    (Some(min), None) => r.clone().clamp_min(*min) - r,
                    (None, Some(max)) => r.clone().clamp_max(*max) - r,
                    (None, None) => return x,
                };
                x + s * to * along.clone()
            }
            Self::Reconstruct(a) => {
                let rest = a.of(x.clone()) - x.clone();
                x + s * rest
            }
            Self::Given => match given {
                Some(v) => x + s * v,
                None => x,
            },
            Self::Replace => match given {
                Some(v) => {
                    // x + (v − x) may differ from v in its last bits.
                    let whole = s.clone().equal_elem(1.0).expand(x.dims());
                    let rest = v.clone() - x.clone();
                    (x + s * rest).mask_where(whole, v)
                }
                None => x,
            },
            Self::Custom(run) => run(x, s),
        }
    }
}
