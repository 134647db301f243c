//! The KV cache of all slots (one slot per conversation): every position in layers without a window, a ring buffer in
//! layers with one.
use crate::Model;
use crate::gpu::GpuCache;
use crate::host::attention::LayerCache;
use friction_checkpoint::Arch;

/// Dimensions of a KV cache. All counts are per layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Number of slots: conversations held at once, and a spare slot for padding rows on a GPU (see
    /// [`crate::decoder::spare_slots`]).
    pub slots: usize,
    /// Positions per slot in a layer without a window: the longest sequence, a multiple of 16.
    pub capacity: usize,
    /// Positions per slot in a layer with one: the window plus room, rounded up to a multiple of 16, at most
    /// `capacity`.
    pub ring: usize,
}

impl CacheShape {
    /// A cache of `slots` sequences of up to `capacity` tokens. `room` (tokens) is how far a slot can be rolled back,
    /// or filled in one step, without losing keys that a sliding layer still attends to.
    pub fn new(arch: &Arch, slots: usize, capacity: usize, room: usize) -> Self {
        // Multiples of 16, so that a 16 × 16 tile of the matrix units never wraps around a ring.
        let capacity = capacity.next_multiple_of(16);
        let ring = arch.window().map_or(capacity, |window| (window + room).next_multiple_of(16).min(capacity));
        Self { slots, capacity, ring }
    }

    /// Positions per slot of each layer.
    pub(crate) fn positions<'a>(&'a self, arch: &'a Arch) -> impl Iterator<Item = usize> + 'a {
        (0..arch.layers()).map(|l| if arch.kind(l).window.is_some() { self.ring } else { self.capacity })
    }

    /// Bytes of the largest single buffer: the keys of one layer, all slots. `dtype_bytes` is the size of one number.
    pub fn buffer_bytes(&self, arch: &Arch, dtype_bytes: usize) -> u64 {
        let keys = self.positions(arch).max().unwrap_or(0);
        (self.slots * keys * arch.kv_heads * arch.head_dim * dtype_bytes) as u64
    }

    /// Bytes of all keys and values: every layer, every slot.
    pub fn bytes(&self, arch: &Arch, dtype_bytes: usize) -> u64 {
        let per_key = (2 * arch.kv_heads * arch.head_dim * dtype_bytes) as u64;
        let keys: u64 = self.positions(arch).map(|n| n as u64).sum();
        per_key * keys * self.slots as u64
    }
}

/// Keys and values of every layer. Position p of a slot is stored at index p mod (positions of that layer). On a GPU
/// a clone shares the buffers; on the processor it copies them.
#[derive(Clone)]
pub struct KvCache {
    /// Dimensions that it was allocated with.
    pub shape: CacheShape,
    /// Per layer, on the processor: f32 whatever the model's dtype. Empty on a GPU.
    pub(crate) host: Vec<LayerCache>,
    /// On a GPU; `None` on the processor.
    pub(crate) gpu: Option<GpuCache>,
}

impl KvCache {
    /// Allocates zeros on the model's device. Called by [`Model::cache`].
    pub(crate) fn new(model: &Model, shape: CacheShape) -> Self {
        let arch = &model.arch;
        if model.on_gpu() {
            return Self { shape, host: vec![], gpu: GpuCache::new(arch, shape, &model.device, model.dtype) };
        }
        let layer = |n| LayerCache::new(shape.slots, arch.kv_heads, n, arch.head_dim);
        Self { shape, host: shape.positions(arch).map(layer).collect(), gpu: None }
    }

    /// Copies positions `0..len` of slot `from` to slot `to`, in every layer. In a layer with a window it copies the whole
    /// ring where `len` exceeds it.
    pub fn fork(&mut self, from: usize, to: usize, len: usize) {
        if len > 0 {
            self.host.iter_mut().for_each(|layer| layer.fork(from, to, len));
            self.gpu.iter_mut().for_each(|gpu| gpu.fork(from, to, len));
        }
    }

    /// Whether a slot that was filled to `filled` positions can be rolled back to `at` ≤ `filled`, i.e. whether its
    /// rings still hold every key that a layer with a window attends to from position `at` on.
    pub fn can_roll_back(&self, arch: &Arch, filled: usize, at: usize) -> bool {
        let Some(window) = arch.window().filter(|_| filled > self.shape.ring) else { return true };
        // The ring's oldest key is at filled − ring; position `at` attends back to at − window + 1.
        (at + 1).saturating_sub(window) >= filled - self.shape.ring
    }
}
