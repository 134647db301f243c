//! GPU kernels of the forward pass, about nine launches per layer. One source in CubeCL for CUDA and WGPU. On CUDA,
//! matrix products of more than 64 rows use cuBLAS where it is installed.
//!
//! [`Ops`] declares the operations, `launch` launches them, and the other files hold the kernels. CubeCL's words: a
//! *unit* is a CUDA thread, a *plane* a warp, a *cube* a thread block, *matrix units* are tensor cores; a cube's
//! units share memory. Integers called stride or pitch say what they count.
//!
//! No row reads anything of another row. In f32 the order of summation does not depend on the number of rows.
//!
//! Files: `few` (GEMV and GEMM of up to 64 rows, split-K), `many` (GEMM of more rows), `library` (cuBLAS), `norm`
//! (RMSNorm, residual sum), `heads` (QK-norm, RoPE, cache write), `spans` (decode attention), `flash` (prefill
//! attention), `plain` (attention on any device), `gate` (GeGLU, embedding lookup), `blocks` (dequantisation), `peak`
//! (argmax), `places` (slots and positions of a step), `plan` (choice of the matrix product), `sent` (copies to the
//! host), `vectors` (vectors of edits), `words` (quantised weights), `sums` and `fragment` (helpers).
mod blocks;
mod cache;
mod devices;
mod exact;
mod few;
mod flash;
mod fragment;
mod gate;
mod graph;
mod heads;
mod launch;
#[cfg(feature = "cuda")]
mod library;
mod many;
mod norm;
mod pass;
mod peak;
mod places;
mod plain;
mod plan;
mod sent;
mod spans;
mod sums;
mod vectors;
mod words;

pub use cache::GpuCache;
pub(crate) use devices::{found, open};
pub use exact::product as exact_product;
pub use flash::takes as takes_tiles;
pub(crate) use graph::Steps;
pub(crate) use pass::Gpu;
pub use places::{Places, feed, numbers, refresh, refresh_int, tiles, upload};
pub use plan::{Able, Plan};
pub use sent::Sent;
pub use vectors::Vectors;
pub use words::Words;

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor, tensor::IntTensor};
use burn::tensor::{DType, Device, Int, Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// The operations, dispatched by Burn to the device's backend. "parts" are partial sums of a split-K product: the
/// consumer adds them up. "rows or more" means that padding rows may follow.
#[backend_extension(Cube, Fusion)]
pub trait Ops: Backend {
    /// Writes the device's capabilities to `answer`; returns `x` unchanged.
    #[fusion(dtype = x, shape = x)]
    fn ask(x: FloatTensor<Self>, answer: Arc<OnceLock<Able>>) -> FloatTensor<Self>;
    /// Writes the free bytes of the device's memory to `answer`, on CUDA; returns `x` unchanged.
    #[cfg(feature = "cuda")]
    #[fusion(dtype = x, shape = x)]
    fn free(x: FloatTensor<Self>, answer: Arc<OnceLock<u64>>) -> FloatTensor<Self>;
    /// Embedding lookup: rows `ids` of `table` `[vocab, width]`, times `scale`, as f32 `[ids, width]`.
    #[fusion(meta = |table: &TensorSpec, ids: &TensorSpec, _: &f32| TensorSpec::new(Shape::new([ids.shape[0], table.shape[1]]), DType::F32))]
    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>, scale: f32) -> FloatTensor<Self>;
    /// Dequantises weights to `[blocks, 32]` in `dtype`. `codes` are packed 32-bit words, `scales` `[blocks]` in f32;
    /// `four` means 4-bit codes, else 8-bit.
    #[fusion(meta = |_: &TensorSpec, scales: &TensorSpec, _: &bool, dtype: &DType| TensorSpec::new(Shape::new([scales.shape[0], 32]), *dtype))]
    fn widen(codes: IntTensor<Self>, scales: FloatTensor<Self>, four: bool, dtype: DType) -> FloatTensor<Self>;
    /// RMSNorm of f32 rows `[rows, width]`, written in `dtype`. `weight` is `[width]`.
    #[fusion(meta = |x: &TensorSpec, _: &TensorSpec, _: &f32, dtype: &DType| TensorSpec::new(x.shape.clone(), *dtype))]
    fn norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32, dtype: DType) -> FloatTensor<Self>;
    /// Residual sum and the norm behind it: returns s = x + RMSNorm(Σ y; `post`) in f32, and RMSNorm(s; `next`) in
    /// `dtype`, each norm as far as `norms` has it. x is `[rows, width]`, y `[parts, rows or more, width]`.
    #[fusion(meta = |x: &TensorSpec, _: &TensorSpec, _: &TensorSpec, _: &TensorSpec, _: &Between, _: &f32, dtype: &DType| (x.clone(), TensorSpec::new(x.shape.clone(), *dtype)))]
    fn add_rms_norm(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        post: FloatTensor<Self>,
        next: FloatTensor<Self>,
        norms: Between,
        eps: f32,
        dtype: DType,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// QK-norm (where `normed`), RoPE and cache write. Takes the qkv product
    /// `[parts, tokens or more, (heads + 2 kv_heads) × head_dim]`; returns queries `[tokens, heads, head_dim]`,
    /// normalised, rotated and multiplied by `scale`. Keys (normalised and rotated) and values are written to the
    /// caches `[slots, kv_heads, keys, head_dim]` at `to` (slot and index per token).
    ///
    /// The caches are written in place even where other tensors share them: clones of a cache are meant to see the
    /// writes, and a recorded step refers to the buffers by address.
    #[fusion(meta = |qkv: &TensorSpec, _: &TensorSpec, _: &TensorSpec, cos: &TensorSpec, _: &TensorSpec, _: &TensorSpec, keys: &TensorSpec, values: &TensorSpec, _: &f32, _: &f32, _: &bool| (queries(&qkv.shape, &cos.shape, keys), keys.clone(), values.clone()))]
    #[allow(clippy::too_many_arguments)]
    fn qk_norm_rope(
        qkv: FloatTensor<Self>,
        q_norm: FloatTensor<Self>,
        k_norm: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        to: IntTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        eps: f32,
        scale: f32,
        normed: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// GeGLU, or SwiGLU where `silu`: activation(gate) · up `[rows, width]` in `dtype`, of the product `[parts, rows or more, 2 × width]` that
    /// holds gates, then ups.
    #[fusion(meta = |both: &TensorSpec, rows: &usize, _: &bool, dtype: &DType| TensorSpec::new(Shape::new([*rows, both.shape[2] / 2]), *dtype))]
    fn gated(both: FloatTensor<Self>, rows: usize, silu: bool, dtype: DType) -> FloatTensor<Self>;
    /// Matrix product x `[rows, in]` · wᵀ, w `[out, in]`, as `[splits, rows or more, out]`, computed as planned.
    #[fusion(meta = |x: &TensorSpec, w: &TensorSpec, plan: &Plan| TensorSpec::new(Shape::new([plan.splits, plan.padded, w.shape[0]]), plan.result(x.dtype)))]
    fn product(x: FloatTensor<Self>, w: FloatTensor<Self>, plan: Plan) -> FloatTensor<Self>;
    /// Attention of rows of one token each: q `[rows, heads, head_dim]` → `[rows, heads × head_dim]`. `at` holds
    /// slot, first key and end of keys of each row, `[3 × rows]`. Keys of the tokens themselves are in the cache
    /// already. `cap` is the soft cap of the scores.
    #[fusion(dtype = q, shape = flat(q))]
    fn attend(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        at: IntTensor<Self>,
        cap: Option<f32>,
    ) -> FloatTensor<Self>;
    /// Attention of prompts on matrix units. Same shapes as `attend`; `tiles` lists tiles of tokens of one segment
    /// (see [`tiles`]). A query attends to at most `window` keys.
    #[fusion(dtype = q, shape = flat(q))]
    fn flash(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        tiles: IntTensor<Self>,
        window: usize,
        cap: Option<f32>,
    ) -> FloatTensor<Self>;
    /// Argmax of each row, `[rows, 1]`; the lowest index among equals.
    #[fusion(meta = |x: &TensorSpec| TensorSpec::new(Shape::new([x.shape[0], 1]), DType::I32))]
    fn best(x: FloatTensor<Self>) -> IntTensor<Self>;
    /// Writes `rows` `[tokens, kv_heads, head_dim]` into a cache at `at` (slot and index per token), in place.
    #[fusion(dtype = cache, shape = cache)]
    fn place(cache: FloatTensor<Self>, rows: FloatTensor<Self>, at: IntTensor<Self>) -> FloatTensor<Self>;
    /// Enqueues a copy of a buffer to the host after what was launched before; returns `x` unchanged.
    #[fusion(dtype = x, shape = x)]
    fn send(x: IntTensor<Self>, to: sent::Post) -> IntTensor<Self>;
    /// Overwrites a buffer of floats, in place.
    #[fusion(dtype = to, shape = to)]
    fn refresh(to: FloatTensor<Self>, from: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Overwrites the beginning of a buffer of integers, in place.
    #[fusion(dtype = to, shape = to)]
    fn refresh_int(to: IntTensor<Self>, from: IntTensor<Self>) -> IntTensor<Self>;
}

/// The shape `[rows, heads × head_dim]` of attention outputs for queries of shape `q`.
fn flat(q: &Shape) -> Shape {
    Shape::new([q[0], q[1] * q[2]])
}

/// The shape and dtype of the queries of a qkv product.
fn queries(qkv: &Shape, cos: &Shape, keys: &TensorSpec) -> TensorSpec {
    let (kv_heads, dim) = (keys.shape[1], keys.shape[3]);
    let heads = qkv[2] / dim - 2 * kv_heads;
    TensorSpec::new(Shape::new([cos[0], heads, dim]), keys.dtype)
}

/// The capabilities of a GPU, asked of its backend. Waits for the device.
pub fn able(device: &Device) -> Able {
    let answer = Arc::new(OnceLock::new());
    let x = Tensor::<1>::zeros([1], (device, DType::F32));
    let x: Tensor<1> = Tensor::from_dispatch(<Dispatch as Ops>::ask(x.into_dispatch(), answer.clone()));
    // The operation runs when its result is read.
    let _ = x.into_data();
    answer.get().copied().unwrap_or_default()
}

/// Free bytes of a device's memory: none are known but of CUDA's.
#[cfg(not(feature = "cuda"))]
pub fn free(_: &Device) -> Option<u64> {
    None
}

/// Free bytes of a device's memory, where it is CUDA's; `None` elsewhere.
#[cfg(feature = "cuda")]
pub fn free(device: &Device) -> Option<u64> {
    if *device == Device::flex() {
        return None;
    }
    let answer = Arc::new(OnceLock::new());
    let x = Tensor::<1>::zeros([1], (device, DType::F32));
    let x: Tensor<1> = Tensor::from_dispatch(<Dispatch as Ops>::free(x.into_dispatch(), answer.clone()));
    let _ = x.into_data();
    answer.get().copied()
}

/// Embedding lookup; see [`Ops::embed`].
pub fn embed(table: &Tensor<2>, ids: &Tensor<1, Int>, scale: f32) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Ops>::embed(table.clone().into_dispatch(), ids.clone().into_dispatch(), scale))
}

/// Dequantisation; see [`Ops::widen`].
pub fn widen(codes: &Tensor<1, Int>, scales: &Tensor<1>, four: bool, dtype: DType) -> Tensor<2> {
    let (codes, scales) = (codes.clone().into_dispatch(), scales.clone().into_dispatch());
    Tensor::from_dispatch(<Dispatch as Ops>::widen(codes, scales, four, dtype))
}

/// RMSNorm; see [`Ops::norm`].
pub fn norm(x: Tensor<2>, weight: &Tensor<1>, eps: f64, dtype: DType) -> Tensor<2> {
    let weight = weight.clone().into_dispatch();
    Tensor::from_dispatch(<Dispatch as Ops>::norm(x.into_dispatch(), weight, eps as f32, dtype))
}

/// The norms around a residual sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// Whether what is added is normalised.
    pub post: bool,
    /// Whether the sum is normalised.
    pub next: bool,
}

/// Residual sum and the norm behind it, `[sum in f32, its norm in dtype]`; see [`Ops::add_rms_norm`].
pub fn add_rms_norm(
    x: Tensor<2>,
    y: Product,
    post: Option<&Tensor<1>>,
    next: Option<&Tensor<1>>,
    eps: f64,
    dtype: DType,
) -> [Tensor<2>; 2] {
    let norms = Between { post: post.is_some(), next: next.is_some() };
    // The weights of a norm that is left out are not read: those of the other stand in for them.
    let Some(any) = post.or(next) else {
        let rows = x.dims()[0];
        let sum = x + y.whole(rows);
        return [sum.clone(), sum.cast(dtype)];
    };
    let [post, next] = [post, next].map(|w| w.unwrap_or(any).clone().into_dispatch());
    let (x, y) = (x.into_dispatch(), y.0.into_dispatch());
    let (x, h) = <Dispatch as Ops>::add_rms_norm(x, y, post, next, norms, eps as f32, dtype);
    [Tensor::from_dispatch(x), Tensor::from_dispatch(h)]
}

/// GeGLU or SwiGLU; see [`Ops::gated`].
pub fn gated(both: Product, rows: usize, silu: bool, dtype: DType) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Ops>::gated(both.0.into_dispatch(), rows, silu, dtype))
}

/// Argmax of each row; see [`Ops::best`].
pub fn best(x: Tensor<2>) -> Tensor<2, Int> {
    Tensor::from_dispatch(<Dispatch as Ops>::best(x.into_dispatch()))
}

/// Partial sums `[parts, rows or more, width]` of a matrix product. The consumer adds them up.
#[derive(Clone)]
pub struct Product(pub Tensor<3>);

impl Product {
    /// x `[rows, in]` · wᵀ, w `[out, in]`, both in the same dtype. Uses this crate's kernels or cuBLAS where they
    /// apply, else Burn's product.
    pub fn of(able: &Able, x: Tensor<2>, w: &Tensor<2>) -> Self {
        let ([rows, inner], [columns, _]) = (x.dims(), w.dims());
        let Some(plan) = Plan::new(able, rows, columns, inner, x.dtype()) else {
            let y: Tensor<2> = crate::model::matmul(false, x, w.clone().transpose());
            return Self(y.unsqueeze());
        };
        let w = w.clone().into_dispatch();
        Self(Tensor::from_dispatch(<Dispatch as Ops>::product(x.into_dispatch(), w, plan)))
    }

    /// The product itself, `[rows, width]` in f32.
    pub fn whole(self, rows: usize) -> Tensor<2> {
        let [parts, padded, width] = self.0.dims();
        let y = if parts == 1 { self.0 } else { self.0.sum_dim(0) };
        let y: Tensor<2> = y.reshape([padded, width]).cast(DType::F32);
        if padded > rows { y.narrow(0, 0, rows) } else { y }
    }
}

/// Inputs of [`qk_norm_rope()`] beside the product and the cache.
pub struct Turned<'a> {
    /// Weights of the RMSNorm of queries, and of keys, each `[head_dim]`; `None`: no norm.
    pub norms: Option<(&'a Tensor<1>, &'a Tensor<1>)>,
    /// cos and sin of the tokens' positions, `[tokens, 1, head_dim / 2]` in f32.
    pub tables: &'a (Tensor<3>, Tensor<3>),
    /// Slot and index in the cache of each token.
    pub places: &'a Places,
    /// ε of both norms.
    pub eps: f64,
    /// Attention scale, multiplied into the queries.
    pub scale: f32,
}

/// QK-norm, RoPE and cache write; see [`Ops::qk_norm_rope`]. Returns the queries; `keys` and `values` are written in
/// place.
pub fn qk_norm_rope(qkv: Product, keys: &mut Tensor<4>, values: &mut Tensor<4>, with: &Turned) -> Tensor<3> {
    let mut queries = None;
    // Without norms their weights are not read: any numbers stand in for them.
    let flat = || with.tables.0.clone().reshape([with.tables.0.dims().iter().product::<usize>()]);
    let normed = with.norms.is_some();
    let norms = with.norms.map_or_else(|| [flat(), flat()], |(q, k)| [q.clone(), k.clone()]);
    keys.inplace(|k| {
        let mut written = None;
        values.inplace(|v| {
            let [q_norm, k_norm] = norms.map(Tensor::into_dispatch);
            let (q, k, v) = <Dispatch as Ops>::qk_norm_rope(
                qkv.0.into_dispatch(),
                q_norm,
                k_norm,
                with.tables.0.clone().into_dispatch(),
                with.tables.1.clone().into_dispatch(),
                with.places.to.clone().into_dispatch(),
                k.into_dispatch(),
                v.into_dispatch(),
                with.eps as f32,
                with.scale,
                normed,
            );
            queries = Some(Tensor::from_dispatch(q));
            written = Some(Tensor::from_dispatch(k));
            Tensor::from_dispatch(v)
        });
        let Some(written) = written else { unreachable!("set above") };
        written
    });
    let Some(queries) = queries else { unreachable!("set above") };
    queries
}

/// Attention of all tokens of a step, `[tokens, heads × head_dim]`; their own keys and values must be in the cache.
/// Uses [`Ops::flash`] where `places` has tiles, else [`Ops::attend`].
pub fn attend(q: Tensor<3>, keys: &Tensor<4>, values: &Tensor<4>, places: &Places, cap: Option<f32>) -> Tensor<2> {
    let (q, k, v) = (q.into_dispatch(), keys.clone().into_dispatch(), values.clone().into_dispatch());
    Tensor::from_dispatch(match &places.tiles {
        Some(tiles) => <Dispatch as Ops>::flash(q, k, v, tiles.clone().into_dispatch(), places.window, cap),
        None => <Dispatch as Ops>::attend(q, k, v, places.seen.clone().into_dispatch(), cap),
    })
}

/// Writes `rows` `[tokens, kv_heads, head_dim]` to a cache `[slots, kv_heads, keys, head_dim]`, in place.
pub fn place(cache: &mut Tensor<4>, rows: Tensor<3>, places: &Places) {
    let (rows, at) = (rows.into_dispatch(), places.to.clone().into_dispatch());
    cache.inplace(|t| Tensor::from_dispatch(<Dispatch as Ops>::place(t.into_dispatch(), rows, at)));
}
