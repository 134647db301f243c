//! Helpers: folders of autoencoders, and comparison with expected values.
#![allow(missing_docs, dead_code, clippy::unwrap_used)]
pub mod files;
pub mod suites;
use friction_sae::Active;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::path::Path;

/// A tensor's name, shape and values.
pub type Named = (String, Vec<usize>, Vec<f32>);

/// Writes a configuration and tensors to `dir` under the file names `files`.
pub fn write(dir: &Path, config: &Value, files: (&str, &str), tensors: &[Named]) {
    std::fs::write(dir.join(files.0), config.to_string()).unwrap();
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views =
        tensors.iter().zip(&bytes).map(|((n, s, _), b)| (n, TensorView::new(Dtype::F32, s.clone(), b).unwrap()));
    safetensors::serialize_to_file(views, None, &dir.join(files.1)).unwrap();
}

/// The largest absolute difference.
pub fn near(got: &[f32], want: &Value) -> f64 {
    let want: Vec<f64> = want.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).abs()).fold(0.0, f64::max)
}

/// Activations of all features, row-major.
pub fn dense(rows: &[Vec<Active>], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows.len() * width];
    rows.iter().enumerate().for_each(|(i, r)| r.iter().for_each(|a| out[i * width + a.index as usize] = a.value));
    out
}
