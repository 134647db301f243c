//! Llama 2 and 3, and SmolLM2, which has Llama's architecture (Touvron et al. 2023, arXiv 2307.09288; Grattafiori et al.
//! 2024, arXiv 2407.21783).
use super::{Family, full_attention};
use crate::Result;
use crate::arch::{Arch, Bias};
use crate::reader::{Defaults, Reader, base, rope};
use serde_json::{Value, json};

/// Llama.
pub static FAMILY: Family = Family {
    name: "Llama",
    names: &["llama", "llama-2", "llama-3", "llama-3.1", "llama-3.2", "llama-3.3", "smollm", "smollm2"],
    model_types: &["llama"],
    gguf: &["llama"],
    keys: &["hidden_act", "attention_bias", "is_llama_config", "mlp_bias", "rope_interleaved"],
    nested: false,
    interleaved: true,
    eos: &[2],
    read,
    from_gguf: full_attention,
    shapes,
};

fn read(r: &Reader) -> Result<Arch> {
    r.one_of("hidden_act", &["silu"])?;
    r.not_set("rope_interleaved")?;
    let bias = r.flag("attention_bias")?.unwrap_or(false);
    let mlp = r.flag("mlp_bias")?.unwrap_or(false);
    let defaults = Defaults {
        hidden: 4096,
        intermediate: 11_008,
        layers: 32,
        heads: 32,
        vocab: 32_000,
        context: 2048,
        bos: Some(1),
        ..Defaults::default()
    };
    Ok(Arch { bias: Bias { qkv: bias, out: bias, mlp }, ..base(r, &FAMILY, &defaults, |r| rope::uniform(r, 1e4))? })
}

fn shapes() -> Vec<(&'static str, Value)> {
    let llama3 = |hidden: usize,
                  intermediate: usize,
                  layers: usize,
                  heads: usize,
                  head_dim: usize,
                  factor: f64,
                  tied: bool| {
        json!({
            "model_type": "llama", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": head_dim, "vocab_size": 128_256,
            "max_position_embeddings": 131_072, "rms_norm_eps": 1e-5, "rope_theta": 5e5, "tie_word_embeddings": tied,
            "rope_scaling": {"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192},
            "bos_token_id": 128_000, "eos_token_id": [128_001, 128_008, 128_009],
        })
    };
    let smollm2 = |hidden: usize, intermediate: usize, layers: usize, heads: usize, kv: usize, theta: f64| {
        json!({
            "model_type": "llama", "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": 49_152, "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5, "rope_theta": theta, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
        })
    };
    vec![
        ("llama-3.2-1b", llama3(2048, 8192, 16, 32, 64, 32.0, true)),
        ("llama-3.2-3b", llama3(3072, 8192, 28, 24, 128, 32.0, true)),
        ("llama-3.1-8b", llama3(4096, 14_336, 32, 32, 128, 8.0, false)),
        ("smollm2-135m", smollm2(576, 1536, 30, 9, 3, 1e5)),
        ("smollm2-360m", smollm2(960, 2560, 32, 15, 5, 1e5)),
        ("smollm2-1.7b", smollm2(2048, 8192, 24, 32, 32, 1.3e5)),
    ]
}
