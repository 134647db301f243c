//! Qwen 2 and 2.5, dense (Qwen 2024, arXiv 2412.15115). Queries, keys and values have biases, the output projection none.
use super::{Family, full_attention};
use crate::Result;
use crate::arch::{Arch, Bias};
use crate::reader::{Defaults, Reader, base, layers, rope};
use serde_json::{Value, json};

/// Qwen 2.
pub static FAMILY: Family = Family {
    name: "Qwen 2",
    names: &["qwen1.5", "qwen2", "qwen2.5"],
    model_types: &["qwen2"],
    gguf: &["qwen2"],
    keys: &["hidden_act", "layer_types", "max_window_layers", "sliding_window", "use_mrope", "use_sliding_window"],
    nested: false,
    interleaved: false,
    eos: &[151_643, 151_645],
    read,
    from_gguf: full_attention,
    shapes,
};

/// Class defaults of Qwen 2 and 3.
pub(super) const DEFAULTS: Defaults = Defaults {
    hidden: 4096,
    intermediate: 22_016,
    layers: 32,
    heads: 32,
    kv_heads: Some(32),
    head_dim: None,
    vocab: 151_936,
    context: 32_768,
    eps: 1e-6,
    tied: false,
    bos: None,
};

fn read(r: &Reader) -> Result<Arch> {
    r.one_of("hidden_act", &["silu"])?;
    r.not_set("use_mrope")?;
    let arch = base(r, &FAMILY, &DEFAULTS, |r| rope::uniform(r, 1e4))?;
    Ok(Arch { bias: Bias { qkv: true, ..Bias::default() }, ..windows(r, arch)? })
}

/// The window of the upper layers, where `use_sliding_window` is set.
pub(super) fn windows(r: &Reader, arch: Arch) -> Result<Arch> {
    let window = match r.flag("use_sliding_window")? {
        Some(true) => layers::window_or_none(r, Some(4096))?,
        _ => None,
    };
    let from = r.count("max_window_layers")?.unwrap_or(28);
    let default = |l: usize| window.is_some() && l >= from;
    let sliding = layers::types(r, arch.layers())?.unwrap_or_else(|| (0..arch.layers()).map(default).collect());
    layers::with_window(r, arch, window, &sliding)
}

fn shapes() -> Vec<(&'static str, Value)> {
    let qwen = |hidden: usize,
                intermediate: usize,
                layers: usize,
                heads: usize,
                kv: usize,
                vocab: usize,
                tied: bool| {
        json!({
            "model_type": "qwen2", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": vocab,
            "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "use_sliding_window": false,
            "tie_word_embeddings": tied, "bos_token_id": 151_643, "eos_token_id": [151_645, 151_643],
        })
    };
    vec![
        ("qwen2.5-0.5b", qwen(896, 4864, 24, 14, 2, 151_936, true)),
        ("qwen2.5-1.5b", qwen(1536, 8960, 28, 12, 2, 151_936, true)),
        ("qwen2.5-3b", qwen(2048, 11_008, 36, 16, 2, 151_936, true)),
        ("qwen2.5-7b", qwen(3584, 18_944, 28, 28, 4, 152_064, false)),
    ]
}
