//! Gemma's RMSNorm.
use burn::tensor::Tensor;

/// x · rsqrt(mean(x²) + eps) · w over the last dimension, in f32. `w` is Gemma's 1 + γ.
/// (Zhang & Sennrich 2019, arXiv 1910.07467; the offset is Gemma's.)
pub fn rms<const D: usize>(x: Tensor<D>, w: &Tensor<1>, eps: f64) -> Tensor<D> {
    let scale = (x.clone().square().mean_dim(D - 1) + eps).sqrt().recip();
    x * scale * w.clone().unsqueeze()
}
