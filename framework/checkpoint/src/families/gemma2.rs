//! Gemma 2 (Gemma Team 2024, arXiv 2408.00118): norms before and after, soft caps, a sliding window on every other layer.
use super::Family;
use super::gemma3::computes;
use crate::Result;
use crate::arch::{Activation, Arch, Norms};
use crate::reader::{Defaults, Reader, base, layers, rope};
use crate::weights::gguf::Keys;
use serde_json::{Value, json};

/// Gemma 2.
pub static FAMILY: Family = Family {
    name: "Gemma 2",
    names: &["gemma-2"],
    model_types: &["gemma2"],
    gguf: &["gemma2"],
    keys: &[
        "attention_bias",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "hidden_act",
        "hidden_activation",
        "layer_types",
        "query_pre_attn_scalar",
        "sliding_window",
        "use_bidirectional_attention",
    ],
    nested: false,
    interleaved: false,
    eos: &[1, 107],
    read,
    from_gguf,
    shapes,
};

const DEFAULTS: Defaults = Defaults {
    hidden: 2304,
    intermediate: 9216,
    layers: 26,
    heads: 8,
    kv_heads: Some(4),
    head_dim: Some(256),
    vocab: 256_000,
    context: 8192,
    eps: 1e-6,
    tied: true,
    bos: Some(2),
};

/// GGUF files do not hold query_pre_attn_scalar: as in llama.cpp it is hidden ÷ heads for the 27b (46 layers) and the
/// head dimension otherwise.
fn from_gguf(keys: &Keys, c: &mut Value) -> Result<()> {
    let (hidden, heads) = (keys.size("embedding_length")?, keys.size("attention.head_count")?);
    let large = keys.size("block_count")? == 46;
    c["query_pre_attn_scalar"] = if large { json!(hidden / heads) } else { c["head_dim"].clone() };
    c["sliding_window"] = json!(keys.size_or_none("attention.sliding_window")?.unwrap_or(4096));
    c["attn_logit_softcapping"] = json!(keys.above("attn_logit_softcapping", 50.0)?);
    c["final_logit_softcapping"] = json!(keys.above("final_logit_softcapping", 30.0)?);
    Ok(())
}

fn read(r: &Reader) -> Result<Arch> {
    computes(r)?;
    let arch = base(r, &FAMILY, &DEFAULTS, |r| rope::uniform(r, 1e4))?;
    let slides =
        layers::types(r, arch.layers())?.unwrap_or_else(|| (0..arch.layers()).map(|l| l.is_multiple_of(2)).collect());
    let window = layers::window_or_none(r, Some(4096))?;
    let cap = |key: &str, default: f64| match r.map.contains_key(key) {
        true => r.above(key),
        false => Ok(Some(default)),
    };
    Ok(Arch {
        norms: Norms::Sandwich,
        norm_offset: 1.0,
        query_pre_attn_scalar: r.number("query_pre_attn_scalar", 256.0)?,
        attn_softcap: cap("attn_logit_softcapping", 50.0)?,
        final_softcap: cap("final_logit_softcapping", 30.0)?,
        activation: Activation::GeluTanh,
        scale_embeddings: true,
        ..layers::with_window(r, arch, window, &slides)?
    })
}

fn shapes() -> Vec<(&'static str, Value)> {
    let gemma = |hidden: usize, intermediate: usize, layers: usize, heads: usize, kv: usize| {
        json!({
            "model_type": "gemma2", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": 256, "vocab_size": 256_000,
            "max_position_embeddings": 8192, "sliding_window": 4096, "query_pre_attn_scalar": 256, "bos_token_id": 2,
            "eos_token_id": [1, 107],
        })
    };
    vec![("gemma-2-2b", gemma(2304, 9216, 26, 8, 4)), ("gemma-2-9b", gemma(3584, 14_336, 42, 16, 8))]
}
