//! Qwen 3, dense (Qwen 2025, arXiv 2505.09388). Queries and keys are normalised head by head.
use super::qwen2::{DEFAULTS, windows};
use super::{Family, full_attention};
use crate::Result;
use crate::arch::{Arch, Bias, QkNorm};
use crate::reader::{Defaults, Reader, base, rope};
use serde_json::{Value, json};

/// Qwen 3.
pub static FAMILY: Family = Family {
    name: "Qwen 3",
    names: &["qwen3"],
    model_types: &["qwen3"],
    gguf: &["qwen3"],
    keys: &["attention_bias", "hidden_act", "layer_types", "max_window_layers", "sliding_window", "use_sliding_window"],
    nested: false,
    interleaved: false,
    eos: &[151_643, 151_645],
    read,
    from_gguf: full_attention,
    shapes,
};

fn read(r: &Reader) -> Result<Arch> {
    r.one_of("hidden_act", &["silu"])?;
    let bias = r.flag("attention_bias")?.unwrap_or(false);
    let arch = base(r, &FAMILY, &Defaults { head_dim: Some(128), ..DEFAULTS }, |r| rope::uniform(r, 1e4))?;
    Ok(Arch { bias: Bias { qkv: bias, out: bias, mlp: false }, qk_norm: QkNorm::Head, ..windows(r, arch)? })
}

fn shapes() -> Vec<(&'static str, Value)> {
    let qwen = |hidden: usize, intermediate: usize, layers: usize, heads: usize, tied: bool| {
        json!({
            "model_type": "qwen3", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936,
            "max_position_embeddings": 40_960, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "use_sliding_window": false,
            "tie_word_embeddings": tied, "bos_token_id": 151_643, "eos_token_id": [151_645, 151_643],
        })
    };
    vec![
        ("qwen3-0.6b", qwen(1024, 3072, 28, 16, true)),
        ("qwen3-1.7b", qwen(2048, 6144, 28, 16, true)),
        ("qwen3-4b", qwen(2560, 9728, 36, 32, true)),
        ("qwen3-8b", qwen(4096, 12_288, 36, 32, false)),
        ("qwen3-14b", qwen(5120, 17_408, 40, 40, false)),
    ]
}
