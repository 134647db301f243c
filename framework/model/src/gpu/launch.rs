//! Launches of the operations on CubeCL's backends.
mod attention;
mod capabilities;
mod copies;
mod grid;
mod products;

use super::plan::{Able, Plan};
use super::sent::Post;
use super::{Between, Ops, blocks, gate, heads, norm, peak, plain, queries};
use burn::backend::fusion::custom::TensorSpec;
use burn::tensor::{DType, Shape};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};
use capabilities::{able, plane};
use grid::{FOUR, cubes, like, of_type, of_types, parts, units};
use std::sync::{Arc, OnceLock};

impl Ops for CubeBackend {
    fn ask(x: CubeTensor, answer: Arc<OnceLock<Able>>) -> CubeTensor {
        let _ = answer.set(able(&x));
        x
    }

    #[cfg(feature = "cuda")]
    fn free(x: CubeTensor, answer: Arc<OnceLock<u64>>) -> CubeTensor {
        if let Some(free) = super::library::free(&x) {
            let _ = answer.set(free);
        }
        x
    }

    fn embed(table: CubeTensor, ids: CubeTensor, scale: f32) -> CubeTensor {
        let (n, width) = (ids.meta.shape()[0], table.meta.shape()[1]);
        let out = like(&table, Shape::new([n, width]), DType::F32);
        let stride = table.meta.strides()[0];
        of_type!(table.dtype, F => gate::embed::launch::<F>(
            &out.client,
            cubes(n, 1),
            units(gate::UNITS),
            FOUR,
            into_contiguous(ids).into_buffer_arg(),
            table.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            stride / FOUR,
            scale,
            width / FOUR,
        ));
        out
    }

    fn widen(codes: CubeTensor, scales: CubeTensor, four: bool, dtype: DType) -> CubeTensor {
        let blocks = scales.meta.shape()[0];
        let out = like(&scales, Shape::new([blocks, 32]), dtype);
        let count = (32 * blocks).div_ceil(blocks::UNITS);
        // WGPU allows at most 65,535 cubes per dimension.
        let lines = count.div_ceil(1 << 15);
        of_type!(dtype, F => blocks::widen::launch::<F>(
            &out.client,
            cubes(count.div_ceil(lines), lines),
            units(blocks::UNITS),
            into_contiguous(codes).into_buffer_arg(),
            into_contiguous(scales).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            32 * blocks,
            four,
        ));
        out
    }

    fn norm(x: CubeTensor, weight: CubeTensor, eps: f32, dtype: DType) -> CubeTensor {
        let [rows, width] = [0, 1].map(|d| x.meta.shape()[d]);
        let out = like(&x, x.meta.shape().clone(), dtype);
        let plane = plane(&x);
        of_type!(dtype, F => norm::norm::launch::<F>(
            &out.client,
            cubes(rows, 1),
            units(norm::UNITS),
            FOUR,
            into_contiguous(x).into_buffer_arg(),
            into_contiguous(weight).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            eps,
            width / FOUR,
            plane,
        ));
        out
    }

    fn add_rms_norm(
        x: CubeTensor,
        y: CubeTensor,
        post: CubeTensor,
        next: CubeTensor,
        norms: Between,
        eps: f32,
        dtype: DType,
    ) -> (CubeTensor, CubeTensor) {
        let [rows, width] = [0, 1].map(|d| x.meta.shape()[d]);
        let sum = like(&x, x.meta.shape().clone(), DType::F32);
        let out = like(&x, x.meta.shape().clone(), dtype);
        let plane = plane(&x);
        let (count, part, line) = parts(&y);
        of_types!(y.dtype, dtype, Y, F => norm::add_rms_norm::launch::<Y, F>(
            &out.client,
            cubes(rows, 1),
            units(norm::UNITS),
            FOUR,
            into_contiguous(x).into_buffer_arg(),
            y.into_buffer_arg(),
            into_contiguous(post).into_buffer_arg(),
            into_contiguous(next).into_buffer_arg(),
            sum.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            count,
            part / FOUR,
            line / FOUR,
            eps,
            norms.post,
            norms.next,
            width / FOUR,
            plane,
        ));
        (sum, out)
    }

    fn qk_norm_rope(
        qkv: CubeTensor,
        q_norm: CubeTensor,
        k_norm: CubeTensor,
        cos: CubeTensor,
        sin: CubeTensor,
        to: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        eps: f32,
        scale: f32,
        normed: bool,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let spec = TensorSpec::new(keys.meta.shape().clone(), keys.dtype);
        let shape = queries(qkv.meta.shape(), cos.meta.shape(), &spec).shape;
        let [tokens, q_heads, dim] = [0, 1, 2].map(|d| shape[d]);
        let kv_heads = keys.meta.shape()[1];
        let out = like(&qkv, shape, keys.dtype);
        let plane = plane(&qkv);
        let (count, part, line) = parts(&qkv);
        of_types!(qkv.dtype, keys.dtype, Y, F => heads::qk_norm_rope::launch::<Y, F>(
            &out.client,
            cubes(q_heads + 2 * kv_heads, tokens),
            units(heads::units(dim)),
            qkv.into_buffer_arg(),
            into_contiguous(q_norm).into_buffer_arg(),
            into_contiguous(k_norm).into_buffer_arg(),
            into_contiguous(cos).into_buffer_arg(),
            into_contiguous(sin).into_buffer_arg(),
            into_contiguous(to).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            keys.clone().into_tensor_arg(),
            values.clone().into_tensor_arg(),
            count,
            part,
            line,
            eps,
            scale,
            normed,
            q_heads,
            kv_heads,
            dim,
            heads::units(dim),
            plane,
        ));
        (out, keys, values)
    }

    fn gated(both: CubeTensor, rows: usize, silu: bool, dtype: DType) -> CubeTensor {
        let width = both.meta.shape()[2] / 2;
        let out = like(&both, Shape::new([rows, width]), dtype);
        let (count, part, line) = parts(&both);
        of_types!(both.dtype, dtype, Y, F => gate::gated::launch::<Y, F>(
            &out.client,
            cubes((width / FOUR).div_ceil(gate::UNITS), rows),
            units(gate::UNITS),
            FOUR,
            both.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            count,
            part / FOUR,
            line / FOUR,
            silu,
            width / FOUR,
        ));
        out
    }

    fn product(x: CubeTensor, w: CubeTensor, plan: Plan) -> CubeTensor {
        products::product(x, w, plan)
    }

    fn attend(q: CubeTensor, keys: CubeTensor, values: CubeTensor, at: CubeTensor, cap: Option<f32>) -> CubeTensor {
        attention::attend(q, keys, values, at, cap)
    }

    fn flash(
        q: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        tiles: CubeTensor,
        window: usize,
        cap: Option<f32>,
    ) -> CubeTensor {
        attention::flash(q, keys, values, tiles, window, cap)
    }

    fn best(x: CubeTensor) -> CubeTensor {
        let [rows, width] = [0, 1].map(|d| x.meta.shape()[d]);
        let pieces = width.div_ceil(4096);
        let found = [rows, pieces];
        let (most, whose) = (like(&x, found.into(), DType::F32), like(&x, found.into(), DType::I32));
        let (top, index) = (like(&x, [rows, 1].into(), DType::F32), like(&x, [rows, 1].into(), DType::I32));
        let client = x.client.clone();
        let x = into_contiguous(x);
        for (values, best, at, width, last) in
            [(x, &most, &whose, width, false), (most.clone(), &top, &index, pieces, true)]
        {
            let piece = if last { width } else { 4096 };
            peak::peak::launch(
                &client,
                cubes(width.div_ceil(piece), rows),
                units(peak::UNITS),
                values.into_buffer_arg(),
                whose.clone().into_buffer_arg(),
                best.clone().into_buffer_arg(),
                at.clone().into_buffer_arg(),
                width,
                piece,
                last,
            );
        }
        index
    }

    fn place(cache: CubeTensor, rows: CubeTensor, at: CubeTensor) -> CubeTensor {
        let [tokens, heads, dim] = [0, 1, 2].map(|d| rows.meta.shape()[d]);
        let client = cache.client.clone();
        of_type!(cache.dtype, F => plain::place::launch::<F>(
            &client,
            cubes(heads, tokens),
            units(dim.min(plain::UNITS)),
            cache.clone().into_tensor_arg(),
            into_contiguous(rows).into_buffer_arg(),
            into_contiguous(at).into_buffer_arg(),
            heads,
            dim,
        ));
        cache
    }

    fn send(x: CubeTensor, to: Post) -> CubeTensor {
        copies::send(x, to)
    }

    fn refresh(to: CubeTensor, from: CubeTensor) -> CubeTensor {
        copies::overwrite::<f32>(to, from)
    }

    fn refresh_int(to: CubeTensor, from: CubeTensor) -> CubeTensor {
        copies::overwrite::<i32>(to, from)
    }
}
