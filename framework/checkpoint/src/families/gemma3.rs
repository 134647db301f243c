//! Gemma 3 (Gemma Team 2025, arXiv 2503.19786), text only or the text model of a multimodal checkpoint: norms before and
//! after, QK-norm, five layers of six with a sliding window and another RoPE.
use super::Family;
use crate::Result;
use crate::arch::{Activation, Arch, Bias, LayerKind, Norms, QkNorm, RopeParameters, Scaling};
use crate::reader::{Defaults, Reader, base, layers, rope};
use crate::weights::gguf::Keys;
use serde_json::{Value, json};

/// Gemma 3.
pub static FAMILY: Family = Family {
    name: "Gemma 3",
    names: &["gemma-3"],
    model_types: &["gemma3_text", "gemma3"],
    gguf: &["gemma3"],
    keys: &[
        "_sliding_window_pattern",
        "attention_bias",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "hidden_act",
        "hidden_activation",
        "layer_types",
        "query_pre_attn_scalar",
        "rope_local_base_freq",
        "sliding_window",
        "sliding_window_pattern",
        "use_bidirectional_attention",
    ],
    nested: true,
    interleaved: false,
    eos: &[1, 106],
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
    vocab: 262_208,
    context: 131_072,
    eps: 1e-6,
    tied: true,
    bos: Some(2),
};

/// Refuses settings that change what a Gemma computes.
pub(super) fn computes(r: &Reader) -> Result<()> {
    ["attention_bias", "use_bidirectional_attention"].iter().try_for_each(|key| r.not_set(key))?;
    ["hidden_activation", "hidden_act"].iter().try_for_each(|key| r.one_of(key, &["gelu_pytorch_tanh"]))
}

fn read(r: &Reader) -> Result<Arch> {
    for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if let Some(v) = r.present(key) {
            return Err(r.err(format!("{} = {v}; Gemma 3 has no soft caps, and none are computed", r.name(key))));
        }
    }
    computes(r)?;
    let [full, sliding] = rope::by_kind(r, [1e6, 1e4], Some("rope_local_base_freq"))?;
    let arch = base(r, &FAMILY, &DEFAULTS, |_| Ok(full))?;
    let slides = layers::by_pattern(r, arch.layers())?;
    let all_full = slides.iter().all(|s| !s);
    let null = r.map.get("sliding_window") == Some(&Value::Null);
    let window = if null && all_full { 4096 } else { r.size("sliding_window", 4096)? };
    Ok(gemma3(arch, r.number("query_pre_attn_scalar", 256.0)?, (window, &slides), [full, sliding]))
}

/// GGUF files do not hold query_pre_attn_scalar: as in llama.cpp it is hidden ÷ heads for the 27b (62 layers) and the
/// head dimension otherwise. They have no soft caps.
fn from_gguf(keys: &Keys, c: &mut Value) -> Result<()> {
    if let Some((kind, _)) = keys.scaling()?.filter(|(kind, _)| *kind != "linear") {
        return Err(keys.err(format!("`gemma3.rope.scaling.type` is `{kind}`, which is not known of a Gemma 3")));
    }
    let (layers, hidden, heads) =
        (keys.size("block_count")?, keys.size("embedding_length")?, keys.size("attention.head_count")?);
    let head_dim = keys.size("attention.key_length")?;
    c["query_pre_attn_scalar"] = if layers == 62 { json!(hidden as f64 / heads as f64) } else { json!(head_dim) };
    c["rope_theta"] = json!(keys.above("rope.freq_base", 1e6)?);
    c["rope_local_base_freq"] = json!(keys.above("rope.freq_base_swa", 1e4)?);
    keys.windows(c, 6)
}

/// A Gemma 3 with these sizes, attention scalar, windows and RoPE (of full, then of sliding layers).
pub(crate) fn gemma3(
    arch: Arch,
    query_pre_attn_scalar: f64,
    (window, slides): (usize, &[bool]),
    [full, sliding]: [RopeParameters; 2],
) -> Arch {
    Arch {
        family: &FAMILY,
        norms: Norms::Sandwich,
        norm_offset: 1.0,
        qk_norm: QkNorm::Head,
        bias: Bias::default(),
        query_pre_attn_scalar,
        activation: Activation::GeluTanh,
        kinds: vec![
            LayerKind { window: Some(window), rope: Some(sliding) },
            LayerKind { window: None, rope: Some(full) },
        ],
        layer_kinds: slides.iter().map(|s| usize::from(!s)).collect(),
        scale_embeddings: true,
        ..arch
    }
}

/// A text-only `config.json` of a Gemma 3, with the keys that transformers 5 writes. `None` for other families.
pub fn to_json(a: &Arch) -> Option<Value> {
    let [sliding, full] = &a.kinds[..] else { return None };
    if *a.family != FAMILY {
        return None;
    }
    let types: Vec<_> =
        a.layer_kinds.iter().map(|k| if *k == 1 { "full_attention" } else { "sliding_attention" }).collect();
    let rope = |kind: &LayerKind| {
        let RopeParameters { theta, scaling } = kind.rope?;
        Some(match scaling {
            Scaling::Linear(factor) => json!({"rope_type": "linear", "rope_theta": theta, "factor": factor}),
            _ => json!({"rope_type": "default", "rope_theta": theta}),
        })
    };
    Some(json!({
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
        "hidden_size": a.hidden, "intermediate_size": a.intermediate,
        "num_hidden_layers": a.layers(), "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads, "head_dim": a.head_dim, "vocab_size": a.vocab,
        "sliding_window": sliding.window, "layer_types": types,
        "query_pre_attn_scalar": whole(a.query_pre_attn_scalar),
        "rope_parameters": {"full_attention": rope(full)?, "sliding_attention": rope(sliding)?},
        "max_position_embeddings": a.context, "rms_norm_eps": a.eps,
        "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "tie_word_embeddings": a.tied,
        "bos_token_id": a.bos, "eos_token_id": a.eos, "pad_token_id": 0,
    }))
}

/// A number as JSON, without a fraction where it has none: transformers refuses `256.0` where it expects an integer.
fn whole(v: f64) -> Value {
    if v.fract() == 0.0 && (0.0..9e15).contains(&v) { json!(v as u64) } else { json!(v) }
}

fn shapes() -> Vec<(&'static str, Value)> {
    let rows = [
        ("gemma-3-270m", 640, 2048, 18, 4, 1, 256, 512, 256, 1.0, 32_768),
        ("gemma-3-1b", 1152, 6912, 26, 4, 1, 256, 512, 256, 1.0, 32_768),
        ("gemma-3-4b", 2560, 10_240, 34, 8, 4, 256, 1024, 256, 8.0, 131_072),
        ("gemma-3-12b", 3840, 15_360, 48, 16, 8, 256, 1024, 256, 8.0, 131_072),
        ("gemma-3-27b", 5376, 21_504, 62, 32, 16, 128, 1024, 168, 8.0, 131_072),
    ];
    let of = |(name, hidden, intermediate, layers, heads, kv, head_dim, window, scalar, factor, context): (
        &'static str,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        f64,
        usize,
    )| {
        let mut v = json!({
            "model_type": "gemma3_text", "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": head_dim,
            "vocab_size": 262_144, "sliding_window": window, "query_pre_attn_scalar": scalar, "rope_theta": 1e6,
            "rope_local_base_freq": 1e4, "max_position_embeddings": context, "rms_norm_eps": 1e-6,
            "tie_word_embeddings": true, "bos_token_id": 2, "eos_token_id": [1, 106],
        });
        if factor != 1.0 {
            v["rope_scaling"] = json!({"rope_type": "linear", "factor": factor});
            // Multimodal checkpoints have 64 rows more, for the image token.
            v["vocab_size"] = json!(262_208);
        }
        (name, v)
    };
    rows.into_iter().map(of).collect()
}
