//! The kernels on the processor (Burn's Flex backend), in f32 between matrix products.
mod activation;
pub(crate) mod attention;

use crate::Result;
use crate::cache::KvCache;
use crate::floats::floats;
use crate::kernels::{AttentionLayer, Kernels, Linear, attention_scale};
use crate::model::{least_rows, matmul};
use crate::norm::{add_rms_rows, rms_rows};
use crate::quant::{self, Blocks};
use crate::rope::Rope;
use crate::step::Step;
use attention::{Layer, Norm};
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_checkpoint::Arch;
use friction_checkpoint::arch::{Activation, QkNorm};
use friction_core::manifest::Quantize;

/// The processor's kernels.
pub(crate) struct Host {
    pub device: Device,
    /// Type of the matrix products.
    pub dtype: DType,
    pub quantize: Quantize,
}

/// A weight matrix `[out, in]` on the host.
pub(crate) enum HostWeight {
    /// A dense tensor in the model's dtype.
    Dense(Tensor<2>),
    /// Blocks of 32: quantised (q8, q4), or f32 in the same order where the width is a multiple of 32.
    Blocks(Blocks),
}

/// What a step reads beside weights and cache.
pub(crate) struct HostInputs {
    ids: Vec<u32>,
    /// cos and sin of the tokens' positions for each kind of layer, row-major `[tokens, head_dim / 2]`.
    angles: Vec<(Vec<f32>, Vec<f32>)>,
    /// Whether the cache has several slots, so that rows of other conversations may be beside a row.
    shared: bool,
}

impl Host {
    fn tensor(&self, values: Vec<f32>, width: usize) -> Tensor<2> {
        let rows = values.len() / width;
        Tensor::from_data(TensorData::new(values, [rows, width]), (&self.device, DType::F32))
    }
}

impl Kernels for Host {
    type Weight = HostWeight;
    type Product = Tensor<2>;
    type Inputs = HostInputs;

    fn weight(&self, values: Vec<f32>, columns: usize) -> Result<HostWeight> {
        // Burn's f32 product of two rows takes some four times as long as that of one, so f32 weights use this crate's
        // product over blocks too.
        let in_order = self.dtype == DType::F32 && columns.is_multiple_of(quant::BLOCK);
        if self.quantize != Quantize::None || in_order {
            return Ok(HostWeight::Blocks(Blocks::of(&values, columns, self.quantize)?));
        }
        Ok(HostWeight::Dense(self.tensor(values, columns).cast(self.dtype)))
    }

    fn bytes(&self, weight: &HostWeight) -> u64 {
        match weight {
            HostWeight::Dense(w) => (w.dims().iter().product::<usize>() * self.dtype.size()) as u64,
            HostWeight::Blocks(w) => w.bytes(),
        }
    }

    fn inputs(&self, _: &Arch, ropes: &[Rope], step: &Step, cache: &KvCache) -> HostInputs {
        let positions: Vec<usize> = step.segments.iter().flat_map(|s| s.start..s.start + s.len).collect();
        let angles = ropes.iter().map(|rope| rope.numbers(&positions)).collect();
        HostInputs { ids: step.ids.clone(), angles, shared: cache.shape.slots > 1 }
    }

    fn embed(&self, table: &HostWeight, inputs: &HostInputs, scale: f32) -> Tensor<2> {
        let rows = match table {
            HostWeight::Dense(table) => {
                let ids: Vec<i64> = inputs.ids.iter().map(|i| i64::from(*i)).collect();
                let n = ids.len();
                let ids = Tensor::from_data(TensorData::new(ids, [n]), &self.device);
                table.clone().select(0, ids).cast(DType::F32)
            }
            HostWeight::Blocks(table) => {
                let width = table.dims()[1];
                let mut rows = vec![0f32; inputs.ids.len() * width];
                inputs.ids.iter().zip(rows.chunks_mut(width)).for_each(|(id, row)| table.row(*id as usize, row));
                self.tensor(rows, width)
            }
        };
        if scale == 1.0 { rows } else { rows * scale }
    }

    fn rms_norm(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
        rms_rows(x, weight, eps)
    }

    fn rms_norm_wide(&self, x: Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
        rms_rows(x, weight, eps)
    }

    fn narrow(&self, x: Tensor<2>) -> Tensor<2> {
        x
    }

    fn wide(&self, x: Tensor<2>) -> Tensor<2> {
        x
    }

    /// A row's result does not depend on the rows beside it, where there may be others.
    fn linear(&self, x: Tensor<2>, linear: &Linear<HostWeight>, inputs: &HostInputs) -> Tensor<2> {
        let n = x.dims()[0];
        let y = match &linear.weight {
            HostWeight::Dense(w) => {
                let least = if inputs.shared { least_rows(true, w.dims()[0]) } else { 1 };
                let x = if n < least { x.repeat_dim(0, least.div_ceil(n)) } else { x };
                let y = matmul(true, x.cast(self.dtype), w.clone().transpose()).cast(DType::F32);
                if y.dims()[0] > n { y.narrow(0, 0, n) } else { y }
            }
            HostWeight::Blocks(w) => self.tensor(w.product(&floats(&x.into_data()), n), w.dims()[0]),
        };
        match &linear.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    }

    fn whole(&self, y: Tensor<2>, _: usize) -> Tensor<2> {
        y
    }

    fn add_rms_norm(
        &self,
        x: Tensor<2>,
        y: Tensor<2>,
        post: Option<&Tensor<1>>,
        next: Option<&Tensor<1>>,
        eps: f64,
    ) -> [Tensor<2>; 2] {
        add_rms_rows(x, y, post, next, eps)
    }

    fn gated(&self, both: Tensor<2>, _: usize, activation: Activation) -> Tensor<2> {
        activation::gated(both, activation)
    }

    fn attention(
        &self,
        qkv: Tensor<2>,
        layer: &AttentionLayer,
        arch: &Arch,
        step: &Step,
        inputs: &HostInputs,
        cache: &mut KvCache,
    ) -> Tensor<2> {
        let (cos, sin) = &inputs.angles[layer.kind];
        let norms = layer.norms.as_ref().map(|(q, k)| (floats(&q.to_data()), floats(&k.to_data())));
        let norms = match (&norms, arch.qk_norm) {
            (Some((q, k)), QkNorm::Head) => Norm::Head(q, k),
            (Some((q, k)), QkNorm::Projection) => Norm::Projection(q, k),
            _ => Norm::None,
        };
        let of = Layer {
            segments: &step.segments,
            heads: arch.heads,
            norms,
            eps: arch.eps as f32,
            scale: attention_scale(arch),
            softcap: arch.attn_softcap.map(|cap| cap as f32),
            angles: (cos, sin),
            window: arch.kinds[layer.kind].window.unwrap_or(usize::MAX),
        };
        let heads = cache.host[layer.layer].attention(floats(&qkv.into_data()), &of);
        self.tensor(heads, arch.heads * arch.head_dim)
    }

    fn select(&self, x: Tensor<2>, rows: &[usize]) -> Tensor<2> {
        let n = rows.len();
        let rows: Vec<i64> = rows.iter().map(|i| *i as i64).collect();
        x.select(0, Tensor::from_data(TensorData::new(rows, [n]), &self.device))
    }
}
