//! Keys, values and attention of many slots at once, on a GPU: one launch where a loop over slots would take
//! several for each.
//!
//! `place` writes each token's keys or values to its place in its slot's ring. `attend` computes the
//! softmax attention of each token over its own slot's keys up to itself: an online softmax in f32 over tiles
//! of [`TILE`] keys (Milakov and Gimelshein 2018, as in FlashAttention). A row reads nothing of another row,
//! so its result does not depend on its neighbours.
use crate::model::Step;
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor, tensor::IntTensor};
use burn::tensor::{DType, Device, Int, Shape, Tensor as Tensors, TensorData};
use burn_cubecl::cubecl;
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

/// Threads that share a row and key head; the widest head.
pub const UNITS: usize = 256;
/// Threads that score a key.
const PARTS: usize = 4;
/// Keys of a tile.
pub const TILE: usize = UNITS / PARTS;

/// Where the tokens of a step stand, for one kind of layer.
pub(crate) struct Places {
    /// Slot and index in the ring of each token: `[2 × tokens]`.
    to: Tensors<1, Int>,
    /// Slot, first position seen and the position after its own: `[3 × tokens]`.
    seen: Tensors<1, Int>,
}

impl Places {
    /// Of a step over rings of `ring` keys; queries see `window` keys.
    pub fn new(step: &Step, ring: usize, window: usize, device: &Device) -> Self {
        let (to, seen) = numbers(step, ring, window);
        Self::of(upload(to, device), upload(seen, device))
    }

    /// From numbers that are on the device already.
    pub fn of(to: Tensors<1, Int>, seen: Tensors<1, Int>) -> Self {
        Self { to, seen }
    }

    /// Of tokens `0..count` of one slot, to be written to another.
    pub fn copied(slot: usize, count: usize, device: &Device) -> Self {
        let to = upload((0..count).flat_map(|p| [slot as i32, p as i32]).collect(), device);
        Self { seen: to.clone(), to }
    }

    /// Writes rows `[tokens, kv_heads, head_dim]` of a step to a cache `[slots, kv_heads, keys, head_dim]`.
    pub fn write(&self, cache: Tensors<4>, rows: Tensors<3>) -> Tensors<4> {
        let at = self.to.clone().into_dispatch();
        Tensors::from_dispatch(<Dispatch as Ragged>::place(cache.into_dispatch(), rows.into_dispatch(), at))
    }

    /// Outputs of the heads `[tokens, heads × head_dim]` of queries `[tokens, heads, head_dim]`.
    pub fn attend(&self, q: Tensors<3>, k: &Tensors<4>, v: &Tensors<4>) -> Tensors<2> {
        let (k, v, at) = (k.clone().into_dispatch(), v.clone().into_dispatch(), self.seen.clone().into_dispatch());
        Tensors::from_dispatch(<Dispatch as Ragged>::attend(q.into_dispatch(), k, v, at))
    }
}

pub(crate) fn upload(v: Vec<i32>, device: &Device) -> Tensors<1, Int> {
    let n = v.len();
    Tensors::from_data(TensorData::new(v, [n]), (device, DType::I32))
}

/// What [`Places`] holds, on the host.
pub(crate) fn numbers(step: &Step, ring: usize, window: usize) -> (Vec<i32>, Vec<i32>) {
    let (mut to, mut seen) = (vec![], vec![]);
    for s in &step.segments {
        for p in s.start..s.start + s.len {
            to.extend([s.slot as i32, (p % ring) as i32]);
            seen.extend([s.slot as i32, (p + 1).saturating_sub(window) as i32, p as i32 + 1]);
        }
    }
    (to, seen)
}

/// Writes over a buffer that is on the device.
pub(crate) fn refresh(to: &mut Tensors<1>, from: Vec<f32>, device: &Device) {
    let n = from.len();
    let from = Tensors::<1>::from_data(TensorData::new(from, [n]), (device, DType::F32)).into_dispatch();
    to.inplace(|t| Tensors::from_dispatch(<Dispatch as Ragged>::refresh(t.into_dispatch(), from)));
}

/// The same for whole numbers.
pub(crate) fn refresh_int(to: &mut Tensors<1, Int>, from: Vec<i32>, device: &Device) {
    let from = upload(from, device).into_dispatch();
    to.inplace(|t| Tensors::from_dispatch(<Dispatch as Ragged>::refresh_int(t.into_dispatch(), from)));
}

/// The operations that Burn dispatches to the device's backend.
#[backend_extension(Cube, Fusion)]
pub trait Ragged: Backend {
    /// Writes `rows` into `cache` at `at` (slot, index), in place whoever else holds it: what shares a cache
    /// is meant to see what is written, and a captured step knows its buffers by their place.
    #[fusion(dtype = cache, shape = cache)]
    fn place(cache: FloatTensor<Self>, rows: FloatTensor<Self>, at: IntTensor<Self>) -> FloatTensor<Self>;
    /// Writes over a buffer of numbers, in place as `place` does.
    #[fusion(dtype = to, shape = to)]
    fn refresh(to: FloatTensor<Self>, from: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The same for whole numbers.
    #[fusion(dtype = to, shape = to)]
    fn refresh_int(to: IntTensor<Self>, from: IntTensor<Self>) -> IntTensor<Self>;
    /// Attention of `q` `[rows, heads, head_dim]`, scaled already; `at` holds slot, first key and end.
    #[fusion(dtype = q, shape = flat(q))]
    fn attend(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        at: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

fn flat(q: &Shape) -> Shape {
    Shape::new([q[0], q[1] * q[2]])
}

/// Launches a kernel for the element type of the cache.
macro_rules! for_dtype {
    ($dtype:expr, $kernel:ident, $($argument:expr),* $(,)?) => {
        match $dtype {
            DType::F32 => $kernel::launch::<f32>($($argument),*),
            DType::BF16 => $kernel::launch::<half::bf16>($($argument),*),
            DType::F16 => $kernel::launch::<half::f16>($($argument),*),
            other => panic!("a cache of {other:?} cannot be"),
        }
    };
}

impl Ragged for CubeBackend {
    fn place(cache: CubeTensor, rows: CubeTensor, at: CubeTensor) -> CubeTensor {
        let [tokens, heads, dim] = [0, 1, 2].map(|d| rows.meta.shape()[d]);
        let client = cache.client.clone();
        for_dtype!(
            cache.dtype,
            place,
            &client,
            CubeCount::Static((tokens * heads) as u32, 1, 1),
            CubeDim::new_1d(dim.min(UNITS) as u32),
            cache.clone().into_tensor_arg(),
            into_contiguous(rows).into_buffer_arg(),
            into_contiguous(at).into_buffer_arg(),
            heads,
            dim,
        );
        cache
    }

    fn refresh(to: CubeTensor, from: CubeTensor) -> CubeTensor {
        overwrite::<f32>(to, from)
    }

    fn refresh_int(to: CubeTensor, from: CubeTensor) -> CubeTensor {
        overwrite::<i32>(to, from)
    }

    fn attend(q: CubeTensor, keys: CubeTensor, values: CubeTensor, at: CubeTensor) -> CubeTensor {
        let [rows, heads, dim] = [0, 1, 2].map(|d| q.meta.shape()[d]);
        let kv_heads = keys.meta.shape()[1];
        let ring = keys.meta.shape()[2];
        assert!(dim <= UNITS && dim % 8 == 0, "heads of {dim}: they must be multiples of 8 up to {UNITS}");
        let shape = flat(q.meta.shape());
        let out = empty_device_contiguous_dtype(q.client.clone(), q.device.clone(), shape, q.dtype);
        for_dtype!(
            q.dtype,
            attend,
            &out.client,
            CubeCount::Static((rows * kv_heads) as u32, 1, 1),
            CubeDim::new_1d(UNITS as u32),
            into_contiguous(q).into_buffer_arg(),
            keys.into_tensor_arg(),
            values.into_tensor_arg(),
            into_contiguous(at).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            kv_heads,
            ring,
            heads / kv_heads,
            dim,
        );
        out
    }
}

fn overwrite<T: Numeric>(to: CubeTensor, from: CubeTensor) -> CubeTensor {
    let n = to.meta.shape().num_elements();
    let (client, count) = (to.client.clone(), CubeCount::Static(n.div_ceil(UNITS) as u32, 1, 1));
    let (into, from) = (to.clone().into_buffer_arg(), into_contiguous(from).into_buffer_arg());
    copy::launch::<T>(&client, count, CubeDim::new_1d(UNITS as u32), into, from, n);
    to
}

/// One unit a number.
#[cube(launch)]
fn copy<T: Numeric>(to: &mut [T], from: &[T], n: usize) {
    if ABSOLUTE_POS < n {
        to[ABSOLUTE_POS] = from[ABSOLUTE_POS];
    }
}

/// One cube a token and head.
#[cube(launch)]
fn place<F: Float>(cache: &mut Tensor<F>, rows: &[F], at: &[i32], heads: usize, dim: usize) {
    let token = CUBE_POS / heads;
    let head = CUBE_POS % heads;
    let slot = at[2 * token] as usize;
    let index = at[2 * token + 1] as usize;
    let to = slot * cache.stride(0) + head * cache.stride(1) + index * cache.stride(2);
    let from = CUBE_POS * dim;
    let mut d = UNIT_POS as usize;
    while d < dim {
        cache[to + d] = rows[from + d];
        d += CUBE_DIM as usize;
    }
}

/// One cube a row and key head: `groups` query heads share its keys.
#[cube(launch)]
fn attend<F: Float>(
    q: &[F],
    keys: &Tensor<F>,
    values: &Tensor<F>,
    at: &[i32],
    out: &mut [F],
    kv_heads: usize,
    ring: usize,
    #[comptime] groups: usize,
    #[comptime] dim: usize,
) {
    let unit = UNIT_POS as usize;
    let row = CUBE_POS / kv_heads;
    let head = CUBE_POS % kv_heads;
    let slot = at[3 * row] as usize;
    let lo = at[3 * row + 1] as usize;
    let hi = at[3 * row + 2] as usize;
    let key_base = slot * keys.stride(0) + head * keys.stride(1);
    let key_step = keys.stride(2);
    let value_base = slot * values.stride(0) + head * values.stride(1);
    let value_step = values.stride(2);
    // This cube's queries, and later its outputs, lie one after the other.
    let q_base = CUBE_POS * groups * dim;

    let mut query = Shared::<[f32]>::new_slice(comptime!(groups * dim));
    let mut part = Shared::<[f32]>::new_slice(comptime!(groups * UNITS));
    let mut score = Shared::<[f32]>::new_slice(comptime!(groups * TILE));
    let mut i = unit;
    while i < groups * dim {
        query[i] = f32::cast_from(q[q_base + i]);
        i += UNITS;
    }
    let mut highest = Array::<f32>::new(groups);
    let mut total = Array::<f32>::new(groups);
    let mut sum = Array::<f32>::new(groups);
    #[unroll]
    for g in 0..groups {
        highest[g] = f32::new(-1e30);
        total[g] = f32::new(0.0);
        sum[g] = f32::new(0.0);
    }
    sync_cube();

    let mut base = lo;
    while base < hi {
        // A few units score a key together: each takes eight neighbouring dimensions in turn.
        let key = base + unit / PARTS;
        let mut dot = Array::<f32>::new(groups);
        #[unroll]
        for g in 0..groups {
            dot[g] = f32::new(0.0);
        }
        if key < hi {
            let from = key_base + (key % ring) * key_step;
            let mut d = (unit % PARTS) * 8;
            while d < dim {
                #[unroll]
                for e in 0..8usize {
                    let k = f32::cast_from(keys[from + d + e]);
                    #[unroll]
                    for g in 0..groups {
                        dot[g] += k * query[g * dim + d + e];
                    }
                }
                d += 8 * PARTS;
            }
        }
        #[unroll]
        for g in 0..groups {
            part[g * UNITS + unit] = dot[g];
        }
        sync_cube();
        let mine = base + unit < hi;
        if unit < TILE {
            #[unroll]
            for g in 0..groups {
                let mut s = f32::new(0.0);
                #[unroll]
                for i in 0..PARTS {
                    s += part[g * UNITS + unit * PARTS + i];
                }
                score[g * TILE + unit] = select(mine, s, f32::new(-1e30));
            }
        }
        sync_cube();
        #[unroll]
        for g in 0..groups {
            let before = highest[g];
            let mut most = before;
            for j in 0..TILE {
                most = most.max(score[g * TILE + j]);
            }
            let shrink = (before - most).exp();
            highest[g] = most;
            total[g] = total[g] * shrink;
            sum[g] = sum[g] * shrink;
        }
        sync_cube();
        if unit < TILE {
            #[unroll]
            for g in 0..groups {
                let p = (score[g * TILE + unit] - highest[g]).exp();
                score[g * TILE + unit] = select(mine, p, f32::new(0.0));
            }
        }
        sync_cube();
        // Each unit adds up one dimension of the values.
        if unit < dim {
            let count = select(hi - base > TILE, TILE.runtime(), hi - base);
            let mut index = base % ring;
            for j in 0..count {
                let v = f32::cast_from(values[value_base + index * value_step + unit]);
                #[unroll]
                for g in 0..groups {
                    let p = score[g * TILE + j];
                    total[g] += p;
                    sum[g] += p * v;
                }
                index = select(index + 1 == ring, 0usize.runtime(), index + 1);
            }
        }
        sync_cube();
        base += TILE;
    }
    if unit < dim {
        #[unroll]
        for g in 0..groups {
            out[q_base + g * dim + unit] = F::cast_from(sum[g] / total[g]);
        }
    }
}
