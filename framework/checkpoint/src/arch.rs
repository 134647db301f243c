//! The architecture of a decoder as data. A family's file reads a configuration into it; the forward pass reads nothing
//! else.
use crate::families::Family;
use friction_core::ModelSpec;

/// Where a block normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norms {
    /// Before attention and before the MLP (Llama).
    Pre,
    /// After attention and after the MLP, before the residual sum; nothing before (OLMo 2).
    Post,
    /// Before and after both (Gemma 2 and 3).
    Sandwich,
}

impl Norms {
    /// Whether there is a norm before attention and before the MLP.
    pub fn before(self) -> bool {
        self != Self::Post
    }
    /// Whether there is a norm after attention and after the MLP.
    pub fn after(self) -> bool {
        self != Self::Pre
    }
}

/// How queries and keys are normalised before RoPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// Not at all.
    None,
    /// Each head by itself, with weights `[head_dim]` (Gemma 3, Qwen 3).
    Head,
    /// All heads of a token together, with weights `[heads × head_dim]` (OLMo 2).
    Projection,
}

/// The MLP's activation function, of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// SiLU, x · sigmoid(x): the MLP is SwiGLU.
    Silu,
    /// GELU in its tanh approximation: the MLP is GeGLU.
    GeluTanh,
}

/// Which projections have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bias {
    /// Those of queries, keys and values.
    pub qkv: bool,
    /// The output projection of attention.
    pub out: bool,
    /// Gate, up and down projection.
    pub mlp: bool,
}

/// Scaling of RoPE's frequencies, for contexts longer than those of pretraining.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// None.
    Default,
    /// Positions are divided by the factor.
    Linear(f64),
    /// Llama 3.1: low frequencies are divided by the factor, high ones kept, those between interpolated.
    Llama3 {
        /// Divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are low frequencies.
        low: f64,
        /// Wavelengths below `original / high` are high frequencies.
        high: f64,
        /// Context length of pretraining, in tokens.
        original: f64,
    },
    /// YaRN (Peng et al. 2023, arXiv 2309.00071).
    Yarn {
        /// Divisor of low frequencies.
        factor: f64,
        /// Number of rotations within `original` above which a frequency is kept.
        beta_fast: f64,
        /// Number of rotations below which a frequency is divided.
        beta_slow: f64,
        /// Context length of pretraining, in tokens.
        original: f64,
        /// Factor of cosines and sines.
        attention: f64,
        /// Whether the bounds of the ramp are rounded to whole dimensions.
        truncate: bool,
    },
}

/// Rotary position embedding of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeParameters {
    /// Base θ.
    pub theta: f64,
    /// Scaling of the frequencies.
    pub scaling: Scaling,
}

/// What layers share that are alike in attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerKind {
    /// Keys that a query attends to, its own included; `None`: all before it.
    pub window: Option<usize>,
    /// Its RoPE; `None`: positions are not encoded (NoPE).
    pub rope: Option<RopeParameters>,
}

/// The architecture of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Arch {
    /// The family whose file reads the configuration.
    pub family: &'static Family,
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
    /// Where a block normalises.
    pub norms: Norms,
    /// Added to a stored norm weight: 1 in Gemma, which stores γ of 1 + γ, else 0.
    pub norm_offset: f32,
    /// ε of every RMSNorm.
    pub eps: f64,
    /// How queries and keys are normalised.
    pub qk_norm: QkNorm,
    /// Which projections have a bias.
    pub bias: Bias,
    /// Attention scores are scaled by this to the power −½. The head dimension, but in Gemma.
    pub query_pre_attn_scalar: f64,
    /// Soft cap of attention scores: cap · tanh(score / cap).
    pub attn_softcap: Option<f64>,
    /// Soft cap of the logits.
    pub final_softcap: Option<f64>,
    /// The MLP's activation function.
    pub activation: Activation,
    /// The kinds of layers. At least one; several windows are equal.
    pub kinds: Vec<LayerKind>,
    /// Per layer, the index of its kind.
    pub layer_kinds: Vec<usize>,
    /// Longest context that the checkpoint was made for, in tokens.
    pub context: usize,
    /// Whether embeddings are multiplied by √hidden.
    pub scale_embeddings: bool,
    /// Whether the unembedding is the embedding matrix; otherwise it is the tensor `lm_head.weight`.
    pub tied: bool,
    /// Begin-of-sequence id; `None` where the family has none.
    pub bos: Option<u32>,
    /// Token ids that end a reply.
    pub eos: Vec<u32>,
}

impl Arch {
    /// The kind of a layer.
    pub fn kind(&self, layer: usize) -> &LayerKind {
        &self.kinds[self.layer_kinds[layer]]
    }

    /// Keys that a query of a sliding layer attends to, its own included; `None` where no layer slides.
    pub fn window(&self) -> Option<usize> {
        self.kinds.iter().find_map(|k| k.window)
    }

    /// Number of transformer blocks.
    pub fn layers(&self) -> usize {
        self.layer_kinds.len()
    }

    /// Canonical name of the unembedding tensor `[vocab, hidden]`.
    pub fn unembedding(&self) -> &'static str {
        if self.tied { "embed_tokens.weight" } else { "lm_head.weight" }
    }

    /// Canonical names and shapes of all tensors of the text model: those of transformers without a prefix.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (h, q, kv) = (self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut out =
            vec![("embed_tokens.weight".to_string(), vec![self.vocab, h]), ("norm.weight".to_string(), vec![h])];
        if !self.tied {
            out.push(("lm_head.weight".into(), vec![self.vocab, h]));
        }
        for l in 0..self.layers() {
            let mut add = |name: &str, shape: Vec<usize>| out.push((format!("layers.{l}.{name}"), shape));
            for norm in self.norm_names() {
                add(&format!("{norm}.weight"), vec![h]);
            }
            match self.qk_norm {
                QkNorm::None => {}
                QkNorm::Head => {
                    ["q", "k"].iter().for_each(|n| add(&format!("self_attn.{n}_norm.weight"), vec![self.head_dim]))
                }
                QkNorm::Projection => {
                    add("self_attn.q_norm.weight", vec![q]);
                    add("self_attn.k_norm.weight", vec![kv]);
                }
            }
            for (name, rows, columns, bias) in [
                ("self_attn.q_proj", q, h, self.bias.qkv),
                ("self_attn.k_proj", kv, h, self.bias.qkv),
                ("self_attn.v_proj", kv, h, self.bias.qkv),
                ("self_attn.o_proj", h, q, self.bias.out),
                ("mlp.gate_proj", self.intermediate, h, self.bias.mlp),
                ("mlp.up_proj", self.intermediate, h, self.bias.mlp),
                ("mlp.down_proj", h, self.intermediate, self.bias.mlp),
            ] {
                add(&format!("{name}.weight"), vec![rows, columns]);
                if bias {
                    add(&format!("{name}.bias"), vec![rows]);
                }
            }
        }
        out
    }

    /// Names of a block's norms over the residual stream, in the order of the pass: before attention, after attention,
    /// before the MLP, after the MLP, as far as there are. What transformers calls `post_attention_layernorm` stands
    /// before the MLP where there are two.
    pub fn norm_names(&self) -> &'static [&'static str] {
        match self.norms {
            Norms::Pre => &["input_layernorm", "post_attention_layernorm"],
            Norms::Post => &["post_attention_layernorm", "post_feedforward_layernorm"],
            Norms::Sandwich => &[
                "input_layernorm",
                "post_attention_layernorm",
                "pre_feedforward_layernorm",
                "post_feedforward_layernorm",
            ],
        }
    }

    /// Number of parameters. Tied embeddings are counted once.
    pub fn parameters(&self) -> u64 {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
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

    /// What is wrong with the sizes; `None` if nothing is.
    pub fn fault(&self) -> Option<String> {
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Some(format!("{} heads are not a multiple of {} key-value heads", self.heads, self.kv_heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Some(format!("head_dim {} is odd: RoPE needs pairs", self.head_dim));
        }
        None
    }
}

impl RopeParameters {
    /// Inverse frequencies `[head_dim / 2]` in f32, as transformers computes them: θ^(−2i / head_dim), scaled.
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        let plain = |i: usize| 1.0 / (self.theta as f32).powf((2 * i) as f32 / head_dim as f32);
        let pairs = 0..head_dim / 2;
        match self.scaling {
            Scaling::Default => pairs.map(plain).collect(),
            Scaling::Linear(factor) => pairs.map(|i| plain(i) / factor as f32).collect(),
            Scaling::Llama3 { factor, low, high, original } => {
                let of = |i: usize| {
                    let f = plain(i);
                    let wavelength = 2.0 * std::f32::consts::PI / f;
                    if wavelength < (original / high) as f32 {
                        return f;
                    }
                    if wavelength > (original / low) as f32 {
                        return f / factor as f32;
                    }
                    let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
                    (1.0 - smooth) * f / factor as f32 + smooth * f
                };
                pairs.map(of).collect()
            }
            Scaling::Yarn { factor, beta_fast, beta_slow, original, truncate, .. } => {
                // The dimension whose frequency rotates so often within the original context.
                let dimension = |rotations: f64| {
                    let ratio = original / (rotations * 2.0 * std::f64::consts::PI);
                    head_dim as f64 * ratio.ln() / (2.0 * self.theta.ln())
                };
                let (mut low, mut high) = (dimension(beta_fast), dimension(beta_slow));
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                let (low, mut high) = (low.max(0.0), high.min((head_dim - 1) as f64));
                if low == high {
                    high += 0.001;
                }
                let of = |i: usize| {
                    let power = (self.theta as f32).powf((2 * i) as f32 / head_dim as f32);
                    let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
                    let keep = 1.0 - ramp;
                    1.0 / (factor as f32 * power) * (1.0 - keep) + 1.0 / power * keep
                };
                pairs.map(of).collect()
            }
        }
    }

    /// Factor of cosines and sines: YaRN's, else 1.
    pub fn attention_factor(&self) -> f32 {
        match self.scaling {
            Scaling::Yarn { attention, .. } => attention as f32,
            _ => 1.0,
        }
    }
}
