//! `friction model init`: a seeded random checkpoint in the hub's format.
use crate::weights::TensorSource;
use crate::weights::random::RandomWeights;
use crate::{Config, Error, Result};
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// Names and shapes of all tensors of the text model, canonical.
pub fn tensors(c: &Config) -> Vec<(String, Vec<usize>)> {
    let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let mut out =
        vec![("embed_tokens.weight".to_string(), vec![c.vocab, c.hidden]), ("norm.weight".to_string(), vec![c.hidden])];
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

/// Writes config.json, generation_config.json, model.safetensors (f32) and, where given, tokenizer.json.
///
/// # Errors
/// When the folder exists already or cannot be written.
pub fn write(config: &Config, seed: u64, tokenizer: Option<&Path>, dir: &Path) -> Result<()> {
    if dir.exists() {
        return Err(Error::format(dir, "exists already; name a new folder"));
    }
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    let random = RandomWeights::new(config, seed);
    let mut data = vec![];
    for (name, shape) in tensors(config) {
        let bytes: Vec<u8> = random.f32(&name, &shape)?.into_iter().flat_map(f32::to_le_bytes).collect();
        data.push((format!("model.{name}"), shape, bytes));
    }
    let views = data
        .iter()
        .map(|(n, s, b)| Ok((n.clone(), TensorView::new(Dtype::F32, s.clone(), b).map_err(|e| Error::format(dir, e))?)))
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
    )?;
    if let Some(t) = tokenizer {
        std::fs::copy(t, dir.join("tokenizer.json")).map_err(|e| Error::io(t, e))?;
    }
    Ok(())
}
