//! Parameters of an autoencoder or transcoder.
use crate::normalize::Normalize;
use crate::values::Values;
use friction_core::{Error, Result};

/// Activation function: from pre-activations x·W_enc + b_enc to feature activations.
#[derive(Debug, Clone, PartialEq)]
pub enum Activation {
    /// ReLU: max(pre, 0).
    Relu,
    /// JumpReLU: pre where pre > max(threshold, 0), else 0. One threshold per feature, `[width]`.
    JumpRelu(Vec<f32>),
    /// TopK: the k largest of each row, where they are above 0.
    TopK(usize),
}

/// Weights and settings. Matrices are row-major f32.
#[derive(Clone)]
pub struct Parameters {
    /// Encoder `[input, width]`.
    pub w_enc: Values,
    /// Encoder bias `[width]`.
    pub b_enc: Vec<f32>,
    /// Decoder `[width, output]`.
    pub w_dec: Values,
    /// Decoder bias `[output]`.
    pub b_dec: Vec<f32>,
    /// Affine skip connection `[input, output]` of a transcoder, where it has one.
    pub skip: Option<Vec<f32>>,
    /// The activation function.
    pub activation: Activation,
    /// Whether `b_dec` is subtracted from the (normalised) input before encoding (SAELens' `apply_b_dec_to_input`).
    pub centred: bool,
    /// Normalisation of each input row, undone on its reconstruction.
    pub normalize: Normalize,
}

/// The encoder and thresholds of the JumpReLU autoencoder that a gated one is equal to: its gate x·W_enc + b_gate > 0 is a
/// threshold on its magnitude x·W_enc·e^r + b_mag. `None` where the vectors are not of as many features.
pub(crate) fn jump_relu_of_gated(
    w_enc: Values,
    r_mag: &[f32],
    b_gate: &[f32],
    b_mag: &[f32],
) -> Option<(Values, Activation)> {
    if r_mag.len() != b_mag.len() || b_gate.len() != b_mag.len() {
        return None;
    }
    let by: Vec<f32> = r_mag.iter().map(|r| r.exp()).collect();
    let threshold = b_mag.iter().zip(&by).zip(b_gate).map(|((b, e), g)| b - e * g).collect();
    Some((w_enc.columns(by), Activation::JumpRelu(threshold)))
}

/// The parameters of one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Column of the encoder, `[input]`.
    pub encoder: Vec<f32>,
    /// Encoder bias. Where inputs are centred, −b_dec·encoder is included.
    pub bias: f32,
    /// JumpReLU threshold on the pre-activation, exclusive; 0 for other activation functions.
    pub threshold: f32,
    /// Row of the decoder, `[output]`.
    pub decoder: Vec<f32>,
}

impl Parameters {
    /// Number of features.
    pub fn width(&self) -> usize {
        self.b_enc.len()
    }
    /// Width of the input.
    pub fn input(&self) -> usize {
        self.w_enc.len().checked_div(self.width()).unwrap_or(0)
    }
    /// Width of the reconstruction.
    pub fn output(&self) -> usize {
        self.b_dec.len()
    }

    /// Checks that the shapes agree and k is in range.
    ///
    /// # Errors
    /// A message that names what contradicts.
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

    /// The parameters of feature `index`; they apply to normalised rows where rows are normalised.
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
