//! Keys and values of all slots: whole for global layers, rings for sliding layers.
use crate::Config;
use burn::tensor::{DType, Device, Tensor};

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

    /// Bytes for keys and values of all slots.
    pub fn bytes(&self, config: &Config, dtype_bytes: usize) -> u64 {
        let per_key = (2 * config.kv_heads * config.head_dim * dtype_bytes) as u64;
        let keys: u64 = config.global.iter().map(|g| if *g { self.capacity } else { self.ring } as u64).sum();
        per_key * keys * self.slots as u64
    }
}

/// Keys and values, `[slots, kv_heads, keys, head_dim]` per layer; position p stands at p mod keys. A clone
/// on a GPU shares them.
#[derive(Clone)]
pub struct KvCache {
    /// Its shape.
    pub shape: CacheShape,
    pub(crate) layers: Vec<(Tensor<4>, Tensor<4>)>,
    keys: Vec<usize>,
}

impl KvCache {
    /// Allocates on the device.
    pub fn new(config: &Config, shape: CacheShape, device: &Device, dtype: DType) -> Self {
        let keys: Vec<usize> = config.global.iter().map(|g| if *g { shape.capacity } else { shape.ring }).collect();
        let layers = keys
            .iter()
            .map(|n| {
                let zeros = || Tensor::zeros([shape.slots, config.kv_heads, *n, config.head_dim], (device, dtype));
                (zeros(), zeros())
            })
            .collect();
        Self { shape, layers, keys }
    }

    /// Writes keys and values `[kv_heads, tokens, head_dim]` of one slot from position `start` on.
    pub(crate) fn write(&mut self, layer: usize, slot: usize, start: usize, k: Tensor<3>, v: Tensor<3>) {
        let n = self.keys[layer];
        let [h, len, d] = k.dims();
        for (from, count, at) in pieces(start, start + len, n) {
            let part = |t: &Tensor<3>| t.clone().narrow(1, from - start, count).unsqueeze::<4>();
            let (kp, vp) = (part(&k), part(&v));
            let range = [slot..slot + 1, 0..h, at..at + count, 0..d];
            let (kc, vc) = &mut self.layers[layer];
            kc.inplace(|t| t.slice_assign(range.clone(), kp));
            vc.inplace(|t| t.slice_assign(range, vp));
        }
    }

    /// Views `[1, kv_heads, keys, head_dim]` of positions `lo..hi` of one slot, in order: one view,
    /// or two where the ring wraps.
    pub(crate) fn read(&self, layer: usize, slot: usize, lo: usize, hi: usize) -> Vec<(Tensor<4>, Tensor<4>)> {
        let (k, v) = &self.layers[layer];
        let [_, h, _, d] = k.dims();
        pieces(lo, hi, self.keys[layer])
            .into_iter()
            .map(|(_, count, at)| {
                let view = |t: &Tensor<4>| t.clone().slice([slot..slot + 1, 0..h, at..at + count, 0..d]);
                (view(k), view(v))
            })
            .collect()
    }

    /// Copies what slot `from` holds of positions `0..len` to slot `to`.
    pub fn fork(&mut self, from: usize, to: usize, len: usize) {
        for (layer, n) in self.keys.iter().enumerate() {
            let count = len.min(*n);
            if count == 0 {
                continue;
            }
            let (k, v) = &mut self.layers[layer];
            for t in [k, v] {
                let [_, h, _, d] = t.dims();
                #[cfg(feature = "cube")]
                if t.device() != Device::flex() {
                    let places = crate::gpu::Places::copied(to, count, &t.device());
                    let part = t.clone().slice([from..from + 1, 0..h, 0..count, 0..d]).squeeze_dim::<3>(0);
                    crate::gpu::place(t, part.swap_dims(0, 1), &places);
                    continue;
                }
                // A product by one makes the part a tensor of its own: a view would keep the cache
                // shared, and writing to it would copy it whole.
                let part = t.clone().slice([from..from + 1, 0..h, 0..count, 0..d]) * 1.0;
                t.inplace(|t| t.slice_assign([to..to + 1, 0..h, 0..count, 0..d], part));
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

/// Splits positions `lo..hi` into runs that are contiguous in a ring of `n`: (position, count, index).
fn pieces(lo: usize, hi: usize, n: usize) -> Vec<(usize, usize, usize)> {
    let mut out = vec![];
    let mut p = lo;
    while p < hi {
        let at = p % n;
        let count = (hi - p).min(n - at);
        out.push((p, count, at));
        p += count;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::pieces;
    #[test]
    fn rings_wrap() {
        assert_eq!(pieces(0, 4, 8), [(0, 4, 0)]);
        assert_eq!(pieces(6, 10, 8), [(6, 2, 6), (8, 2, 0)]);
        assert_eq!(pieces(16, 17, 8), [(16, 1, 0)]);
    }
}
