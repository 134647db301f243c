//! The KV cache of all slots (one slot per conversation): every position in global layers, a ring buffer in
//! sliding-window layers.
use crate::attention::Kept;
use crate::{Config, Gemma3};
#[cfg(feature = "cube")]
use burn::tensor::Tensor;

/// Dimensions of a KV cache. All counts are per layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Number of slots: conversations held at once, and a spare slot for padding rows on a GPU (see
    /// [`crate::decoder::spare_slots`]).
    pub slots: usize,
    /// Positions per slot in a global layer: the longest sequence, a multiple of 16.
    pub capacity: usize,
    /// Positions per slot in a sliding layer: the window plus room, rounded up to a multiple of 16, at most
    /// `capacity`.
    pub ring: usize,
}

impl CacheShape {
    /// A cache of `slots` sequences of up to `capacity` tokens. `room` (tokens) is how far a slot can be rolled back,
    /// or filled in one step, without losing keys that a sliding layer still attends to.
    pub fn new(config: &Config, slots: usize, capacity: usize, room: usize) -> Self {
        // Multiples of 16, so that a 16 × 16 tile of the matrix units never wraps around a ring.
        let capacity = capacity.next_multiple_of(16);
        Self { slots, capacity, ring: (config.window + room).next_multiple_of(16).min(capacity) }
    }

    /// Bytes of the largest single buffer: the keys of one layer, all slots. `dtype_bytes` is the size of one number.
    pub fn buffer_bytes(&self, config: &Config, dtype_bytes: usize) -> u64 {
        let keys = if config.global.contains(&true) { self.capacity } else { self.ring };
        (self.slots * keys * config.kv_heads * config.head_dim * dtype_bytes) as u64
    }

    /// Bytes of all keys and values: every layer, every slot.
    pub fn bytes(&self, config: &Config, dtype_bytes: usize) -> u64 {
        let per_key = (2 * config.kv_heads * config.head_dim * dtype_bytes) as u64;
        let keys: u64 = config.global.iter().map(|g| if *g { self.capacity } else { self.ring } as u64).sum();
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
    pub(crate) host: Vec<Kept>,
    /// Per layer, on a GPU: keys and values, each `[slots, kv_heads, positions, head_dim]` in the model's dtype.
    /// Empty on the processor.
    #[cfg(feature = "cube")]
    pub(crate) layers: Vec<(Tensor<4>, Tensor<4>)>,
    #[cfg(feature = "cube")]
    keys: Vec<usize>,
}

impl KvCache {
    /// Allocates zeros on the model's device. Called by [`Gemma3::cache`].
    pub(crate) fn new(model: &Gemma3, shape: CacheShape) -> Self {
        let config = &model.config;
        let keys: Vec<usize> = config.global.iter().map(|g| if *g { shape.capacity } else { shape.ring }).collect();
        let host = keys.iter().filter(|_| model.flex);
        let host = host.map(|n| Kept::new(shape.slots, config.kv_heads, *n, config.head_dim)).collect();
        #[cfg(feature = "cube")]
        let layers = keys.iter().filter(|_| !model.flex).map(|n| {
            let on = (&model.device, model.dtype);
            let zeros = || Tensor::zeros([shape.slots, config.kv_heads, *n, config.head_dim], on);
            (zeros(), zeros())
        });
        Self {
            shape,
            host,
            #[cfg(feature = "cube")]
            layers: layers.collect(),
            #[cfg(feature = "cube")]
            keys,
        }
    }

    /// Copies positions `0..len` of slot `from` to slot `to`, in every layer. In a sliding layer it copies the whole
    /// ring where `len` exceeds it.
    pub fn fork(&mut self, from: usize, to: usize, len: usize) {
        if len > 0 {
            self.host.iter_mut().for_each(|kept| kept.fork(from, to, len));
        }
        #[cfg(feature = "cube")]
        for ((k, v), n) in self.layers.iter_mut().zip(&self.keys) {
            let count = len.min(*n);
            if count == 0 {
                continue;
            }
            for t in [k, v] {
                let [_, h, _, d] = t.dims();
                let places = crate::gpu::Places::copied(to, count, &t.device());
                let part = t.clone().slice([from..from + 1, 0..h, 0..count, 0..d]).squeeze_dim::<3>(0);
                crate::gpu::place(t, part.swap_dims(0, 1), &places);
            }
        }
    }

    /// Whether a slot that was filled to `filled` positions can be rolled back to `at` ≤ `filled`, i.e. whether its
    /// rings still hold every key that a sliding layer attends to from position `at` on.
    pub fn can_roll_back(&self, config: &Config, filled: usize, at: usize) -> bool {
        if config.global.iter().all(|g| *g) || filled <= self.shape.ring {
            return true;
        }
        // The ring's oldest key is at filled − ring; position `at` attends back to at − window + 1.
        (at + 1).saturating_sub(config.window) >= filled - self.shape.ring
    }
}
