//! Attention of rows of one token: the keys of a row are dealt out to planes, each of which keeps a running
//! softmax in f32 (Milakov & Gimelshein 2018) over its own; cubes that share a row leave partial sums to
//! `gather` (flash decoding, Dao et al. 2023).
use super::sums::lanes_sum;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Planes of a cube.
pub const PLANES: usize = 4;

/// Keys that a plane asks for before it waits.
const AHEAD: usize = 4;

/// Cubes: rows × key heads, splits. `at` holds slot, first key and end of each row; strides count vectors.
/// A unit holds `chunks` vectors of each of the `groups` query heads that share a key head. With one split,
/// `out` is the result; else sums in `partial` and their weights in `stats`.
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
                let s = plane_sum(lanes_sum::<N>(dot));
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

    // The planes of a cube come together.
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

/// One cube a row and query head: what its splits left, as one.
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
