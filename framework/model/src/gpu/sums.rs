//! Sums and extremes over the units of a cube.
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// The sum of a value over all `units` of a cube, to every unit; `scratch` holds `units` numbers. `plane` is
/// the size of the device's planes, or 0 where they cannot add.
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

/// The sum of a vector's numbers.
#[cube]
pub fn lanes_sum<N: Size>(v: Vector<f32, N>) -> f32 {
    let mut sum = f32::new(0.0);
    #[unroll]
    for i in 0..N::value() {
        sum += v.extract(i);
    }
    sum
}
