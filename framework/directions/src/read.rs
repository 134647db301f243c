//! Reads directions from a safetensors file.
use friction_core::{Error, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// A direction, with what its file says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// The vector, `[width]`, in units of the activations; finite and not zero.
    pub vector: Vec<f32>,
    /// Mean norm of the activations at its site; `None` where the file has no `about`.
    pub norm: Option<f32>,
    /// The directions of shuffled labels, `<site>/shuffled-0` and on, of the same width.
    pub shuffled: Vec<Vec<f32>>,
}

/// The names of all directions of a file, sorted, without those of shuffled labels.
///
/// # Errors
/// When the file cannot be read, or holds no f32 vector.
pub fn names(path: &Path) -> Result<Vec<String>> {
    let bytes = bytes(path)?;
    let st = parsed(path, &bytes)?;
    let mut names: Vec<String> = st
        .tensors()
        .into_iter()
        .filter(|(name, t)| is_vector(t) && !name.contains(SHUFFLED))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    match names.is_empty() {
        true => Err(wrong(path, "holds no f32 vector: it is no file of directions")),
        false => Ok(names),
    }
}

/// Stands in the names of directions of shuffled labels.
const SHUFFLED: &str = "/shuffled-";

fn is_vector(t: &TensorView) -> bool {
    t.dtype() == Dtype::F32 && t.shape().len() == 1
}

fn wrong(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::config(format!("{}: {what}", path.display()))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        wrong(path, format!("{e}. Directions are written by the analyzer `linear-probe` into its folder of a run"))
    })
}

fn parsed<'b>(path: &Path, bytes: &'b [u8]) -> Result<SafeTensors<'b>> {
    SafeTensors::deserialize(bytes).map_err(|e| wrong(path, format!("is no safetensors file: {e}")))
}

/// Reads the direction `name`, such as `resid_post.9/mean-difference`, with the shuffled directions of its site.
///
/// # Errors
/// When the file cannot be read, or holds no f32 vector of that name (the message lists its names), or a vector is
/// zero, not finite or of another width, or `about` cannot be read.
pub fn read(path: &Path, name: &str) -> Result<Direction> {
    let wrong = |what: String| wrong(path, what);
    let bytes = bytes(path)?;
    let st = parsed(path, &bytes)?;
    let vector = |name: &str| -> Option<Vec<f32>> {
        let t = st.tensor(name).ok().filter(is_vector)?;
        Some(t.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    };
    let Some(found) = vector(name) else {
        let mut names: Vec<&str> = st.names().into_iter().filter(|n| !n.contains(SHUFFLED)).collect();
        names.sort_unstable();
        return Err(wrong(format!("holds no f32 vector `{name}`; it holds {}", names.join(", "))));
    };
    let along = |name: &str, v: Vec<f32>| match v.iter().all(|x| x.is_finite()) && v.iter().any(|x| *x != 0.0) {
        true => Ok(v),
        false => Err(wrong(format!("`{name}` is no direction: it is zero or not finite"))),
    };
    let site = name.split('/').next().unwrap_or(name);
    let shuffled = (0..)
        .map(|n| format!("{site}/shuffled-{n}"))
        .map_while(|name| vector(&name).map(|v| along(&name, v)))
        .collect::<Result<Vec<_>>>()?;
    let found = along(name, found)?;
    if let Some(n) = shuffled.iter().position(|v| v.len() != found.len()) {
        return Err(wrong(format!("`{site}/shuffled-{n}` is not as wide as `{name}`")));
    }
    Ok(Direction { vector: found, norm: norm(&bytes, name).map_err(wrong)?, shuffled })
}

/// The mean norm of the activations from the header's `about`. Files of other tools have none.
fn norm(bytes: &[u8], name: &str) -> std::result::Result<Option<f32>, String> {
    let Some(about) = SafeTensors::read_metadata(bytes)
        .ok()
        .and_then(|(_, m)| m.metadata().as_ref().and_then(|m| m.get("about").cloned()))
    else {
        return Ok(None);
    };
    let about: serde_json::Value =
        serde_json::from_str(&about).map_err(|e| format!("the header's `about` is no JSON: {e}"))?;
    let norm = about.get("directions").and_then(|d| d.get(name)?.get("norm")).filter(|n| !n.is_null());
    let Some(norm) = norm else { return Ok(None) };
    match norm.as_f64().map(|n| n as f32).filter(|n| *n > 0.0 && n.is_finite()) {
        Some(n) => Ok(Some(n)),
        None => Err(format!("the header's `about` says that activations at `{name}` have a norm of {norm}")),
    }
}
