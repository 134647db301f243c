//! The Gemma 3 model and its forward pass over ragged batches, with a probe called at every site.
//!
//! A step packs tokens of several cache slots one after the other, without padding. Matrix products run over all
//! tokens at once; attention runs per slot, against that slot's keys alone. On the processor a row's result is
//! therefore bit for bit independent of the rows beside it. This file is the pass on the processor; `fused.rs` is the
//! pass on a GPU, over the kernels in `gpu`.
use crate::attention::Layer;
use crate::buffers::{placed, room};
use crate::cache::{CacheShape, KvCache};
use crate::norm::rms_rows as rms;
use crate::quant::{self, Blocks};
use crate::rope::Rope;
use crate::weights::TensorSource;
use crate::{Config, Error, Result};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use friction_core::Site;
use friction_core::manifest::Quantize;
use std::sync::Arc;

/// Consecutive tokens of one slot in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the cache slot.
    pub slot: usize,
    /// Position in the sequence of the first token.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
}

/// The input of one forward pass.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Token ids of all segments, one after the other.
    pub ids: Vec<u32>,
    /// How `ids` divide into slots and positions; the lengths add up to `ids.len()`.
    pub segments: Vec<Segment>,
    /// Indices into `ids` of the tokens whose logits are computed; may be empty.
    pub logits: Vec<usize>,
}

/// A visitor that reads, and may replace, the activation at each site of a forward pass.
pub trait Probe {
    /// Called with the activation at `site`: `[tokens, width]` in f32 (`[logits, vocab]` at `logits`). The pass
    /// continues with the tensor that it returns.
    fn at(&mut self, site: Site, x: Tensor<2>) -> Tensor<2>;
    /// Whether [`Self::at`] is to be called at this site.
    fn wants(&self, site: Site) -> bool;
    /// Whether [`Self::at`] may return something other than its argument there. Where it cannot, fused kernels need
    /// not be redone.
    fn changes(&self, site: Site) -> bool {
        self.wants(site)
    }
}

/// A probe that visits no site.
pub struct NoProbe;
impl Probe for NoProbe {
    fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
        x
    }
    fn wants(&self, _: Site) -> bool {
        false
    }
}

/// A weight matrix `[out, in]` in the form in which it is held.
// There are only a few hundred of them, and they are never moved, so the unequal sizes do not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Clone)]
pub(crate) enum Weight {
    /// A dense tensor in the model's dtype, on its device.
    Full(Tensor<2>),
    /// Blocks of 32 on the host: quantised (q8, q4), or f32 in the same order where the width is a multiple of 32.
    Blocks(Arc<Blocks>),
    /// Quantised blocks of 32, in a GPU's memory.
    #[cfg(feature = "cube")]
    Words(crate::gpu::Words),
}

pub(crate) struct Block {
    pub(crate) qkv: Weight,
    pub(crate) out: Weight,
    pub(crate) gate_up: Weight,
    pub(crate) down: Weight,
    pub(crate) input_norm: Tensor<1>,
    pub(crate) post_attention_norm: Tensor<1>,
    pub(crate) pre_feedforward_norm: Tensor<1>,
    pub(crate) post_feedforward_norm: Tensor<1>,
    pub(crate) q_norm: Tensor<1>,
    pub(crate) k_norm: Tensor<1>,
}

/// What a step reads beside the weights and the cache.
pub(crate) struct Inputs {
    /// Token ids `[tokens]`, on the device.
    pub ids: Tensor<1, Int>,
    /// cos and sin of the tokens' positions, for sliding and then for global layers: row-major
    /// `[tokens, head_dim / 2]` on the host. Filled on the processor only.
    pub angles: [(Vec<f32>, Vec<f32>); 2],
    /// The same as tensors `[tokens, 1, head_dim / 2]`, for the GPU's pass.
    #[cfg(feature = "cube")]
    pub tables: [(Tensor<3>, Tensor<3>); 2],
    /// Cache slots and ring indices of the tokens, for sliding and then for global layers. `None` on the processor.
    #[cfg(feature = "cube")]
    pub places: Option<[crate::gpu::Places; 2]>,
}

/// A Gemma 3 text model, loaded on a device.
pub struct Gemma3 {
    /// The checkpoint's architecture parameters.
    pub config: Config,
    /// The device that holds it.
    pub device: Device,
    /// Type of the matrix products and, on a GPU, of the KV cache. The residual stream is f32 whatever it is.
    pub dtype: DType,
    pub(crate) embed: Weight,
    /// The unembedding, where it is not tied to the embedding.
    head: Option<Weight>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) final_norm: Tensor<1>,
    pub(crate) rope_global: Rope,
    pub(crate) rope_local: Rope,
    /// Whether the device is the processor (Burn's Flex backend); see [`least_rows`].
    pub(crate) flex: bool,
    /// The GPU's capabilities; defaults on the processor.
    #[cfg(feature = "cube")]
    pub(crate) able: crate::gpu::Able,
}

impl Gemma3 {
    /// Loads weights without quantising them. `progress` is called after each tensor with the bytes of its f32 form.
    ///
    /// # Errors
    /// When a tensor is missing or its shape differs from what the config says, or the device's largest buffer is too
    /// small.
    pub fn load(
        config: &Config,
        source: &dyn TensorSource,
        device: &Device,
        dtype: DType,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        Self::load_as(config, source, device, (dtype, Quantize::None), progress)
    }

    /// [`Self::load`], with the weight matrices quantised to blocks (q8 or q4) as `quantize` says.
    ///
    /// # Errors
    /// As [`Self::load`], and when the width of a matrix is not a multiple of the block size.
    pub fn load_as(
        config: &Config,
        source: &dyn TensorSource,
        device: &Device,
        (dtype, quantize): (DType, Quantize),
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let c = config;
        let flex = *device == Device::flex();
        #[cfg(feature = "cube")]
        let able = if flex { Default::default() } else { crate::gpu::able(device) };
        #[cfg(feature = "cube")]
        let largest = able.largest;
        #[cfg(not(feature = "cube"))]
        let largest = None;
        room(c, dtype, largest)?;
        let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let mut fetch = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let v = source.f32(name, shape)?;
            progress(v.len() as u64 * 4);
            Ok(v)
        };
        let matrix = |v: Vec<f32>, rows: usize, cols: usize| -> Result<Weight> {
            // Burn's f32 product of two rows takes some four times as long as that of one, so f32 weights on the
            // processor use this crate's product over blocks too.
            let in_order = flex && dtype == DType::F32 && cols.is_multiple_of(quant::BLOCK);
            if quantize != Quantize::None || in_order {
                let blocks = Blocks::of(&v, cols, quantize)?;
                #[cfg(feature = "cube")]
                if !flex {
                    return Ok(Weight::Words(crate::gpu::Words::new(&blocks, device)));
                }
                return Ok(Weight::Blocks(Arc::new(blocks)));
            }
            Ok(Weight::Full(placed(TensorData::new(v, [rows, cols]), device, dtype, largest)))
        };
        let vector = |mut v: Vec<f32>| {
            v.iter_mut().for_each(|w| *w += 1.0);
            let n = v.len();
            Tensor::<1>::from_data(TensorData::new(v, [n]), (device, DType::F32))
        };
        let embed = matrix(fetch("embed_tokens.weight", &[c.vocab, c.hidden])?, c.vocab, c.hidden)?;
        let mut blocks = Vec::with_capacity(c.layers());
        for l in 0..c.layers() {
            let name = |s: &str| format!("layers.{l}.{s}.weight");
            let mut qkv = fetch(&name("self_attn.q_proj"), &[q, c.hidden])?;
            qkv.extend(fetch(&name("self_attn.k_proj"), &[kv, c.hidden])?);
            qkv.extend(fetch(&name("self_attn.v_proj"), &[kv, c.hidden])?);
            let mut gate_up = fetch(&name("mlp.gate_proj"), &[c.intermediate, c.hidden])?;
            gate_up.extend(fetch(&name("mlp.up_proj"), &[c.intermediate, c.hidden])?);
            blocks.push(Block {
                qkv: matrix(qkv, q + 2 * kv, c.hidden)?,
                out: matrix(fetch(&name("self_attn.o_proj"), &[c.hidden, q])?, c.hidden, q)?,
                gate_up: matrix(gate_up, 2 * c.intermediate, c.hidden)?,
                down: matrix(fetch(&name("mlp.down_proj"), &[c.hidden, c.intermediate])?, c.hidden, c.intermediate)?,
                input_norm: vector(fetch(&name("input_layernorm"), &[c.hidden])?),
                post_attention_norm: vector(fetch(&name("post_attention_layernorm"), &[c.hidden])?),
                pre_feedforward_norm: vector(fetch(&name("pre_feedforward_layernorm"), &[c.hidden])?),
                post_feedforward_norm: vector(fetch(&name("post_feedforward_layernorm"), &[c.hidden])?),
                q_norm: vector(fetch(&name("self_attn.q_norm"), &[c.head_dim])?),
                k_norm: vector(fetch(&name("self_attn.k_norm"), &[c.head_dim])?),
            });
        }
        let final_norm = vector(fetch("norm.weight", &[c.hidden])?);
        let head = match c.tied {
            true => None,
            false => Some(matrix(fetch(c.unembedding(), &[c.vocab, c.hidden])?, c.vocab, c.hidden)?),
        };
        Ok(Self {
            rope_global: Rope::new(c.head_dim, c.rope_global, c.rope_factor),
            rope_local: Rope::new(c.head_dim, c.rope_local, c.rope_local_factor),
            config: c.clone(),
            device: device.clone(),
            dtype,
            embed,
            head,
            blocks,
            final_norm,
            flex,
            #[cfg(feature = "cube")]
            able,
        })
    }

    /// Bytes of the GPU's largest buffer; `None` on the processor.
    pub fn largest_buffer(&self) -> Option<u64> {
        #[cfg(feature = "cube")]
        return self.able.largest;
        #[cfg(not(feature = "cube"))]
        None
    }

    /// Allocates a KV cache for this model. Computes the RoPE tables of all its positions as well, so that no later
    /// step computes or allocates them.
    pub fn cache(&self, shape: CacheShape) -> KvCache {
        self.rope_local.reach(shape.capacity);
        self.rope_global.reach(shape.capacity);
        KvCache::new(self, shape)
    }

    /// Bytes of one number in the KV cache: f32 on the processor, the model's dtype on a GPU.
    pub fn key_bytes(&self) -> usize {
        if self.flex { DType::F32 } else { self.dtype }.size()
    }

    /// Runs a forward pass: writes the step's keys and values to `cache` and returns f32 logits `[wanted, vocab]`, or
    /// `None` where the step wants none. `probe` is called at every site that it wants.
    ///
    /// # Errors
    /// When a token id, slot or position is out of range, or the segments' lengths do not add up to the ids.
    pub fn forward(&self, step: &Step, cache: &mut KvCache, probe: &mut dyn Probe) -> Result<Option<Tensor<2>>> {
        self.check(step, cache)?;
        let inputs = self.inputs(step, cache);
        Ok(self.compute(step, &inputs, cache, probe))
    }

    /// Computes and uploads what a step reads beside the weights and the cache.
    fn inputs(&self, step: &Step, cache: &KvCache) -> Inputs {
        let _ = cache;
        let positions: Vec<usize> = step.segments.iter().flat_map(|s| s.start..s.start + s.len).collect();
        let ids: Vec<i32> = step.ids.iter().map(|i| *i as i32).collect();
        Inputs {
            ids: Tensor::from_data(TensorData::new(ids, [step.ids.len()]), (&self.device, DType::I32)),
            angles: match self.flex {
                true => [self.rope_local.numbers(&positions), self.rope_global.numbers(&positions)],
                false => Default::default(),
            },
            #[cfg(feature = "cube")]
            tables: [&self.rope_local, &self.rope_global].map(|rope| rope.tables(&positions, &self.device)),
            #[cfg(feature = "cube")]
            places: (!self.flex).then(|| self.places(step, cache)),
        }
    }

    /// [`Self::forward`] for inputs that are prepared, without checks.
    pub(crate) fn compute(
        &self,
        step: &Step,
        inputs: &Inputs,
        cache: &mut KvCache,
        probe: &mut dyn Probe,
    ) -> Option<Tensor<2>> {
        #[cfg(feature = "cube")]
        if !self.flex {
            return self.fused(step, inputs, cache, probe);
        }
        let c = &self.config;
        let shared = cache.shape.slots > 1;
        let tokens = step.ids.len();
        let Inputs { ids, angles, .. } = inputs;
        let mut x = self.rows(step, ids) * self.embed_scale();
        x = visit(probe, Site::Embed, x);
        for (l, block) in self.blocks.iter().enumerate() {
            x = visit(probe, Site::ResidPre(l), x);
            let h = rms(x.clone(), &block.input_norm, c.eps);
            let qkv = self.product(shared, h, &block.qkv);
            let heads = self.attention(l, qkv, step, &angles[usize::from(c.global[l])], cache);
            let heads = visit(probe, Site::AttnOut(l), heads);
            x = x + rms(self.product(shared, heads, &block.out), &block.post_attention_norm, c.eps);
            let h = visit(probe, Site::MlpIn(l), rms(x.clone(), &block.pre_feedforward_norm, c.eps));
            let gu = self.product(shared, h, &block.gate_up);
            let mlp = self.product(shared, crate::gate::gate(gu), &block.down);
            let mlp = visit(probe, Site::MlpOut(l), rms(mlp, &block.post_feedforward_norm, c.eps));
            x = visit(probe, Site::ResidPost(l), x + mlp);
        }
        if step.logits.is_empty() && !probe.wants(Site::FinalNorm) {
            return None;
        }
        let x = visit(probe, Site::FinalNorm, rms(x, &self.final_norm, c.eps));
        if step.logits.is_empty() {
            return None;
        }
        let last = if step.logits.len() == tokens {
            x
        } else {
            let rows: Vec<i64> = step.logits.iter().map(|i| *i as i64).collect();
            let n = rows.len();
            x.select(0, Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), &self.device))
        };
        Some(visit(probe, Site::Logits, self.product(shared, last, self.unembedding())))
    }

    /// The unembedding matrix `[vocab, hidden]`: the embedding where the two are tied.
    pub(crate) fn unembedding(&self) -> &Weight {
        self.head.as_ref().unwrap_or(&self.embed)
    }

    /// Factor of embeddings: √hidden, rounded to the model's dtype as transformers does.
    pub(crate) fn embed_scale(&self) -> f32 {
        let s = (self.config.hidden as f64).sqrt() as f32;
        match self.dtype {
            DType::BF16 => half::bf16::from_f32(s).to_f32(),
            DType::F16 => half::f16::from_f32(s).to_f32(),
            _ => s,
        }
    }

    /// Embeddings of the step's tokens, unscaled, `[tokens, hidden]` in f32.
    fn rows(&self, step: &Step, ids: &Tensor<1, Int>) -> Tensor<2> {
        match &self.embed {
            Weight::Full(table) => table.clone().select(0, ids.clone()).cast(DType::F32),
            Weight::Blocks(table) => {
                let width = self.config.hidden;
                let mut rows = vec![0f32; step.ids.len() * width];
                step.ids.iter().zip(rows.chunks_mut(width)).for_each(|(id, row)| table.row(*id as usize, row));
                self.on_host(rows, width)
            }
            #[cfg(feature = "cube")]
            Weight::Words(_) => unreachable!("of a GPU"),
        }
    }

    fn on_host(&self, values: Vec<f32>, width: usize) -> Tensor<2> {
        let rows = values.len() / width;
        Tensor::from_data(TensorData::new(values, [rows, width]), (&self.device, DType::F32))
    }

    /// x `[n, in]` · wᵀ, w `[out, in]`: computed in the model's dtype, returned as f32 `[n, out]`. Where `shared`
    /// (several slots), a row's result does not depend on the other rows.
    fn product(&self, shared: bool, x: Tensor<2>, w: &Weight) -> Tensor<2> {
        let n = x.dims()[0];
        let w = match w {
            Weight::Full(w) => w,
            Weight::Blocks(w) => {
                let x = floats(&x.into_data());
                return self.on_host(w.product(&x, n), w.dims()[0]);
            }
            #[cfg(feature = "cube")]
            Weight::Words(_) => unreachable!("of a GPU"),
        };
        let least = if shared { least_rows(self.flex, w.dims()[0]) } else { 1 };
        let x = if n < least { x.repeat_dim(0, least.div_ceil(n)) } else { x };
        let y = matmul(self.flex, x.cast(self.dtype), w.clone().transpose()).cast(DType::F32);
        if y.dims()[0] > n { y.narrow(0, 0, n) } else { y }
    }

    /// x `[rows, in]` · wᵀ, w `[out, in]`: the matrix product on which a prefill's throughput depends, for
    /// benchmarks. On a GPU it uses the kernel that a prefill of so many rows uses; on the processor it is Burn's
    /// product.
    pub fn prompt_product(&self, x: Tensor<2>, w: &Tensor<2>) -> Tensor<2> {
        #[cfg(feature = "cube")]
        if !self.flex {
            let product = crate::gpu::Product::of(&self.able, x, w).0;
            let [parts, rows, width] = product.dims();
            return product.reshape([parts * rows, width]);
        }
        matmul(self.flex, x, w.clone().transpose())
    }

    /// Whether the weights are quantised blocks on a GPU.
    #[cfg(feature = "cube")]
    pub(crate) fn in_words(&self) -> bool {
        matches!(self.embed, Weight::Words(_))
    }

    /// Bytes of all weight matrices in the form in which they are held (norm weights are not counted).
    pub fn weight_bytes(&self) -> u64 {
        let of = |w: &Weight| match w {
            Weight::Full(w) => (w.dims().iter().product::<usize>() * self.dtype.size()) as u64,
            Weight::Blocks(w) => w.bytes(),
            #[cfg(feature = "cube")]
            Weight::Words(w) => w.bytes(),
        };
        let block = |b: &Block| of(&b.qkv) + of(&b.out) + of(&b.gate_up) + of(&b.down);
        of(&self.embed) + self.head.as_ref().map_or(0, of) + self.blocks.iter().map(block).sum::<u64>()
    }

    /// The argmax of each row of logits, `[rows, 1]`; the lowest id among equals.
    pub fn best(&self, logits: &Tensor<2>) -> Tensor<2, Int> {
        #[cfg(feature = "cube")]
        if !self.flex {
            return crate::gpu::best(logits.clone());
        }
        logits.clone().argmax(1)
    }

    pub(crate) fn check(&self, step: &Step, cache: &KvCache) -> Result<()> {
        let total: usize = step.segments.iter().map(|s| s.len).sum();
        if total != step.ids.len() || total == 0 {
            return Err(Error::Text(format!("a step of {} ids has segments of {total} tokens", step.ids.len())));
        }
        if let Some(id) = step.ids.iter().find(|i| **i as usize >= self.config.vocab) {
            return Err(Error::Text(format!("token id {id} is not in the vocabulary of {}", self.config.vocab)));
        }
        for s in &step.segments {
            if s.slot >= cache.shape.slots || s.start + s.len > cache.shape.capacity {
                return Err(Error::Text(format!("slot {} cannot hold position {}", s.slot, s.start + s.len)));
            }
            if cache.shape.ring < cache.shape.capacity && s.len + self.config.window > cache.shape.ring + 1 {
                return Err(Error::Text(format!(
                    "{} tokens at once do not fit the ring of {}",
                    s.len, cache.shape.ring
                )));
            }
        }
        Ok(())
    }

    /// Cache slots and ring indices of a step's tokens, for sliding and then for global layers, uploaded; and the
    /// query tiles of the prefill kernel where it is used.
    #[cfg(feature = "cube")]
    fn places(&self, step: &Step, cache: &KvCache) -> [crate::gpu::Places; 2] {
        use crate::gpu::{Places, takes_tiles, tiles, upload};
        let c = &self.config;
        let groups = c.heads / c.kv_heads;
        let prompts = step.segments.iter().any(|s| s.len > 1);
        let tiles = (prompts && takes_tiles(&self.able, self.dtype, groups, c.head_dim))
            .then(|| upload(tiles(step, groups), &self.device));
        let of = |ring, window| Places::new(step, ring, window, tiles.clone(), &self.device);
        [of(cache.shape.ring, c.window), of(cache.shape.capacity, usize::MAX)]
    }

    /// Attention of one layer on the processor: the qkv product `[tokens, (heads + 2 kv_heads) × head_dim]` →
    /// `[tokens, heads × head_dim]`, before the output projection.
    fn attention(
        &self,
        layer: usize,
        qkv: Tensor<2>,
        step: &Step,
        (cos, sin): &(Vec<f32>, Vec<f32>),
        cache: &mut KvCache,
    ) -> Tensor<2> {
        let (c, block) = (&self.config, &self.blocks[layer]);
        let of = Layer {
            segments: &step.segments,
            heads: c.heads,
            q_norm: &floats(&block.q_norm.to_data()),
            k_norm: &floats(&block.k_norm.to_data()),
            eps: c.eps as f32,
            scale: (c.query_pre_attn_scalar as f32).powf(-0.5),
            angles: (cos, sin),
            window: if c.global[layer] { usize::MAX } else { c.window },
        };
        let heads = cache.host[layer].attention(floats(&qkv.into_data()), &of);
        self.on_host(heads, c.heads * c.head_dim)
    }
}

pub(crate) fn visit(probe: &mut dyn Probe, site: Site, x: Tensor<2>) -> Tensor<2> {
    if probe.wants(site) { probe.at(site, x) } else { x }
}

/// The numbers of a tensor's data, as f32.
pub fn floats(data: &TensorData) -> Vec<f32> {
    // Burn's iterator converts number by number; data that is f32 already is copied as a whole.
    data.try_to_vec().unwrap_or_else(|_| data.iter::<f32>().collect())
}

/// Rows to which a product with `width` output columns is padded, so that a row's result is bit for bit the same
/// whatever rows are beside it; `flex` says whether the device is the processor.
///
/// Burn's Flex backend multiplies with the `gemm` crate. Its blocking, and so the order of summation, depends
/// only on the columns and the inner dimension, with two exceptions: a product of one row, and outputs of up to
/// 256 values. Padding avoids both. A cache of one slot has no neighbouring rows and keeps the fast one-row path.
pub fn least_rows(flex: bool, width: usize) -> usize {
    if flex { (256 / width + 1).max(2) } else { 1 }
}

/// A matrix product in the dtype of its inputs. In f32 no input is rounded to tf32 or lower on any device (see
/// `exact`). `flex`: the tensors are on the processor.
pub fn matmul<const D: usize>(flex: bool, a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "cube")]
    if !flex && a.dtype() == DType::F32 {
        return crate::exact::product(a, b);
    }
    let _ = flex;
    a.matmul(b)
}
