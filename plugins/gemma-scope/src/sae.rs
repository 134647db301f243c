//! Sparse autoencoders and transcoders: what their parameters compute.
//!
//! Gemma Scope 2 (facts of its release): no scaling of the input, no subtraction of `b_dec`;
//! pre = x·W_enc + b_enc; a = pre where pre > threshold (strict) and pre > 0, else 0;
//! x̂ = a·W_dec + b_dec, and for transcoders with a skip connection + x·skip.
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_core::{Error, Result};

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

/// Parameters in memory, row-major f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// `[input, width]`.
    pub w_enc: Vec<f32>,
    /// `[width]`.
    pub b_enc: Vec<f32>,
    /// `[width, output]`.
    pub w_dec: Vec<f32>,
    /// `[output]`.
    pub b_dec: Vec<f32>,
    /// `[input, output]`, transcoders with an affine skip.
    pub skip: Option<Vec<f32>>,
    /// From pre-activations to activations.
    pub activation: Activation,
    /// Whether `b_dec` is taken from the input first (SAELens' `apply_b_dec_to_input`).
    pub centred: bool,
}

/// One active feature of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Active {
    /// Feature.
    pub index: u32,
    /// Its activation, above 0.
    pub value: f32,
}

/// An autoencoder on a device.
pub struct Sae {
    input: usize,
    output: usize,
    width: usize,
    w_enc: Tensor<2>,
    b_enc: Tensor<2>,
    w_dec: Tensor<2>,
    b_dec: Tensor<2>,
    skip: Option<Tensor<2>>,
    activation: Activation,
    centred: bool,
    device: Device,
}

/// Elements of one chunk's activations: 256 MiB in f32.
const CHUNK: usize = 64 << 20;

impl Sae {
    /// Uploads parameters.
    ///
    /// # Errors
    /// When shapes contradict each other.
    pub fn new(p: Parameters, device: &Device) -> Result<Self> {
        let (width, output) = (p.b_enc.len(), p.b_dec.len());
        let input = p.w_enc.len().checked_div(width).unwrap_or(0);
        let fits = input * width == p.w_enc.len()
            && width * output == p.w_dec.len()
            && p.skip.as_ref().is_none_or(|s| s.len() == input * output)
            && (!p.centred || input == output)
            && match &p.activation {
                Activation::JumpRelu(t) => t.len() == width,
                Activation::TopK(k) => (1..=width).contains(k),
                Activation::Relu => true,
            };
        if !fits || input == 0 || output == 0 {
            return Err(Error::config(format!(
                "the autoencoder's tensors contradict each other: W_enc {}, b_enc {width}, W_dec {}, b_dec {output}",
                p.w_enc.len(),
                p.w_dec.len()
            )));
        }
        let up =
            |v: Vec<f32>, r: usize, c: usize| Tensor::<2>::from_data(TensorData::new(v, [r, c]), (device, DType::F32));
        Ok(Self {
            w_enc: up(p.w_enc, input, width),
            b_enc: up(p.b_enc, 1, width),
            w_dec: up(p.w_dec, width, output),
            b_dec: up(p.b_dec, 1, output),
            skip: p.skip.map(|s| up(s, input, output)),
            activation: p.activation,
            centred: p.centred,
            device: device.clone(),
            input,
            output,
            width,
        })
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.width
    }
    /// Width of what it reads.
    pub fn input(&self) -> usize {
        self.input
    }
    /// Width of what it reconstructs.
    pub fn output(&self) -> usize {
        self.output
    }

    /// Activations `[rows, width]` of rows `[rows, input]`, before `TopK` picks.
    fn dense(&self, x: Tensor<2>) -> Tensor<2> {
        let x = if self.centred { x - self.b_dec.clone() } else { x };
        let pre = x.matmul(self.w_enc.clone()) + self.b_enc.clone();
        let zero = Tensor::<2>::zeros([1, 1], (&self.device, DType::F32)).expand(pre.dims());
        let mut off = pre.clone().lower_equal_elem(0.0);
        if let Activation::JumpRelu(t) = &self.activation {
            let t = Tensor::<2>::from_data(TensorData::new(t.clone(), [1, self.width]), (&self.device, DType::F32));
            off = off.bool_or(pre.clone().lower_equal(t.expand(pre.dims())));
        }
        pre.mask_where(off, zero)
    }

    /// The active features of each row of `x`, row-major `[rows, input]`, in order of their index; in
    /// chunks that fit memory.
    pub fn encode(&self, x: &[f32]) -> Vec<Vec<Active>> {
        let rows = (CHUNK / self.width).clamp(1, 4096);
        let mut out = vec![];
        for part in x.chunks(rows * self.input) {
            let n = part.len() / self.input;
            let x = Tensor::<2>::from_data(TensorData::new(part.to_vec(), [n, self.input]), (&self.device, DType::F32));
            let values: Vec<f32> = self.dense(x).into_data().iter::<f32>().collect();
            for row in values.chunks(self.width) {
                let on = row.iter().enumerate().filter(|(_, v)| **v > 0.0);
                let mut on: Vec<Active> = on.map(|(i, v)| Active { index: i as u32, value: *v }).collect();
                if let Activation::TopK(k) = self.activation {
                    on.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.index.cmp(&b.index)));
                    on.truncate(k);
                    on.sort_by_key(|a| a.index);
                }
                out.push(on);
            }
        }
        out
    }

    /// Reconstructions, row-major `[rows, output]`, of encoded rows; `x` is read by skip connections.
    pub fn decode(&self, features: &[Vec<Active>], x: &[f32]) -> Vec<f32> {
        let rows = (CHUNK / self.width).clamp(1, 4096);
        let mut out = vec![];
        for (part, x) in features.chunks(rows).zip(x.chunks(rows * self.input)) {
            let n = part.len();
            let mut dense = vec![0.0f32; n * self.width];
            for (row, on) in dense.chunks_mut(self.width).zip(part) {
                on.iter().for_each(|a| row[a.index as usize] = a.value);
            }
            let a = Tensor::<2>::from_data(TensorData::new(dense, [n, self.width]), (&self.device, DType::F32));
            let mut y = a.matmul(self.w_dec.clone()) + self.b_dec.clone();
            if let Some(skip) = &self.skip {
                let x =
                    Tensor::<2>::from_data(TensorData::new(x.to_vec(), [n, self.input]), (&self.device, DType::F32));
                y = y + x.matmul(skip.clone());
            }
            out.extend(y.into_data().iter::<f32>());
        }
        out
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
