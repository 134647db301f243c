//! What a GPU computes: a whole forward pass, in about nine launches a layer. One source, in CubeCL, for CUDA and
//! WGPU; on CUDA products of many rows are a library's, where it is there.
//!
//! [`Ops`] names the operations, `launch` runs them, the other files hold their kernels. A row reads nothing
//! of another row; in f32 the order of its sums does not depend on how many rows there are.
mod blocks;
mod few;
mod flash;
mod fragment;
mod gate;
mod heads;
mod launch;
#[cfg(feature = "cuda")]
mod library;
mod many;
mod norm;
mod peak;
mod places;
mod plain;
mod plan;
mod sent;
mod spans;
mod sums;
mod words;

pub use flash::takes as takes_tiles;
pub use places::{Places, feed, numbers, refresh, refresh_int, tiles, upload};
pub use plan::{Able, Plan};
pub use sent::Sent;
pub use words::Words;

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor, tensor::IntTensor};
use burn::tensor::{DType, Device, Int, Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// The operations that Burn dispatches to the device's backend.
#[backend_extension(Cube, Fusion)]
pub trait Ops: Backend {
    /// Tells what the device can do: only its backend knows.
    #[fusion(dtype = x, shape = x)]
    fn ask(x: FloatTensor<Self>, answer: Arc<OnceLock<Able>>) -> FloatTensor<Self>;
    /// Tells how many bytes of the device's memory nobody has taken.
    #[cfg(feature = "cuda")]
    #[fusion(dtype = x, shape = x)]
    fn free(x: FloatTensor<Self>, answer: Arc<OnceLock<u64>>) -> FloatTensor<Self>;
    /// Rows of a table `[ids, width]`, times `scale`, in f32.
    #[fusion(meta = |table: &TensorSpec, ids: &TensorSpec, _: &f32| TensorSpec::new(Shape::new([ids.shape[0], table.shape[1]]), DType::F32))]
    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>, scale: f32) -> FloatTensor<Self>;
    /// Numbers `[blocks, 32]` in `dtype`, of blocks of codes in words and a scale each.
    #[fusion(meta = |_: &TensorSpec, scales: &TensorSpec, _: &bool, dtype: &DType| TensorSpec::new(Shape::new([scales.shape[0], 32]), *dtype))]
    fn widen(codes: IntTensor<Self>, scales: FloatTensor<Self>, four: bool, dtype: DType) -> FloatTensor<Self>;
    /// RMSNorm of rows of f32, in `dtype`.
    #[fusion(meta = |x: &TensorSpec, _: &TensorSpec, _: &f32, dtype: &DType| TensorSpec::new(x.shape.clone(), *dtype))]
    fn norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32, dtype: DType) -> FloatTensor<Self>;
    /// x + norm(Σ y, post) in f32, and its norm by `next` in `dtype`. `y` is `[parts, rows or more, width]`.
    #[fusion(meta = |x: &TensorSpec, _: &TensorSpec, _: &TensorSpec, _: &TensorSpec, _: &f32, dtype: &DType| (x.clone(), TensorSpec::new(x.shape.clone(), *dtype)))]
    fn join(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        post: FloatTensor<Self>,
        next: FloatTensor<Self>,
        eps: f32,
        dtype: DType,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Queries `[tokens, heads, head_dim]`, normed, rotated and scaled, of products `[parts, tokens or more,
    /// (heads + 2 kv_heads) × head_dim]`; keys and values are written to their places in the cache
    /// `[slots, kv_heads, keys, head_dim]`, in place whoever else holds it: what shares a cache is meant to see
    /// what is written, and a recorded step knows its buffers by their place.
    #[fusion(meta = |qkv: &TensorSpec, _: &TensorSpec, _: &TensorSpec, cos: &TensorSpec, _: &TensorSpec, _: &TensorSpec, keys: &TensorSpec, values: &TensorSpec, _: &f32, _: &f32| (queries(&qkv.shape, &cos.shape, keys), keys.clone(), values.clone()))]
    #[allow(clippy::too_many_arguments)]
    fn heads(
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
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// gelu(gate) · up `[rows, width]` in `dtype`, of `[parts, rows or more, 2 × width]`.
    #[fusion(meta = |both: &TensorSpec, rows: &usize, dtype: &DType| TensorSpec::new(Shape::new([*rows, both.shape[2] / 2]), *dtype))]
    fn gate(both: FloatTensor<Self>, rows: usize, dtype: DType) -> FloatTensor<Self>;
    /// Sums `[splits, rows or more, out]` of x `[rows, in]` · wᵀ, w `[out, in]`, as planned.
    #[fusion(meta = |x: &TensorSpec, w: &TensorSpec, plan: &Plan| TensorSpec::new(Shape::new([plan.splits, plan.padded, w.shape[0]]), plan.result(x.dtype)))]
    fn product(x: FloatTensor<Self>, w: FloatTensor<Self>, plan: Plan) -> FloatTensor<Self>;
    /// Attention `[rows, heads × head_dim]` of queries; `at` holds slot, first key and end of each.
    #[fusion(dtype = q, shape = flat(q))]
    fn attend(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        at: IntTensor<Self>,
    ) -> FloatTensor<Self>;
    /// The same on matrix units, by tiles of tokens of one segment.
    #[fusion(dtype = q, shape = flat(q))]
    fn flash(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        tiles: IntTensor<Self>,
        window: usize,
    ) -> FloatTensor<Self>;
    /// Index of the largest value of each row, `[rows, 1]`; the lowest where several are largest.
    #[fusion(meta = |x: &TensorSpec| TensorSpec::new(Shape::new([x.shape[0], 1]), DType::I32))]
    fn best(x: FloatTensor<Self>) -> IntTensor<Self>;
    /// Writes `rows` `[tokens, kv_heads, head_dim]` into a cache at `at` (slot, index), in place.
    #[fusion(dtype = cache, shape = cache)]
    fn place(cache: FloatTensor<Self>, rows: FloatTensor<Self>, at: IntTensor<Self>) -> FloatTensor<Self>;
    /// Sends what stands in a buffer to the host, behind what was launched before.
    #[fusion(dtype = x, shape = x)]
    fn send(x: IntTensor<Self>, to: sent::Post) -> IntTensor<Self>;
    /// Writes over a buffer of numbers, in place.
    #[fusion(dtype = to, shape = to)]
    fn refresh(to: FloatTensor<Self>, from: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The same for whole numbers; fewer ones go to the beginning.
    #[fusion(dtype = to, shape = to)]
    fn refresh_int(to: IntTensor<Self>, from: IntTensor<Self>) -> IntTensor<Self>;
}

fn flat(q: &Shape) -> Shape {
    Shape::new([q[0], q[1] * q[2]])
}

fn queries(qkv: &Shape, cos: &Shape, keys: &TensorSpec) -> TensorSpec {
    let (kv_heads, dim) = (keys.shape[1], keys.shape[3]);
    let heads = qkv[2] / dim - 2 * kv_heads;
    TensorSpec::new(Shape::new([cos[0], heads, dim]), keys.dtype)
}

/// What a device can do.
pub fn able(device: &Device) -> Able {
    let answer = Arc::new(OnceLock::new());
    let x = Tensor::<1>::zeros([1], (device, DType::F32));
    let x: Tensor<1> = Tensor::from_dispatch(<Dispatch as Ops>::ask(x.into_dispatch(), answer.clone()));
    // An operation runs when its result is read.
    let _ = x.into_data();
    answer.get().copied().unwrap_or_default()
}

/// Bytes of a device's memory that nobody has taken, where it tells.
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

/// See [`Ops::embed`].
pub fn embed(table: &Tensor<2>, ids: &Tensor<1, Int>, scale: f32) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Ops>::embed(table.clone().into_dispatch(), ids.clone().into_dispatch(), scale))
}

/// See [`Ops::widen`].
pub fn widen(codes: &Tensor<1, Int>, scales: &Tensor<1>, four: bool, dtype: DType) -> Tensor<2> {
    let (codes, scales) = (codes.clone().into_dispatch(), scales.clone().into_dispatch());
    Tensor::from_dispatch(<Dispatch as Ops>::widen(codes, scales, four, dtype))
}

/// See [`Ops::norm`].
pub fn norm(x: Tensor<2>, weight: &Tensor<1>, eps: f64, dtype: DType) -> Tensor<2> {
    let weight = weight.clone().into_dispatch();
    Tensor::from_dispatch(<Dispatch as Ops>::norm(x.into_dispatch(), weight, eps as f32, dtype))
}

/// See [`Ops::join`].
pub fn join(x: Tensor<2>, y: Product, post: &Tensor<1>, next: &Tensor<1>, eps: f64, dtype: DType) -> [Tensor<2>; 2] {
    let (post, next) = (post.clone().into_dispatch(), next.clone().into_dispatch());
    let (x, h) = <Dispatch as Ops>::join(x.into_dispatch(), y.0.into_dispatch(), post, next, eps as f32, dtype);
    [Tensor::from_dispatch(x), Tensor::from_dispatch(h)]
}

/// See [`Ops::gate`].
pub fn gate(both: Product, rows: usize, dtype: DType) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Ops>::gate(both.0.into_dispatch(), rows, dtype))
}

/// See [`Ops::best`].
pub fn best(x: Tensor<2>) -> Tensor<2, Int> {
    Tensor::from_dispatch(<Dispatch as Ops>::best(x.into_dispatch()))
}

/// Partial sums of a product, `[parts, rows or more, width]`: who reads them adds them up.
#[derive(Clone)]
pub struct Product(pub Tensor<3>);

impl Product {
    /// x `[rows, in]` · wᵀ, w `[out, in]`, of x's type.
    pub fn of(able: &Able, x: Tensor<2>, w: &Tensor<2>) -> Self {
        let ([rows, inner], [columns, _]) = (x.dims(), w.dims());
        let Some(plan) = Plan::new(able, rows, columns, inner, x.dtype()) else {
            let y: Tensor<2> = crate::model::matmul(false, x, w.clone().transpose());
            return Self(y.unsqueeze());
        };
        let w = w.clone().into_dispatch();
        Self(Tensor::from_dispatch(<Dispatch as Ops>::product(x.into_dispatch(), w, plan)))
    }

    /// The sums themselves, `[rows, width]` in f32.
    pub fn whole(self, rows: usize) -> Tensor<2> {
        let [parts, padded, width] = self.0.dims();
        let y = if parts == 1 { self.0 } else { self.0.sum_dim(0) };
        let y: Tensor<2> = y.reshape([padded, width]).cast(DType::F32);
        if padded > rows { y.narrow(0, 0, rows) } else { y }
    }
}

/// What [`heads`] needs to know of a layer and of the tokens.
pub struct Turned<'a> {
    /// 1 + γ of queries' norm, and of keys'.
    pub norms: (&'a Tensor<1>, &'a Tensor<1>),
    /// cos and sin of the tokens' positions, `[tokens, 1, head_dim / 2]`.
    pub tables: &'a (Tensor<3>, Tensor<3>),
    /// Where keys and values go.
    pub places: &'a Places,
    /// Of norms.
    pub eps: f64,
    /// Of queries.
    pub scale: f32,
}

/// See [`Ops::heads`]. The cache's tensors are written in place.
pub fn heads(qkv: Product, keys: &mut Tensor<4>, values: &mut Tensor<4>, with: &Turned) -> Tensor<3> {
    let mut queries = None;
    keys.inplace(|k| {
        let mut written = None;
        values.inplace(|v| {
            let (q, k, v) = <Dispatch as Ops>::heads(
                qkv.0.into_dispatch(),
                with.norms.0.clone().into_dispatch(),
                with.norms.1.clone().into_dispatch(),
                with.tables.0.clone().into_dispatch(),
                with.tables.1.clone().into_dispatch(),
                with.places.to.clone().into_dispatch(),
                k.into_dispatch(),
                v.into_dispatch(),
                with.eps as f32,
                with.scale,
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

/// Attention of all tokens of a step `[tokens, heads × head_dim]`, their own keys and values written already.
pub fn attend(q: Tensor<3>, keys: &Tensor<4>, values: &Tensor<4>, places: &Places) -> Tensor<2> {
    let (q, k, v) = (q.into_dispatch(), keys.clone().into_dispatch(), values.clone().into_dispatch());
    Tensor::from_dispatch(match &places.tiles {
        Some(tiles) => <Dispatch as Ops>::flash(q, k, v, tiles.clone().into_dispatch(), places.window),
        None => <Dispatch as Ops>::attend(q, k, v, places.seen.clone().into_dispatch()),
    })
}

/// Writes rows `[tokens, kv_heads, head_dim]` to a cache `[slots, kv_heads, keys, head_dim]`, in place.
pub fn place(cache: &mut Tensor<4>, rows: Tensor<3>, places: &Places) {
    let (rows, at) = (rows.into_dispatch(), places.to.clone().into_dispatch());
    cache.inplace(|t| Tensor::from_dispatch(<Dispatch as Ops>::place(t.into_dispatch(), rows, at)));
}
