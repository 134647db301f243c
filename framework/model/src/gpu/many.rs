//! Matrix products (GEMM) of many rows on matrix units. A cube computes 128 × 128 numbers of the result and a plane
//! 64 × 64 of them; two cubes fit on a multiprocessor, so that one multiplies while the other loads. Steps of the
//! inner dimension are double-buffered in shared memory: one is multiplied while the next is loaded.
use super::fragment::{left, right, zeros};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Rows of the result that a cube computes.
pub const ROWS: usize = 128;
/// Columns of the result that a cube computes.
pub const COLUMNS: usize = 128;
/// Units of a cube: four planes, two by two.
pub const UNITS: usize = 128;
/// Inner elements per step.
pub const DEPTH: usize = 32;
/// Bytes of shared memory: two steps, and an output tile per plane.
pub const SHARED: usize = 2 * (ROWS + COLUMNS) * (DEPTH + 8) * 2 + 4 * 1024;

/// 16 × 16 tiles along each side of a plane's part.
const SIDE: usize = 4;

/// x `[rows, inner]` · wᵀ, w `[columns, inner]` → `[rows, columns]`, all in type F, f32 accumulators. Cubes: blocks
/// of rows (x), which run after one another over the same columns of w, and blocks of columns (y). Strides (of rows
/// of x and w) count vectors, `inner` numbers; `inner` must be a multiple of [`DEPTH`], `columns` of the vector.
#[cube(launch)]
pub fn many<F: Float, N: Size>(
    x: &[Vector<F, N>],
    w: &[Vector<F, N>],
    out: &mut [Vector<F, N>],
    rows: usize,
    columns: usize,
    x_stride: usize,
    w_stride: usize,
    #[comptime] inner: usize,
) {
    let n = N::value();
    let wide = comptime!(DEPTH / n);
    let pitch = comptime!(DEPTH / n + 1);
    let of_x = comptime!(ROWS * wide / UNITS);
    let of_w = comptime!(COLUMNS * wide / UNITS);
    let half_x = comptime!(ROWS * pitch);
    let half_w = comptime!(COLUMNS * pitch);
    let unit = UNIT_POS as usize;
    let lane = unit % 32;
    let plane = unit / 32;
    let down = (plane / 2) * comptime!(SIDE * 16);
    let across = (plane % 2) * comptime!(SIDE * 16);
    let first_row = CUBE_POS_X as usize * ROWS;
    let first_column = CUBE_POS_Y as usize * COLUMNS;

    let mut shared_x = Shared::<[Vector<F, N>]>::new_aligned_slice(comptime!(2 * ROWS * pitch), 32usize);
    let mut shared_w = Shared::<[Vector<F, N>]>::new_aligned_slice(comptime!(2 * COLUMNS * pitch), 32usize);
    let mut scratch = Shared::<[f32]>::new_aligned_slice(1024usize, 32usize);
    let mut next_x = Array::<Vector<F, N>>::new(of_x);
    let mut next_w = Array::<Vector<F, N>>::new(of_w);
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(SIDE * SIDE) {
        sums.push(zeros());
    }

    // Rows and columns beyond the end are read from the last one; their results are not written.
    let row_of = unit / wide;
    let k_of = unit % wide;
    #[unroll]
    for i in 0..of_x {
        let r = first_row + row_of + i * comptime!(UNITS / wide);
        let r = select(r < rows, r, rows - 1);
        shared_x[(row_of + i * comptime!(UNITS / wide)) * pitch + k_of] = x[r * x_stride + k_of];
    }
    #[unroll]
    for i in 0..of_w {
        let c = first_column + row_of + i * comptime!(UNITS / wide);
        let c = select(c < columns, c, columns - 1);
        shared_w[(row_of + i * comptime!(UNITS / wide)) * pitch + k_of] = w[c * w_stride + k_of];
    }
    sync_cube();
    for step in 0..comptime!(inner / DEPTH) {
        let half = step % 2;
        if step + 1 < comptime!(inner / DEPTH) {
            #[unroll]
            for i in 0..of_x {
                let r = first_row + row_of + i * comptime!(UNITS / wide);
                let r = select(r < rows, r, rows - 1);
                next_x[i] = x[r * x_stride + (step + 1) * wide + k_of];
            }
            #[unroll]
            for i in 0..of_w {
                let c = first_column + row_of + i * comptime!(UNITS / wide);
                let c = select(c < columns, c, columns - 1);
                next_w[i] = w[c * w_stride + (step + 1) * wide + k_of];
            }
        }
        #[unroll]
        for k in 0..comptime!(DEPTH / 16) {
            let mut bs = Sequence::<cmma::Matrix<F>>::new();
            #[unroll]
            for j in 0..SIDE {
                let from = half * half_w + (across + j * 16) * pitch + comptime!(k * 16 / n);
                bs.push(right::<F, Vector<F, N>>(
                    &shared_w[from..comptime!(2 * COLUMNS * pitch)],
                    comptime!(pitch * n),
                ));
            }
            #[unroll]
            for i in 0..SIDE {
                let from = half * half_x + (down + i * 16) * pitch + comptime!(k * 16 / n);
                let a = left::<F, Vector<F, N>>(&shared_x[from..comptime!(2 * ROWS * pitch)], comptime!(pitch * n));
                #[unroll]
                for j in 0..SIDE {
                    let sum = sums.index(comptime!(i * SIDE + j));
                    cmma::execute(&a, bs.index(j), sum, sum);
                }
            }
        }
        if step + 1 < comptime!(inner / DEPTH) {
            let other = 1 - half;
            #[unroll]
            for i in 0..of_x {
                shared_x[other * half_x + (row_of + i * comptime!(UNITS / wide)) * pitch + k_of] = next_x[i];
            }
            #[unroll]
            for i in 0..of_w {
                shared_w[other * half_w + (row_of + i * comptime!(UNITS / wide)) * pitch + k_of] = next_w[i];
            }
        }
        sync_cube();
    }

    // Two units write one row of a tile.
    #[unroll]
    for i in 0..SIDE {
        #[unroll]
        for j in 0..SIDE {
            cmma::store(
                &mut scratch[plane * 256..plane * 256 + 256],
                sums.index(comptime!(i * SIDE + j)),
                16u32,
                cmma::MatrixLayout::RowMajor,
            );
            sync_plane();
            let row = first_row + down + i * 16 + lane / 2;
            let column = first_column + across + j * 16 + (lane % 2) * 8usize;
            if row < rows && column < columns {
                let mut piece = Vector::<F, N>::zeroed();
                #[unroll]
                for e in 0..n {
                    piece.insert(e, F::cast_from(scratch[plane * 256 + lane * 8 + e]));
                }
                out[(row * columns + column) / n] = piece;
            }
            sync_plane();
        }
    }
}
