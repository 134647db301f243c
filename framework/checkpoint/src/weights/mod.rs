//! Reading weights by canonical name (`layers.N.self_attn.q_proj.weight`, as in transformers, without a prefix) from
//! safetensors, GGUF or a random generator.
pub mod blocks;
mod fit;
pub mod gguf;
pub mod random;
pub mod safetensors;

use crate::Result;

/// A checkpoint whose tensors can be read one at a time.
pub trait TensorSource: Send + Sync {
    /// Reads the tensor `name` as f32, row-major. Its shape must be `shape`. Norm weights are γ of 1 + γ.
    ///
    /// # Errors
    /// When it is missing, has another shape or a type that is not read.
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>>;
    /// Number of parameters of the text model's tensors.
    fn parameters(&self) -> u64;
}
