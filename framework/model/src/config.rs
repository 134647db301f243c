//! Architecture parameters of a Gemma 3, read from a checkpoint's `config.json` and checked.
mod keys;
mod layers;
mod reader;
mod rope;
#[cfg(test)]
mod tests;

use crate::{Error, Result};
use friction_core::ModelSpec;
use reader::Reader;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// The architecture parameters that the forward pass needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the MLP (of the gate and of the up projection).
    pub intermediate: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Vocabulary size.
    pub vocab: usize,
    /// Keys that a query of a sliding layer attends to, its own included.
    pub window: usize,
    /// Attention scores are scaled by this to the power −½.
    pub query_pre_attn_scalar: f64,
    /// RoPE base of global layers.
    pub rope_global: f64,
    /// Linear RoPE scaling of global layers: positions are divided by it.
    pub rope_factor: f64,
    /// RoPE base of sliding layers.
    pub rope_local: f64,
    /// Linear RoPE scaling of sliding layers: positions are divided by it. 1 in every published checkpoint.
    pub rope_local_factor: f64,
    /// Per layer, whether it attends globally; the others have a sliding window.
    pub global: Vec<bool>,
    /// Longest context that the checkpoint was made for, in tokens.
    pub context: usize,
    /// ε of every RMSNorm.
    pub eps: f64,
    /// Whether the unembedding is the embedding matrix; otherwise it is the tensor `lm_head.weight`.
    pub tied: bool,
    /// Begin-of-sequence id.
    pub bos: u32,
    /// Token ids that end a reply.
    pub eos: Vec<u32>,
}

/// The token ids under a key: one number, a list, or none where the key is missing or null.
pub(crate) fn ids(path: &Path, key: &str, v: Option<&Value>) -> Result<Vec<u32>> {
    let id = |v: &Value| {
        let id = v.as_u64().and_then(|v| u32::try_from(v).ok());
        id.ok_or_else(|| Error::format(path, format!("`{key}` holds {v}, which is no token id")))
    };
    match v {
        Some(Value::Array(a)) => a.iter().map(id).collect(),
        None | Some(Value::Null) => Ok(vec![]),
        Some(v) => Ok(vec![id(v)?]),
    }
}

/// A number as JSON, without a fraction where it has none: transformers refuses `256.0` where it expects an integer.
fn whole(v: f64) -> Value {
    if v.fract() == 0.0 && (0.0..9e15).contains(&v) { json!(v as u64) } else { json!(v) }
}

/// Whether embeddings are tied. As in transformers, the outer table of a multimodal checkpoint decides, and the
/// default is tied.
fn tied(outer: Option<&Reader>, text: &Reader) -> Result<bool> {
    const KEY: &str = "tie_word_embeddings";
    let said = (outer.map(|o| o.flag(KEY)).transpose()?.flatten(), text.flag(KEY)?);
    match said {
        (Some(true), Some(false)) => Err(text.err(format!(
            "`{KEY}` is true, but {} is false; transformers follows the first, so correct one of them",
            text.name(KEY)
        ))),
        (Some(said), _) | (None, Some(said)) => Ok(said),
        (None, None) => Ok(true),
    }
}

impl Reader<'_> {
    /// Refuses settings that change the forward pass to something other than Gemma 3's.
    fn computes_gemma(&self) -> Result<()> {
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if let Some(v) = self.present(key) {
                return Err(
                    self.err(format!("{} = {v}; Gemma 3 has no soft caps, and none are computed", self.name(key)))
                );
            }
        }
        for key in ["attention_bias", "use_bidirectional_attention"] {
            if let Some(v) = self.present(key).filter(|v| **v != Value::Bool(false)) {
                return Err(self.err(format!("{} is {v}; this is not a Gemma 3 decoder", self.name(key))));
            }
        }
        for key in ["hidden_activation", "hidden_act"] {
            if let Some(v) = self.present(key).filter(|v| **v != "gelu_pytorch_tanh") {
                return Err(self.err(format!("{} is {v}, not `gelu_pytorch_tanh`", self.name(key))));
            }
        }
        match self.above("partial_rotary_factor")? {
            Some(f) if f != 1.0 => {
                Err(self.err(format!("{} = {f}; a Gemma 3 rotates whole heads", self.name("partial_rotary_factor"))))
            }
            _ => Ok(()),
        }
    }
}

impl Config {
    /// Reads a `config.json`, text-only or multimodal, and the end-of-sequence ids of `generation_config.json` where
    /// that is given. Missing keys take the class defaults of transformers. `path` is used in error messages.
    ///
    /// # Errors
    /// When it is not a Gemma 3, a value is out of range, or a key would change the forward pass in a way that is not
    /// computed.
    pub fn from_json(path: &Path, config: &Value, generation: Option<&Value>) -> Result<Self> {
        let outer = config.as_object().ok_or_else(|| Error::format(path, "not a JSON object"))?;
        let kind = outer.get("model_type").and_then(Value::as_str).unwrap_or("");
        let text = match outer.get("text_config") {
            Some(Value::Object(t)) => t,
            Some(_) => return Err(Error::format(path, "`text_config` must be an object")),
            None => outer,
        };
        let nested = outer.contains_key("text_config");
        let whole = Reader { map: outer, path, prefix: "" };
        let r = Reader { map: text, path, prefix: if nested { "text_config." } else { "" } };
        if !matches!(kind, "gemma3" | "gemma3_text") {
            return Err(r.err(format!("model_type is `{kind}`; friction runs Gemma 3 (`gemma3`, `gemma3_text`)")));
        }
        if nested {
            if kind == "gemma3_text" {
                return Err(r.err("model_type is `gemma3_text`, which has no `text_config`; that of `gemma3` has"));
            }
            if let Some(other) = r.present("model_type").filter(|t| *t != "gemma3_text") {
                return Err(r.err(format!("{} is {other}, not `gemma3_text`", r.name("model_type"))));
            }
            keys::around(&whole, &r)?;
        }
        keys::known(&r)?;
        r.computes_gemma()?;
        let global = layers::global(&r)?;
        let window = layers::window(&r, &global)?;
        let [of_global, of_sliding] = rope::read(&r)?;
        // A reply ends at any id that one of the files names. The chat template's end-of-turn id is added once the
        // template is known.
        let mut eos: Vec<u32> = vec![];
        for table in [generation.and_then(Value::as_object), Some(outer), Some(text)].into_iter().flatten() {
            eos.extend(ids(path, "eos_token_id", table.get("eos_token_id"))?);
        }
        let mut seen = BTreeSet::new();
        eos.retain(|id| seen.insert(*id));
        if eos.is_empty() {
            eos = vec![1, 106];
        }
        Self {
            hidden: r.size("hidden_size", 2304)?,
            intermediate: r.size("intermediate_size", 9216)?,
            heads: r.size("num_attention_heads", 8)?,
            kv_heads: r.size("num_key_value_heads", 4)?,
            head_dim: r.size("head_dim", 256)?,
            vocab: r.size("vocab_size", 262_208)?,
            window,
            query_pre_attn_scalar: r.number("query_pre_attn_scalar", 256.0)?,
            rope_global: of_global.theta,
            rope_factor: of_global.factor,
            rope_local: of_sliding.theta,
            rope_local_factor: of_sliding.factor,
            global,
            context: r.size("max_position_embeddings", 131_072)?,
            eps: r.number("rms_norm_eps", 1e-6)?,
            tied: tied(nested.then_some(&whole), &r)?,
            bos: ids(path, "bos_token_id", outer.get("bos_token_id").or_else(|| text.get("bos_token_id")))?
                .first()
                .copied()
                .unwrap_or(2),
            eos,
        }
        .checked(path)
    }

    /// Checks that heads and head dimension are consistent.
    pub(crate) fn checked(self, path: &Path) -> Result<Self> {
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(Error::format(
                path,
                format!("{} heads are not a multiple of {} key-value heads", self.heads, self.kv_heads),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::format(path, format!("head_dim {} is odd: RoPE needs pairs", self.head_dim)));
        }
        Ok(self)
    }

    /// The architecture of a published model: `gemma-3-270m`, `-1b`, `-4b`, `-12b` or `-27b`. `None` for other names.
    pub fn preset(name: &str) -> Option<Self> {
        let row = match name {
            "gemma-3-270m" => (640, 2048, 18, 4, 1, 256, 512, 256.0, 1.0, 32_768),
            "gemma-3-1b" => (1152, 6912, 26, 4, 1, 256, 512, 256.0, 1.0, 32_768),
            "gemma-3-4b" => (2560, 10_240, 34, 8, 4, 256, 1024, 256.0, 8.0, 131_072),
            "gemma-3-12b" => (3840, 15_360, 48, 16, 8, 256, 1024, 256.0, 8.0, 131_072),
            "gemma-3-27b" => (5376, 21_504, 62, 32, 16, 128, 1024, 168.0, 8.0, 131_072),
            _ => return None,
        };
        let (hidden, intermediate, layers, heads, kv_heads, head_dim, window, scalar, factor, context) = row;
        Some(Self {
            hidden,
            intermediate,
            heads,
            kv_heads,
            head_dim,
            vocab: 262_144,
            window,
            query_pre_attn_scalar: scalar,
            rope_global: 1e6,
            rope_factor: factor,
            rope_local: 1e4,
            rope_local_factor: 1.0,
            global: (0..layers).map(|i| (i + 1) % 6 == 0).collect(),
            context,
            eps: 1e-6,
            tied: true,
            bos: 2,
            eos: vec![1, 106],
        })
    }

    /// The names that [`Self::preset`] knows.
    pub const PRESETS: [&str; 5] = ["gemma-3-270m", "gemma-3-1b", "gemma-3-4b", "gemma-3-12b", "gemma-3-27b"];

    /// Canonical name of the unembedding tensor `[vocab, hidden]`.
    pub fn unembedding(&self) -> &'static str {
        if self.tied { "embed_tokens.weight" } else { "lm_head.weight" }
    }

    /// Number of transformer blocks.
    pub fn layers(&self) -> usize {
        self.global.len()
    }

    /// Number of parameters. Tied embeddings are counted once.
    pub fn parameters(&self) -> u64 {
        let (h, i, d) = (self.hidden as u64, self.intermediate as u64, self.head_dim as u64);
        let (q, kv) = (self.heads as u64 * d, self.kv_heads as u64 * d);
        let tables = if self.tied { 1 } else { 2 };
        tables * self.vocab as u64 * h
            + h
            + self.layers() as u64 * (h * (q + 2 * kv) + q * h + 3 * h * i + 4 * h + 2 * d)
    }

    /// The description of this model that hooks and analyzers get; `name` is the model's source.
    pub fn spec(&self, name: &str) -> ModelSpec {
        ModelSpec {
            name: name.to_string(),
            layers: self.layers(),
            hidden: self.hidden,
            attn_width: self.heads * self.head_dim,
            vocab: self.vocab,
            parameters: self.parameters(),
        }
    }

    /// A text-only `config.json` with the keys that transformers 5 writes.
    pub fn to_json(&self) -> Value {
        let types: Vec<_> =
            self.global.iter().map(|g| if *g { "full_attention" } else { "sliding_attention" }).collect();
        let rope = |theta: f64, factor: f64| match factor {
            1.0 => json!({"rope_type": "default", "rope_theta": theta}),
            _ => json!({"rope_type": "linear", "rope_theta": theta, "factor": factor}),
        };
        let (full, sliding) = (rope(self.rope_global, self.rope_factor), rope(self.rope_local, self.rope_local_factor));
        json!({
            "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
            "hidden_size": self.hidden, "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers(), "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "vocab_size": self.vocab,
            "sliding_window": self.window, "layer_types": types,
            "query_pre_attn_scalar": whole(self.query_pre_attn_scalar),
            "rope_parameters": {"full_attention": full, "sliding_attention": sliding},
            "max_position_embeddings": self.context, "rms_norm_eps": self.eps,
            "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "tie_word_embeddings": self.tied,
            "bos_token_id": self.bos, "eos_token_id": self.eos, "pad_token_id": 0,
        })
    }
}
