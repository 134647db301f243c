//! What an autoencoder is made of.
use crate::normalize::Normalize;
use crate::values::Values;
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
    /// Whether `b_dec` is taken from the (normalised) input first (SAELens' `apply_b_dec_to_input`).
    pub centred: bool,
    /// What is done to each row before it is read, and undone behind its reconstruction.
    pub normalize: Normalize,
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
                Activation::TopK(_) | Activation::Relu => true,
            };
        if !fits || input == 0 || output == 0 {
            return Err(format!(
                "the autoencoder's tensors contradict each other: W_enc {}, b_enc {width}, W_dec {}, b_dec {output}",
                self.w_enc.len(),
                self.w_dec.len()
            ));
        }
        if let Activation::TopK(k) = self.activation
            && !(1..=width).contains(&k)
        {
            return Err(format!("`k` is {k}, but the autoencoder has {width} features: it must be 1 to {width}"));
        }
        Ok(())
    }

    /// One feature's parameters, of normalised rows where rows are normalised.
    ///
    /// # Errors
    /// When there is no such feature.
    pub fn feature(&self, index: usize) -> Result<Feature> {
        let (input, width, output) = (self.input(), self.width(), self.output());
        if index >= width {
            return Err(Error::config(format!(
                "the autoencoder has features 0 to {}, not {index}",
                width.saturating_sub(1)
            )));
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
