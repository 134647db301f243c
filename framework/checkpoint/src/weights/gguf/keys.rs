//! The metadata keys of a GGUF file's architecture, read as llama.cpp reads them. A key that would change the forward
//! pass in a way that is not computed is refused by name.
use super::{Gguf, Meta, gguf_name};
use crate::arch::{Arch, Scaling};
use crate::families::Family;
use crate::{Error, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Keys that are read.
const READ: &[&str] = &[
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
];
/// Keys that do not change the forward pass of text.
const HARMLESS: &[&str] = &["rope.scaling.finetuned", "tensor_data_layout"];
/// Features that no family here has. Their keys must be 0.
const NONE: &[&str] = &[
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.shared_kv_layers",
    "expert_count",
    "expert_used_count",
    "leading_dense_block_count",
    "nextn_predict_layers",
    "pooling_type",
];

/// Access to the keys of a file's architecture.
pub(crate) struct Keys<'a> {
    pub gguf: &'a Gguf,
    /// The value of `general.architecture`, which the keys begin with.
    pub architecture: &'a str,
    pub family: &'static Family,
}

impl Keys<'_> {
    pub fn err(&self, m: impl std::fmt::Display) -> Error {
        Error::format(&self.gguf.path, m)
    }

    /// A key as messages name it.
    fn name(&self, key: &str) -> String {
        format!("`{}.{key}`", self.architecture)
    }

    pub fn meta(&self, key: &str) -> Option<&Meta> {
        self.gguf.meta(&format!("{}.{key}", self.architecture))
    }

    /// The key's number, or `None` where the key is absent.
    fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.meta(key) {
            None => Ok(None),
            Some(Meta::Int(n)) => Ok(Some(*n as f64)),
            Some(Meta::Float(f)) => Ok(Some(*f)),
            Some(other) => Err(self.err(format!("{} must be one number, not {}", self.name(key), shown(other)))),
        }
    }

    /// A required integer from 1 to 2^24.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.size_or_none(key)?.ok_or_else(|| self.err(format!("{} is missing", self.name(key))))
    }

    /// An integer from 1 to 2^24; `None` where the key is absent.
    pub fn size_or_none(&self, key: &str) -> Result<Option<usize>> {
        let Some(v) = self.number(key)? else { return Ok(None) };
        if v >= 1.0 && v <= f64::from(1 << 24) && v.fract() == 0.0 {
            Ok(Some(v as usize))
        } else {
            Err(self.err(format!("{} = {v} is out of range", self.name(key))))
        }
    }

    /// A finite number above 0, or `default` where the key is absent.
    pub fn above(&self, key: &str, default: f64) -> Result<f64> {
        let v = self.number(key)?.unwrap_or(default);
        if v.is_finite() && v > 0.0 {
            Ok(v)
        } else {
            Err(self.err(format!("{} = {v} must be above 0", self.name(key))))
        }
    }

    /// Per layer, whether it slides. The key is either an integer n (every n-th layer does not, 0: all slide) or a list
    /// with 1 for each sliding layer. Without the key n is `default`, as in llama.cpp.
    fn slides(&self, layers: usize, default: usize) -> Result<Vec<bool>> {
        const KEY: &str = "attention.sliding_window_pattern";
        let every = |n: usize| (0..layers).map(|i| n == 0 || i % n != n - 1).collect();
        let wrong = |what: String| Err(self.err(format!("{} {what}", self.name(KEY))));
        match self.meta(KEY) {
            None => Ok(every(default)),
            Some(Meta::Int(n)) if (0..=4096).contains(n) => Ok(every(*n as usize)),
            Some(Meta::Ints(slides)) if slides.len() != layers => {
                wrong(format!("has {} entries for {layers} layers", slides.len()))
            }
            Some(Meta::Ints(slides)) if slides.iter().all(|s| matches!(s, 0 | 1)) => {
                Ok(slides.iter().map(|s| *s == 1).collect())
            }
            Some(other) => wrong(format!("must be a whole number or a truth value a layer, not {}", shown(other))),
        }
    }

    /// Writes the layers' types and their window into a configuration. `default` is as in [`slides`](Self::slides).
    pub fn windows(&self, config: &mut Value, default: usize) -> Result<()> {
        let slides = self.slides(self.size("block_count")?, default)?;
        let types = slides.iter().map(|s| if *s { "sliding_attention" } else { "full_attention" });
        config["layer_types"] = types.collect();
        config["sliding_window"] = json!(self.size("attention.sliding_window")?);
        Ok(())
    }

    /// Scaling of RoPE: its type, where there is one, and the factor. llama.cpp scales no sliding layer.
    pub fn scaling(&self) -> Result<Option<(&str, f64)>> {
        // Old files write `rope.scale_linear`.
        let keys = ["rope.scaling.factor", "rope.scale_linear"];
        let key = keys.into_iter().find(|k| self.meta(k).is_some()).unwrap_or(keys[0]);
        // 0 means 1, as in llama.cpp.
        let factor = if self.number(key)? == Some(0.0) { 1.0 } else { self.above(key, 1.0)? };
        let kind = self.name("rope.scaling.type");
        match self.meta("rope.scaling.type") {
            None if factor == 1.0 => Ok(None),
            None => Ok(Some(("linear", factor))),
            Some(Meta::Text(t)) if t == "linear" => Ok(Some(("linear", factor))),
            Some(Meta::Text(t)) if t == "yarn" => Ok(Some(("yarn", factor))),
            Some(Meta::Text(t)) if t == "none" && factor == 1.0 => Ok(None),
            Some(Meta::Text(t)) if t == "none" => {
                Err(self.err(format!("{kind} is `none`, but {} is {factor}", self.name(key))))
            }
            Some(other) => {
                Err(self.err(format!("{kind} is {}; friction computes `linear`, `yarn` and `none`", shown(other))))
            }
        }
    }

    /// Refuses keys that contradict what is computed with the architecture `c`, and tensors that it does not use.
    pub fn agree(&self, c: &Arch) -> Result<()> {
        let own = |k: &'_ str| k.strip_prefix(self.architecture)?.strip_prefix('.').map(String::from);
        let keys = self.gguf.meta.iter().filter_map(|(k, v)| Some((own(k)?, v)));
        let yarn = c.kinds.iter().find_map(|k| match k.rope?.scaling {
            Scaling::Yarn { beta_fast, beta_slow, attention, .. } => Some((beta_fast, beta_slow, attention)),
            _ => None,
        });
        for (key, v) in keys {
            let key = key.as_str();
            let images = key.starts_with("mm.") || key.starts_with("vision.");
            if READ.contains(&key) || HARMLESS.contains(&key) || images {
                continue;
            }
            let number = match v {
                Meta::Int(n) => Some(*n as f64),
                Meta::Float(f) => Some(*f),
                _ => None,
            };
            let scale = (c.query_pre_attn_scalar as f32).powf(-0.5);
            let means = match key {
                "attn_logit_softcapping" => Some(c.attn_softcap.unwrap_or(0.0)),
                "final_logit_softcapping" => Some(c.final_softcap.unwrap_or(0.0)),
                "rope.freq_base_swa" => c.kinds.iter().find(|k| k.window.is_some()).and_then(|k| Some(k.rope?.theta)),
                "vocab_size" => Some(c.vocab as f64),
                "embedding_length_out" => Some(c.hidden as f64),
                "attention.value_length" | "attention.key_length_swa" | "attention.value_length_swa" => {
                    Some(c.head_dim as f64)
                }
                "rope.dimension_count" | "rope.dimension_count_swa" => Some(c.head_dim as f64),
                "rope.scaling.attn_factor" | "rope.scaling.yarn_ext_factor" | "logit_scale" => Some(1.0),
                "rope.scaling.yarn_beta_fast" => yarn.map(|y| y.0),
                "rope.scaling.yarn_beta_slow" => yarn.map(|y| y.1),
                "rope.scaling.yarn_attn_factor" => {
                    yarn.map(|y| number.filter(|n| (n / y.2 - 1.0).abs() < 1e-5).unwrap_or(y.2))
                }
                "attention.scale" => {
                    number.filter(|n| (n / f64::from(scale) - 1.0).abs() < 1e-5).or(Some(f64::from(scale)))
                }
                _ if NONE.contains(&key) => Some(0.0),
                _ => None,
            };
            let as_computed = match (means, v) {
                (Some(means), _) => number == Some(means),
                (None, Meta::Bool(causal)) => (key, *causal) == ("attention.causal", true),
                _ => false,
            };
            if !as_computed {
                let name = c.family.name;
                let here = means.map_or("that is not known here".into(), |m| format!("a {name} of this shape has {m}"));
                return Err(self.err(format!("{} is {}; {here}", self.name(key), shown(v))));
            }
        }
        let read: BTreeSet<String> = c.tensors().iter().filter_map(|(name, _)| gguf_name(name, c.norms)).collect();
        // Divisors of RoPE's frequencies are read where they say Llama 3.1's scaling; the frequencies are computed.
        let scaled = c.kinds.iter().any(|k| matches!(k.rope.map(|r| r.scaling), Some(Scaling::Llama3 { .. })));
        let of_rope = |name: &str| scaled && name == "rope_freqs.weight" || name.ends_with(".attn_rot_embd");
        let known = |name: &str| read.contains(name) || of_rope(name);
        match self.gguf.tensors.keys().find(|name| !known(name)) {
            Some(name) => Err(self.err(format!(
                "tensor `{name}` belongs to no {} of {} layers: what it changes would not be computed",
                c.family.name,
                c.layers()
            ))),
            None => Ok(()),
        }
    }
}

/// A value for error messages: long strings are cut, lists shown by their length.
pub(super) fn shown(v: &Meta) -> String {
    match v {
        Meta::Int(n) => n.to_string(),
        Meta::Float(f) => f.to_string(),
        Meta::Bool(b) => b.to_string(),
        Meta::Text(t) => format!("`{}`", t.chars().take(60).collect::<String>()),
        Meta::Ints(l) => format!("a list of {}", l.len()),
        Meta::Floats(l) => format!("a list of {}", l.len()),
        Meta::Texts(l) => format!("a list of {}", l.len()),
    }
}
