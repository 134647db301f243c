//! The shape of a Gemma 3, read from a checkpoint and checked.
use crate::{Error, Result};
use friction_core::ModelSpec;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Everything that the forward pass needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Vocabulary size.
    pub vocab: usize,
    /// Keys that a sliding layer sees, the query's own included.
    pub window: usize,
    /// Attention scale is this to the −0.5.
    pub query_pre_attn_scalar: f64,
    /// RoPE base of global layers.
    pub rope_global: f64,
    /// Linear RoPE scaling of global layers: positions are divided by it.
    pub rope_factor: f64,
    /// RoPE base of sliding layers.
    pub rope_local: f64,
    /// Whether each layer attends globally.
    pub global: Vec<bool>,
    /// Longest context.
    pub context: usize,
    /// Norm epsilon.
    pub eps: f64,
    /// Begin-of-sequence id.
    pub bos: u32,
    /// Ids that end a reply.
    pub eos: Vec<u32>,
}

const MAX: u64 = 1 << 24;

struct Reader<'a> {
    map: &'a Map<String, Value>,
    path: &'a Path,
}

impl Reader<'_> {
    fn err(&self, m: impl std::fmt::Display) -> Error {
        Error::format(self.path, m)
    }
    fn present(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }
    fn size(&self, key: &str, default: Option<u64>) -> Result<usize> {
        let v = match (self.present(key), default) {
            (Some(v), _) => v.as_u64().ok_or_else(|| self.err(format!("`{key}` must be a whole number, not {v}")))?,
            (None, Some(d)) => d,
            (None, None) => return Err(self.err(format!("`{key}` is missing"))),
        };
        if v == 0 || v > MAX {
            return Err(self.err(format!("`{key}` = {v} is out of range")));
        }
        Ok(v as usize)
    }
    fn number(&self, key: &str, default: f64) -> Result<f64> {
        let v = match self.present(key) {
            Some(v) => v.as_f64().ok_or_else(|| self.err(format!("`{key}` must be a number, not {v}")))?,
            None => default,
        };
        if v.is_finite() && v > 0.0 { Ok(v) } else { Err(self.err(format!("`{key}` = {v} must be above 0"))) }
    }
}

/// Token ids written as one number or a list.
pub(crate) fn ids(v: Option<&Value>) -> Vec<u32> {
    match v {
        Some(Value::Array(a)) => a.iter().filter_map(|v| v.as_u64().and_then(|v| v.try_into().ok())).collect(),
        Some(v) => v.as_u64().and_then(|v| v.try_into().ok()).into_iter().collect(),
        None => vec![],
    }
}

impl Config {
    /// Reads a `config.json`, text-only or multimodal, and the end ids of a
    /// `generation_config.json` where one stands beside it. Missing keys take transformers' class
    /// defaults.
    ///
    /// # Errors
    /// When it is not a Gemma 3 or a value cannot be used.
    pub fn from_json(path: &Path, config: &Value, generation: Option<&Value>) -> Result<Self> {
        let outer = config.as_object().ok_or_else(|| Error::format(path, "not a JSON object"))?;
        let kind = outer.get("model_type").and_then(Value::as_str).unwrap_or("");
        let text = match outer.get("text_config") {
            Some(Value::Object(t)) => t,
            Some(_) => return Err(Error::format(path, "`text_config` must be an object")),
            None => outer,
        };
        let r = Reader { map: text, path };
        if !matches!(kind, "gemma3" | "gemma3_text") {
            return Err(r.err(format!("model_type is `{kind}`; friction runs Gemma 3 (`gemma3`, `gemma3_text`)")));
        }
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if r.present(key).is_some() {
                return Err(r.err(format!("`{key}` is set; Gemma 3 has no soft caps")));
            }
        }
        for key in ["attention_bias", "use_bidirectional_attention"] {
            if r.present(key) == Some(&Value::Bool(true)) {
                return Err(r.err(format!("`{key}` is true; this is not a Gemma 3 decoder")));
            }
        }
        let act = text.get("hidden_activation").and_then(Value::as_str).unwrap_or("gelu_pytorch_tanh");
        if act != "gelu_pytorch_tanh" {
            return Err(r.err(format!("hidden_activation is `{act}`, not `gelu_pytorch_tanh`")));
        }
        let layers = r.size("num_hidden_layers", Some(26))?;
        if layers > 4096 {
            return Err(r.err(format!("`num_hidden_layers` = {layers} is out of range")));
        }
        let pattern = r.size("sliding_window_pattern", None).or_else(|_| r.size("_sliding_window_pattern", Some(6)))?;
        let global = match r.present("layer_types") {
            Some(Value::Array(types)) => {
                if types.len() != layers {
                    return Err(r.err(format!("`layer_types` has {} entries for {layers} layers", types.len())));
                }
                types
                    .iter()
                    .map(|t| match t.as_str() {
                        Some("full_attention") => Ok(true),
                        Some("sliding_attention") => Ok(false),
                        _ => Err(r.err(format!("unknown layer type {t}"))),
                    })
                    .collect::<Result<_>>()?
            }
            Some(_) => return Err(r.err("`layer_types` must be a list")),
            None => (0..layers).map(|i| (i + 1) % pattern == 0).collect(),
        };
        let (mut rope_global, mut rope_local, mut factor) =
            (r.number("rope_theta", 1e6)?, r.number("rope_local_base_freq", 1e4)?, 1.0);
        let mut scale = |v: &Value| -> Result<()> {
            let kind = v.get("rope_type").or_else(|| v.get("type")).and_then(Value::as_str).unwrap_or("default");
            match kind {
                "default" => Ok(()),
                "linear" => {
                    factor = v
                        .get("factor")
                        .and_then(Value::as_f64)
                        .filter(|f| f.is_finite() && *f > 0.0)
                        .ok_or_else(|| r.err("linear RoPE scaling without a `factor` above 0"))?;
                    Ok(())
                }
                other => Err(r.err(format!("RoPE scaling `{other}` is not Gemma 3's"))),
            }
        };
        if let Some(v) = r.present("rope_scaling") {
            scale(v)?;
        }
        if let Some(Value::Object(p)) = r.present("rope_parameters") {
            let theta = |v: &Value| v.get("rope_theta").and_then(Value::as_f64).filter(|t| t.is_finite() && *t > 0.0);
            if let Some(v) = p.get("full_attention") {
                scale(v)?;
                rope_global = theta(v).unwrap_or(rope_global);
            }
            if let Some(v) = p.get("sliding_attention") {
                rope_local = theta(v).unwrap_or(rope_local);
            }
        }
        let mut eos = ids(generation.and_then(|g| g.get("eos_token_id")));
        if eos.is_empty() {
            eos = ids(outer.get("eos_token_id").or_else(|| text.get("eos_token_id")));
        }
        if eos.is_empty() {
            eos = vec![1, 106];
        }
        let head_dim = r.size("head_dim", Some(256))?;
        Self {
            hidden: r.size("hidden_size", Some(2304))?,
            intermediate: r.size("intermediate_size", Some(9216))?,
            heads: r.size("num_attention_heads", Some(8))?,
            kv_heads: r.size("num_key_value_heads", Some(4))?,
            head_dim,
            vocab: r.size("vocab_size", Some(262_208))?,
            window: r.size("sliding_window", Some(4096))?,
            query_pre_attn_scalar: r.number("query_pre_attn_scalar", 256.0)?,
            rope_global,
            rope_factor: factor,
            rope_local,
            global,
            context: r.size("max_position_embeddings", Some(131_072))?,
            eps: r.number("rms_norm_eps", 1e-6)?,
            bos: ids(outer.get("bos_token_id").or_else(|| text.get("bos_token_id"))).first().copied().unwrap_or(2),
            eos,
        }
        .checked(path)
    }

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

    /// A published shape: `gemma-3-270m`, `-1b`, `-4b`, `-12b`, `-27b`.
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
            global: (0..layers).map(|i| (i + 1) % 6 == 0).collect(),
            context,
            eps: 1e-6,
            bos: 2,
            eos: vec![1, 106],
        })
    }

    /// Names of the presets.
    pub const PRESETS: [&str; 5] = ["gemma-3-270m", "gemma-3-1b", "gemma-3-4b", "gemma-3-12b", "gemma-3-27b"];

    /// Number of blocks.
    pub fn layers(&self) -> usize {
        self.global.len()
    }

    /// Parameters, the tied embedding counted once.
    pub fn parameters(&self) -> u64 {
        let (h, i, d) = (self.hidden as u64, self.intermediate as u64, self.head_dim as u64);
        let (q, kv) = (self.heads as u64 * d, self.kv_heads as u64 * d);
        self.vocab as u64 * h + h + self.layers() as u64 * (h * (q + 2 * kv) + q * h + 3 * h * i + 4 * h + 2 * d)
    }

    /// Core's view of it.
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

    /// A text-only `config.json` as transformers writes it.
    pub fn to_json(&self) -> Value {
        let types: Vec<_> =
            self.global.iter().map(|g| if *g { "full_attention" } else { "sliding_attention" }).collect();
        let full = if self.rope_factor == 1.0 {
            json!({"rope_type": "default", "rope_theta": self.rope_global})
        } else {
            json!({"rope_type": "linear", "rope_theta": self.rope_global, "factor": self.rope_factor})
        };
        json!({
            "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
            "hidden_size": self.hidden, "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers(), "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "vocab_size": self.vocab,
            "sliding_window": self.window, "layer_types": types,
            "query_pre_attn_scalar": self.query_pre_attn_scalar,
            "rope_parameters": {"full_attention": full, "sliding_attention": {"rope_type": "default", "rope_theta": self.rope_local}},
            "max_position_embeddings": self.context, "rms_norm_eps": self.eps,
            "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "tie_word_embeddings": true,
            "bos_token_id": self.bos, "eos_token_id": self.eos, "pad_token_id": 0,
        })
    }
}
