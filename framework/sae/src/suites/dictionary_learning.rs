//! dictionary_learning: `ae.pt` and `config.json` in a folder such as `resid_post_layer_3/trainer_1` of
//! `andyrdt/saes-llama-3.1-8b-instruct`. The configuration names the class whose state dict the file is.
//!
//! x̂ = a·W_dec + b_dec, and a = act((x − b_dec)·W_enc + b_enc). `JumpReluAutoEncoder` and `AutoEncoderNew` do not subtract
//! b_dec first. Autoencoders of batch TopK are used with the one threshold that they learnt.
use super::{BOTH, LINEAR, MATRICES, NEITHER, Names, Origin, Sites, Transposed, agrees, count, loaded, parameters};
use crate::loaded::Loaded;
use crate::parameters::{Activation, jump_relu_of_gated};
use crate::tensors::Tensors;
use friction_core::{Result, Site};
use serde_json::Value;

/// The activation function of a class.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Relu,
    TopK,
    /// One threshold for all features, which training with a batch's k largest learnt.
    BatchTopK,
    JumpRelu,
    Gated,
}

/// A class of dictionary_learning.
struct Class {
    name: &'static str,
    names: Names,
    how: Transposed,
    centred: bool,
    gate: Gate,
    /// Its further tensors.
    more: &'static [&'static str],
}

const TOP_K: &[&str] = &["k", "threshold"];

/// A class of two layers of PyTorch, with another name of the decoder's bias.
const fn linear(name: &'static str, b_dec: &'static str, gate: Gate, more: &'static [&'static str]) -> Class {
    Class { name, names: Names { b_dec, ..LINEAR }, how: BOTH, centred: true, gate, more }
}

static CLASSES: [Class; 7] = [
    linear("AutoEncoder", "bias", Gate::Relu, &[]),
    Class { centred: false, ..linear("AutoEncoderNew", "decoder.bias", Gate::Relu, &[]) },
    linear("AutoEncoderTopK", "b_dec", Gate::TopK, TOP_K),
    linear("BatchTopKSAE", "b_dec", Gate::BatchTopK, TOP_K),
    Class {
        name: "MatryoshkaBatchTopKSAE",
        names: MATRICES,
        how: NEITHER,
        centred: true,
        gate: Gate::BatchTopK,
        more: &["k", "threshold", "group_sizes"],
    },
    Class {
        name: "JumpReluAutoEncoder",
        names: MATRICES,
        how: NEITHER,
        centred: false,
        gate: Gate::JumpRelu,
        more: &["threshold"],
    },
    Class {
        name: "GatedAutoEncoder",
        names: Names { b_enc: "mag_bias", b_dec: "decoder_bias", ..LINEAR },
        how: BOTH,
        centred: true,
        gate: Gate::Gated,
        more: &["r_mag", "gate_bias"],
    },
];

/// The table `trainer` of a configuration.
fn trainer(c: &Value) -> std::result::Result<&Value, String> {
    c.get("trainer").filter(|t| t.is_object()).ok_or_else(|| "holds no table `trainer`".into())
}

/// The site that it reads and reconstructs: the output of a block, where the name of the module, or the folder's, says so.
///
/// # Errors
/// When the configuration cannot be read.
pub fn sites(o: &Origin) -> Result<Sites> {
    let c = o.json()?;
    let trainer = trainer(&c).map_err(|what| o.misconfigured(what))?;
    let layer = trainer.get("layer").and_then(Value::as_u64).and_then(|l| usize::try_from(l).ok());
    let module = trainer.get("submodule_name").and_then(Value::as_str);
    let residual = |name: &str| name.strip_prefix("resid_post_layer_").and_then(|l| l.parse().ok());
    let said: Option<usize> = match module {
        Some(module) => residual(module),
        // `resid_post_layer_3/trainer_1`.
        None => o.folders().iter().take(2).find_map(|f| residual(f)),
    };
    let site = said.filter(|l| layer.is_none_or(|own| own == *l)).map(Site::ResidPost);
    Ok((site, site))
}

/// Loads the parameters.
///
/// # Errors
/// When a tensor is missing, unknown or of the wrong shape, or the configuration asks for what is not computed.
pub fn load(o: &Origin, t: &Tensors) -> Result<Loaded> {
    let c = o.json()?;
    let trainer = trainer(&c).map_err(|what| o.misconfigured(what))?;
    let name = trainer.get("dict_class").and_then(Value::as_str);
    let class = CLASSES.iter().find(|c| Some(c.name) == name).ok_or_else(|| {
        let known = CLASSES.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
        o.misconfigured(match name {
            Some(name) => format!("the class `{name}` is not known; {known} are"),
            None => format!("says no `dict_class`; {known} are known"),
        })
    })?;
    let Names { w_enc, b_enc, w_dec, b_dec } = class.names;
    t.only(&[&[w_enc, b_enc, w_dec, b_dec][..], class.more].concat(), &format!("an `{}`", class.name))?;
    // Replaced below, where it depends on the width.
    let mut p = parameters(t, &class.names, class.how, Activation::Relu, class.centred)?;
    let width = p.width();
    for (key, is) in [("activation_dim", p.input()), ("dict_size", width)] {
        agrees(key, trainer.get(key), is).map_err(|what| o.misconfigured(what))?;
    }
    match class.gate {
        Gate::Relu => {}
        Gate::TopK => {
            let k = count("k", trainer.get("k")).map_err(|what| o.misconfigured(what))?;
            if t.has("k") && t.whole("k")? != k as i64 {
                return Err(o.wrong(format!("its `k` is {}, but the configuration's is {k}", t.whole("k")?)));
            }
            p.activation = Activation::TopK(k);
        }
        Gate::BatchTopK => {
            let threshold = t.number("threshold")?;
            if threshold < 0.0 {
                return Err(o.wrong(format!(
                    "its `threshold` is {threshold}: training ended before it was learnt, and without it the largest of a whole batch cannot be told: take a later checkpoint"
                )));
            }
            p.activation = Activation::JumpRelu(vec![threshold; width]);
        }
        Gate::JumpRelu => p.activation = Activation::JumpRelu(t.vector("threshold")?),
        Gate::Gated => {
            let (r_mag, gate) = (t.vector("r_mag")?, t.vector("gate_bias")?);
            let of = jump_relu_of_gated(p.w_enc, &r_mag, &gate, &p.b_enc).ok_or_else(|| {
                o.wrong(format!(
                    "`r_mag` and `gate_bias` are of {} and {} features, not {width}",
                    r_mag.len(),
                    gate.len()
                ))
            })?;
            (p.w_enc, p.activation) = of;
        }
    }
    let model = trainer.get("lm_name").and_then(Value::as_str).map(String::from);
    Ok(loaded(p, sites(o)?, model))
}
