//! Writing checkpoints in the hub's layout: randomly initialised ones (`friction model init`) and trained ones.
use crate::weights::TensorSource;
use crate::weights::random::RandomWeights;
use crate::{Arch, Error, Result};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::path::Path;

/// Dtype of a written checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// 32-bit floats, unchanged.
    F32,
    /// bfloat16, rounded to nearest, ties to even.
    Bf16,
}

/// Writes config.json, generation_config.json and model.safetensors to `dir`, as the hub holds them. `config` is the
/// content of config.json. Tensors are (canonical name, shape, values in row-major order).
///
/// # Errors
/// When `config` is of no known family, a shape does not match its values, or a file cannot be written.
pub fn write_checkpoint(
    config: &Value,
    tensors: &[(String, Vec<usize>, Vec<f32>)],
    stored: Stored,
    dir: &Path,
) -> Result<()> {
    let arch = Arch::from_json(&dir.join("config.json"), config, None)?;
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
    let write = |name: &str, v: &Value| {
        let path = dir.join(name);
        std::fs::write(&path, format!("{v:#}\n")).map_err(|e| Error::io(path, e))
    };
    write("config.json", config)?;
    write("generation_config.json", &json!({"bos_token_id": arch.bos, "eos_token_id": arch.eos, "pad_token_id": 0}))
}

/// Writes an f32 checkpoint of seeded random weights to the new folder `dir`, with a copy of `tokenizer` where given.
///
/// # Errors
/// When the folder exists already or cannot be written.
pub fn write(config: &Value, seed: u64, tokenizer: Option<&Path>, dir: &Path) -> Result<()> {
    if dir.exists() {
        return Err(Error::format(dir, "exists already; name a new folder"));
    }
    let arch = Arch::from_json(&dir.join("config.json"), config, None)?;
    let random = RandomWeights::new(&arch, seed);
    let data = arch
        .tensors()
        .into_iter()
        .map(|(name, shape)| Ok((name.clone(), shape.clone(), random.f32(&name, &shape)?)))
        .collect::<Result<Vec<_>>>()?;
    write_checkpoint(config, &data, Stored::F32, dir)?;
    if let Some(t) = tokenizer {
        std::fs::copy(t, dir.join("tokenizer.json")).map_err(|e| Error::io(t, e))?;
    }
    Ok(())
}
