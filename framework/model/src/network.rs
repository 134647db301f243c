//! The weights of a decoder and its forward pass, over any [`Kernels`].
//!
//! A step packs tokens of several cache slots one after the other, without padding. Matrix products run over all tokens
//! at once; attention runs per slot, against that slot's keys alone. On the processor, and in f32 on a GPU, a row's result
//! does not depend on the rows beside it.
use crate::Result;
use crate::cache::KvCache;
use crate::kernels::{AttentionLayer, Kernels, Linear};
use crate::rope::Rope;
use crate::step::{Probe, Step, visit};
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_checkpoint::Arch;
use friction_checkpoint::arch::QkNorm;
use friction_checkpoint::weights::TensorSource;
use friction_core::Site;

/// A block of the decoder: attention, then the MLP. Norms that its architecture lacks are `None`.
struct Block<W> {
    before_attention: Option<Tensor<1>>,
    qkv: Linear<W>,
    attention: AttentionLayer,
    out: Linear<W>,
    after_attention: Option<Tensor<1>>,
    before_mlp: Option<Tensor<1>>,
    gate_up: Linear<W>,
    down: Linear<W>,
    after_mlp: Option<Tensor<1>>,
}

/// A decoder whose weights are loaded.
pub(crate) struct Network<K: Kernels> {
    pub kernels: K,
    pub arch: Arch,
    /// RoPE of each kind of layer.
    pub ropes: Vec<Rope>,
    /// The embedding, which is the unembedding too where the two are tied.
    embed: Linear<K::Weight>,
    /// Factor of embeddings, rounded to the dtype of the matrix products as transformers does.
    embed_scale: f32,
    /// The unembedding, where it is not tied to the embedding.
    head: Option<Linear<K::Weight>>,
    blocks: Vec<Block<K::Weight>>,
    final_norm: Tensor<1>,
}

/// Reads a checkpoint's tensors one by one.
struct Loading<'a> {
    source: &'a dyn TensorSource,
    device: &'a Device,
    arch: &'a Arch,
    progress: &'a mut dyn FnMut(u64),
}

impl Loading<'_> {
    fn fetch(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let v = self.source.f32(name, shape)?;
        (self.progress)(v.len() as u64 * 4);
        Ok(v)
    }

    fn vector(&self, v: Vec<f32>) -> Tensor<1> {
        let n = v.len();
        Tensor::from_data(TensorData::new(v, [n]), (self.device, DType::F32))
    }

    /// The weights of a norm, offset added.
    fn norm(&mut self, name: &str, width: usize) -> Result<Tensor<1>> {
        let mut v = self.fetch(&format!("{name}.weight"), &[width])?;
        v.iter_mut().for_each(|w| *w += self.arch.norm_offset);
        Ok(self.vector(v))
    }

    /// Several projections of the same input as one, given by name and number of rows.
    fn linear<K: Kernels>(
        &mut self,
        kernels: &K,
        parts: &[(String, usize)],
        columns: usize,
        bias: bool,
    ) -> Result<Linear<K::Weight>> {
        let (mut weight, mut biases) = (Vec::new(), vec![]);
        for (name, rows) in parts {
            let part = self.fetch(&format!("{name}.weight"), &[*rows, columns])?;
            // The largest matrices are one part: they are not copied.
            if weight.is_empty() {
                weight = part
            } else {
                weight.extend(part)
            }
            if bias {
                biases.extend(self.fetch(&format!("{name}.bias"), &[*rows])?);
            }
        }
        Ok(Linear { weight: kernels.weight(weight, columns)?, bias: bias.then(|| self.vector(biases)) })
    }

    fn block<K: Kernels>(&mut self, kernels: &K, l: usize) -> Result<Block<K::Weight>> {
        let a = self.arch;
        let (h, d, wide) = (a.hidden, a.head_dim, a.intermediate);
        let (q, kv) = (a.heads * d, a.kv_heads * d);
        let name = |part: &str| format!("layers.{l}.{part}");
        let own = |part: &str, rows: usize| (name(part), rows);
        // The names of those that there are, in the order of the pass.
        let mut names = a.norm_names().iter();
        let mut norm = |there: bool, loading: &mut Self| -> Result<Option<Tensor<1>>> {
            let found = if there { names.next() } else { None };
            found.map(|n| loading.norm(&name(n), h)).transpose()
        };
        let (before, after) = (a.norms.before(), a.norms.after());
        let (before_attention, after_attention) = (norm(before, self)?, norm(after, self)?);
        let (before_mlp, after_mlp) = (norm(before, self)?, norm(after, self)?);
        let qkv = [own("self_attn.q_proj", q), own("self_attn.k_proj", kv), own("self_attn.v_proj", kv)];
        let gate_up = [own("mlp.gate_proj", wide), own("mlp.up_proj", wide)];
        let widths = match a.qk_norm {
            QkNorm::None => None,
            QkNorm::Head => Some((d, d)),
            QkNorm::Projection => Some((q, kv)),
        };
        let norms = match widths {
            Some((q, k)) => Some((self.norm(&name("self_attn.q_norm"), q)?, self.norm(&name("self_attn.k_norm"), k)?)),
            None => None,
        };
        Ok(Block {
            before_attention,
            qkv: self.linear(kernels, &qkv, h, a.bias.qkv)?,
            attention: AttentionLayer { layer: l, kind: a.layer_kinds[l], norms },
            out: self.linear(kernels, &[own("self_attn.o_proj", h)], q, a.bias.out)?,
            after_attention,
            before_mlp,
            gate_up: self.linear(kernels, &gate_up, h, a.bias.mlp)?,
            down: self.linear(kernels, &[own("mlp.down_proj", h)], wide, a.bias.mlp)?,
            after_mlp,
        })
    }
}

impl<K: Kernels> Network<K> {
    /// Loads the weights. `progress` is called after each tensor with the bytes of its f32 form.
    ///
    /// # Errors
    /// When a tensor is missing, its shape differs from what the architecture says, or it cannot be held.
    pub fn load(
        kernels: K,
        arch: &Arch,
        source: &dyn TensorSource,
        device: &Device,
        embed_scale: f32,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let mut loading = Loading { source, device, arch, progress };
        let embed = loading.linear(&kernels, &[("embed_tokens".into(), arch.vocab)], arch.hidden, false)?;
        let blocks = (0..arch.layers()).map(|l| loading.block(&kernels, l)).collect::<Result<Vec<_>>>()?;
        let final_norm = loading.norm("norm", arch.hidden)?;
        let head = match arch.tied {
            true => None,
            false => Some(loading.linear(&kernels, &[("lm_head".into(), arch.vocab)], arch.hidden, false)?),
        };
        let ropes = arch.kinds.iter().map(|k| Rope::new(arch.head_dim, k.rope.as_ref())).collect();
        Ok(Self { kernels, arch: arch.clone(), ropes, embed, embed_scale, head, blocks, final_norm })
    }

    /// Bytes of all weight matrices in the form in which they are held.
    pub fn weight_bytes(&self) -> u64 {
        let of = |w: &K::Weight| self.kernels.bytes(w);
        let block =
            |b: &Block<K::Weight>| [&b.qkv, &b.out, &b.gate_up, &b.down].map(|l| of(&l.weight)).iter().sum::<u64>();
        of(&self.embed.weight)
            + self.head.as_ref().map_or(0, |h| of(&h.weight))
            + self.blocks.iter().map(block).sum::<u64>()
    }

    /// [`Self::forward`] with the inputs of `step`.
    pub fn run(&self, step: &Step, cache: &mut KvCache, probe: &mut dyn Probe) -> Option<Tensor<2>> {
        let inputs = self.kernels.inputs(&self.arch, &self.ropes, step, cache);
        self.forward(step, &inputs, cache, probe)
    }

    /// What a block computes with: the residual stream, normalised where there is a norm.
    fn entering(&self, x: Tensor<2>, norm: Option<&Tensor<1>>) -> Tensor<2> {
        match norm {
            Some(w) => self.kernels.rms_norm(x, w, self.arch.eps),
            None => self.kernels.narrow(x),
        }
    }

    /// [`Self::entering`] in f32, for probes.
    fn entering_wide(&self, x: Tensor<2>, norm: Option<&Tensor<1>>) -> Tensor<2> {
        match norm {
            Some(w) => self.kernels.rms_norm_wide(x, w, self.arch.eps),
            None => x,
        }
    }

    /// Runs a forward pass: writes the step's keys and values to `cache` and returns f32 logits `[wanted, vocab]`, or
    /// `None` where the step wants none. `probe` is called at every site that it wants.
    pub fn forward(
        &self,
        step: &Step,
        inputs: &K::Inputs,
        cache: &mut KvCache,
        probe: &mut dyn Probe,
    ) -> Option<Tensor<2>> {
        let (a, k, tokens) = (&self.arch, &self.kernels, step.ids.len());
        let ends = !step.logits.is_empty() || probe.wants(Site::FinalNorm);
        let mut x = k.embed(&self.embed.weight, inputs, self.embed_scale);
        x = visit(probe, Site::Embed, x);
        x = visit(probe, Site::ResidPre(0), x);
        let mut h = self.entering(x.clone(), self.blocks.first()?.before_attention.as_ref());
        for (l, block) in self.blocks.iter().enumerate() {
            let qkv = k.linear(h, &block.qkv, inputs);
            let mut heads = k.attention(qkv, &block.attention, a, step, inputs, cache);
            if probe.wants(Site::AttnOut(l)) {
                heads = k.narrow(probe.at(Site::AttnOut(l), k.wide(heads)));
            }
            let y = k.linear(heads, &block.out, inputs);
            let before_mlp = block.before_mlp.as_ref();
            [x, h] = k.add_rms_norm(x, y, block.after_attention.as_ref(), before_mlp, a.eps);
            if probe.wants(Site::MlpIn(l)) {
                h = k.narrow(probe.at(Site::MlpIn(l), self.entering_wide(x.clone(), before_mlp)));
            }
            let both = k.linear(h, &block.gate_up, inputs);
            let y = k.linear(k.gated(both, tokens, a.activation), &block.down, inputs);
            let last = l + 1 == self.blocks.len();
            let next = match self.blocks.get(l + 1) {
                Some(b) => b.before_attention.as_ref(),
                None => Some(&self.final_norm).filter(|_| ends),
            };
            let (mlp_out, post, pre) = (Site::MlpOut(l), Site::ResidPost(l), Site::ResidPre(l + 1));
            let mut normed = None;
            if probe.wants(mlp_out) {
                let y = k.whole(y, tokens);
                let mlp = match &block.after_mlp {
                    Some(w) => k.rms_norm_wide(y, w, a.eps),
                    None => y,
                };
                x = x + probe.at(mlp_out, mlp);
            } else {
                let [sum, its_norm] = k.add_rms_norm(x, y, block.after_mlp.as_ref(), next, a.eps);
                (x, normed) = (sum, Some(its_norm));
            }
            let changed = probe.changes(post) || !last && probe.changes(pre);
            x = visit(probe, post, x);
            if !last {
                x = visit(probe, pre, x);
            }
            // Where a probe changes the stream between the sum and the norm, the norm is computed again.
            h = match normed {
                Some(h) if !changed => h,
                _ => self.entering(x.clone(), next),
            };
        }
        if probe.wants(Site::FinalNorm) {
            h = k.narrow(probe.at(Site::FinalNorm, k.rms_norm_wide(x, &self.final_norm, a.eps)));
        }
        if step.logits.is_empty() {
            return None;
        }
        if step.logits.len() != tokens {
            h = k.select(h, &step.logits);
        }
        let unembedding = self.head.as_ref().unwrap_or(&self.embed);
        let mut logits = k.whole(k.linear(h, unembedding, inputs), step.logits.len());
        if let Some(cap) = a.final_softcap {
            logits = (logits / cap).tanh() * cap;
        }
        Some(visit(probe, Site::Logits, logits))
    }
}
