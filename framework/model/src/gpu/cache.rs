//! Keys and values in a GPU's memory.
use super::{Places, place};
use crate::cache::CacheShape;
use burn::tensor::{DType, Device, Tensor};
use friction_checkpoint::Arch;

/// Keys and values of every layer. A clone shares the buffers.
#[derive(Clone)]
pub struct GpuCache {
    /// Per layer: keys and values, each `[slots, kv_heads, positions, head_dim]` in the model's dtype.
    pub(crate) layers: Vec<(Tensor<4>, Tensor<4>)>,
}

impl GpuCache {
    /// Allocates zeros. Always `Some`; a binary without a GPU's features has none.
    pub fn new(arch: &Arch, shape: CacheShape, device: &Device, dtype: DType) -> Option<Self> {
        let zeros = |n: usize| Tensor::zeros([shape.slots, arch.kv_heads, n, arch.head_dim], (device, dtype));
        Some(Self { layers: shape.positions(arch).map(|n| (zeros(n), zeros(n))).collect() })
    }

    /// Copies positions `0..len` of slot `from` to slot `to`, in every layer: of a ring at most all of it.
    pub fn fork(&mut self, from: usize, to: usize, len: usize) {
        for t in self.layers.iter_mut().flat_map(|(k, v)| [k, v]) {
            let [_, h, n, d] = t.dims();
            let count = len.min(n);
            let places = Places::copied(to, count, &t.device());
            let part = t.clone().slice([from..from + 1, 0..h, 0..count, 0..d]).squeeze_dim::<3>(0);
            place(t, part.swap_dims(0, 1), &places);
        }
    }
}
