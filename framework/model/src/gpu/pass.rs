//! The kernels of a GPU behind the forward pass's operations.
use super::{self as gpu, Able, GpuCache, Places, Product, Turned, Words, takes_tiles, tiles, upload};
use crate::Result;
use crate::buffers::placed;
use crate::cache::KvCache;
use crate::kernels::{AttentionLayer, Kernels, Linear, attention_scale};
use crate::norm::rms;
use crate::quant::Blocks;
use crate::rope::Rope;
use crate::step::Step;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use friction_checkpoint::Arch;
use friction_checkpoint::arch::{Activation, QkNorm};
use friction_core::manifest::Quantize;

/// A GPU's kernels.
pub(crate) struct Gpu {
    pub device: Device,
    /// Type of the matrix products, of what is between them, and of the KV cache.
    pub dtype: DType,
    quantize: Quantize,
    able: Able,
}

/// A weight matrix `[out, in]` in a GPU's memory.
pub(crate) enum GpuWeight {
    /// A dense tensor in the model's dtype.
    Dense(Tensor<2>),
    /// Quantised blocks of 32.
    Words(Words),
}

/// What a step reads beside weights and cache.
pub(crate) struct GpuInputs {
    /// Token ids `[tokens]`.
    pub ids: Tensor<1, Int>,
    /// cos and sin of the tokens' positions, `[tokens, 1, head_dim / 2]`, for each kind of layer.
    pub tables: Vec<(Tensor<3>, Tensor<3>)>,
    /// Cache slots and ring indices of the tokens, for each kind of layer.
    pub places: Vec<Places>,
}

impl Gpu {
    /// The kernels of a device; `None` where it is the processor.
    pub fn open(device: &Device, dtype: DType, quantize: Quantize) -> Option<Self> {
        (*device != Device::flex()).then(|| Self { device: device.clone(), dtype, quantize, able: gpu::able(device) })
    }

    /// Bytes of the largest buffer, where the device says.
    pub fn largest(&self) -> Option<u64> {
        self.able.largest
    }

    /// Whether decode steps are recorded: not with quantised weights, all of which a graph would hold dequantised.
    pub fn records(&self) -> bool {
        self.quantize == Quantize::None
    }

    /// See [`crate::Model::prompt_product`].
    pub fn prompt_product(&self, x: Tensor<2>, w: &Tensor<2>) -> Tensor<2> {
        let product = Product::of(&self.able, x, w).0;
        let [parts, rows, width] = product.dims();
        product.reshape([parts * rows, width])
    }

    /// The argmax of each row, `[rows, 1]`; the lowest index among equals.
    pub fn argmax(&self, x: Tensor<2>) -> Tensor<2, Int> {
        gpu::best(x)
    }

    /// A weight as a dense matrix `[out, in]` in the model's dtype; quantised weights are dequantised here.
    fn dense(&self, w: &GpuWeight) -> Tensor<2> {
        match w {
            GpuWeight::Dense(w) => w.clone(),
            GpuWeight::Words(w) => w.widened(self.dtype),
        }
    }

    /// Normalises all queries of a token together, and all keys, in the product
    /// `[tokens, (heads + 2 kv_heads) × head_dim]`.
    fn normed_projections(&self, qkv: Product, (q, k): (&Tensor<1>, &Tensor<1>), arch: &Arch, rows: usize) -> Product {
        let (wide, narrow) = (arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim);
        let qkv = qkv.whole(rows);
        let part = |from: usize, width: usize| qkv.clone().narrow(1, from, width);
        let queries = rms(part(0, wide), q, arch.eps);
        let keys = rms(part(wide, narrow), k, arch.eps);
        Product(Tensor::cat(vec![queries, keys, part(wide + narrow, narrow)], 1).unsqueeze())
    }
}

impl Kernels for Gpu {
    type Weight = GpuWeight;
    type Product = Product;
    type Inputs = GpuInputs;

    fn weight(&self, values: Vec<f32>, columns: usize) -> Result<GpuWeight> {
        if self.quantize != Quantize::None {
            let blocks = Blocks::of(&values, columns, self.quantize)?;
            return Ok(GpuWeight::Words(Words::new(&blocks, &self.device)));
        }
        let rows = values.len() / columns;
        let data = TensorData::new(values, [rows, columns]);
        Ok(GpuWeight::Dense(placed(data, &self.device, self.dtype, self.able.largest)))
    }

    fn bytes(&self, weight: &GpuWeight) -> u64 {
        match weight {
            GpuWeight::Dense(w) => (w.dims().iter().product::<usize>() * self.dtype.size()) as u64,
            GpuWeight::Words(w) => w.bytes(),
        }
    }

    fn inputs(&self, arch: &Arch, ropes: &[Rope], step: &Step, cache: &KvCache) -> GpuInputs {
        let positions: Vec<usize> = step.segments.iter().flat_map(|s| s.start..s.start + s.len).collect();
        let groups = arch.heads / arch.kv_heads;
        let prompts = step.segments.iter().any(|s| s.len > 1);
        let tiles = (prompts && takes_tiles(&self.able, self.dtype, groups, arch.head_dim))
            .then(|| upload(tiles(step, groups), &self.device));
        let place = |window: Option<usize>| {
            let (keys, window) = window.map_or((cache.shape.capacity, usize::MAX), |w| (cache.shape.ring, w));
            Places::new(step, keys, window, tiles.clone(), &self.device)
        };
        GpuInputs {
            ids: upload(step.ids.iter().map(|i| *i as i32).collect(), &self.device),
            tables: ropes.iter().map(|rope| rope.tables(&positions, &self.device)).collect(),
            places: arch.kinds.iter().map(|k| place(k.window)).collect(),
        }
    }

    fn embed(&self, table: &GpuWeight, inputs: &GpuInputs, scale: f32) -> Tensor<2> {
        match table {
            GpuWeight::Words(table) => table.rows(&inputs.ids, self.dtype).cast(DType::F32) * scale,
            GpuWeight::Dense(table) => gpu::embed(table, &inputs.ids, scale),
        }
    }

    fn rms_norm(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
        gpu::norm(x, weight, eps, self.dtype)
    }

    fn rms_norm_wide(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
        gpu::norm(x, weight, eps, DType::F32)
    }

    fn narrow(&self, x: Tensor<2>) -> Tensor<2> {
        x.cast(self.dtype)
    }

    fn wide(&self, x: Tensor<2>) -> Tensor<2> {
        x.cast(DType::F32)
    }

    fn linear(&self, x: Tensor<2>, linear: &Linear<GpuWeight>, _: &GpuInputs) -> Product {
        let rows = x.dims()[0];
        let y = Product::of(&self.able, x, &self.dense(&linear.weight));
        match &linear.bias {
            Some(bias) => Product((y.whole(rows) + bias.clone().unsqueeze()).unsqueeze()),
            None => y,
        }
    }

    fn whole(&self, y: Product, rows: usize) -> Tensor<2> {
        y.whole(rows)
    }

    fn add_rms_norm(
        &self,
        x: Tensor<2>,
        y: Product,
        post: Option<&Tensor<1>>,
        next: Option<&Tensor<1>>,
        eps: f64,
    ) -> [Tensor<2>; 2] {
        gpu::add_rms_norm(x, y, post, next, eps, self.dtype)
    }

    fn gated(&self, both: Product, rows: usize, activation: Activation) -> Tensor<2> {
        gpu::gated(both, rows, activation == Activation::Silu, self.dtype)
    }

    fn attention(
        &self,
        qkv: Product,
        layer: &AttentionLayer,
        arch: &Arch,
        step: &Step,
        inputs: &GpuInputs,
        cache: &mut KvCache,
    ) -> Tensor<2> {
        let norms = layer.norms.as_ref().map(|(q, k)| (q, k));
        let (qkv, norms) = match norms.filter(|_| arch.qk_norm == QkNorm::Projection) {
            Some(norms) => (self.normed_projections(qkv, norms, arch, step.ids.len()), None),
            None => (qkv, norms),
        };
        let places = &inputs.places[layer.kind];
        let Some(GpuCache { layers, .. }) = &mut cache.gpu else { unreachable!("a GPU's model has a GPU's cache") };
        let (keys, values) = &mut layers[layer.layer];
        let turned =
            Turned { norms, tables: &inputs.tables[layer.kind], places, eps: arch.eps, scale: attention_scale(arch) };
        let q = gpu::qk_norm_rope(qkv, keys, values, &turned);
        gpu::attend(q, keys, values, places, arch.attn_softcap.map(|cap| cap as f32))
    }

    fn select(&self, x: Tensor<2>, rows: &[usize]) -> Tensor<2> {
        x.select(0, upload(rows.iter().map(|i| *i as i32).collect(), &self.device))
    }
}
