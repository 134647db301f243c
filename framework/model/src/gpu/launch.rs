//! Launches of the operations on CubeCL's backends.
use super::plan::{Able, How, Plan, VECTOR};
use super::sent::Post;
use super::{Between, Ops, blocks, few, flash, flat, gate, heads, many, norm, peak, plain, queries, spans};
use burn::backend::fusion::custom::TensorSpec;
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{features::Plane, ir};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Numbers that elementwise kernels load at once.
const FOUR: usize = 4;

/// Evaluates an expression with `$f` as the Rust type of a float dtype.
macro_rules! of_type {
    ($dtype:expr, $f:ident => $launch:expr) => {
        match $dtype {
            DType::F32 => {
                type $f = f32;
                $launch
            }
            DType::BF16 => {
                type $f = half::bf16;
                $launch
            }
            DType::F16 => {
                type $f = half::f16;
                $launch
            }
            other => panic!("a model of {other:?} cannot be"),
        }
    };
}

/// Evaluates an expression with `$y` as the type that a kernel reads and `$f` as the type it writes: split-K products
/// are f32, other products are in the model's dtype.
macro_rules! of_types {
    ($from:expr, $to:expr, $y:ident, $f:ident => $launch:expr) => {
        of_type!($to, $f => if $from == DType::F32 {
            type $y = f32;
            $launch
        } else {
            assert_eq!($from, $to, "a product is in f32 or in the model's type");
            type $y = $f;
            $launch
        })
    };
}

/// An uninitialised contiguous tensor on the device of `x`.
fn like(x: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, dtype)
}

/// A grid of x × y cubes.
fn cubes(x: usize, y: usize) -> CubeCount {
    CubeCount::Static(x as u32, y as u32, 1)
}

/// A cube of `n` units.
fn units(n: usize) -> CubeDim {
    CubeDim::new_1d(n as u32)
}

/// Plane size, where it is fixed and planes can reduce; else 0.
fn plane(x: &CubeTensor) -> usize {
    let hardware = &x.client.properties().hardware;
    let fixed = hardware.plane_size_min == hardware.plane_size_max;
    let adds = x.client.features().plane.contains(Plane::Ops);
    if fixed && adds { hardware.plane_size_max as usize } else { 0 }
}

/// Reads the capabilities of a tensor's device.
fn able(x: &CubeTensor) -> Able {
    let (hardware, features) = (&x.client.properties().hardware, x.client.features());
    let takes = |kind| {
        let (elem, sum) = (ir::ElemType::Float(kind), ir::ElemType::Float(ir::FloatKind::F32));
        let found = |c: &ir::features::MmaConfig| {
            (c.a_type, c.b_type, c.cd_type) == (elem, elem, sum) && (c.m, c.n, c.k) == (16, 16, 16)
        };
        features.matmul.cmma.iter().any(found)
    };
    Able {
        plane: plane(x),
        bf16: takes(ir::FloatKind::BF16),
        f16: takes(ir::FloatKind::F16),
        shared: hardware.max_shared_memory_size,
        processors: hardware.num_streaming_multiprocessors.unwrap_or(128) as usize,
        library: library(x),
        deep: on_cuda(x),
        memory: x.client.properties().memory.max_memory(),
        largest: Some(x.client.properties().memory.max_page_size),
    }
}

fn on_cuda(x: &CubeTensor) -> bool {
    x.client.name() == "cuda"
}

/// Whether cuBLAS is available for a tensor's device.
fn library(x: &CubeTensor) -> bool {
    #[cfg(feature = "cuda")]
    let found = super::library::found();
    #[cfg(not(feature = "cuda"))]
    let found = false;
    found && on_cuda(x)
}

/// Number of parts of a product, and the distances between parts and between rows, in numbers.
fn parts(y: &CubeTensor) -> (usize, usize, usize) {
    let (shape, strides) = (y.meta.shape(), y.meta.strides());
    assert!(strides[2] == 1 || shape[2] == 1, "the numbers of a row must follow each other");
    (shape[0], strides[0], strides[1])
}

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
        let ([rows, inner], columns) = ([0, 1].map(|d| x.meta.shape()[d]), w.meta.shape()[0]);
        let out = like(&x, Shape::new([plan.splits, plan.padded, columns]), plan.result(x.dtype));
        let stride = w.meta.strides()[0] / VECTOR;
        let plane = plane(&x);
        of_type!(x.dtype, F => match plan.how {
            How::Dots => few::dots::launch::<F>(
                &out.client,
                cubes(columns.div_ceil(few::DOT_UNITS / plane), plan.splits),
                units(few::DOT_UNITS),
                VECTOR,
                into_contiguous(x).into_buffer_arg(),
                w.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                stride,
                columns,
                inner / VECTOR,
                plan.splits,
                rows,
                plane,
            ),
            // SPIR-V vectors hold at most four elements: of 16-bit numbers, half of what CUDA loads at once. 32-bit
            // words make up for it.
            How::Tiles { tall, depth } if on_cuda(&out) => tiles::<F, F>(x, w, &out, VECTOR, plan.splits, tall, depth),
            How::Tiles { tall, depth } => tiles::<F, u32>(x, w, &out, FOUR, plan.splits, tall, depth),
            How::Many => many::many::launch::<F>(
                &out.client,
                cubes(rows.div_ceil(many::ROWS), columns.div_ceil(many::COLUMNS)),
                units(many::UNITS),
                VECTOR,
                into_contiguous(x).into_buffer_arg(),
                w.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                rows,
                columns,
                inner / VECTOR,
                stride,
                inner,
            ),
            How::Library => {
                #[cfg(feature = "cuda")]
                super::library::product(&into_contiguous(x), &w, &out);
                #[cfg(not(feature = "cuda"))]
                unreachable!("planned only where it was found");
            }
        });
        out
    }

    fn attend(q: CubeTensor, keys: CubeTensor, values: CubeTensor, at: CubeTensor, cap: Option<f32>) -> CubeTensor {
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

    fn flash(
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
        // Enqueues the copy here; the holder of the `Post` waits for this copy alone.
        let x = into_contiguous(x);
        let copy = lasting(&x.client).read_async(vec![x.handle.clone()]);
        to.put(Box::pin(async move { copy.await.map(|mut all| all.remove(0).to_vec()).map_err(|e| e.to_string()) }));
        x
    }

    fn refresh(to: CubeTensor, from: CubeTensor) -> CubeTensor {
        overwrite::<f32>(to, from)
    }

    fn refresh_int(to: CubeTensor, from: CubeTensor) -> CubeTensor {
        overwrite::<i32>(to, from)
    }
}

/// The client of a device with the `'static` lifetime that a pending copy needs: one per device, never freed.
fn lasting(client: &Client) -> &'static Client {
    static CLIENTS: Mutex<Vec<&'static Client>> = Mutex::new(vec![]);
    let mut all = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = all.iter().find(|c| c.service_id() == client.service_id()) {
        return found;
    }
    let new: &'static Client = Box::leak(Box::new(client.clone()));
    all.push(new);
    new
}

/// Copies `from` over the beginning of `to`, in place.
fn overwrite<T: Numeric>(to: CubeTensor, from: CubeTensor) -> CubeTensor {
    let n = from.meta.shape().num_elements();
    let (client, count) = (to.client.clone(), cubes(n.div_ceil(plain::UNITS), 1));
    let (into, from) = (to.clone().into_buffer_arg(), into_contiguous(from).into_buffer_arg());
    plain::copy::launch::<T>(&client, count, units(plain::UNITS), into, from, n);
    to
}

/// Launches `few::tiles` over vectors of `words` elements of type W.
fn tiles<F: Float, W: Numeric>(
    x: CubeTensor,
    w: CubeTensor,
    out: &CubeTensor,
    words: usize,
    splits: usize,
    tall: usize,
    depth: usize,
) {
    let ([rows, inner], columns) = ([0, 1].map(|d| x.meta.shape()[d]), w.meta.shape()[0]);
    let stride = w.meta.strides()[0] / VECTOR;
    few::tiles::launch::<F, W>(
        &out.client,
        cubes(columns.div_ceil(few::TILE_COLUMNS), splits),
        units(few::TILE_UNITS),
        words,
        into_contiguous(x).into_buffer_arg(),
        w.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        rows,
        stride,
        columns,
        inner,
        splits,
        tall,
        depth,
        VECTOR,
    );
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
