//! Reads a checkpoint's `config.json` into an [`Arch`], and checks it. What it asks for that is not computed is refused by
//! name.
mod keys;
pub(crate) mod layers;
mod reader;
pub(crate) mod rope;
#[cfg(test)]
mod tests;

pub(crate) use reader::Reader;

use crate::arch::{Activation, Arch, Bias, LayerKind, Norms, QkNorm, RopeParameters};
use crate::families::{FAMILIES, Family};
use crate::{Error, Result};
use serde_json::Value;
use std::collections::BTreeSet;
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
/// ids that end a reply are added by [`read`].
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

/// Whether embeddings are tied. As in transformers, the outer table of a multimodal checkpoint decides.
fn tied(outer: &Reader, text: &Reader, default: bool) -> Result<bool> {
    const KEY: &str = "tie_word_embeddings";
    match (outer.flag(KEY)?, text.flag(KEY)?) {
        (Some(true), Some(false)) => Err(text.err(format!(
            "`{KEY}` is true, but {} is false; transformers follows the first, so correct one of them",
            text.name(KEY)
        ))),
        (Some(said), _) | (None, Some(said)) => Ok(said),
        (None, None) => Ok(default),
    }
}

/// The family of a value of `model_type`.
fn family(r: &Reader, kind: &str) -> Result<&'static Family> {
    FAMILIES.iter().find(|f| f.model_types.contains(&kind)).copied().ok_or_else(|| {
        let known: Vec<_> = FAMILIES.iter().map(|f| format!("{} (`{}`)", f.name, f.model_types.join("`, `"))).collect();
        let told = if kind.is_empty() { "missing".into() } else { format!("`{kind}`") };
        r.err(format!("model_type is {told}; friction runs {}", known.join(", ")))
    })
}

impl Arch {
    /// Reads a `config.json`, text-only or multimodal, and the end-of-sequence ids of `generation_config.json` where
    /// that is given. Missing keys take the class defaults of transformers. `path` is used in error messages.
    ///
    /// # Errors
    /// When it is of no known family, a value is out of range, or a key would change the forward pass in a way that is
    /// not computed.
    pub fn from_json(path: &Path, config: &Value, generation: Option<&Value>) -> Result<Self> {
        let outer = config.as_object().ok_or_else(|| Error::format(path, "not a JSON object"))?;
        let kind = outer.get("model_type").and_then(Value::as_str).unwrap_or("");
        let whole = Reader { map: outer, path, prefix: "" };
        let family = family(&whole, kind)?;
        let text = match outer.get("text_config") {
            Some(Value::Object(t)) => t,
            Some(_) => return Err(Error::format(path, "`text_config` must be an object")),
            None => outer,
        };
        let nested = outer.contains_key("text_config");
        let r = Reader { map: text, path, prefix: if nested { "text_config." } else { "" } };
        let own = family.model_types[0];
        if nested {
            if !family.nested || kind == own {
                return Err(r.err(format!("model_type is `{kind}`, which has no `text_config`")));
            }
            if let Some(other) = r.present("model_type").filter(|t| *t != own) {
                return Err(r.err(format!("{} is {other}, not `{own}`", r.name("model_type"))));
            }
            keys::around(&whole, &r, family)?;
        }
        keys::known(&r, family)?;
        let mut arch = (family.read)(&r)?;
        if nested {
            arch.tied = tied(&whole, &r, arch.tied)?;
            arch.bos = ids(path, "bos_token_id", outer.get("bos_token_id"))?.first().copied().or(arch.bos);
        }
        // A reply ends at any id that one of the files names. The chat template's end-of-turn id is added once the
        // template is known.
        let beside = path.with_file_name("generation_config.json");
        let generation = generation.and_then(Value::as_object);
        for (path, table) in [(beside.as_path(), generation), (path, Some(outer)), (path, Some(text))] {
            const KEY: &str = "eos_token_id";
            for id in ids(path, KEY, table.and_then(|t| t.get(KEY)))? {
                within(path, KEY, id, arch.vocab)?;
                arch.eos.push(id);
            }
        }
        let mut seen = BTreeSet::new();
        arch.eos.retain(|id| seen.insert(*id));
        if arch.eos.is_empty() {
            arch.eos = family.eos.to_vec();
        }
        arch.checked(path)
    }

    /// Checks that the sizes are consistent.
    pub(crate) fn checked(self, path: &Path) -> Result<Self> {
        match self.fault() {
            Some(fault) => Err(Error::format(path, fault)),
            None => Ok(self),
        }
    }
}
