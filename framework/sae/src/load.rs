//! Autoencoders from folders: Gemma Scope 2's and SAELens'.
use crate::name::Name;
use crate::parameters::{Activation, Parameters};
use crate::values::{Tensors, Values};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Result, Site};
use friction_model::hub::Repo;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where an autoencoder is found, as a manifest says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `hf:google/gemma-scope-2-4b-it` (the `it` repository for a tuned model), or `path:folder`: a
    /// folder of the release's layout where `sae` is given, else one autoencoder's.
    pub source: String,
    /// Short name: folder/layer/width/l0, such as `resid_post/17/16k/medium`.
    #[serde(default)]
    pub sae: Option<String>,
    /// Commit, tag or branch of the repository. Default `main`.
    #[serde(default)]
    pub revision: Option<String>,
}

/// The files of an autoencoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its short name, where it has one.
    pub name: Option<Name>,
    /// Its configuration.
    pub config: PathBuf,
    /// Its tensors.
    pub tensors: PathBuf,
}

impl Source {
    /// Checks what is written, before anything is opened.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn validate(&self) -> Result<()> {
        if let Some(s) = &self.sae {
            s.parse::<Name>()?;
        } else if self.source.starts_with("hf:") {
            return Err(Error::config("name an autoencoder of the repository: `sae = \"resid_post/17/16k/medium\"`"));
        }
        if !self.source.starts_with("hf:") && !self.source.starts_with("path:") {
            return Err(Error::config("`source` begins with `hf:` or `path:`"));
        }
        Ok(())
    }

    /// The repository of the hub, where it is one.
    pub fn repository(&self) -> Option<&str> {
        self.source.strip_prefix("hf:")
    }

    /// Finds the files; fetches them by name where the source is a repository. A folder is relative to
    /// `base`.
    ///
    /// # Errors
    /// Says which file is missing.
    pub fn find(&self, base: &Path) -> Result<Found> {
        self.validate()?;
        let name = self.sae.as_ref().map(|s| s.parse::<Name>()).transpose()?;
        let (config, tensors) = match (self.repository(), &name) {
            (Some(id), Some(name)) => {
                let mut repo = Repo::new(id, self.revision.as_deref(), false).map_err(Error::other)?;
                let mut get = |file: &str| repo.get(&format!("{}/{file}", name.path())).map_err(Error::other);
                (get(FILES[0].0)?, get(FILES[0].1)?)
            }
            (_, name) => {
                let dir = base.join(self.source.trim_start_matches("path:"));
                find(&name.as_ref().map_or_else(|| dir.clone(), |n| dir.join(n.path())))?
            }
        };
        Ok(Found { name, config, tensors })
    }
}

impl Found {
    /// Opens it.
    ///
    /// # Errors
    /// As [`files`].
    pub fn load(&self) -> Result<Loaded> {
        files(&self.config, &self.tensors)
    }

    /// What it reads and writes; `site` speaks where the configuration does not.
    ///
    /// # Errors
    /// When neither does.
    pub fn sites(&self, site: Option<Site>) -> Result<(Site, Site)> {
        let (reads, writes) = sites(&self.config)?;
        let reads = site.or(reads).ok_or_else(|| {
            Error::config(format!("{} does not say what the autoencoder reads: set `site`", self.config.display()))
        })?;
        Ok((reads, writes.unwrap_or(reads)))
    }
}

/// Parameters with what the folder says of them.
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
    let t = Tensors::open(tensors)?;
    let loaded =
        if t.has("w_enc") { gemma_scope(config, &config_json, &t) } else { sae_lens(config, &config_json, &t) };
    let loaded = loaded?;
    loaded.parameters.check().map_err(|what| wrong(tensors, what))?;
    Ok(loaded)
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

/// A matrix in its file, its shape checked against the widths of its biases.
fn matrix(path: &Path, t: &Tensors, name: &str, rows: usize, cols: usize) -> Result<Values> {
    let (values, shape) = t.get(name)?;
    if shape != [rows, cols] {
        return Err(Error::config(format!("{}: `{name}` is {shape:?}, not [{rows}, {cols}]", path.display())));
    }
    Ok(values)
}

fn gemma_scope(path: &Path, c: &Value, t: &Tensors) -> Result<Loaded> {
    let word = |key: &str| c.get(key).and_then(Value::as_str);
    if let Some(other) = word("architecture").filter(|a| *a != "jump_relu") {
        return Err(Error::config(format!(
            "{}: the architecture `{other}` is not known; `jump_relu` is",
            path.display()
        )));
    }
    let (b_enc, b_dec) = (t.vector("b_enc")?, t.vector("b_dec")?);
    let input = t.get("w_enc")?.1.first().copied().unwrap_or(0);
    let skip = t.has("affine_skip_connection").then(|| matrix(path, t, "affine_skip_connection", input, b_dec.len()));
    Ok(Loaded {
        parameters: Parameters {
            w_enc: matrix(path, t, "w_enc", input, b_enc.len())?,
            w_dec: matrix(path, t, "w_dec", b_enc.len(), b_dec.len())?,
            b_enc,
            b_dec,
            skip: skip.transpose()?.map(|s| s.all()),
            activation: Activation::JumpRelu(t.vector("threshold")?),
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
        "jumprelu" => Activation::JumpRelu(t.vector("threshold")?),
        "topk" => {
            let k = of("k").or_else(|| c.pointer("/activation_fn_kwargs/k")).and_then(Value::as_u64);
            Activation::TopK(k.ok_or_else(|| wrong("a topk autoencoder needs `k`".into()))? as usize)
        }
        other => {
            return Err(wrong(format!("the architecture `{other}` is not known; standard, jumprelu and topk are")));
        }
    };
    let reads = lens_site(c);
    let (b_enc, b_dec) = (t.vector("b_enc")?, t.vector("b_dec")?);
    Ok(Loaded {
        parameters: Parameters {
            w_enc: matrix(path, t, "W_enc", b_dec.len(), b_enc.len())?,
            w_dec: matrix(path, t, "W_dec", b_enc.len(), b_dec.len())?,
            b_enc,
            b_dec,
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
