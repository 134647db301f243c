//! Argmax of each row, in two launches: over pieces of rows, then over the pieces' maxima.
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Units of a cube; a power of two.
pub const UNITS: usize = 256;

/// One cube per piece (x) and row (y). Writes the largest of `piece` values and the lowest index that has it. In the
/// first launch a value's index is its column; in the second (`last`) the values are maxima and `known` holds their
/// indices. `values` is `[rows, width]`.
#[cube(launch)]
pub fn peak(
    values: &[f32],
    known: &[i32],
    best: &mut [f32],
    index: &mut [i32],
    width: usize,
    piece: usize,
    #[comptime] last: bool,
) {
    let u = UNIT_POS as usize;
    let row = CUBE_POS_Y as usize;
    let from = CUBE_POS_X as usize * piece;
    let to = select(from + piece < width, from + piece, width);
    let mut most = Shared::<[f32]>::new_slice(UNITS);
    let mut whose = Shared::<[i32]>::new_slice(UNITS);
    let mut top = f32::new(-3.4e38);
    let mut place = i32::new(0);
    let mut at = from + u;
    while at < to {
        let v = values[row * width + at];
        let mut i = at as i32;
        if comptime!(last) {
            i = known[row * width + at];
        }
        let better = v > top || (v == top && i < place);
        top = select(better, v, top);
        place = select(better, i, place);
        at += UNITS;
    }
    most[u] = top;
    whose[u] = place;
    sync_cube();
    #[unroll]
    for level in 0..comptime!(UNITS.ilog2() as usize) {
        let half = comptime!(UNITS >> (level + 1));
        if u < half {
            let (v, i) = (most[u + half], whose[u + half]);
            let better = v > most[u] || (v == most[u] && i < whose[u]);
            most[u] = select(better, v, most[u]);
            whose[u] = select(better, i, whose[u]);
        }
        sync_cube();
    }
    if u == 0 {
        let at = row * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
        best[at] = most[0];
        index[at] = whose[0];
    }
}
