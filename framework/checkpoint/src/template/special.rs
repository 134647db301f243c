//! Special tokens by the names under which templates use them.
use crate::Tokenizer;
use crate::weights::gguf::{Gguf, Meta};
use serde_json::Value;
use std::collections::BTreeMap;

/// Special tokens by name: `bos_token`, `eos_token`, … As in transformers, a token that a checkpoint does not have is
/// undefined in its template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens(BTreeMap<String, String>);

/// Gemma's special tokens.
const GEMMA: [(&str, &str); 5] = [
    ("bos_token", "<bos>"),
    ("eos_token", "<eos>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<pad>"),
    ("mask_token", "<mask>"),
];

/// The names that transformers passes to templates, and the corresponding part of GGUF's key
/// `tokenizer.ggml.…_token_id` ("seperator" is GGUF's spelling).
const NAMES: [(&str, &str); 7] = [
    ("bos_token", "bos"),
    ("eos_token", "eos"),
    ("unk_token", "unknown"),
    ("sep_token", "seperator"),
    ("pad_token", "padding"),
    ("cls_token", "cls"),
    ("mask_token", "mask"),
];

/// Whether templates read a special token under this name.
pub(super) fn is_name(name: &str) -> bool {
    NAMES.iter().any(|(n, _)| *n == name)
}

impl SpecialTokens {
    /// Those of Gemma's special tokens that the tokenizer has; for a checkpoint that names none.
    pub fn gemma(tokenizer: &Tokenizer) -> Self {
        GEMMA.into_iter().filter(|(_, t)| tokenizer.id(t).is_some()).collect()
    }

    /// From `tokenizer_config.json`. As in transformers, a `special_tokens_map.json` beside it takes precedence where
    /// the former has no `added_tokens_decoder`. A token is a string, or an object with the string under `content`. A
    /// missing one is Gemma's, unless the tokenizer class is another's; `null` means undefined.
    ///
    /// # Errors
    /// When a token is neither.
    pub(crate) fn from_json(config: &Value, map: Option<&Value>) -> Result<Self, String> {
        let map = map.filter(|_| config.get("added_tokens_decoder").is_none());
        let gemma = config.get("tokenizer_class").is_none_or(|c| c.as_str().is_none_or(|c| c.starts_with("Gemma")));
        let mut out = BTreeMap::new();
        for (name, _) in NAMES {
            let value = map.and_then(|m| m.get(name)).or_else(|| config.get(name));
            match value {
                Some(Value::Null) => continue,
                None => match GEMMA.iter().find(|(n, _)| gemma && *n == name) {
                    Some((_, token)) => out.insert(name.to_string(), (*token).to_string()),
                    None => continue,
                },
                Some(v) => match v.as_str().or_else(|| v.get("content").and_then(Value::as_str)) {
                    Some(text) => out.insert(name.to_string(), text.to_string()),
                    None => return Err(format!("`{name}` is {v}; write its text, or an object with `content`")),
                },
            };
        }
        Ok(Self(out))
    }

    /// From the token ids in a GGUF's metadata.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Self {
        let Some(Meta::Texts(pieces)) = gguf.meta("tokenizer.ggml.tokens") else { return Self::default() };
        let token = |key: &str| match gguf.meta(&format!("tokenizer.ggml.{key}_token_id")) {
            Some(Meta::Int(id)) => usize::try_from(*id).ok().and_then(|id| pieces.get(id)),
            _ => None,
        };
        NAMES.iter().filter_map(|(name, key)| Some((*name, token(key)?.as_str()))).collect()
    }

    /// These tokens, completed by those of `others` that are missing here.
    pub(crate) fn or(mut self, others: Self) -> Self {
        for (name, token) in others.0 {
            self.0.entry(name).or_insert(token);
        }
        self
    }

    /// The token called `name`, e.g. `bos_token`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All (name, token) pairs, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, token)| (name.as_str(), token.as_str()))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for SpecialTokens {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(all: T) -> Self {
        Self(all.into_iter().map(|(name, token)| (name.into(), token.into())).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(mut config: Value, map: Option<Value>) -> Vec<(String, String)> {
        config["tokenizer_class"] = json!("LlamaTokenizer");
        SpecialTokens::from_json(&config, map.as_ref()).unwrap().0.into_iter().collect()
    }

    #[test]
    fn text_or_an_object() {
        let want = vec![("bos_token".to_string(), "<s>".to_string()), ("eos_token".into(), "</s>".into())];
        let config = json!({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "unk_token": null});
        assert_eq!(of(config, None), want);
        let e = SpecialTokens::from_json(&json!({"bos_token": 2}), None).unwrap_err();
        assert!(e.contains("`bos_token` is 2"), "{e}");
    }

    #[test]
    fn a_gemma_tokenizer_has_gemmas() {
        let all =
            SpecialTokens::from_json(&json!({"tokenizer_class": "GemmaTokenizer", "pad_token": null}), None).unwrap();
        let names: Vec<_> = all.iter().collect();
        let want = [("bos_token", "<bos>"), ("eos_token", "<eos>"), ("mask_token", "<mask>"), ("unk_token", "<unk>")];
        assert_eq!(names, want);
    }

    #[test]
    fn the_old_map_counts_where_transformers_reads_it() {
        let map = json!({"bos_token": {"content": "<b>"}, "pad_token": "<p>"});
        let old = of(json!({"bos_token": "<s>"}), Some(map.clone()));
        assert_eq!(old, [("bos_token".into(), "<b>".into()), ("pad_token".into(), "<p>".into())]);
        let new = of(json!({"bos_token": "<s>", "added_tokens_decoder": {}}), Some(map));
        assert_eq!(new, [("bos_token".into(), "<s>".into())]);
    }
}
