//! Weights by canonical name (`layers.N.self_attn.q_proj.weight`), whatever file holds them.
pub mod blocks;
mod fit;
pub mod gguf;
pub mod random;
pub mod safetensors;

use crate::Result;

/// A set of tensors that can be read one at a time.
pub trait TensorSource: Send + Sync {
    /// The tensor `name` as f32, its shape checked against `shape`.
    ///
    /// # Errors
    /// When it is missing, has another shape or cannot be decoded.
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
    /// Bytes of all tensors of the text model in f32, for a progress bar.
    fn parameters(&self) -> u64;
}
