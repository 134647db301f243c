//! Keys and values of all slots: whole for global layers, rings for sliding layers.
use crate::attention::Kept;
use crate::{Config, Gemma3};
#[cfg(feature = "cube")]
use burn::tensor::Tensor;

/// How many keys each kind of layer holds per slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Conversations.
    pub slots: usize,
    /// Longest sequence: keys of a global layer.
    pub capacity: usize,
    /// Keys of a sliding layer: window + room, or `capacity` where that is less.
    pub ring: usize,
}

impl CacheShape {
    /// `room` is how far a slot may be rolled back or filled in one step without losing keys that
    /// a sliding layer still sees.
    pub fn new(config: &Config, slots: usize, capacity: usize, room: usize) -> Self {
        // Whole sixteens, so that what matrix units take never wraps.
        let capacity = capacity.next_multiple_of(16);
        Self { slots, capacity, ring: (config.window + room).next_multiple_of(16).min(capacity) }
    }

    /// Bytes of the largest buffer: the keys of one layer.
    pub fn buffer_bytes(&self, config: &Config, dtype_bytes: usize) -> u64 {
        let keys = if config.global.contains(&true) { self.capacity } else { self.ring };
        (self.slots * keys * config.kv_heads * config.head_dim * dtype_bytes) as u64
    }

    /// Bytes for keys and values of all slots.
    pub fn bytes(&self, config: &Config, dtype_bytes: usize) -> u64 {
        let per_key = (2 * config.kv_heads * config.head_dim * dtype_bytes) as u64;
        let keys: u64 = config.global.iter().map(|g| if *g { self.capacity } else { self.ring } as u64).sum();
        per_key * keys * self.slots as u64
    }
}

/// Keys and values of every layer; position p stands at p mod keys. A clone on a GPU shares them.
#[derive(Clone)]
pub struct KvCache {
    /// Its shape.
    pub shape: CacheShape,
    /// Of the processor, in f32 whatever the model's type is.
    pub(crate) host: Vec<Kept>,
    /// Of a GPU, `[slots, kv_heads, keys, head_dim]`.
    #[cfg(feature = "cube")]
    pub(crate) layers: Vec<(Tensor<4>, Tensor<4>)>,
    #[cfg(feature = "cube")]
    keys: Vec<usize>,
}

impl KvCache {
    /// Allocates on the model's device; see [`Gemma3::cache`].
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

    /// Copies what slot `from` holds of positions `0..len` to slot `to`.
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

    /// Whether a slot that was filled up to `filled` still holds what a sliding layer sees at
    /// position `at` ≤ `filled`.
    pub fn can_roll_back(&self, config: &Config, filled: usize, at: usize) -> bool {
        if config.global.iter().all(|g| *g) || filled <= self.shape.ring {
            return true;
        }
        // The oldest key still there is filled − ring; position `at` sees back to at − window + 1.
        (at + 1).saturating_sub(config.window) >= filled - self.shape.ring
    }
}
