//! Prefill attention on matrix units (FlashAttention, Dao et al. 2022, arXiv 2205.14135). A cube takes 64 rows
//! (tokens of one segment × the query heads that share a key head) and works through the keys in blocks of 64 with an
//! online softmax. The accumulators are rescaled only when a row's maximum score grows by more than [`SLACK`]: the
//! layout of a fragment in registers is unspecified, so rescaling goes through shared memory.
use super::fragment::{left, right, right_of_rows, zeros};
use super::plan::Able;
use super::sums::soft_cap;
use burn::tensor::DType;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Rows of a cube: 16 per plane.
pub const ROWS: usize = 64;
/// Units of a cube: four planes of 32.
pub const UNITS: usize = 128;
/// Keys per block.
const KEYS: usize = 64;
/// How far a score may exceed the reference that softmax weights are relative to, before accumulators are rescaled.
/// Weights up to e^8 ≈ 2981 fit in f16; sums are f32.
const SLACK: f32 = 8.0;
/// Pitch of a row of scores in shared memory, padded against bank conflicts.
const SCORES: usize = KEYS + 4;
/// Pitch of a row of softmax weights in shared memory.
const WEIGHTS: usize = KEYS + 8;

/// Whether the kernel takes heads of dimension `dim`, `groups` query heads per key head, on this device: dim a
/// multiple of 16 up to 256, at most 64 groups, enough shared memory, and matrix units for `dtype`. A tile holds whole tokens:
/// where 64 is no multiple of the groups, its last rows are unused.
pub fn takes(able: &Able, dtype: DType, groups: usize, dim: usize) -> bool {
    let shared = (ROWS + KEYS) * 2 * (dim + 8) + ROWS * (4 * SCORES + 2 * WEIGHTS) + 4096;
    groups <= ROWS && dim.is_multiple_of(16) && dim <= 256 && able.matrices(dtype, shared)
}

/// One cube per tile (x) and key head (y). `tiles` holds per tile: index of its first token in the step, number of
/// tokens, slot, position of the first token. `q` and `out` are `[tokens, kv_heads × groups, dim]`; `keys` and
/// `values` `[slots, kv_heads, ring, dim]`, `ring` a multiple of 16. Strides count vectors.
#[cube(launch)]
pub fn flash<F: Float, N: Size>(
    q: &[Vector<F, N>],
    keys: &[Vector<F, N>],
    values: &[Vector<F, N>],
    tiles: &[i32],
    out: &mut [F],
    slot_stride: usize,
    head_stride: usize,
    key_stride: usize,
    ring: usize,
    window: usize,
    cap: f32,
    #[comptime] capped: bool,
    #[comptime] kv_heads: usize,
    #[comptime] groups: usize,
    #[comptime] dim: usize,
) {
    let n = N::value();
    let line = comptime!(dim / n);
    let pitch = comptime!(dim / n + 1);
    let unit = UNIT_POS as usize;
    let lane = unit % 32;
    let plane = unit / 32;
    let tile = CUBE_POS_X as usize;
    let head = CUBE_POS_Y as usize;
    let token = tiles[4 * tile] as usize;
    let count = tiles[4 * tile + 1] as usize;
    let slot = tiles[4 * tile + 2] as usize;
    let position = tiles[4 * tile + 3] as usize;
    let base = slot * slot_stride + head * head_stride;

    // Row r of the tile is token r / groups, head r mod groups.
    let mut queries = Shared::<[Vector<F, N>]>::new_aligned_slice(comptime!(ROWS * pitch), 32usize);
    // Holds the keys of a block, then its values.
    let mut stage = Shared::<[Vector<F, N>]>::new_aligned_slice(comptime!(KEYS * pitch), 32usize);
    let mut scores = Shared::<[f32]>::new_aligned_slice(comptime!(ROWS * SCORES), 32usize);
    let mut weights = Shared::<[F]>::new_aligned_slice(comptime!(ROWS * WEIGHTS), 32usize);
    let mut scratch = Shared::<[f32]>::new_aligned_slice(1024usize, 32usize);
    #[unroll]
    for i in 0..comptime!(ROWS * line / UNITS) {
        let (r, d) = ((unit + i * UNITS) / line, (unit + i * UNITS) % line);
        let (t, g) = (r / groups, r % groups);
        let mut piece = Vector::<F, N>::zeroed();
        if t < count {
            piece = q[(((token + t) * kv_heads + head) * groups + g) * line + d];
        }
        queries[r * pitch + d] = piece;
    }
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(dim / 16) {
        sums.push(zeros());
    }
    // Two units share a row and take alternate keys.
    let row = plane * 16 + lane / 2;
    let side = lane % 2;
    let t = row / groups;
    let at = position + t;
    let mut highest = f32::new(-1e30);
    let mut total = f32::new(0.0);

    let lo = select(position + 1 > window, position + 1 - window, 0usize.runtime());
    let hi = position + count;
    let mut first = (lo / 16) * 16;
    while first < hi {
        sync_cube();
        #[unroll]
        for i in 0..comptime!(KEYS * line / UNITS) {
            let (k, d) = ((unit + i * UNITS) / line, (unit + i * UNITS) % line);
            stage[k * pitch + d] = keys[base + ((first + k) % ring) * key_stride + d];
        }
        sync_cube();
        let mut products = Sequence::<cmma::Matrix<f32>>::new();
        #[unroll]
        for _ in 0..comptime!(KEYS / 16) {
            products.push(zeros());
        }
        for k in 0..comptime!(dim / 16) {
            let from = plane * comptime!(16 * pitch) + k * comptime!(16 / n);
            let a = left::<F, Vector<F, N>>(&queries[from..comptime!(ROWS * pitch)], comptime!(pitch * n));
            #[unroll]
            for j in 0..comptime!(KEYS / 16) {
                let from = comptime!(j * 16 * pitch) + k * comptime!(16 / n);
                let b = right::<F, Vector<F, N>>(&stage[from..comptime!(KEYS * pitch)], comptime!(pitch * n));
                let product = products.index(j);
                cmma::execute(&a, &b, product, product);
            }
        }
        #[unroll]
        for j in 0..comptime!(KEYS / 16) {
            let to = plane * comptime!(16 * SCORES) + j * 16;
            cmma::store(
                &mut scores[to..comptime!(ROWS * SCORES)],
                products.index(j),
                comptime!(SCORES as u32),
                cmma::MatrixLayout::RowMajor,
            );
        }
        sync_cube();
        #[unroll]
        for i in 0..comptime!(KEYS * line / UNITS) {
            let (k, d) = ((unit + i * UNITS) / line, (unit + i * UNITS) % line);
            stage[k * pitch + d] = values[base + ((first + k) % ring) * key_stride + d];
        }

        let mut most = f32::new(-1e30);
        for j in 0..comptime!(KEYS / 2) {
            let key = first + 2 * j + side;
            let seen = key <= at && key + window > at && t < count;
            let score = soft_cap(scores[row * SCORES + 2 * j + side], cap, capped);
            most = most.max(select(seen, score, f32::new(-1e30)));
        }
        most = most.max(plane_shuffle_xor(most, 1u32));
        let opens = highest < f32::new(-1e29);
        let grows = !opens && most > highest + f32::new(SLACK);
        if plane_any(grows) {
            let shrink = select(grows, (highest - most).exp(), f32::new(1.0));
            total *= shrink;
            #[unroll]
            for d in 0..comptime!(dim / 16) {
                cmma::store(
                    &mut scratch[plane * 256..plane * 256 + 256],
                    sums.index(d),
                    16u32,
                    cmma::MatrixLayout::RowMajor,
                );
                sync_plane();
                #[unroll]
                for e in 0..8usize {
                    scratch[plane * 256 + lane * 8 + e] *= shrink;
                }
                sync_plane();
                cmma::load_with_layout(
                    sums.index_mut(d),
                    &scratch[plane * 256..plane * 256 + 256],
                    16u32,
                    cmma::MatrixLayout::RowMajor,
                );
                sync_plane();
            }
        }
        highest = select(opens || grows, most, highest);
        for j in 0..comptime!(KEYS / 2) {
            let key = first + 2 * j + side;
            let seen = key <= at && key + window > at && t < count;
            let score = soft_cap(scores[row * SCORES + 2 * j + side], cap, capped);
            let p = select(seen, (score - highest).exp(), f32::new(0.0));
            let rounded = F::cast_from(p);
            total += f32::cast_from(rounded);
            weights[row * WEIGHTS + 2 * j + side] = rounded;
        }
        sync_cube();

        let mut shares = Sequence::<cmma::Matrix<F>>::new();
        #[unroll]
        for j in 0..comptime!(KEYS / 16) {
            let from = plane * comptime!(16 * WEIGHTS) + j * 16;
            shares.push(left::<F, F>(&weights[from..comptime!(ROWS * WEIGHTS)], WEIGHTS));
        }
        #[unroll]
        for j in 0..comptime!(KEYS / 16) {
            #[unroll]
            for d in 0..comptime!(dim / 16) {
                let from = comptime!(j * 16 * pitch + d * (16 / n));
                let b = right_of_rows::<F, Vector<F, N>>(&stage[from..comptime!(KEYS * pitch)], comptime!(pitch * n));
                let sum = sums.index(d);
                cmma::execute(shares.index(j), &b, sum, sum);
            }
        }
        first += KEYS;
    }

    total += plane_shuffle_xor(total, 1u32);
    let query_head = head * groups + row % groups;
    #[unroll]
    for d in 0..comptime!(dim / 16) {
        cmma::store(&mut scratch[plane * 256..plane * 256 + 256], sums.index(d), 16u32, cmma::MatrixLayout::RowMajor);
        sync_plane();
        if t < count {
            let to = ((token + t) * comptime!(kv_heads * groups) + query_head) * dim + d * 16 + (lane % 2) * 8usize;
            #[unroll]
            for e in 0..8usize {
                out[to + e] = F::cast_from(scratch[plane * 256 + lane * 8 + e] / total);
            }
        }
        sync_plane();
    }
}
