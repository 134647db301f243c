//! GeGLU and SwiGLU, and the embedding lookup.
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Units of a cube.
pub const UNITS: usize = 256;

/// GeGLU, or SwiGLU where `silu`, of a gate-and-up product: `both` `[parts, rows, 2 × width]` holds gates, then ups; parts begin `part` and
/// rows `line` vectors apart and are added up here. Uses the tanh approximation of GELU (Hendrycks & Gimpel 2016,
/// arXiv 1606.08415), with tanh z computed as 1 − 2 / (e^2z + 1). Cubes: pieces of a row (x), rows (y). One unit per
/// vector; `width` counts vectors.
#[cube(launch)]
pub fn gated<Y: Float, F: Float, N: Size>(
    both: &[Vector<Y, N>],
    out: &mut [Vector<F, N>],
    parts: usize,
    part: usize,
    line: usize,
    #[comptime] silu: bool,
    #[comptime] width: usize,
) {
    let at = CUBE_POS_X as usize * UNITS + UNIT_POS as usize;
    let row = CUBE_POS_Y as usize;
    if at < width {
        let mut g = Vector::<f32, N>::zeroed();
        let mut up = Vector::<f32, N>::zeroed();
        for p in 0..parts {
            let from = p * part + row * line + at;
            g += Vector::cast_from(both[from]);
            up += Vector::cast_from(both[from + width]);
        }
        if comptime!(silu) {
            let e = (Vector::zeroed() - g).exp() + Vector::new(1.0);
            out[row * width + at] = Vector::cast_from(g / e * up);
        } else {
            let cubed = g * g * g * Vector::new(0.044715);
            let z = (g + cubed) * Vector::new(0.797_884_6);
            let e = (z + z).exp() + Vector::new(1.0);
            let gelu = g - g / e;
            out[row * width + at] = Vector::cast_from(gelu * up);
        }
    }
}

/// One cube per token: copies its row of the table, times `scale`, as f32. `width` and `stride` (of the table's rows)
/// count vectors.
#[cube(launch)]
pub fn embed<F: Float, N: Size>(
    ids: &[i32],
    table: &[Vector<F, N>],
    out: &mut [Vector<f32, N>],
    stride: usize,
    scale: f32,
    #[comptime] width: usize,
) {
    let from = ids[CUBE_POS] as usize * stride;
    let mut at = UNIT_POS as usize;
    while at < width {
        out[CUBE_POS * width + at] = Vector::cast_from(table[from + at]) * Vector::new(scale);
        at += UNITS;
    }
}
