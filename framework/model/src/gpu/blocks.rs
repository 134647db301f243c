//! Dequantisation of q8 and q4 weights for one matrix product. Weights stay quantised in memory; the dense copy
//! exists only while it is used.
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Units of a cube.
pub const UNITS: usize = 256;

/// Writes `count` numbers, one per unit. Number i is (code − offset) · `scales[i / 32]`. A word of `codes` holds 4
/// codes of q8 (signed) or 8 of q4 (offset 8), the first in the lowest bits.
#[cube(launch)]
pub fn widen<F: Float>(codes: &[i32], scales: &[f32], out: &mut [F], count: usize, #[comptime] four: bool) {
    let cube = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    let at = cube * UNITS + UNIT_POS as usize;
    if at < count {
        let block = at / 32;
        let k = at % 32;
        if four {
            let code = (codes[at / 8] >> i32::cast_from(4 * (k % 8))) & 15;
            out[at] = F::cast_from(f32::cast_from(code - 8) * scales[block]);
        } else {
            // Sign-extends a byte: first shifts out the bytes above it.
            let above = i32::cast_from(24 - 8 * (k % 4));
            let code = (codes[at / 4] << above) >> 24;
            out[at] = F::cast_from(f32::cast_from(code) * scales[block]);
        }
    }
}
