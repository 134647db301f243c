//! Features and autoencoders as edits use them. Clamping a feature to a value adds (value − activation)·W_dec to the
//! activations; everything else, the autoencoder's error included, is unchanged.
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters};
use friction_core::{Autoencoder, Encoder, Error, Readout, Result};
use std::sync::Arc;

/// What reads the activation of feature `index`. Of a TopK autoencoder it holds the whole encoder, to know whether this
/// feature is among the k largest.
///
/// # Errors
/// When there is no such feature, or rows are normalised: the size of what a feature writes then depends on the row.
pub fn feature(p: &Parameters, index: usize) -> Result<Readout> {
    let f = p.feature(index)?;
    if p.normalize != Normalize::None {
        return Err(Error::config(
            "the autoencoder normalises each token by itself (`normalize_activations`), so that what its feature writes has another size at each: it cannot be clamped; steer along its decoder with `op = \"add\"`",
        ));
    }
    Ok(match p.activation {
        Activation::TopK(k) => Readout::TopK { encoder: Arc::new(encoder(p)), feature: index, k },
        Activation::Relu | Activation::JumpRelu(_) => {
            Readout::Linear { vector: f.encoder, bias: f.bias, threshold: Some(f.threshold.max(0.0)) }
        }
    })
}

/// An autoencoder whose reconstruction replaces what it reads.
///
/// # Errors
/// When it is a transcoder with a skip connection, or normalises rows.
pub fn autoencoder(p: &Parameters) -> Result<Autoencoder> {
    if p.normalize != Normalize::None {
        return Err(Error::config(
            "the autoencoder normalises each token by itself (`normalize_activations`), which edits do not compute: take one that does not",
        ));
    }
    if p.skip.is_some() || p.input() != p.output() {
        return Err(Error::config("this is a transcoder: its output replaces nothing that it reads"));
    }
    let (least, k) = match &p.activation {
        Activation::Relu => (vec![0.0; p.width()], None),
        Activation::JumpRelu(t) => (t.iter().map(|t| t.max(0.0)).collect(), None),
        Activation::TopK(k) => (vec![0.0; p.width()], Some(*k)),
    };
    Ok(Autoencoder { encoder: encoder(p), least, k, decoder: p.w_dec.all(), decoder_bias: p.b_dec.clone() })
}

/// The encoder. Where inputs are centred, −b_dec·W_enc is part of the bias.
fn encoder(p: &Parameters) -> Encoder {
    let weights = p.w_enc.all();
    let mut bias = p.b_enc.clone();
    if p.centred {
        let mut shift = vec![0f64; bias.len()];
        for (row, b) in weights.chunks(bias.len().max(1)).zip(&p.b_dec) {
            shift.iter_mut().zip(row).for_each(|(s, w)| *s += f64::from(*b) * f64::from(*w));
        }
        bias.iter_mut().zip(shift).for_each(|(b, s)| *b = (f64::from(*b) - s) as f32);
    }
    Encoder { weights, bias }
}
