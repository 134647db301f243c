//! What every family says by the same keys.
use super::{Reader, layers};
use crate::arch::{Activation, Arch, Bias, LayerKind, Norms, QkNorm, RopeParameters};
use crate::families::Family;
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Class defaults of a family, for keys that a configuration leaves out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    /// `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    /// `None`: hidden ÷ heads.
    pub head_dim: Option<usize>,
    pub vocab: usize,
    pub context: usize,
    pub eps: f64,
    pub tied: bool,
    pub bos: Option<u32>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            hidden: 0,
            intermediate: 0,
            layers: 0,
            heads: 0,
            kv_heads: None,
            head_dim: None,
            vocab: 0,
            context: 0,
            eps: 1e-6,
            tied: false,
            bos: None,
        }
    }
}

/// Reads what every family says by the same keys: a decoder with norms before, SwiGLU and full attention, as Llama. The
/// ids that end a reply are added by [`Arch::from_json`].
pub(crate) fn base(
    r: &Reader,
    family: &'static Family,
    d: &Defaults,
    rope: impl Fn(&Reader) -> Result<RopeParameters>,
) -> Result<Arch> {
    let hidden = r.size("hidden_size", d.hidden)?;
    let heads = r.size("num_attention_heads", d.heads)?;
    let layers = layers::count(r, d.layers)?;
    let head_dim = match (r.whole("head_dim")?, d.head_dim) {
        (Some(dim), _) | (None, Some(dim)) => dim,
        (None, None) if hidden.is_multiple_of(heads) => hidden / heads,
        (None, None) => {
            let names = [r.name("hidden_size"), r.name("num_attention_heads")];
            return Err(r.err(format!("{} = {hidden} is not a multiple of {} = {heads}", names[0], names[1])));
        }
    };
    if let Some(f) = r.above("partial_rotary_factor")?.filter(|f| *f != 1.0) {
        let name = r.name("partial_rotary_factor");
        return Err(r.err(format!("{name} = {f}; whole heads are rotated, and no part of them")));
    }
    let bos = ids(r.path, "bos_token_id", r.map.get("bos_token_id"))?;
    Ok(Arch {
        family,
        hidden,
        intermediate: r.size("intermediate_size", d.intermediate)?,
        heads,
        kv_heads: r.whole("num_key_value_heads")?.or(d.kv_heads).unwrap_or(heads),
        head_dim,
        vocab: r.size("vocab_size", d.vocab)?,
        norms: Norms::Pre,
        norm_offset: 0.0,
        eps: r.number("rms_norm_eps", d.eps)?,
        qk_norm: QkNorm::None,
        bias: Bias::default(),
        query_pre_attn_scalar: head_dim as f64,
        attn_softcap: None,
        final_softcap: None,
        activation: Activation::Silu,
        kinds: vec![LayerKind { window: None, rope: Some(rope(r)?) }],
        layer_kinds: vec![0; layers],
        context: r.size("max_position_embeddings", d.context)?,
        scale_embeddings: false,
        tied: r.flag("tie_word_embeddings")?.unwrap_or(d.tied),
        bos: bos.first().copied().or(d.bos),
        eos: vec![],
    })
}

/// The token ids under a key: one number, a list, or none where the key is missing or null.
pub(crate) fn ids(path: &Path, key: &str, v: Option<&Value>) -> Result<Vec<u32>> {
    let id = |v: &Value| {
        let id = v.as_u64().and_then(|v| u32::try_from(v).ok());
        id.ok_or_else(|| Error::format(path, format!("`{key}` holds {v}, which is no token id")))
    };
    match v {
        Some(Value::Array(a)) => a.iter().map(id).collect(),
        None | Some(Value::Null) => Ok(vec![]),
        Some(v) => Ok(vec![id(v)?]),
    }
}

/// Refuses an id that ends replies and that the model cannot write.
pub(crate) fn within(path: &Path, key: &str, id: u32, vocab: usize) -> Result<()> {
    if (id as usize) < vocab {
        return Ok(());
    }
    Err(Error::format(
        path,
        format!(
            "`{key}` holds {id}, but the model has {vocab} token ids, from 0: no reply could end with it; take the file of this checkpoint, or correct the key"
        ),
    ))
}
