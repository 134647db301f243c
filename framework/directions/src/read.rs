//! Directions from a safetensors file.
use friction_core::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// A direction with what its file says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// The vector, in units of the activations.
    pub vector: Vec<f32>,
    /// Mean norm of the activations at its site, where the file's `about` says it.
    pub norm: Option<f32>,
    /// `<site>/shuffled-N` beside it.
    pub shuffled: Vec<Vec<f32>>,
}

/// Reads `name` of a file.
///
/// # Errors
/// When the file cannot be read, or holds no f32 vector of that name; it then says which it holds.
pub fn read(path: &Path, name: &str) -> Result<Direction> {
    let wrong = |what: String| Error::config(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| {
        wrong(format!("{e}. Directions are written by the analyzer `linear-probe` into its folder of a run"))
    })?;
    let st = SafeTensors::deserialize(&bytes).map_err(|e| wrong(format!("is no safetensors file: {e}")))?;
    let vector = |name: &str| -> Option<Vec<f32>> {
        let t = st.tensor(name).ok().filter(|t| t.dtype() == Dtype::F32 && t.shape().len() == 1)?;
        Some(t.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    };
    let Some(found) = vector(name) else {
        let mut names: Vec<&str> = st.names().into_iter().filter(|n| !n.contains("/shuffled-")).collect();
        names.sort_unstable();
        return Err(wrong(format!("holds no f32 vector `{name}`; it holds {}", names.join(", "))));
    };
    let site = name.split('/').next().unwrap_or(name);
    let shuffled = (0..).map_while(|n| vector(&format!("{site}/shuffled-{n}"))).collect();
    let about: Option<serde_json::Value> = SafeTensors::read_metadata(&bytes)
        .ok()
        .and_then(|(_, m)| m.metadata().as_ref()?.get("about").and_then(|a| serde_json::from_str(a).ok()));
    let norm = about.and_then(|a| a.get("directions")?.get(name)?.get("norm")?.as_f64()).map(|n| n as f32);
    Ok(Direction { vector: found, norm, shuffled })
}
