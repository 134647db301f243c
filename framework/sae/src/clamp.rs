//! One feature's activation as a function of tensors, for edits. Clamping a feature to a value adds (value −
//! activation)·W_dec to the activations; everything else, the autoencoder's error included, is unchanged.
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters};
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_core::{Error, Result};
use friction_model::model::matmul;
use std::sync::{Arc, OnceLock};

/// A function of each row: `[rows, width]` → `[rows, 1]`.
pub type Read = Arc<dyn Fn(&Tensor<2>) -> Tensor<2> + Send + Sync>;

/// A matrix that is uploaded when it is first used.
pub struct Upload {
    data: Vec<f32>,
    rows: usize,
    there: OnceLock<Tensor<2>>,
}

impl Upload {
    /// A matrix of `rows` rows; `data` is row-major.
    pub fn new(data: Vec<f32>, rows: usize) -> Self {
        Self { data, rows, there: OnceLock::new() }
    }

    /// The tensor, on the device of the first call, which later calls must use too.
    pub fn on(&self, device: &Device) -> Tensor<2> {
        let make = || {
            let shape = [self.rows, self.data.len() / self.rows.max(1)];
            Tensor::from_data(TensorData::new(self.data.clone(), shape), (device, DType::F32))
        };
        self.there.get_or_init(make).clone()
    }
}

/// The projection x·v of each row.
pub fn projection(v: Vec<f32>) -> Read {
    let v = Upload::new(v, 1);
    Arc::new(move |x| (x.clone() * v.on(&x.device())).sum_dim(1))
}

/// The activation of feature `index` of each row. For TopK it computes all features, to know whether this one is
/// among the k largest.
///
/// # Errors
/// When there is no such feature, or rows are normalised: the size of what a feature writes then depends on the row.
pub fn activation(p: &Parameters, index: usize) -> Result<Read> {
    let f = p.feature(index)?;
    if p.normalize != Normalize::None {
        return Err(Error::config(
            "the autoencoder normalises each token by itself (`normalize_activations`), so that what its feature writes has another size at each: it cannot be clamped; steer along its decoder with `op = \"add\"`",
        ));
    }
    let (bias, least) = (f.bias, f.threshold.max(0.0));
    let Activation::TopK(k) = p.activation else {
        let along = projection(f.encoder);
        return Ok(Arc::new(move |x| {
            let pre = along(x) + bias;
            let off = pre.clone().lower_equal_elem(least);
            pre.mask_fill(off, 0.0)
        }));
    };
    let (w, b) = (Upload::new(p.w_enc.all(), p.input()), Upload::new(p.b_enc.clone(), 1));
    let centre = p.centred.then(|| Upload::new(p.b_dec.clone(), 1));
    Ok(Arc::new(move |x| {
        let device = x.device();
        let x = match &centre {
            Some(c) => x.clone() - c.on(&device),
            None => x.clone(),
        };
        let pre = matmul(device == Device::flex(), x, w.on(&device)) + b.on(&device);
        let smallest = pre.clone().topk(k, 1).min_dim(1);
        let own = pre.narrow(1, index, 1);
        let off = own.clone().lower(smallest).bool_or(own.clone().lower_equal_elem(0.0));
        own.mask_fill(off, 0.0)
    }))
}
