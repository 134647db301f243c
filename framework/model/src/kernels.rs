//! What the forward pass computes with: the same operations on the processor ([`crate::host`]) and on a GPU
//! ([`crate::gpu`]), so that the pass is written once.
use crate::Result;
use crate::cache::KvCache;
use crate::rope::Rope;
use crate::step::Step;
use burn::tensor::Tensor;
use friction_checkpoint::Arch;
use friction_checkpoint::arch::Activation;

/// A linear map x · wᵀ + b, w `[out, in]`.
pub(crate) struct Linear<W> {
    /// The matrix, in the form in which it is held.
    pub weight: W,
    /// The bias `[out]` in f32; `None`: none.
    pub bias: Option<Tensor<1>>,
}

/// What attention needs of a layer beside q, k and v.
pub(crate) struct AttentionLayer {
    /// Index of the layer, which is that of its cache.
    pub layer: usize,
    /// Index of its kind, which says window and RoPE.
    pub kind: usize,
    /// Weights of the norms of queries and of keys: `[head_dim]` each, or `[heads × head_dim]` and
    /// `[kv_heads × head_dim]`, as the architecture says; `None`: no norms.
    pub norms: Option<(Tensor<1>, Tensor<1>)>,
}

/// The operations of the forward pass. Activations between two matrix products are in the kernels' own dtype
/// ("narrow"); the residual stream and what probes see are f32.
pub(crate) trait Kernels: Sized {
    /// A matrix in the form in which it is held.
    type Weight;
    /// The result of a matrix product in the form in which the next kernel takes it.
    type Product;
    /// What a step reads beside weights and cache.
    type Inputs;

    /// A matrix `[rows, columns]`, given row by row, in the form in which it is held.
    ///
    /// # Errors
    /// When it cannot be held as the kernels were opened for.
    fn weight(&self, values: Vec<f32>, columns: usize) -> Result<Self::Weight>;
    /// Bytes of a matrix in the form in which it is held.
    fn bytes(&self, weight: &Self::Weight) -> u64;
    /// Computes and uploads what a step reads beside weights and cache. `ropes` holds one entry per kind of layer.
    fn inputs(&self, arch: &Arch, ropes: &[Rope], step: &Step, cache: &KvCache) -> Self::Inputs;
    /// Embedding lookup: rows of the table, times `scale`, `[tokens, hidden]` in f32.
    fn embed(&self, table: &Self::Weight, inputs: &Self::Inputs, scale: f32) -> Tensor<2>;
    /// RMSNorm of f32 rows, narrow.
    fn rms_norm(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2>;
    /// RMSNorm of f32 rows, in f32.
    fn rms_norm_wide(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2>;
    /// f32 rows, narrow.
    fn narrow(&self, x: Tensor<2>) -> Tensor<2>;
    /// Narrow rows in f32.
    fn wide(&self, x: Tensor<2>) -> Tensor<2>;
    /// A linear map of narrow rows `[rows, in]`.
    fn linear(&self, x: Tensor<2>, linear: &Linear<Self::Weight>, inputs: &Self::Inputs) -> Self::Product;
    /// A product as `[rows, out]` in f32.
    fn whole(&self, y: Self::Product, rows: usize) -> Tensor<2>;
    /// The residual sum and the norm behind it: s = x + RMSNorm(y; `post`) in f32, and RMSNorm(s; `next`), narrow. Without
    /// weights a norm is left out.
    fn add_rms_norm(
        &self,
        x: Tensor<2>,
        y: Self::Product,
        post: Option<&Tensor<1>>,
        next: Option<&Tensor<1>>,
        eps: f64,
    ) -> [Tensor<2>; 2];
    /// SwiGLU or GeGLU: activation(gate) · up, narrow `[rows, width]`, of the product `[rows, 2 × width]` that holds
    /// gates, then ups.
    fn gated(&self, both: Self::Product, rows: usize, activation: Activation) -> Tensor<2>;
    /// Attention of one layer, before the output projection: takes the product
    /// `[tokens, (heads + 2 kv_heads) × head_dim]`, normalises and rotates queries and keys, writes keys and values to the
    /// cache; returns narrow `[tokens, heads × head_dim]`.
    fn attention(
        &self,
        qkv: Self::Product,
        layer: &AttentionLayer,
        arch: &Arch,
        step: &Step,
        inputs: &Self::Inputs,
        cache: &mut KvCache,
    ) -> Tensor<2>;
    /// Rows of a narrow tensor.
    fn select(&self, x: Tensor<2>, rows: &[usize]) -> Tensor<2>;
}

/// Factor of the attention scores, multiplied into the queries.
pub(crate) fn attention_scale(arch: &Arch) -> f32 {
    (arch.query_pre_attn_scalar as f32).powf(-0.5)
}
