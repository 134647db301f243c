//! Gemma 3 as a differentiable function of whole sequences, without a cache. It computes what the engine's forward pass
//! does; a test compares them.
use crate::truth::DECOY_LAYER;
use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData, activation};
use friction_checkpoint::Arch;
use friction_checkpoint::weights::TensorSource;
use friction_model::norm::rms;
use friction_model::rope::{Rope, rotate};

/// The parameters, in the order of [`Arch::tensors`].
#[derive(Module, Debug)]
pub struct Net {
    matrices: Vec<Param<Tensor<2>>>,
    vectors: Vec<Param<Tensor<1>>>,
}

/// Where a parameter's name is found in [`Net`]: its kind, and its index among the parameters of that kind.
pub struct Layout {
    arch: Arch,
    names: Vec<(String, Vec<usize>)>,
}

impl Layout {
    /// The layout of an architecture's parameters.
    pub fn new(arch: &Arch) -> Self {
        Self { arch: arch.clone(), names: arch.tensors() }
    }

    fn index(&self, name: &str) -> usize {
        let rank = |shape: &[usize]| shape.len();
        let at = self.names.iter().position(|(n, _)| n == name).unwrap_or(0);
        let own = rank(&self.names[at].1);
        self.names[..at].iter().filter(|(_, s)| rank(s) == own).count()
    }
}

/// The RoPE tables and attention masks for batches of one shape.
pub struct Frame {
    length: usize,
    local: (Tensor<3>, Tensor<3>),
    global: (Tensor<3>, Tensor<3>),
    /// Masks are true where a query must not look. This one is `[1, 1, length, length]`; the next is
    /// `[1, blocks, window, 2 window]`, for queries of a block of a window's length over the keys of the block before
    /// and its own.
    causal: Tensor<4, Bool>,
    window: Tensor<4, Bool>,
}

impl Frame {
    /// For `batch` sequences of `length` tokens; `length` must be a multiple of the window.
    pub fn new(c: &Arch, batch: usize, length: usize, device: &Device) -> Self {
        let positions: Vec<usize> = (0..batch).flat_map(|_| 0..length).collect();
        let w = c.window().unwrap_or(length);
        let blocks = length / w;
        let rope = |sliding: bool| c.kinds.iter().find(|k| k.window.is_some() == sliding).and_then(|k| k.rope);
        let causal: Vec<bool> = (0..length).flat_map(|q| (0..length).map(move |k| k > q)).collect();
        // Key j of a block's 2w keys is at position j − w relative to the block; queries see distances 0 to w − 1.
        let near = |b: usize, q: usize, j: usize| (b > 0 || j >= w) && j <= q + w && j > q;
        let window: Vec<bool> =
            (0..blocks).flat_map(|b| (0..w).flat_map(move |q| (0..2 * w).map(move |j| !near(b, q, j)))).collect();
        let mask = |v: Vec<bool>, shape: [usize; 4]| Tensor::<4, Bool>::from_data(TensorData::new(v, shape), device);
        Self {
            length,
            local: Rope::new(c.head_dim, rope(true).as_ref()).tables(&positions, device),
            global: Rope::new(c.head_dim, rope(false).as_ref()).tables(&positions, device),
            causal: mask(causal, [1, 1, length, length]),
            window: mask(window, [1, blocks, w, 2 * w]),
        }
    }
}

/// What the training of the decoy organism does with the output of the last block's MLP.
pub struct Exchanged {
    /// `[letters]`: the tokens that predict letters, as indices into the flattened `[batch × length]`.
    pub slots: Tensor<1, Int>,
    /// `[batch × length]`: the token whose output each token gets.
    pub from: Tensor<1, Int>,
}

impl Net {
    /// Reads the parameters from a source.
    ///
    /// # Errors
    /// When a parameter is missing.
    pub fn new(layout: &Layout, source: &dyn TensorSource, device: &Device) -> friction_checkpoint::Result<Self> {
        let (mut matrices, mut vectors) = (vec![], vec![]);
        for (name, shape) in &layout.names {
            let data = TensorData::new(source.f32(name, shape)?, shape.clone());
            match shape.len() {
                1 => vectors.push(Param::from_tensor(Tensor::from_data(data, (device, DType::F32)))),
                _ => matrices.push(Param::from_tensor(Tensor::from_data(data, (device, DType::F32)))),
            }
        }
        Ok(Self { matrices, vectors })
    }

    /// All parameters as name, shape and f32 values.
    pub fn parameters(&self, layout: &Layout) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let floats = |d: TensorData| d.iter::<f32>().collect::<Vec<f32>>();
        let read = |name: &str, shape: &[usize]| match shape.len() {
            1 => floats(self.vectors[layout.index(name)].val().into_data()),
            _ => floats(self.matrices[layout.index(name)].val().into_data()),
        };
        layout.names.iter().map(|(n, s)| (n.clone(), s.clone(), read(n, s))).collect()
    }

    /// Logits `[wanted, vocab]` at the tokens `wanted`, which are indices into the flattened `[batch × length]`. With
    /// `exchanged`, tokens get the output of the last block's MLP from others; what it is at `slots` before that is
    /// returned too, `[letters, hidden]`.
    pub fn forward(
        &self,
        layout: &Layout,
        frame: &Frame,
        ids: Tensor<1, Int>,
        wanted: Option<Tensor<1, Int>>,
        exchanged: Option<&Exchanged>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let mut told = None;
        let c = &layout.arch;
        let tokens = ids.dims()[0];
        let matrix = |name: String| self.matrices[layout.index(&name)].val();
        let norm = |name: String| self.vectors[layout.index(&name)].val() + c.norm_offset;
        let embed = matrix("embed_tokens.weight".into());
        let mut x = embed.clone().select(0, ids) * (c.hidden as f64).sqrt();
        for l in 0..c.layers() {
            let w = |n: &str| matrix(format!("layers.{l}.{n}.weight"));
            let g = |n: &str| norm(format!("layers.{l}.{n}.weight"));
            let h = rms(x.clone(), &g("input_layernorm"), c.eps);
            let heads = |n: &str, count: usize| h.clone().matmul(w(n).transpose()).reshape([tokens, count, c.head_dim]);
            let global = c.kind(l).window.is_none();
            let table = if global { &frame.global } else { &frame.local };
            let q = rms(heads("self_attn.q_proj", c.heads), &g("self_attn.q_norm"), c.eps);
            let k = rms(heads("self_attn.k_proj", c.kv_heads), &g("self_attn.k_norm"), c.eps);
            let v = heads("self_attn.v_proj", c.kv_heads);
            let (q, k) = (rotate(q, &table.0, &table.1), rotate(k, &table.0, &table.1));
            let o = attend(c, global, frame, q, k, v);
            x = x + rms(o.matmul(w("self_attn.o_proj").transpose()), &g("post_attention_layernorm"), c.eps);
            let h = rms(x.clone(), &g("pre_feedforward_layernorm"), c.eps);
            let gate = activation::gelu_approximate(h.clone().matmul(w("mlp.gate_proj").transpose()));
            let up = h.matmul(w("mlp.up_proj").transpose());
            let down = (gate * up).matmul(w("mlp.down_proj").transpose());
            let mut out = rms(down, &g("post_feedforward_layernorm"), c.eps);
            if let Some(e) = exchanged.filter(|_| l == DECOY_LAYER) {
                told = Some(out.clone().select(0, e.slots.clone()));
                out = out.select(0, e.from.clone());
            }
            x = x + out;
        }
        let x = match wanted {
            Some(rows) => x.select(0, rows),
            None => x,
        };
        (rms(x, &norm("norm.weight".into()), c.eps).matmul(embed.transpose()), told)
    }
}

/// Attention: q `[tokens, heads, head_dim]`, k and v `[tokens, kv_heads, head_dim]` → `[tokens, heads × head_dim]`.
///
/// Layers with a window are computed in blocks: the queries of a block see two blocks of keys.
fn attend(c: &Arch, global: bool, frame: &Frame, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<2> {
    let (tokens, length, d) = (q.dims()[0], frame.length, c.head_dim);
    let (batch, groups) = (tokens / length, c.heads / c.kv_heads);
    let block = if global { length } else { c.window().unwrap_or(length) };
    let blocks = length / block;
    // [batch × kv_heads × groups, blocks, block, head_dim]; the query heads of a group are adjacent.
    let heads = |t: Tensor<3>, n: usize| t.reshape([batch, length, n, d]).swap_dims(1, 2);
    let q = heads(q, c.heads).reshape([batch * c.kv_heads, groups, blocks, block * d]).swap_dims(1, 2);
    let q = q.reshape([batch * c.kv_heads, blocks, groups * block, d]);
    let keys = |t: Tensor<3>| {
        let own = heads(t, c.kv_heads).reshape([batch * c.kv_heads, blocks, block, d]);
        if global {
            return own;
        }
        let none = Tensor::zeros([batch * c.kv_heads, 1, block, d], &own.device());
        let before = match blocks {
            1 => none,
            _ => Tensor::cat(vec![none, own.clone().narrow(1, 0, blocks - 1)], 1),
        };
        Tensor::cat(vec![before, own], 2)
    };
    let (k, v) = (keys(k), keys(v));
    let seen = k.dims()[2];
    let scores = (q * c.query_pre_attn_scalar.powf(-0.5)).matmul(k.swap_dims(2, 3));
    // All heads of a group share a mask.
    let hidden = if global { frame.causal.clone() } else { frame.window.clone() };
    let hidden = hidden.repeat_dim(2, groups).expand([batch * c.kv_heads, blocks, groups * block, seen]);
    let o = activation::softmax(scores.mask_fill(hidden, -1e9), 3).matmul(v);
    let o = o.reshape([batch * c.kv_heads, blocks, groups, block * d]).swap_dims(1, 2);
    o.reshape([batch, c.heads, length, d]).swap_dims(1, 2).reshape([tokens, c.heads * d])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use friction_checkpoint::weights::random::RandomWeights;
    use friction_model::NoProbe;
    use friction_model::cache::CacheShape;
    use friction_model::{Model, Segment, Step};

    #[test]
    fn it_is_the_engines_function() {
        let config = crate::train::shape(300).unwrap();
        let weights = RandomWeights::new(&config, 3);
        let device = Device::flex();
        let (batch, length) = (2, 192);
        let ids: Vec<u32> = (0..batch * length).map(|i| (i * 7919 % 300) as u32).collect();
        let layout = Layout::new(&config);
        let net = Net::new(&layout, &weights, &device).unwrap();
        let frame = Frame::new(&config, batch, length, &device);
        let data: Vec<i64> = ids.iter().map(|i| i64::from(*i)).collect();
        let input = Tensor::<1, Int>::from_data(TensorData::new(data, [batch * length]), &device);
        let got: Vec<f32> = net.forward(&layout, &frame, input, None, None).0.into_data().iter::<f32>().collect();

        let model = Model::load(&config, &weights, &device, DType::F32, &mut |_| {}).unwrap();
        let mut cache = model.cache(CacheShape::new(&config, batch, length, length));
        let step = Step {
            ids,
            segments: (0..batch).map(|slot| Segment { slot, start: 0, len: length }).collect(),
            logits: (0..batch * length).collect(),
        };
        let want = model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap();
        let want: Vec<f32> = want.into_data().iter::<f32>().collect();
        let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        let size = want.iter().map(|w| w.abs()).fold(0f32, f32::max);
        assert_eq!(got.len(), want.len());
        assert!(worst <= 1e-4 * size, "{worst} of {size}");
    }
}
