//! The tokenizer in a GGUF file. `tokenizer.ggml.model` names its kind.
mod bpe;
mod sentencepiece;

use super::Tokenizer;
use super::kinds::Kind;
use crate::weights::gguf::{Gguf, Meta};
use crate::{Error, Result};
use tokenizers::AddedToken;

impl Tokenizer {
    /// Rebuilds the tokenizer of a GGUF file: SentencePiece's byte-pair encoding (Gemma, Llama 2, Mistral 7B) or
    /// byte-level BPE (Llama 3, Qwen, OLMo, SmolLM). The ids equal those of the model's `tokenizer.json`. Which pieces
    /// are added tokens the file's token types say, but not they alone (see `kinds`).
    ///
    /// # Errors
    /// When the file has no such tokenizer, it is malformed, or the file does not say how it splits text.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let inner = match kind(gguf) {
            // A vocabulary without a kind is read as Gemma's, if it has scores as that has.
            None if gguf.meta("tokenizer.ggml.scores").is_none() => return Err(missing(gguf, "model")),
            None | Some("llama") => sentencepiece::tokenizer(gguf)?,
            Some("gpt2") => bpe::tokenizer(gguf)?,
            Some(other) => {
                let what = format!(
                    "`tokenizer.ggml.model` is `{other}`; `llama` (SentencePiece) and `gpt2` (byte-level BPE) are read; \
                     name a `model.tokenizer`"
                );
                return Err(Error::format(gguf.path(), what));
            }
        };
        Ok(Self { inner })
    }

    /// Whether the tokenizer of a GGUF file begins texts with the BOS token: as the file says, or else as llama.cpp
    /// has it for tokenizers of its kind. `None` where the file names no kind.
    pub(crate) fn adds_bos(gguf: &Gguf) -> Option<bool> {
        match (gguf.meta("tokenizer.ggml.add_bos_token"), kind(gguf)) {
            (Some(Meta::Bool(adds)), _) => Some(*adds),
            (_, Some("llama")) => Some(true),
            (_, Some("gpt2")) => Some(bpe::adds_bos(gguf)),
            _ => None,
        }
    }
}

/// The kind of the tokenizer.
fn kind(gguf: &Gguf) -> Option<&str> {
    text(gguf, "tokenizer.ggml.model")
}

/// The string of a key; `None` where there is none.
fn text<'a>(gguf: &'a Gguf, key: &str) -> Option<&'a str> {
    match gguf.meta(key) {
        Some(Meta::Text(t)) => Some(t),
        _ => None,
    }
}

/// The pieces of the vocabulary, and their types.
fn vocabulary(gguf: &Gguf) -> Result<(&[String], &[i64])> {
    let Some(Meta::Texts(pieces)) = gguf.meta("tokenizer.ggml.tokens") else {
        return Err(missing(gguf, "tokens"));
    };
    let Some(Meta::Ints(types)) = gguf.meta("tokenizer.ggml.token_type") else {
        return Err(missing(gguf, "token_type"));
    };
    Ok((pieces, types))
}

/// The error for a missing part of the tokenizer.
fn missing(gguf: &Gguf, part: &str) -> Error {
    Error::format(gguf.path(), format!("holds no `tokenizer.ggml.{part}`; name a `model.tokenizer`"))
}

/// The added tokens of a kind, in the order of their ids.
fn added(pieces: &[String], kinds: &[Kind], kind: Kind) -> Vec<AddedToken> {
    let wanted = pieces.iter().zip(kinds).filter(|(_, k)| **k == kind);
    wanted.map(|(p, _)| AddedToken::from(p.clone(), kind == Kind::Control).normalized(false)).collect()
}
