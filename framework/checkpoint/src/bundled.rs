//! Models embedded in the binary, named `bundled:NAME`. A crate registers one with
//! `inventory::submit! { BundledModel { … } }`.
use crate::{Error, Result};
use friction_core::manifest::nearest;
use serde_json::{Value, json};

/// A checkpoint in the hub's file layout, embedded in the binary or made by it.
pub struct BundledModel {
    /// The name after `bundled:`.
    pub name: &'static str,
    /// One line that describes the model, for listings.
    pub summary: &'static str,
    /// File names and contents: config.json, generation_config.json, tokenizer.json, model.safetensors. Always the same.
    pub files: fn() -> &'static [(&'static str, &'static [u8])],
}

friction_core::inventory::collect!(BundledModel);

impl BundledModel {
    /// All bundled models that are linked into this binary.
    pub fn all() -> impl Iterator<Item = &'static BundledModel> {
        friction_core::inventory::iter::<BundledModel>.into_iter()
    }

    /// The bundled model called `name`.
    ///
    /// # Errors
    /// [`Error::Source`] when this binary has none of that name; the message lists those it has.
    pub fn find(name: &str) -> Result<&'static Self> {
        Self::all().find(|m| m.name == name).ok_or_else(|| {
            let known: Vec<&str> = Self::all().map(|m| m.name).collect();
            Error::Source(match nearest(name, known.iter().copied()) {
                Some(near) => format!("this binary bundles no model `{name}`: did you mean `{near}`?"),
                None => format!("this binary bundles no model `{name}`; it bundles: {}", known.join(", ")),
            })
        })
    }

    /// The content of one of its files.
    ///
    /// # Errors
    /// [`Error::Source`] when it was bundled without that file.
    pub fn file(&self, name: &str) -> Result<&'static [u8]> {
        let file = (self.files)().iter().find(|(n, _)| *n == name);
        file.map(|(_, b)| *b).ok_or_else(|| Error::Source(format!("bundled:{} lacks {name}", self.name)))
    }
}

/// Gemma's special tokens, of a bundled model's tokenizer; their index is their id.
pub const SPECIALS: [&str; 6] = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"];

/// A `tokenizer.json`: a unigram model over `vocab`, pairs of text and score by id, that begins with [`SPECIALS`] and has
/// a token for each byte.
pub fn unigram_tokenizer(vocab: Vec<Value>) -> Value {
    let added: Vec<Value> = SPECIALS
        .iter()
        .enumerate()
        .map(|(i, s)| {
            json!({"id": i, "content": s, "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false})
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": true}
    })
}

/// The `tokenizer_config.json` beside it. Without it transformers uses Gemma's own tokenizer classes, which split words
/// differently.
pub fn tokenizer_config() -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIALS[2], "eos_token": SPECIALS[1],
        "unk_token": SPECIALS[3], "pad_token": SPECIALS[0], "chat_template": crate::template::GEMMA
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    friction_core::inventory::submit! { BundledModel { name: "nothing", summary: "a test", files: || &[("a", b"b")] } }
    #[test]
    #[allow(clippy::unwrap_used)]
    fn names_are_told() {
        let m = BundledModel::find("nothing").unwrap();
        assert_eq!(m.file("a").unwrap(), b"b");
        assert!(m.file("config.json").unwrap_err().to_string().contains("bundled:nothing lacks config.json"));
        let e = BundledModel::find("organsm").err().unwrap().to_string();
        assert!(e.contains("no model `organsm`") && e.contains("it bundles: nothing"), "{e}");
        let e = BundledModel::find("nothng").err().unwrap().to_string();
        assert!(e.ends_with("no model `nothng`: did you mean `nothing`?"), "{e}");
    }
}
