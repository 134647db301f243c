//! A decoder that is loaded on a device. `network.rs` holds its forward pass.
use crate::buffers::room;
use crate::cache::{CacheShape, KvCache};
use crate::gpu::Gpu;
use crate::host::Host;
use crate::network::Network;
use crate::rope::Rope;
use crate::step::{Probe, Step};
use crate::{Error, Result};
use burn::tensor::{DType, Device, Int, Tensor};
use friction_checkpoint::Arch;
use friction_checkpoint::weights::TensorSource;
use friction_core::manifest::Quantize;

pub use crate::floats::floats;

/// A decoder, loaded on a device.
pub struct Model {
    /// Its architecture.
    pub arch: Arch,
    /// The device that holds it.
    pub device: Device,
    /// Type of the matrix products and, on a GPU, of the KV cache. The residual stream is f32 whatever it is.
    pub dtype: DType,
    pub(crate) network: On,
}

/// The weights, with the kernels of the device that holds them.
// There is one, which is never moved.
#[allow(clippy::large_enum_variant)]
pub(crate) enum On {
    Host(Network<Host>),
    Gpu(Network<Gpu>),
}

impl Model {
    /// Loads weights without quantising them. `progress` is called after each tensor with the bytes of its f32 form.
    ///
    /// # Errors
    /// When a tensor is missing or its shape differs from what the config says, or the device's largest buffer is too
    /// small.
    pub fn load(
        arch: &Arch,
        source: &dyn TensorSource,
        device: &Device,
        dtype: DType,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        Self::load_as(arch, source, device, (dtype, Quantize::None), progress)
    }

    /// [`Self::load`], with the weight matrices quantised to blocks (q8 or q4) as `quantize` says.
    ///
    /// # Errors
    /// As [`Self::load`], and when the width of a matrix is not a multiple of the block size.
    pub fn load_as(
        arch: &Arch,
        source: &dyn TensorSource,
        device: &Device,
        (dtype, quantize): (DType, Quantize),
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let scale = embed_scale(arch, dtype);
        let network = match Gpu::open(device, dtype, quantize) {
            Some(kernels) => {
                room(arch, dtype, kernels.largest())?;
                On::Gpu(Network::load(kernels, arch, source, device, scale, progress)?)
            }
            None => {
                let kernels = Host { device: device.clone(), dtype, quantize };
                On::Host(Network::load(kernels, arch, source, device, scale, progress)?)
            }
        };
        Ok(Self { arch: arch.clone(), device: device.clone(), dtype, network })
    }

    /// Whether a GPU holds it.
    pub fn on_gpu(&self) -> bool {
        matches!(self.network, On::Gpu(_))
    }

    /// Bytes of the GPU's largest buffer; `None` on the processor.
    pub fn largest_buffer(&self) -> Option<u64> {
        match &self.network {
            On::Gpu(n) => n.kernels.largest(),
            On::Host(_) => None,
        }
    }

    /// RoPE of each kind of layer.
    pub(crate) fn ropes(&self) -> &[Rope] {
        match &self.network {
            On::Host(n) => &n.ropes,
            On::Gpu(n) => &n.ropes,
        }
    }

    /// Allocates a KV cache for this model. Computes the RoPE tables of all its positions as well, so that no later
    /// step computes or allocates them.
    pub fn cache(&self, shape: CacheShape) -> KvCache {
        self.ropes().iter().for_each(|rope| rope.reach(shape.capacity));
        KvCache::new(self, shape)
    }

    /// Bytes of one number in the KV cache: f32 on the processor, the model's dtype on a GPU.
    pub fn key_bytes(&self) -> usize {
        if self.on_gpu() { self.dtype } else { DType::F32 }.size()
    }

    /// Runs a forward pass: writes the step's keys and values to `cache` and returns f32 logits `[wanted, vocab]`, or
    /// `None` where the step wants none. `probe` is called at every site that it wants.
    ///
    /// # Errors
    /// When a token id, slot or position is out of range, or the segments' lengths do not add up to the ids.
    pub fn forward(&self, step: &Step, cache: &mut KvCache, probe: &mut dyn Probe) -> Result<Option<Tensor<2>>> {
        self.check(step, cache)?;
        Ok(match &self.network {
            On::Host(n) => n.run(step, cache, probe),
            On::Gpu(n) => n.run(step, cache, probe),
        })
    }

    /// x `[rows, in]` · wᵀ, w `[out, in]`: the matrix product on which a prefill's throughput depends, for
    /// benchmarks. On a GPU it uses the kernel that a prefill of so many rows uses; on the processor it is Burn's
    /// product.
    pub fn prompt_product(&self, x: Tensor<2>, w: &Tensor<2>) -> Tensor<2> {
        match &self.network {
            On::Gpu(n) => n.kernels.prompt_product(x, w),
            On::Host(_) => matmul(true, x, w.clone().transpose()),
        }
    }

    /// Bytes of all weight matrices in the form in which they are held (norm weights and biases are not counted).
    pub fn weight_bytes(&self) -> u64 {
        match &self.network {
            On::Host(n) => n.weight_bytes(),
            On::Gpu(n) => n.weight_bytes(),
        }
    }

    /// The argmax of each row of logits, `[rows, 1]`; the lowest id among equals.
    pub fn best(&self, logits: &Tensor<2>) -> Tensor<2, Int> {
        match &self.network {
            On::Gpu(n) => n.kernels.argmax(logits.clone()),
            On::Host(_) => logits.clone().argmax(1),
        }
    }

    pub(crate) fn check(&self, step: &Step, cache: &KvCache) -> Result<()> {
        let total: usize = step.segments.iter().map(|s| s.len).sum();
        if total != step.ids.len() || total == 0 {
            return Err(Error::Step(format!("a step of {} ids has segments of {total} tokens", step.ids.len())));
        }
        if let Some(id) = step.ids.iter().find(|i| **i as usize >= self.arch.vocab) {
            return Err(Error::Step(format!("token id {id} is not in the vocabulary of {}", self.arch.vocab)));
        }
        let CacheShape { slots, capacity, ring } = cache.shape;
        for s in &step.segments {
            if s.slot >= slots || s.start + s.len > capacity {
                return Err(Error::Step(format!("slot {} cannot hold position {}", s.slot, s.start + s.len)));
            }
            if ring < capacity && self.arch.window().is_some_and(|w| s.len + w > ring + 1) {
                return Err(Error::Step(format!("{} tokens at once do not fit the ring of {ring}", s.len)));
            }
        }
        Ok(())
    }
}

/// Factor of embeddings: √hidden, rounded to the model's dtype as transformers does, or 1.
fn embed_scale(arch: &Arch, dtype: DType) -> f32 {
    let s = if arch.scale_embeddings { (arch.hidden as f64).sqrt() as f32 } else { 1.0 };
    match dtype {
        DType::BF16 => half::bf16::from_f32(s).to_f32(),
        DType::F16 => half::f16::from_f32(s).to_f32(),
        _ => s,
    }
}

/// Rows to which a product with `width` output columns is padded, so that a row's result is bit for bit the same
/// whatever rows are beside it; `flex` says whether the device is the processor.
///
/// Burn's Flex backend multiplies with the `gemm` crate. Its blocking, and so the order of summation, depends
/// only on the columns and the inner dimension, with two exceptions: a product of one row, and outputs of up to
/// 256 values. Padding avoids both. A cache of one slot has no neighbouring rows and keeps the fast one-row path.
pub fn least_rows(flex: bool, width: usize) -> usize {
    if flex { (256 / width + 1).max(2) } else { 1 }
}

/// A matrix product in the dtype of its inputs. In f32 no input is rounded to tf32 or lower on any device (see
/// `gpu`). `flex`: the tensors are on the processor.
pub fn matmul<const D: usize>(flex: bool, a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    if flex || a.dtype() != DType::F32 { a.matmul(b) } else { crate::gpu::exact_product(a, b) }
}
