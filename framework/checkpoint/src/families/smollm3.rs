//! SmolLM3 (Hugging Face 2025): Llama with every fourth layer without RoPE (NoPE).
use super::{Family, full_attention};
use crate::Result;
use crate::arch::{Arch, Bias};
use crate::reader::{Defaults, Reader, base, layers, rope};
use serde_json::{Value, json};

/// SmolLM3.
pub static FAMILY: Family = Family {
    name: "SmolLM3",
    names: &["smollm3"],
    model_types: &["smollm3"],
    gguf: &["smollm3"],
    keys: &[
        "attention_bias",
        "hidden_act",
        "layer_types",
        "max_window_layers",
        "mlp_bias",
        "no_rope_layer_interval",
        "no_rope_layers",
        "sliding_window",
        "use_sliding_window",
    ],
    nested: false,
    interleaved: true,
    eos: &[128_001],
    read,
    from_gguf: full_attention,
    shapes,
};

const DEFAULTS: Defaults = Defaults {
    hidden: 2048,
    intermediate: 11_008,
    layers: 36,
    heads: 16,
    kv_heads: Some(4),
    head_dim: None,
    vocab: 128_256,
    context: 32_768,
    eps: 1e-6,
    tied: true,
    bos: Some(128_000),
};

fn read(r: &Reader) -> Result<Arch> {
    r.one_of("hidden_act", &["silu"])?;
    let bias = r.flag("attention_bias")?.unwrap_or(false);
    let mlp = r.flag("mlp_bias")?.unwrap_or(false);
    let arch = base(r, &FAMILY, &DEFAULTS, |r| rope::uniform(r, 2e6))?;
    let rotates = rotates(r, arch.layers())?;
    let window = match r.flag("use_sliding_window")? {
        Some(true) => layers::window_or_none(r, None)?,
        _ => None,
    };
    let default = || rotates.iter().map(|rope| window.is_some() && !rope).collect();
    let slides = layers::types(r, arch.layers())?.unwrap_or_else(default);
    let arch = layers::with_window(r, arch, window, &slides)?;
    Ok(Arch { bias: Bias { qkv: bias, out: bias, mlp }, ..layers::without_rope(arch, &rotates) })
}

/// Per layer, whether it has RoPE.
fn rotates(r: &Reader, layers: usize) -> Result<Vec<bool>> {
    let every = r.whole("no_rope_layer_interval")?.unwrap_or(4);
    let Some(list) = r.present("no_rope_layers") else {
        return Ok((0..layers).map(|l| !(l + 1).is_multiple_of(every)).collect());
    };
    let of = |v: &Value| v.as_u64().filter(|n| *n <= 1).map(|n| n == 1);
    let list = list.as_array().and_then(|all| all.iter().map(of).collect::<Option<Vec<bool>>>());
    list.filter(|all| all.len() == layers).ok_or_else(|| {
        r.err(format!(
            "{} must be a list of {layers} numbers, 1 for layers with RoPE and 0 for those without",
            r.name("no_rope_layers")
        ))
    })
}

fn shapes() -> Vec<(&'static str, Value)> {
    let v = json!({
        "model_type": "smollm3", "hidden_size": 2048, "intermediate_size": 11_008, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 128_256, "max_position_embeddings": 65_536,
        "rms_norm_eps": 1e-6, "rope_theta": 5e6, "no_rope_layer_interval": 4, "tie_word_embeddings": true,
        "bos_token_id": 128_000, "eos_token_id": [128_012],
    });
    vec![("smollm3-3b", v)]
}
