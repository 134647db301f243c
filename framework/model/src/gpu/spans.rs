//! Decode attention: rows of one token each (flash decoding, Dao et al. 2023). A row's keys are distributed over
//! planes, and over several cubes where rows are few. Each plane keeps an online softmax in f32 over its keys
//! (Milakov & Gimelshein 2018). The planes of a cube combine their results in shared memory; cubes that share a row
//! write partial results, which `gather` combines.
use super::sums::{lanes_sum, soft_cap};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Planes per cube.
pub const PLANES: usize = 4;

/// Keys that a plane loads before it uses the first.
const AHEAD: usize = 4;

/// One cube per row and key head (x) and split of the keys (y). The units of a plane compute a key's score together:
/// each holds `chunks` vectors of the head dimension, for each of the `groups` query heads that share the key head.
///
/// `q` and `out` are `[rows, kv_heads × groups, dim]`, `keys` and `values` `[slots, kv_heads, ring, dim]`, position p
/// at index p mod `ring`. `at` holds slot, first key and end of keys per row. Strides count vectors. With one split
/// the result goes to `out`; otherwise weighted sums go to `partial` and (maximum score, sum of weights) to `stats`.
#[cube(launch)]
pub fn spans<F: Float, N: Size>(
    q: &[Vector<F, N>],
    keys: &[Vector<F, N>],
    values: &[Vector<F, N>],
    at: &[i32],
    out: &mut [Vector<F, N>],
    partial: &mut [f32],
    stats: &mut [f32],
    slot_stride: usize,
    head_stride: usize,
    key_stride: usize,
    kv_heads: usize,
    ring: usize,
    cap: f32,
    #[comptime] capped: bool,
    #[comptime] groups: usize,
    #[comptime] chunks: usize,
    #[comptime] plane: usize,
    #[comptime] splits: usize,
) {
    let n = N::value();
    let line = comptime!(plane * chunks);
    let dim = comptime!(plane * chunks * n);
    let unit = UNIT_POS as usize;
    let lane = unit % plane;
    let mine = unit / plane;
    let place = CUBE_POS_X as usize;
    let split = CUBE_POS_Y as usize;
    let row = place / kv_heads;
    let head = place % kv_heads;
    let slot = at[3 * row] as usize;
    let lo = at[3 * row + 1] as usize;
    let hi = at[3 * row + 2] as usize;
    let base = slot * slot_stride + head * head_stride;

    let mut query = Array::<Vector<f32, N>>::new(comptime!(groups * chunks));
    let mut sums = Array::<Vector<f32, N>>::new(comptime!(groups * chunks));
    let mut highest = Array::<f32>::new(groups);
    let mut total = Array::<f32>::new(groups);
    #[unroll]
    for g in 0..groups {
        highest[g] = f32::new(-1e30);
        total[g] = f32::new(0.0);
        #[unroll]
        for c in 0..chunks {
            query[g * chunks + c] = Vector::cast_from(q[(place * groups + g) * line + c * plane + lane]);
            sums[g * chunks + c] = Vector::zeroed();
        }
    }

    let step = comptime!(PLANES * splits * AHEAD);
    let mut first = lo + (split * PLANES + mine) * AHEAD;
    while first < hi {
        let mut k = Array::<Vector<F, N>>::new(comptime!(AHEAD * chunks));
        let mut v = Array::<Vector<F, N>>::new(comptime!(AHEAD * chunks));
        #[unroll]
        for a in 0..AHEAD {
            let known = select(first + a < hi, first + a, hi - 1);
            let from = base + (known % ring) * key_stride + lane;
            #[unroll]
            for c in 0..chunks {
                k[a * chunks + c] = keys[from + c * plane];
                v[a * chunks + c] = values[from + c * plane];
            }
        }
        #[unroll]
        for g in 0..groups {
            let mut score = Array::<f32>::new(AHEAD);
            let mut most = highest[g];
            #[unroll]
            for a in 0..AHEAD {
                let mut dot = Vector::<f32, N>::zeroed();
                #[unroll]
                for c in 0..chunks {
                    dot += Vector::cast_from(k[a * chunks + c]) * query[g * chunks + c];
                }
                let s = soft_cap(plane_sum(lanes_sum::<N>(dot)), cap, capped);
                score[a] = select(first + a < hi, s, f32::new(-1e30));
                most = most.max(score[a]);
            }
            let shrink = (highest[g] - most).exp();
            highest[g] = most;
            total[g] *= shrink;
            #[unroll]
            for c in 0..chunks {
                sums[g * chunks + c] *= Vector::new(shrink);
            }
            #[unroll]
            for a in 0..AHEAD {
                let p = (score[a] - most).exp();
                total[g] += p;
                #[unroll]
                for c in 0..chunks {
                    sums[g * chunks + c] += Vector::cast_from(v[a * chunks + c]) * Vector::new(p);
                }
            }
        }
        first += step;
    }

    // Combines the planes of the cube.
    let mut tops = Shared::<[f32]>::new_slice(comptime!(PLANES * groups));
    let mut totals = Shared::<[f32]>::new_slice(comptime!(PLANES * groups));
    let mut all = Shared::<[Vector<f32, N>]>::new_slice(comptime!(PLANES * groups * plane * chunks));
    #[unroll]
    for g in 0..groups {
        if lane == 0 {
            tops[mine * groups + g] = highest[g];
            totals[mine * groups + g] = total[g];
        }
        #[unroll]
        for c in 0..chunks {
            all[(mine * groups + g) * line + c * plane + lane] = sums[g * chunks + c];
        }
    }
    sync_cube();
    let mut i = unit;
    while i < comptime!(groups * plane * chunks) {
        let g = i / line;
        let d = i % line;
        let mut most = f32::new(-1e30);
        #[unroll]
        for p in 0..PLANES {
            most = most.max(tops[p * groups + g]);
        }
        let mut weight = f32::new(0.0);
        let mut sum = Vector::<f32, N>::zeroed();
        #[unroll]
        for p in 0..PLANES {
            let w = (tops[p * groups + g] - most).exp();
            weight += w * totals[p * groups + g];
            sum += all[(p * groups + g) * line + d] * Vector::new(w);
        }
        if comptime!(splits == 1) {
            out[(place * groups + g) * line + d] = Vector::cast_from(sum / Vector::new(weight));
        } else {
            let to = (place * splits + split) * groups + g;
            #[unroll]
            for e in 0..n {
                partial[to * dim + d * n + e] = sum.extract(e);
            }
            if d == 0 {
                stats[2 * to] = most;
                stats[2 * to + 1] = weight;
            }
        }
        i += comptime!(PLANES * plane);
    }
}

/// Combines the partial results of the splits. One cube per row and query head.
#[cube(launch)]
pub fn gather<F: Float>(
    partial: &[f32],
    stats: &[f32],
    out: &mut [F],
    #[comptime] groups: usize,
    #[comptime] dim: usize,
    #[comptime] splits: usize,
    #[comptime] units: usize,
) {
    let place = CUBE_POS / groups;
    let g = CUBE_POS % groups;
    let mut most = f32::new(-1e30);
    for s in 0..splits {
        most = most.max(stats[2 * ((place * splits + s) * groups + g)]);
    }
    let mut d = UNIT_POS as usize;
    while d < dim {
        let mut weight = f32::new(0.0);
        let mut sum = f32::new(0.0);
        for s in 0..splits {
            let from = (place * splits + s) * groups + g;
            let w = (stats[2 * from] - most).exp();
            weight += w * stats[2 * from + 1];
            sum += w * partial[from * dim + d];
        }
        out[CUBE_POS * dim + d] = F::cast_from(sum / weight);
        d += units;
    }
}
