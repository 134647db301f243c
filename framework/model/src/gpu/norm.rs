//! RMSNorm (see `crate::norm`), and the fused residual sum between two of them.
use super::sums::{cube_sum, lanes_sum};
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Units of a cube, which computes one row.
pub const UNITS: usize = 256;

/// RMSNorm of f32 rows, written in type F. One cube per row; its units hold the row in registers. `width` counts
/// vectors, `plane` is as in `cube_sum`.
#[cube(launch)]
pub fn norm<F: Float, N: Size>(
    x: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    eps: f32,
    #[comptime] width: usize,
    #[comptime] plane: usize,
) {
    let base = CUBE_POS * width;
    let mut row = Array::<Vector<f32, N>>::new(comptime!(width.div_ceil(UNITS)));
    #[unroll]
    for i in 0..comptime!(width.div_ceil(UNITS)) {
        let at = UNIT_POS as usize + i * UNITS;
        row[i] = Vector::zeroed();
        if at < width {
            row[i] = x[base + at];
        }
    }
    write_norm::<F, N>(&row, weight, out, base, eps, width, plane);
}

/// Normalises a row that is in registers and writes it at `base`.
#[cube]
fn write_norm<F: Float, N: Size>(
    row: &Array<Vector<f32, N>>,
    weight: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    base: usize,
    eps: f32,
    #[comptime] width: usize,
    #[comptime] plane: usize,
) {
    let scale = scale::<N>(row, eps, width, plane);
    #[unroll]
    for i in 0..comptime!(width.div_ceil(UNITS)) {
        let at = UNIT_POS as usize + i * UNITS;
        if at < width {
            out[base + at] = Vector::cast_from(row[i] * Vector::new(scale) * weight[at]);
        }
    }
}

/// 1 / √(mean of squares + eps).
#[cube]
fn scale<N: Size>(row: &Array<Vector<f32, N>>, eps: f32, #[comptime] width: usize, #[comptime] plane: usize) -> f32 {
    let mut squares = Vector::<f32, N>::zeroed();
    #[unroll]
    for i in 0..comptime!(width.div_ceil(UNITS)) {
        squares += row[i] * row[i];
    }
    let mut scratch = Shared::<[f32]>::new_slice(UNITS);
    let sum = cube_sum(lanes_sum::<N>(squares), &mut scratch, UNITS, plane);
    f32::new(1.0) / (sum / f32::cast_from(width * N::value()) + eps).sqrt()
}

/// s = x + RMSNorm(Σ y; `post`) to `sum` in f32, and RMSNorm(s; `next`) to `out` in type F: everything between two
/// matrix products. Where `posts` or `nexts` is false, that norm is left out and its weights are not read. One cube per row. `y` is a split-K product of `parts` parts, which begin `part` and whose rows
/// begin `line` vectors apart; they are added up here. `width` counts vectors.
#[cube(launch)]
pub fn add_rms_norm<Y: Float, F: Float, N: Size>(
    x: &[Vector<f32, N>],
    y: &[Vector<Y, N>],
    post: &[Vector<f32, N>],
    next: &[Vector<f32, N>],
    sum: &mut [Vector<f32, N>],
    out: &mut [Vector<F, N>],
    parts: usize,
    part: usize,
    line: usize,
    eps: f32,
    #[comptime] posts: bool,
    #[comptime] nexts: bool,
    #[comptime] width: usize,
    #[comptime] plane: usize,
) {
    let base = CUBE_POS * width;
    let mut row = Array::<Vector<f32, N>>::new(comptime!(width.div_ceil(UNITS)));
    #[unroll]
    for i in 0..comptime!(width.div_ceil(UNITS)) {
        let at = UNIT_POS as usize + i * UNITS;
        row[i] = Vector::zeroed();
        if at < width {
            let mut total = Vector::<f32, N>::zeroed();
            for p in 0..parts {
                total += Vector::cast_from(y[p * part + CUBE_POS * line + at]);
            }
            row[i] = total;
        }
    }
    let mut factor = f32::new(1.0);
    if comptime!(posts) {
        factor = scale::<N>(&row, eps, width, plane);
    }
    #[unroll]
    for i in 0..comptime!(width.div_ceil(UNITS)) {
        let at = UNIT_POS as usize + i * UNITS;
        if at < width {
            if comptime!(posts) {
                row[i] = x[base + at] + row[i] * Vector::new(factor) * post[at];
            } else {
                row[i] = x[base + at] + row[i];
            }
            sum[base + at] = row[i];
            if comptime!(!nexts) {
                out[base + at] = Vector::cast_from(row[i]);
            }
        }
    }
    if comptime!(nexts) {
        write_norm::<F, N>(&row, next, out, base, eps, width, plane);
    }
}
