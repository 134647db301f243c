//! Mistral 7B (Jiang et al. 2023, arXiv 2310.06825).
use super::{Family, full_attention};
use crate::Result;
use crate::arch::Arch;
use crate::reader::{Defaults, Reader, base, layers, rope};
use serde_json::{Value, json};

/// Mistral.
pub static FAMILY: Family = Family {
    name: "Mistral",
    names: &["mistral"],
    model_types: &["mistral"],
    // Converters write Mistral's files as `llama`; those have no sliding window.
    gguf: &[],
    keys: &["attention_bias", "hidden_act", "sliding_window"],
    nested: false,
    interleaved: true,
    eos: &[2],
    read,
    from_gguf: full_attention,
    shapes,
};

fn read(r: &Reader) -> Result<Arch> {
    r.one_of("hidden_act", &["silu"])?;
    r.not_set("attention_bias")?;
    let defaults = Defaults {
        hidden: 4096,
        intermediate: 14_336,
        layers: 32,
        heads: 32,
        kv_heads: Some(8),
        vocab: 32_000,
        context: 131_072,
        bos: Some(1),
        ..Defaults::default()
    };
    let arch = base(r, &FAMILY, &defaults, |r| rope::uniform(r, 1e4))?;
    // A window on all layers, or on none where the key is null.
    let window = layers::window_or_none(r, Some(4096))?;
    Ok(layers::sliding(arch, window, |_| true))
}

fn shapes() -> Vec<(&'static str, Value)> {
    let v3 = json!({
        "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 32_768,
        "max_position_embeddings": 32_768, "rms_norm_eps": 1e-5, "rope_theta": 1e6, "sliding_window": null,
        "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
    });
    vec![("mistral-7b-v0.3", v3)]
}
