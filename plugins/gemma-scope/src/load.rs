//! Autoencoders from folders: Gemma Scope 2's and SAELens'.
use crate::sae::{Activation, Parameters};
use friction_core::{Error, Result, Site};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Parameters with what the folder says of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The parameters.
    pub parameters: Parameters,
    /// What it reads; `None` where the folder does not say.
    pub reads: Option<Site>,
    /// What it reconstructs: the same site, or another for a transcoder.
    pub writes: Option<Site>,
    /// The model that it was trained on.
    pub model: Option<String>,
}

/// The files of a folder: configuration and tensors, of either kind.
pub const FILES: [(&str, &str); 2] = [("config.json", "params.safetensors"), ("cfg.json", "sae_weights.safetensors")];

/// Configuration and tensors of a folder of either kind.
///
/// # Errors
/// When it holds neither.
pub fn find(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    FILES.iter().map(|(c, t)| (dir.join(c), dir.join(t))).find(|(c, t)| c.exists() && t.exists()).ok_or_else(|| {
        Error::config(format!(
            "{} holds no autoencoder: neither config.json with params.safetensors (Gemma Scope 2) nor cfg.json with sae_weights.safetensors (SAELens)",
            dir.display()
        ))
    })
}

/// Loads a folder of either kind.
///
/// # Errors
/// Says which file is missing or what in it is not understood.
pub fn folder(dir: &Path) -> Result<Loaded> {
    let (config, tensors) = find(dir)?;
    files(&config, &tensors)
}

/// Loads from a configuration and its tensors.
///
/// # Errors
/// As [`folder`].
pub fn files(config: &Path, tensors: &Path) -> Result<Loaded> {
    let wrong = |path: &Path, what: String| Error::config(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(config).map_err(|e| wrong(config, e.to_string()))?;
    let config_json: Value = serde_json::from_str(&text).map_err(|e| wrong(config, e.to_string()))?;
    let bytes = std::fs::read(tensors).map_err(|e| wrong(tensors, e.to_string()))?;
    let st = SafeTensors::deserialize(&bytes).map_err(|e| wrong(tensors, e.to_string()))?;
    let t = Tensors { path: tensors, st };
    if t.st.names().contains(&"w_enc") {
        gemma_scope(config, &config_json, &t)
    } else {
        sae_lens(config, &config_json, &t)
    }
}

/// What an autoencoder reads and writes, from its configuration alone.
///
/// # Errors
/// When it cannot be read.
pub fn sites(config: &Path) -> Result<(Option<Site>, Option<Site>)> {
    let wrong = |e: String| Error::config(format!("{}: {e}", config.display()));
    let text = std::fs::read_to_string(config).map_err(|e| wrong(e.to_string()))?;
    let c: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let of = |key: &str| c.get(key).and_then(Value::as_str).and_then(site);
    let lens = lens_site(&c);
    Ok((of("hf_hook_point_in").or(lens), of("hf_hook_point_out").or(lens)))
}

/// The site of a SAELens configuration.
fn lens_site(c: &Value) -> Option<Site> {
    let h = c.get("hook_name").or_else(|| c.pointer("/metadata/hook_name"))?.as_str()?;
    let layer = h.split('.').nth(1)?.parse().ok()?;
    Some(match h.rsplit('.').next()? {
        "hook_resid_post" => Site::ResidPost(layer),
        "hook_resid_pre" => Site::ResidPre(layer),
        "hook_mlp_out" => Site::MlpOut(layer),
        "hook_z" => Site::AttnOut(layer),
        _ => return None,
    })
}

struct Tensors<'a> {
    path: &'a Path,
    st: SafeTensors<'a>,
}

impl Tensors<'_> {
    fn get(&self, name: &str) -> Result<Vec<f32>> {
        let wrong = |what: String| Error::config(format!("{}: {what}", self.path.display()));
        let t = self.st.tensor(name).map_err(|_| wrong(format!("lacks the tensor `{name}`")))?;
        let b = t.data();
        Ok(match t.dtype() {
            Dtype::F32 => b.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::BF16 => b.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::F16 => b.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            other => return Err(wrong(format!("`{name}` is {other:?}; f32, bf16 and f16 are read"))),
        })
    }
}

fn gemma_scope(path: &Path, c: &Value, t: &Tensors) -> Result<Loaded> {
    let word = |key: &str| c.get(key).and_then(Value::as_str);
    if let Some(other) = word("architecture").filter(|a| *a != "jump_relu") {
        return Err(Error::config(format!(
            "{}: the architecture `{other}` is not known; `jump_relu` is",
            path.display()
        )));
    }
    let skip = t.st.names().contains(&"affine_skip_connection").then(|| t.get("affine_skip_connection")).transpose()?;
    Ok(Loaded {
        parameters: Parameters {
            w_enc: t.get("w_enc")?,
            b_enc: t.get("b_enc")?,
            w_dec: t.get("w_dec")?,
            b_dec: t.get("b_dec")?,
            skip,
            activation: Activation::JumpRelu(t.get("threshold")?),
            centred: false,
        },
        reads: word("hf_hook_point_in").and_then(site),
        writes: word("hf_hook_point_out").and_then(site),
        model: word("model_name").map(String::from),
    })
}

/// The site of a module of transformers' Gemma 3.
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

fn sae_lens(path: &Path, c: &Value, t: &Tensors) -> Result<Loaded> {
    let wrong = |what: String| Error::config(format!("{}: {what}", path.display()));
    let of = |key: &str| c.get(key).or_else(|| c.get("metadata").and_then(|m| m.get(key))).filter(|v| !v.is_null());
    let word = |key: &str| of(key).and_then(Value::as_str);
    let flag = |key: &str| of(key).and_then(Value::as_bool).unwrap_or(false);
    if let Some(n) = word("normalize_activations").filter(|n| *n != "none") {
        return Err(wrong(format!(
            "activations normalised by `{n}` are not supported; fold the scale into the weights"
        )));
    }
    if flag("rescale_acts_by_decoder_norm") {
        return Err(wrong("`rescale_acts_by_decoder_norm` is not supported; fold the norms into the weights".into()));
    }
    let activation = match word("architecture").unwrap_or("standard") {
        "standard" => Activation::Relu,
        "jumprelu" => Activation::JumpRelu(t.get("threshold")?),
        "topk" => {
            let k = of("k").or_else(|| c.pointer("/activation_fn_kwargs/k")).and_then(Value::as_u64);
            Activation::TopK(k.ok_or_else(|| wrong("a topk autoencoder needs `k`".into()))? as usize)
        }
        other => {
            return Err(wrong(format!("the architecture `{other}` is not known; standard, jumprelu and topk are")));
        }
    };
    let reads = lens_site(c);
    Ok(Loaded {
        parameters: Parameters {
            w_enc: t.get("W_enc")?,
            b_enc: t.get("b_enc")?,
            w_dec: t.get("W_dec")?,
            b_dec: t.get("b_dec")?,
            skip: None,
            activation,
            // Absent, SAELens takes it as false for what it did not train itself.
            centred: flag("apply_b_dec_to_input"),
        },
        reads,
        writes: reads,
        model: word("model_name").map(String::from),
    })
}
