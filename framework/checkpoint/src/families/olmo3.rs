//! OLMo 3 (OLMo 2025): OLMo 2 with a sliding window on three of four layers; RoPE is scaled on the others alone.
use super::olmo2::{DEFAULTS, olmo};
use super::{Family, full_attention};
use crate::Result;
use crate::arch::Arch;
use crate::reader::{Reader, base, layers, rope};
use serde_json::{Value, json};

/// OLMo 3.
pub static FAMILY: Family = Family {
    name: "OLMo 3",
    names: &["olmo-3"],
    model_types: &["olmo3"],
    // Those files say `olmo2`.
    gguf: &[],
    keys: &["attention_bias", "hidden_act", "layer_types", "sliding_window"],
    nested: false,
    interleaved: false,
    eos: &[50_279],
    read,
    from_gguf: full_attention,
    shapes,
};

fn read(r: &Reader) -> Result<Arch> {
    let [full, sliding] = rope::by_kind(r, [5e5, 5e5], None)?;
    let arch = olmo(r, base(r, &FAMILY, &DEFAULTS, |_| Ok(full))?)?;
    let slides = layers::types(r, arch.layers())?
        .unwrap_or_else(|| (0..arch.layers()).map(|l| !(l + 1).is_multiple_of(4)).collect());
    let window = layers::window_or_none(r, Some(4096))?;
    Ok(layers::with_rope(layers::with_window(r, arch, window, &slides)?, sliding))
}

fn shapes() -> Vec<(&'static str, Value)> {
    let v = json!({
        "model_type": "olmo3", "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 100_278, "max_position_embeddings": 65_536,
        "rms_norm_eps": 1e-6, "sliding_window": 4096, "tie_word_embeddings": false, "rope_theta": 5e5,
        "rope_scaling": {"rope_type": "yarn", "factor": 8.0, "attention_factor": 1.207_944_154_167_983_6,
            "beta_fast": 32.0, "beta_slow": 1.0, "original_max_position_embeddings": 8192},
        "eos_token_id": 100_257,
    });
    vec![("olmo3-7b", v)]
}
