//! The `gemma3.*` metadata keys of a GGUF file, read as llama.cpp reads them. A key that would change the forward
//! pass in a way that is not computed is refused by name.
use super::{Gguf, Meta, gguf_name};
use crate::{Config, Error, Result};
use std::collections::BTreeSet;

/// Prefix of the architecture's keys.
const ARCHITECTURE: &str = "gemma3.";
/// Keys that [`Gguf::config`] reads.
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
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.type",
];
/// Keys that do not change the forward pass of text. (The original context length matters only to RoPE scalings other
/// than `linear` and `none`.)
const HARMLESS: &[&str] = &["rope.scaling.finetuned", "rope.scaling.original_context_length", "tensor_data_layout"];
/// Features that Gemma 3 does not have. Their keys must be 0.
const NONE: &[&str] = &[
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.shared_kv_layers",
    "attn_logit_softcapping",
    "expert_count",
    "expert_used_count",
    "final_logit_softcapping",
    "leading_dense_block_count",
    "nextn_predict_layers",
    "pooling_type",
];

/// Access to the `gemma3.*` keys of a file.
pub(super) struct Keys<'a>(pub &'a Gguf);

impl Keys<'_> {
    fn err(&self, m: impl std::fmt::Display) -> Error {
        Error::format(&self.0.path, m)
    }

    fn meta(&self, key: &str) -> Option<&Meta> {
        self.0.meta(&format!("{ARCHITECTURE}{key}"))
    }

    /// The key's number, or `None` where the key is absent.
    fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.meta(key) {
            None => Ok(None),
            Some(Meta::Int(n)) => Ok(Some(*n as f64)),
            Some(Meta::Float(f)) => Ok(Some(*f)),
            Some(other) => Err(self.err(format!("`gemma3.{key}` must be one number, not {}", shown(other)))),
        }
    }

    /// A required integer from 1 to 2^24.
    pub fn size(&self, key: &str) -> Result<usize> {
        let v = self.number(key)?.ok_or_else(|| self.err(format!("`gemma3.{key}` is missing")))?;
        if v >= 1.0 && v <= f64::from(1 << 24) && v.fract() == 0.0 {
            Ok(v as usize)
        } else {
            Err(self.err(format!("`gemma3.{key}` = {v} is out of range")))
        }
    }

    /// A finite number above 0, or `default` where the key is absent.
    pub fn above(&self, key: &str, default: f64) -> Result<f64> {
        let v = self.number(key)?.unwrap_or(default);
        if v.is_finite() && v > 0.0 { Ok(v) } else { Err(self.err(format!("`gemma3.{key}` = {v} must be above 0"))) }
    }

    /// Per layer, whether it attends globally. The key is either an integer n (every n-th layer is global, 0: none)
    /// or a list with 1 for each sliding layer. Without the key llama.cpp takes n = 6.
    pub fn global(&self, layers: usize) -> Result<Vec<bool>> {
        const KEY: &str = "attention.sliding_window_pattern";
        let every = |n: usize| (0..layers).map(|i| n > 0 && i % n == n - 1).collect();
        let wrong = |what: String| Err(self.err(format!("`gemma3.{KEY}` {what}")));
        match self.meta(KEY) {
            None => Ok(every(6)),
            Some(Meta::Int(n)) if (0..=4096).contains(n) => Ok(every(*n as usize)),
            Some(Meta::Ints(slides)) if slides.len() != layers => {
                wrong(format!("has {} entries for {layers} layers", slides.len()))
            }
            Some(Meta::Ints(slides)) if slides.iter().all(|s| matches!(s, 0 | 1)) => {
                Ok(slides.iter().map(|s| *s == 0).collect())
            }
            Some(other) => wrong(format!("must be a whole number or a truth value a layer, not {}", shown(other))),
        }
    }

    /// The factor by which positions of global layers are divided (linear RoPE scaling). llama.cpp scales no sliding
    /// layer of a Gemma 3.
    pub fn rope_factor(&self) -> Result<f64> {
        // Old files write `rope.scale_linear`.
        let keys = ["rope.scaling.factor", "rope.scale_linear"];
        let key = keys.into_iter().find(|k| self.meta(k).is_some()).unwrap_or(keys[0]);
        let factor = self.above(key, 1.0)?;
        match self.meta("rope.scaling.type") {
            None => Ok(factor),
            Some(Meta::Text(kind)) if kind == "linear" => Ok(factor),
            Some(Meta::Text(kind)) if kind == "none" && factor == 1.0 => Ok(factor),
            Some(Meta::Text(kind)) if kind == "none" => {
                Err(self.err(format!("`gemma3.rope.scaling.type` is `none`, but `gemma3.{key}` is {factor}")))
            }
            Some(other) => Err(self.err(format!(
                "`gemma3.rope.scaling.type` is {}; friction computes `linear` and `none` for a Gemma 3",
                shown(other)
            ))),
        }
    }

    /// Refuses keys that contradict what is computed with configuration `c`, and tensors that it does not use.
    pub fn agree(&self, c: &Config) -> Result<()> {
        let keys = self.0.meta.iter().filter_map(|(k, v)| Some((k.strip_prefix(ARCHITECTURE)?, v)));
        for (key, v) in keys {
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
                "vocab_size" => Some(c.vocab as f64),
                "embedding_length_out" => Some(c.hidden as f64),
                "attention.value_length" | "attention.key_length_swa" | "attention.value_length_swa" => {
                    Some(c.head_dim as f64)
                }
                "rope.dimension_count" | "rope.dimension_count_swa" => Some(c.head_dim as f64),
                "rope.scaling.attn_factor" | "logit_scale" => Some(1.0),
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
                let here =
                    means.map_or("that is not known here".into(), |m| format!("a Gemma 3 of this shape has {m}"));
                return Err(self.err(format!("`gemma3.{key}` is {}; {here}", shown(v))));
            }
        }
        let read: BTreeSet<String> = crate::init::tensors(c).iter().filter_map(|(name, _)| gguf_name(name)).collect();
        match self.0.tensors.keys().find(|name| !read.contains(*name)) {
            Some(name) => Err(self.err(format!(
                "tensor `{name}` belongs to no Gemma 3 of {} layers: what it changes would not be computed",
                c.layers()
            ))),
            None => Ok(()),
        }
    }
}

/// A value for error messages: long strings are cut, lists shown by their length.
fn shown(v: &Meta) -> String {
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
