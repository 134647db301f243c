//! Kernels that need neither planes nor matrix units: copies into buffers and caches, and attention as an online
//! softmax in f32 over tiles of [`TILE`] keys (Milakov & Gimelshein 2018; as in FlashAttention).
use super::sums::soft_cap;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Units of a cube of `attend`, and the largest head dimension that it takes.
pub const UNITS: usize = 256;
/// Units that compute the score of one key together.
const PARTS: usize = 4;
/// Keys per tile.
pub const TILE: usize = UNITS / PARTS;

/// Copies `n` numbers to the beginning of a buffer, one per unit.
#[cube(launch)]
pub fn copy<T: Numeric>(to: &mut [T], from: &[T], n: usize) {
    if ABSOLUTE_POS < n {
        to[ABSOLUTE_POS] = from[ABSOLUTE_POS];
    }
}

/// Writes `rows` `[tokens, heads, dim]` to a cache `[slots, heads, keys, dim]` at `at` (slot and index per token).
/// One cube per token and head.
#[cube(launch)]
pub fn place<F: Float>(cache: &mut Tensor<F>, rows: &[F], at: &[i32], heads: usize, dim: usize) {
    let token = CUBE_POS / heads;
    let head = CUBE_POS % heads;
    let slot = at[2 * token] as usize;
    let index = at[2 * token + 1] as usize;
    let to = slot * cache.stride(0) + head * cache.stride(1) + index * cache.stride(2);
    let from = CUBE_POS * dim;
    let mut d = UNIT_POS as usize;
    while d < dim {
        cache[to + d] = rows[from + d];
        d += CUBE_DIM as usize;
    }
}

/// Attention of rows of one token each. One cube per row and key head; `groups` query heads share its keys. `q` and
/// `out` are `[rows, kv_heads × groups, dim]`; `keys` and `values` `[slots, kv_heads, ring, dim]`, position p at
/// index p mod `ring`; `at` holds slot, first key and end of keys per row. `dim` is a multiple of 8 up to [`UNITS`].
#[cube(launch)]
pub fn attend<F: Float>(
    q: &[F],
    keys: &Tensor<F>,
    values: &Tensor<F>,
    at: &[i32],
    out: &mut [F],
    kv_heads: usize,
    ring: usize,
    cap: f32,
    #[comptime] capped: bool,
    #[comptime] groups: usize,
    #[comptime] dim: usize,
) {
    let unit = UNIT_POS as usize;
    let row = CUBE_POS / kv_heads;
    let head = CUBE_POS % kv_heads;
    let slot = at[3 * row] as usize;
    let lo = at[3 * row + 1] as usize;
    let hi = at[3 * row + 2] as usize;
    let key_base = slot * keys.stride(0) + head * keys.stride(1);
    let key_step = keys.stride(2);
    let value_base = slot * values.stride(0) + head * values.stride(1);
    let value_step = values.stride(2);
    // This cube's queries, and later its outputs, are contiguous.
    let q_base = CUBE_POS * groups * dim;

    let mut query = Shared::<[f32]>::new_slice(comptime!(groups * dim));
    let mut part = Shared::<[f32]>::new_slice(comptime!(groups * UNITS));
    let mut score = Shared::<[f32]>::new_slice(comptime!(groups * TILE));
    let mut i = unit;
    while i < groups * dim {
        query[i] = f32::cast_from(q[q_base + i]);
        i += UNITS;
    }
    let mut highest = Array::<f32>::new(groups);
    let mut total = Array::<f32>::new(groups);
    let mut sum = Array::<f32>::new(groups);
    #[unroll]
    for g in 0..groups {
        highest[g] = f32::new(-1e30);
        total[g] = f32::new(0.0);
        sum[g] = f32::new(0.0);
    }
    sync_cube();

    let mut base = lo;
    while base < hi {
        // [`PARTS`] units score a key together; each takes eight consecutive dimensions in turn.
        let key = base + unit / PARTS;
        let mut dot = Array::<f32>::new(groups);
        #[unroll]
        for g in 0..groups {
            dot[g] = f32::new(0.0);
        }
        if key < hi {
            let from = key_base + (key % ring) * key_step;
            let mut d = (unit % PARTS) * 8;
            while d < dim {
                #[unroll]
                for e in 0..8usize {
                    let k = f32::cast_from(keys[from + d + e]);
                    #[unroll]
                    for g in 0..groups {
                        dot[g] += k * query[g * dim + d + e];
                    }
                }
                d += 8 * PARTS;
            }
        }
        #[unroll]
        for g in 0..groups {
            part[g * UNITS + unit] = dot[g];
        }
        sync_cube();
        let mine = base + unit < hi;
        if unit < TILE {
            #[unroll]
            for g in 0..groups {
                let mut s = f32::new(0.0);
                #[unroll]
                for i in 0..PARTS {
                    s += part[g * UNITS + unit * PARTS + i];
                }
                score[g * TILE + unit] = select(mine, soft_cap(s, cap, capped), f32::new(-1e30));
            }
        }
        sync_cube();
        #[unroll]
        for g in 0..groups {
            let before = highest[g];
            let mut most = before;
            for j in 0..TILE {
                most = most.max(score[g * TILE + j]);
            }
            let shrink = (before - most).exp();
            highest[g] = most;
            total[g] = total[g] * shrink;
            sum[g] = sum[g] * shrink;
        }
        sync_cube();
        if unit < TILE {
            #[unroll]
            for g in 0..groups {
                let p = (score[g * TILE + unit] - highest[g]).exp();
                score[g * TILE + unit] = select(mine, p, f32::new(0.0));
            }
        }
        sync_cube();
        // Each unit accumulates one dimension of the values.
        if unit < dim {
            let count = select(hi - base > TILE, TILE.runtime(), hi - base);
            let mut index = base % ring;
            for j in 0..count {
                let v = f32::cast_from(values[value_base + index * value_step + unit]);
                #[unroll]
                for g in 0..groups {
                    let p = score[g * TILE + j];
                    total[g] += p;
                    sum[g] += p * v;
                }
                index = select(index + 1 == ring, 0usize.runtime(), index + 1);
            }
        }
        sync_cube();
        base += TILE;
    }
    if unit < dim {
        #[unroll]
        for g in 0..groups {
            out[q_base + g * dim + unit] = F::cast_from(sum[g] / total[g]);
        }
    }
}
