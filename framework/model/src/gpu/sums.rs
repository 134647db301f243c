//! Reductions over the units of a cube.
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Sum of `value` over all units of a cube, returned to every unit. `scratch` holds at least `units` numbers. `plane`
/// is the device's plane size, or 0 where planes cannot add; then `units` must be a power of two.
#[cube]
pub fn cube_sum(value: f32, scratch: &mut Shared<[f32]>, #[comptime] units: usize, #[comptime] plane: usize) -> f32 {
    let unit = UNIT_POS as usize;
    let mut sum = f32::new(0.0);
    if comptime!(plane > 0 && units % plane == 0) {
        let part = plane_sum(value);
        if unit % plane == 0 {
            scratch[unit / plane] = part;
        }
        sync_cube();
        #[unroll]
        for i in 0..comptime!(units / plane) {
            sum += scratch[i];
        }
    } else {
        scratch[unit] = value;
        sync_cube();
        #[unroll]
        for level in 0..comptime!(units.ilog2() as usize) {
            let half = comptime!(units >> (level + 1));
            if unit < half {
                scratch[unit] += scratch[unit + half];
            }
            sync_cube();
        }
        sum += scratch[0];
    }
    sync_cube();
    sum
}

/// Sum of the elements of a vector.
#[cube]
pub fn lanes_sum<N: Size>(v: Vector<f32, N>) -> f32 {
    let mut sum = f32::new(0.0);
    #[unroll]
    for i in 0..N::value() {
        sum += v.extract(i);
    }
    sum
}

/// The soft cap of an attention score: cap · tanh(score / cap), with tanh z computed as 1 − 2 / (e^2z + 1). The score
/// itself unless `capped`.
#[cube]
pub fn soft_cap(score: f32, cap: f32, #[comptime] capped: bool) -> f32 {
    let mut s = score;
    if comptime!(capped) {
        let e = ((score + score) / cap).exp() + f32::new(1.0);
        s = cap - (cap + cap) / e;
    }
    s
}
