//! Writing checkpoints in the hub's layout: randomly initialised ones (`friction model init`) and trained ones.
use crate::weights::TensorSource;
use crate::weights::random::RandomWeights;
use crate::{Config, Error, Result};
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// Canonical names and shapes of all tensors of the text model.
pub fn tensors(c: &Config) -> Vec<(String, Vec<usize>)> {
    let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let mut out =
        vec![("embed_tokens.weight".to_string(), vec![c.vocab, c.hidden]), ("norm.weight".to_string(), vec![c.hidden])];
    if !c.tied {
        out.push(("lm_head.weight".into(), vec![c.vocab, c.hidden]));
    }
    for l in 0..c.layers() {
        let mut add = |name: &str, shape: Vec<usize>| out.push((format!("layers.{l}.{name}.weight"), shape));
        for norm in
            ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
        {
            add(norm, vec![c.hidden]);
        }
        add("self_attn.q_norm", vec![c.head_dim]);
        add("self_attn.k_norm", vec![c.head_dim]);
        add("self_attn.q_proj", vec![q, c.hidden]);
        add("self_attn.k_proj", vec![kv, c.hidden]);
        add("self_attn.v_proj", vec![kv, c.hidden]);
        add("self_attn.o_proj", vec![c.hidden, q]);
        add("mlp.gate_proj", vec![c.intermediate, c.hidden]);
        add("mlp.up_proj", vec![c.intermediate, c.hidden]);
        add("mlp.down_proj", vec![c.hidden, c.intermediate]);
    }
    out
}

/// Dtype of a written checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// 32-bit floats, unchanged.
    F32,
    /// bfloat16, rounded to nearest, ties to even.
    Bf16,
}

/// Writes config.json, generation_config.json and model.safetensors to `dir`, as the hub holds them. Tensors are
/// (canonical name, shape, values in row-major order).
///
/// # Errors
/// When a shape does not match its values, or a file cannot be written.
pub fn write_checkpoint(
    config: &Config,
    tensors: &[(String, Vec<usize>, Vec<f32>)],
    stored: Stored,
    dir: &Path,
) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| match stored {
            Stored::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Stored::Bf16 => values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect(),
        })
        .collect();
    let dtype = match stored {
        Stored::F32 => Dtype::F32,
        Stored::Bf16 => Dtype::BF16,
    };
    let views = tensors
        .iter()
        .zip(&data)
        .map(|((name, shape, _), bytes)| {
            let view = TensorView::new(dtype, shape.clone(), bytes).map_err(|e| Error::format(dir, e))?;
            let head = name == "lm_head.weight";
            Ok((if head { name.clone() } else { format!("model.{name}") }, view))
        })
        .collect::<Result<Vec<_>>>()?;
    let weights = dir.join("model.safetensors");
    let meta = Some([("format".to_string(), "pt".to_string())].into());
    safetensors::serialize_to_file(views, meta, &weights).map_err(|e| Error::format(&weights, e))?;
    let json = |name: &str, v: &serde_json::Value| {
        let path = dir.join(name);
        std::fs::write(&path, format!("{v:#}\n")).map_err(|e| Error::io(path, e))
    };
    json("config.json", &config.to_json())?;
    json(
        "generation_config.json",
        &serde_json::json!({"bos_token_id": config.bos, "eos_token_id": config.eos, "pad_token_id": 0}),
    )
}

/// Writes an f32 checkpoint of seeded random weights to the new folder `dir`, with a copy of `tokenizer` where given.
///
/// # Errors
/// When the folder exists already or cannot be written.
pub fn write(config: &Config, seed: u64, tokenizer: Option<&Path>, dir: &Path) -> Result<()> {
    if dir.exists() {
        return Err(Error::format(dir, "exists already; name a new folder"));
    }
    let random = RandomWeights::new(config, seed);
    let data = tensors(config)
        .into_iter()
        .map(|(name, shape)| Ok((name.clone(), shape.clone(), random.f32(&name, &shape)?)))
        .collect::<Result<Vec<_>>>()?;
    write_checkpoint(config, &data, Stored::F32, dir)?;
    if let Some(t) = tokenizer {
        std::fs::copy(t, dir.join("tokenizer.json")).map_err(|e| Error::io(t, e))?;
    }
    Ok(())
}
