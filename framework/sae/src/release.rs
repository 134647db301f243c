//! Gemma Scope 2's format: `config.json` and `params.safetensors`.
use crate::loaded::Loaded;
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters};
use crate::tensors::Tensors;
use friction_core::{Error, Result, Site};
use serde_json::Value;
use std::path::Path;

const READS: &str = "hf_hook_point_in";
const WRITES: &str = "hf_hook_point_out";
const SKIP: &str = "affine_skip_connection";

/// Whether a configuration is in Gemma Scope 2's format.
pub fn is(c: &Value) -> bool {
    c.get(READS).is_some() || c.get(WRITES).is_some()
}

/// The sites that it reads and reconstructs.
///
/// # Errors
/// A message, when it reconstructs a module that is not known.
pub fn sites(c: &Value) -> std::result::Result<(Option<Site>, Option<Site>), String> {
    let word = |key: &str| c.get(key).and_then(Value::as_str);
    let writes = match word(WRITES) {
        // An autoencoder's configuration may omit it: it reconstructs what it reads.
        None => None,
        Some(module) => Some(site(module).ok_or_else(|| {
            format!("`{WRITES}` is `{module}`, a module that is not known: what the autoencoder writes cannot be told")
        })?),
    };
    Ok((word(READS).and_then(site), writes))
}

/// Loads the parameters; `path` is the configuration's, for messages.
///
/// # Errors
/// When a tensor is missing or has the wrong shape, or the architecture is not known.
pub fn load(path: &Path, c: &Value, t: &Tensors) -> Result<Loaded> {
    let wrong = |what: String| Error::config(format!("{}: {what}", path.display()));
    match c.get("architecture") {
        Some(Value::String(a)) if a == "jump_relu" => {}
        Some(other) => return Err(wrong(format!("the architecture {other} is not known; \"jump_relu\" is"))),
        None => return Err(wrong("says no `architecture`; \"jump_relu\" is known".into())),
    }
    match (c.get("affine_connection").and_then(Value::as_bool), t.has(SKIP)) {
        (Some(true), false) => {
            return Err(wrong(format!("`affine_connection` is true, but there is no tensor `{SKIP}`")));
        }
        (Some(false), true) => {
            return Err(wrong(format!("`affine_connection` is false, but there is a tensor `{SKIP}`")));
        }
        _ => {}
    }
    let (b_enc, b_dec) = (t.vector("b_enc")?, t.vector("b_dec")?);
    let input = t.height("w_enc")?;
    let (reads, writes) = sites(c).map_err(wrong)?;
    Ok(Loaded {
        parameters: Parameters {
            w_enc: t.matrix("w_enc", input, b_enc.len())?,
            w_dec: t.matrix("w_dec", b_enc.len(), b_dec.len())?,
            skip: if t.has(SKIP) { Some(t.matrix(SKIP, input, b_dec.len())?.all()) } else { None },
            b_enc,
            b_dec,
            activation: Activation::JumpRelu(t.vector("threshold")?),
            centred: false,
            normalize: Normalize::None,
        },
        reads,
        writes,
        model: c.get("model_name").and_then(Value::as_str).map(String::from),
    })
}

/// The site of a module of transformers, by the module's name. A block's output and the input of `o_proj` are called so in
/// every family, the norms around the MLP in those that have norms before and after it, such as Gemma 3. `None` for others:
/// what `mlp.output` or `post_attention_layernorm.output` is depends on the family.
pub fn site(module: &str) -> Option<Site> {
    let rest = module.split("layers.").nth(1)?;
    let (layer, what) = rest.split_once('.')?;
    let l = layer.parse().ok()?;
    Some(match what {
        "output" => Site::ResidPost(l),
        "self_attn.o_proj.input" => Site::AttnOut(l),
        "post_feedforward_layernorm.output" => Site::MlpOut(l),
        "pre_feedforward_layernorm.output" => Site::MlpIn(l),
        _ => return None,
    })
}

/// The name of a site's module, where every family calls it so; `None` for other sites.
pub fn module(site: Site) -> Option<String> {
    Some(match site {
        Site::ResidPost(l) => format!("model.layers.{l}.output"),
        Site::AttnOut(l) => format!("model.layers.{l}.self_attn.o_proj.input"),
        _ => return None,
    })
}
