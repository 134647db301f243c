//! Reads a checkpoint's `config.json` into an [`Arch`], and checks it. What it asks for that is not computed is refused by
//! name.
mod keys;
#[cfg(test)]
mod tests;

use crate::arch::Arch;
use crate::families::{FAMILIES, Family};
use crate::reader::{Reader, ids, within};
use crate::{Error, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

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
