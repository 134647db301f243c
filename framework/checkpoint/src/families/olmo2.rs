//! OLMo 2 (OLMo 2024, arXiv 2501.00656): norms after attention and MLP alone, and over whole query and key projections.
use super::Family;
use crate::Result;
use crate::arch::{Arch, Bias, Norms, QkNorm};
use crate::reader::{Defaults, Reader, base, rope};
use crate::weights::gguf::Keys;
use serde_json::{Value, json};

/// OLMo 2.
pub static FAMILY: Family = Family {
    name: "OLMo 2",
    names: &["olmo-2"],
    model_types: &["olmo2"],
    gguf: &["olmo2"],
    keys: &["attention_bias", "hidden_act"],
    nested: false,
    interleaved: false,
    eos: &[50_279],
    read,
    from_gguf,
    shapes,
};

/// Class defaults of OLMo 2 and 3.
pub(super) const DEFAULTS: Defaults = Defaults {
    hidden: 4096,
    intermediate: 11_008,
    layers: 32,
    heads: 32,
    kv_heads: None,
    head_dim: None,
    vocab: 50_304,
    context: 2048,
    eps: 1e-5,
    tied: false,
    bos: None,
};

/// llama.cpp's files of OLMo 3 call themselves OLMo 2, with a sliding window.
fn from_gguf(keys: &Keys, c: &mut Value) -> Result<()> {
    if keys.meta("attention.sliding_window").is_none() {
        return Ok(());
    }
    c["model_type"] = json!("olmo3");
    keys.windows(c, 4)
}

fn read(r: &Reader) -> Result<Arch> {
    olmo(r, base(r, &FAMILY, &DEFAULTS, |r| rope::uniform(r, 1e4))?)
}

/// What OLMo 2 and 3 have in common beside the sizes.
pub(super) fn olmo(r: &Reader, arch: Arch) -> Result<Arch> {
    r.one_of("hidden_act", &["silu"])?;
    let bias = r.flag("attention_bias")?.unwrap_or(false);
    Ok(Arch {
        norms: Norms::Post,
        qk_norm: QkNorm::Projection,
        bias: Bias { qkv: bias, out: bias, mlp: false },
        ..arch
    })
}

fn shapes() -> Vec<(&'static str, Value)> {
    let olmo = |hidden: usize, intermediate: usize, layers: usize, heads: usize| {
        json!({
            "model_type": "olmo2", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": heads, "vocab_size": 100_352,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 5e5, "tie_word_embeddings": false,
            "eos_token_id": 100_257,
        })
    };
    vec![("olmo2-1b", olmo(2048, 8192, 16, 16)), ("olmo2-7b", olmo(4096, 11_008, 32, 32))]
}
