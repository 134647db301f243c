//! The forward pass on a GPU, over the fused kernels of [`crate::gpu`]. It computes what `model.rs` computes on the
//! processor and visits the same sites.
//!
//! The kernel `join` computes a residual sum and the RMSNorm that follows it. Where a probe changes the stream
//! between the two, the norm is recomputed from what the probe returned.
use crate::gpu::{self, Product, Turned};
use crate::model::{Block, Inputs, Weight, visit};
use crate::{Gemma3, KvCache, Probe, Step};
use burn::tensor::{DType, Tensor};
use friction_core::Site;

impl Gemma3 {
    /// Runs a step whose inputs are on the device already; returns f32 logits `[wanted, vocab]`, or `None` where the
    /// step wants none.
    pub(crate) fn fused(
        &self,
        step: &Step,
        inputs: &Inputs,
        cache: &mut KvCache,
        probe: &mut dyn Probe,
    ) -> Option<Tensor<2>> {
        let (c, dtype) = (&self.config, self.dtype);
        let tokens = step.ids.len();
        let mut x = match &self.embed {
            Weight::Words(table) => table.rows(&inputs.ids, dtype).cast(DType::F32) * self.embed_scale(),
            table => gpu::embed(&full(table, dtype), &inputs.ids, self.embed_scale()),
        };
        x = visit(probe, Site::Embed, x);
        x = visit(probe, Site::ResidPre(0), x);
        let mut h = gpu::norm(x.clone(), &self.blocks.first()?.input_norm, c.eps, dtype);
        for (l, block) in self.blocks.iter().enumerate() {
            let heads = self.heads(l, h, block, inputs, cache);
            let heads = visit_in(probe, Site::AttnOut(l), heads);
            let y = Product::of(&self.able, heads, &full(&block.out, dtype));
            [x, h] = gpu::join(x, y, &block.post_attention_norm, &block.pre_feedforward_norm, c.eps, dtype);
            if probe.wants(Site::MlpIn(l)) {
                let full = gpu::norm(x.clone(), &block.pre_feedforward_norm, c.eps, DType::F32);
                h = visit(probe, Site::MlpIn(l), full).cast(dtype);
            }
            let both = Product::of(&self.able, h, &full(&block.gate_up, dtype));
            let y = Product::of(&self.able, gpu::gate(both, tokens, dtype), &full(&block.down, dtype));
            let next = self.blocks.get(l + 1).map_or(&self.final_norm, |b| &b.input_norm);
            let (mlp_out, post, pre) = (Site::MlpOut(l), Site::ResidPost(l), Site::ResidPre(l + 1));
            let last = l + 1 == self.blocks.len();
            let mut normed = None;
            if probe.wants(mlp_out) {
                let mlp = gpu::norm(y.whole(tokens), &block.post_feedforward_norm, c.eps, DType::F32);
                x = x + visit(probe, mlp_out, mlp);
            } else {
                let [sum, its_norm] = gpu::join(x, y, &block.post_feedforward_norm, next, c.eps, dtype);
                (x, normed) = (sum, Some(its_norm));
            }
            let changed = probe.changes(post) || !last && probe.changes(pre);
            x = visit(probe, post, x);
            if !last {
                x = visit(probe, pre, x);
            }
            h = match normed {
                Some(h) if !changed => h,
                _ => gpu::norm(x.clone(), next, c.eps, dtype),
            };
        }
        if probe.wants(Site::FinalNorm) {
            let full = gpu::norm(x, &self.final_norm, c.eps, DType::F32);
            h = visit(probe, Site::FinalNorm, full).cast(dtype);
        }
        if step.logits.is_empty() {
            return None;
        }
        if step.logits.len() != tokens {
            h = h.select(0, gpu::upload(step.logits.iter().map(|i| *i as i32).collect(), &self.device));
        }
        let logits = Product::of(&self.able, h, &full(self.unembedding(), dtype)).whole(step.logits.len());
        Some(visit(probe, Site::Logits, logits))
    }

    /// Attention of one layer, before the output projection: `[tokens, heads × head_dim]`. Writes the tokens' keys
    /// and values to the cache.
    fn heads(&self, layer: usize, h: Tensor<2>, block: &Block, inputs: &Inputs, cache: &mut KvCache) -> Tensor<2> {
        let c = &self.config;
        let kind = usize::from(c.global[layer]);
        let Some(places) = &inputs.places else { unreachable!("a GPU's steps have places") };
        let places = &places[kind];
        let qkv = Product::of(&self.able, h, &full(&block.qkv, self.dtype));
        let (keys, values) = &mut cache.layers[layer];
        let turned = Turned {
            norms: (&block.q_norm, &block.k_norm),
            tables: &inputs.tables[kind],
            places,
            eps: c.eps,
            scale: (c.query_pre_attn_scalar as f32).powf(-0.5),
        };
        let q = gpu::heads(qkv, keys, values, &turned);
        gpu::attend(q, keys, values, places)
    }
}

/// [`visit`] for a tensor in the model's dtype: the probe sees it in f32.
fn visit_in(probe: &mut dyn Probe, site: Site, x: Tensor<2>) -> Tensor<2> {
    let dtype = x.dtype();
    if probe.wants(site) { probe.at(site, x.cast(DType::F32)).cast(dtype) } else { x }
}

/// A weight as a dense matrix `[out, in]` in the model's dtype; quantised weights are dequantised here.
fn full(w: &Weight, dtype: DType) -> Tensor<2> {
    match w {
        Weight::Full(w) => w.clone(),
        Weight::Words(w) => w.widened(dtype),
        Weight::Blocks(_) => unreachable!("a GPU's weights are on it"),
    }
}
