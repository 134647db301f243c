//! SAELens' format: `cfg.json` and `sae_weights.safetensors`, as versions 3 to 6 write them. Keys that a
//! configuration leaves out have the defaults of SAELens 6.54. What is not computed here, and what contradicts
//! itself, is refused by name.
mod config;
mod keys;

use crate::loaded::Loaded;
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters, jump_relu_of_gated};
use crate::tensors::Tensors;
use crate::values::Values;
use config::{Config, Gate, Kind, Scaling};
use friction_core::{Error, Result};
use keys::Keys;
pub use keys::{hook, sites};
use rayon::prelude::*;
use serde_json::Value;
use std::path::Path;

/// The SAELens version whose format is written.
pub const VERSION: &str = "6.54.12";

/// A result whose error is the end of a message; the caller adds the file's name.
type Told<T> = std::result::Result<T, String>;

/// Name of the tensor of factors by which a decoder was fine-tuned.
const FINETUNED: &str = "scaling_factor";

/// The factor that scales activations to a mean norm of √d, of SAELens' `expected_average_only_in`. SAELens folds it
/// into the weights when training ends; a checkpoint from before that has it in activation_scaler.json.
fn average(config: &Path) -> Result<f32> {
    let path = config.with_file_name("activation_scaler.json");
    let wrong = |what: &str| Error::config(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::config(format!(
            "{}: `normalize_activations` is expected_average_only_in, whose factor is not in the folder ({}: {e}); fold it into the weights (SAELens' `fold_activation_norm_scaling_factor`)",
            config.display(), path.display()
        ))
    })?;
    let v = friction_checkpoint::json::value(&text).map_err(|e| wrong(&e.to_string()))?;
    if v.get("has_whitening").and_then(Value::as_bool) == Some(true) {
        return Err(wrong("`has_whitening` is true, and whitening is not supported; fold it into the weights"));
    }
    let factor = v.get("scaling_factor").and_then(Value::as_f64).map(|f| f as f32);
    factor.filter(|f| *f > 0.0 && f.is_finite()).ok_or_else(|| wrong("holds no `scaling_factor` above 0"))
}

/// The per-feature factors by which a decoder was fine-tuned (versions 3 to 5); `None` where all are 1.
fn finetuned(path: &Path, config: &Config, t: &Tensors, width: usize) -> Result<Option<Vec<f32>>> {
    let wrong = |what: String| Err(Error::config(format!("{}: {what}", path.display())));
    if !t.has(FINETUNED) {
        return Ok(None);
    }
    let by = t.vector(FINETUNED)?;
    // SAELens' own tolerance: files of some versions contain factors of 1 without need.
    if by.iter().all(|f| (f - 1.0).abs() <= 1e-8 + 1e-5) {
        return Ok(None);
    }
    if config.six || !config.finetuned {
        return wrong(format!(
            "there is a tensor `{FINETUNED}`, but no `finetuning_scaling_factor` of a version before 6 that asks for it"
        ));
    }
    if by.len() != width {
        return wrong(format!("`{FINETUNED}` has {} numbers, not {width}", by.len()));
    }
    Ok(Some(by))
}

/// Norms of the rows of a matrix.
fn norms(matrix: &Values, rows: usize, cols: usize) -> Vec<f32> {
    let norm = |row: &mut Vec<f32>, r: usize| {
        matrix.read(r * cols, row);
        row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32
    };
    (0..rows).into_par_iter().map_init(|| vec![0.0; cols], norm).collect()
}

/// Loads the parameters; `path` is the configuration's, for messages and for files beside it. Scaling factors are
/// folded into the weights, and a gated autoencoder becomes a JumpReLU one.
///
/// # Errors
/// When a tensor is missing, unknown or of the wrong shape, or the configuration asks for what is not computed.
pub fn load(path: &Path, c: &Value, t: &Tensors) -> Result<Loaded> {
    let wrong = |what: String| Error::config(format!("{}: {what}", path.display()));
    let keys = Keys::of(c).map_err(wrong)?;
    let config = Config::of(&keys).map_err(wrong)?;
    let Kind { name, gate, transcoder, skip } = config.kind;
    if let Some(other) =
        t.names().into_iter().find(|n| *n != FINETUNED && config.kind.tensors().all(|known| *n != known))
    {
        return Err(wrong(format!("there is a tensor `{other}`, which a `{name}` autoencoder does not have")));
    }
    let mut b_enc = t.vector(if gate == Gate::Gated { "b_mag" } else { "b_enc" })?;
    let mut b_dec = t.vector("b_dec")?;
    let (width, output) = (b_enc.len(), b_dec.len());
    let input = if transcoder { t.height("W_enc")? } else { output };
    let sizes = [("d_in", input), ("d_sae", width), ("d_out", output)];
    for (key, size) in sizes.into_iter().filter(|(key, _)| transcoder || *key != "d_out") {
        if let Some(said) = keys.get(key).map_err(wrong)?.filter(|v| v.as_u64() != Some(size as u64)) {
            return Err(wrong(format!("`{key}` is {said}, but the tensors say {size}")));
        }
    }
    let mut w_enc = t.matrix("W_enc", input, width)?;
    let mut w_dec = t.matrix("W_dec", width, output)?;
    let normalize = match config.scaling {
        Scaling::Row(by) => by,
        Scaling::Average => {
            let factor = average(path)?;
            (w_enc, w_dec) = (w_enc.columns(vec![factor]), w_dec.columns(vec![1.0 / factor]));
            b_dec.iter_mut().for_each(|b| *b /= factor);
            Normalize::None
        }
    };
    if config.rescale {
        let norms = norms(&w_dec, width, output);
        b_enc.iter_mut().zip(&norms).for_each(|(b, n)| *b *= n);
        w_dec = w_dec.rows(norms.iter().map(|n| 1.0 / n).collect(), output);
        w_enc = w_enc.columns(norms);
    }
    let activation = match gate {
        Gate::Relu => Activation::Relu,
        Gate::TopK => Activation::TopK(config.k),
        Gate::JumpRelu => Activation::JumpRelu(t.vector("threshold")?),
        Gate::Gated => {
            let (gate, magnitude) = (t.vector("b_gate")?, t.vector("r_mag")?);
            let (encoder, activation) = jump_relu_of_gated(w_enc, &magnitude, &gate, &b_enc).ok_or_else(|| {
                wrong(format!(
                    "`b_gate`, `r_mag` and `b_mag` are of {}, {} and {width} features",
                    gate.len(),
                    magnitude.len()
                ))
            })?;
            w_enc = encoder;
            activation
        }
    };
    if let Some(by) = finetuned(path, &config, t, width)? {
        w_dec = w_dec.rows(by, output);
    }
    let skip = if skip { Some(t.matrix("W_skip", output, input)?.transposed(output, input).all()) } else { None };
    let reads = keys.reads().map_err(wrong)?;
    Ok(Loaded {
        parameters: Parameters { w_enc, b_enc, w_dec, b_dec, skip, activation, centred: config.centred, normalize },
        reads,
        writes: if transcoder { keys.writes().map_err(wrong)? } else { reads },
        model: keys.about_word("model_name").map_err(wrong)?.map(String::from),
    })
}
