//! Split-K matrix products of up to 64 rows (128 without cuBLAS) with a large weight matrix. Reading the matrix once
//! takes most of the time, so the inner dimension is split over cubes until enough cubes run to saturate the memory
//! bandwidth.
//!
//! Both kernels write partial sums `[splits, rows, out]` in f32, which the consumer adds up.
use super::fragment::{left, right, zeros};
use super::sums::lanes_sum;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Units of a cube of `dots`. Each plane computes one column.
pub const DOT_UNITS: usize = 256;
/// Units of a cube of `tiles`: four planes of 32.
pub const TILE_UNITS: usize = 128;
/// Columns of a cube of `tiles`: 16 per plane.
pub const TILE_COLUMNS: usize = 64;

/// Loads that a unit has in flight before it uses the first.
const AHEAD: usize = 4;

/// GEMV for up to 8 rows: one plane computes one column of the result for all rows. x is `[rows, inner]`, w
/// `[columns, inner]` with rows `stride` apart; `inner` and `stride` count vectors. Cubes: groups of columns (x),
/// splits of the inner dimension (y).
#[cube(launch)]
pub fn dots<F: Float, N: Size>(
    x: &[Vector<F, N>],
    w: &[Vector<F, N>],
    out: &mut [f32],
    stride: usize,
    columns: usize,
    #[comptime] inner: usize,
    #[comptime] splits: usize,
    #[comptime] rows: usize,
    #[comptime] plane: usize,
) {
    let unit = UNIT_POS as usize;
    let lane = unit % plane;
    let column = CUBE_POS_X as usize * comptime!(DOT_UNITS / plane) + unit / plane;
    if column < columns {
        let share = comptime!(inner.div_ceil(splits));
        let from = CUBE_POS_Y as usize * share;
        let end = select(from + share < inner, from + share, inner.runtime());
        let base = column * stride;
        let mut sums = Array::<Vector<f32, N>>::new(rows);
        #[unroll]
        for r in 0..rows {
            sums[r] = Vector::zeroed();
        }
        for block in 0..comptime!(share.div_ceil(plane * AHEAD)) {
            let first = from + block * comptime!(plane * AHEAD) + lane;
            let mut pieces = Array::<Vector<F, N>>::new(AHEAD);
            #[unroll]
            for a in 0..AHEAD {
                let k = first + a * plane;
                pieces[a] = Vector::zeroed();
                if k < end {
                    pieces[a] = w[base + k];
                }
            }
            #[unroll]
            for a in 0..AHEAD {
                let k = first + a * plane;
                if k < end {
                    let piece = Vector::<f32, N>::cast_from(pieces[a]);
                    #[unroll]
                    for r in 0..rows {
                        sums[r] += piece * Vector::cast_from(x[r * inner + k]);
                    }
                }
            }
        }
        #[unroll]
        for r in 0..rows {
            let sum = plane_sum(lanes_sum::<N>(sums[r]));
            if lane == 0 {
                out[(CUBE_POS_Y as usize * rows + r) * columns + column] = sum;
            }
        }
    }
}

/// GEMM on matrix units: a plane computes 16 columns and `tall` tiles of 16 rows. Cubes: groups of columns (x),
/// splits of the inner dimension (y). The inner dimension is worked through in steps of `depth` elements, which are
/// staged in shared memory; the next step is loaded to registers while the current one is multiplied. A vector holds
/// `per` numbers of type F as `N` words of type W, the size that the device loads at once; `stride` (rows of w)
/// counts vectors, `inner` numbers. `inner` must be a multiple of `depth`, `columns` of 16.
#[cube(launch)]
pub fn tiles<F: Float, W: Numeric, N: Size>(
    x: &[Vector<W, N>],
    w: &[Vector<W, N>],
    out: &mut [f32],
    rows: usize,
    stride: usize,
    #[comptime] columns: usize,
    #[comptime] inner: usize,
    #[comptime] splits: usize,
    #[comptime] tall: usize,
    #[comptime] depth: usize,
    #[comptime] per: usize,
) {
    let n = N::value();
    // Vectors of a step's row, and pitch of a row in shared memory: one more, so that rows start in different banks.
    let wide = comptime!(depth / per);
    let pitch = comptime!(depth / per + 1);
    let of_w = comptime!(TILE_COLUMNS * wide / TILE_UNITS);
    let of_x = comptime!(tall * 16 * wide / TILE_UNITS);
    let line = comptime!(inner / per);
    let unit = UNIT_POS as usize;
    let plane = unit / 32;
    let first_column = CUBE_POS_X as usize * TILE_COLUMNS;
    let steps = comptime!(inner / depth);
    let share = comptime!((inner / depth).div_ceil(splits));
    let from = CUBE_POS_Y as usize * share;
    let end = select(from + share < steps, from + share, steps.runtime());

    let mut shared_w = Shared::<[Vector<W, N>]>::new_aligned_slice(comptime!(TILE_COLUMNS * pitch), 32usize);
    let mut shared_x = Shared::<[Vector<W, N>]>::new_aligned_slice(comptime!(tall * 16 * pitch), 32usize);
    let mut next_w = Array::<Vector<W, N>>::new(of_w);
    let mut next_x = Array::<Vector<W, N>>::new(of_x);
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..tall {
        sums.push(zeros());
    }

    let mut step = from;
    #[unroll]
    for i in 0..of_w {
        let (c, k) = ((unit + i * TILE_UNITS) / wide, (unit + i * TILE_UNITS) % wide);
        next_w[i] = Vector::zeroed();
        if first_column + c < columns && step < end {
            next_w[i] = w[(first_column + c) * stride + step * wide + k];
        }
    }
    #[unroll]
    for i in 0..of_x {
        let (r, k) = ((unit + i * TILE_UNITS) / wide, (unit + i * TILE_UNITS) % wide);
        next_x[i] = Vector::zeroed();
        if r < rows && step < end {
            next_x[i] = x[r * line + step * wide + k];
        }
    }
    while step < end {
        #[unroll]
        for i in 0..of_w {
            let (c, k) = ((unit + i * TILE_UNITS) / wide, (unit + i * TILE_UNITS) % wide);
            shared_w[c * pitch + k] = next_w[i];
        }
        #[unroll]
        for i in 0..of_x {
            let (r, k) = ((unit + i * TILE_UNITS) / wide, (unit + i * TILE_UNITS) % wide);
            shared_x[r * pitch + k] = next_x[i];
        }
        sync_cube();
        step += 1;
        if step < end {
            #[unroll]
            for i in 0..of_w {
                let (c, k) = ((unit + i * TILE_UNITS) / wide, (unit + i * TILE_UNITS) % wide);
                if first_column + c < columns {
                    next_w[i] = w[(first_column + c) * stride + step * wide + k];
                }
            }
            #[unroll]
            for i in 0..of_x {
                let (r, k) = ((unit + i * TILE_UNITS) / wide, (unit + i * TILE_UNITS) % wide);
                if r < rows {
                    next_x[i] = x[r * line + step * wide + k];
                }
            }
        }
        #[unroll]
        for k in 0..comptime!(depth / 16) {
            let skip = comptime!(k * 16 / per);
            let at = plane * comptime!(16 * pitch) + skip;
            let b = right::<F, Vector<W, N>>(&shared_w[at..comptime!(TILE_COLUMNS * pitch)], comptime!(pitch * n));
            #[unroll]
            for t in 0..tall {
                let at = comptime!(t * 16 * pitch) + skip;
                let a = left::<F, Vector<W, N>>(&shared_x[at..comptime!(tall * 16 * pitch)], comptime!(pitch * n));
                let sum = sums.index(t);
                cmma::execute(&a, &b, sum, sum);
            }
        }
        sync_cube();
    }
    let column = first_column + plane * 16;
    if column < columns {
        #[unroll]
        for t in 0..tall {
            let row = CUBE_POS_Y as usize * comptime!(tall * 16) + t * 16;
            let at = row * columns + column;
            let end = out.len();
            cmma::store(&mut out[at..end], sums.index(t), comptime!(columns as u32), cmma::MatrixLayout::RowMajor);
        }
    }
}
