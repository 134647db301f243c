//! Launches of attention: of single tokens, with several cubes per row or on any device, and of prompts.
use super::capabilities::able;
use super::grid::{cubes, like, of_type, units};
use crate::gpu::plan::{Able, VECTOR};
use crate::gpu::{flash, flat, plain, spans};
use burn::tensor::DType;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

/// Launches the attention of rows of one token each that the device can run; see [`crate::gpu::Ops::attend`].
pub(super) fn attend(
    q: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    at: CubeTensor,
    cap: Option<f32>,
) -> CubeTensor {
    let [rows, q_heads, dim] = [0, 1, 2].map(|d| q.meta.shape()[d]);
    let kv_heads = keys.meta.shape()[1];
    let (able, groups) = (able(&q), q_heads / kv_heads);
    let vector = 16 / q.dtype.size();
    let bytes = 4 * spans::PLANES * groups * (dim + 2);
    // A plane scores one key; each unit takes whole vectors of it.
    let vector = (1..=vector).rev().find(|v| v.is_power_of_two() && dim % (v * able.plane.max(1)) == 0);
    match vector {
        Some(vector) if able.plane > 0 && able.shared >= bytes => {
            dealt(q, keys, values, at, cap, [rows, kv_heads, groups, dim, vector], &able)
        }
        _ => tiled(q, keys, values, at, cap, [rows, kv_heads, groups, dim]),
    }
}

/// Launches `spans`, with several cubes per row where rows are few, and then `gather`.
fn dealt(
    q: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    at: CubeTensor,
    cap: Option<f32>,
    [rows, kv_heads, groups, dim, vector]: [usize; 5],
    able: &Able,
) -> CubeTensor {
    // In f32 the order of summation must not depend on the number of rows.
    let splits = if q.dtype == DType::F32 { 1 } else { (4 * able.processors / (rows * kv_heads)).clamp(1, 32) };
    let strides = [0, 1, 2].map(|d| keys.meta.strides()[d] / vector);
    let ring = keys.meta.shape()[2];
    let out = like(&q, flat(q.meta.shape()), q.dtype);
    let pieces = if splits == 1 { 1 } else { rows * kv_heads * splits * groups };
    let partial = like(&q, [pieces * if splits == 1 { 1 } else { dim }].into(), DType::F32);
    let stats = like(&q, [2 * pieces].into(), DType::F32);
    of_type!(q.dtype, F => {
        spans::spans::launch::<F>(
            &out.client,
            cubes(rows * kv_heads, splits),
            units(spans::PLANES * able.plane),
            vector,
            into_contiguous(q).into_buffer_arg(),
            keys.into_buffer_arg(),
            values.into_buffer_arg(),
            into_contiguous(at).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            partial.clone().into_buffer_arg(),
            stats.clone().into_buffer_arg(),
            strides[0],
            strides[1],
            strides[2],
            kv_heads,
            ring,
            cap.unwrap_or(1.0),
            cap.is_some(),
            groups,
            dim / (vector * able.plane),
            able.plane,
            splits,
        );
        if splits > 1 {
            spans::gather::launch::<F>(
                &out.client,
                cubes(rows * kv_heads * groups, 1),
                units(dim.min(128)),
                partial.into_buffer_arg(),
                stats.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                groups,
                dim,
                splits,
                dim.min(128),
            );
        }
    });
    out
}

/// Launches `plain::attend`, which runs on any device.
fn tiled(
    q: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    at: CubeTensor,
    cap: Option<f32>,
    [rows, kv_heads, groups, dim]: [usize; 4],
) -> CubeTensor {
    assert!(dim <= plain::UNITS && dim % 8 == 0, "heads of {dim}: they must be multiples of 8 up to {}", plain::UNITS);
    let ring = keys.meta.shape()[2];
    let out = like(&q, flat(q.meta.shape()), q.dtype);
    of_type!(q.dtype, F => plain::attend::launch::<F>(
        &out.client,
        cubes(rows * kv_heads, 1),
        units(plain::UNITS),
        into_contiguous(q).into_buffer_arg(),
        keys.into_tensor_arg(),
        values.into_tensor_arg(),
        into_contiguous(at).into_buffer_arg(),
        out.clone().into_buffer_arg(),
        kv_heads,
        ring,
        cap.unwrap_or(1.0),
        cap.is_some(),
        groups,
        dim,
    ));
    out
}

/// Launches the attention of prompts; see [`crate::gpu::Ops::flash`].
pub(super) fn flash(
    q: CubeTensor,
    keys: CubeTensor,
    values: CubeTensor,
    tiles: CubeTensor,
    window: usize,
    cap: Option<f32>,
) -> CubeTensor {
    let [_, q_heads, dim] = [0, 1, 2].map(|d| q.meta.shape()[d]);
    let [kv_heads, ring] = [1, 2].map(|d| keys.meta.shape()[d]);
    let strides = [0, 1, 2].map(|d| keys.meta.strides()[d] / VECTOR);
    let out = like(&q, flat(q.meta.shape()), q.dtype);
    let count = tiles.meta.shape()[0] / 4;
    of_type!(q.dtype, F => flash::flash::launch::<F>(
        &out.client,
        cubes(count, kv_heads),
        units(flash::UNITS),
        VECTOR,
        into_contiguous(q).into_buffer_arg(),
        keys.into_buffer_arg(),
        values.into_buffer_arg(),
        into_contiguous(tiles).into_buffer_arg(),
        out.clone().into_buffer_arg(),
        strides[0],
        strides[1],
        strides[2],
        ring,
        window.min(1 << 30),
        cap.unwrap_or(1.0),
        cap.is_some(),
        kv_heads,
        q_heads / kv_heads,
        dim,
    ));
    out
}
