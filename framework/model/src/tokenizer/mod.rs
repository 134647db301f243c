//! Text to ids and back: a checkpoint's `tokenizer.json`, or the pieces inside a GGUF file.
mod gguf;
mod kinds;
mod marks;

pub(crate) use marks::Control;

use crate::{Error, Result, partial};
use std::path::Path;
use tokenizers::Tokenizer as Inner;

/// A tokenizer that never adds special tokens by itself: the chat template writes them.
pub struct Tokenizer {
    inner: Inner,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_file(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        Self::from_bytes(&bytes).map_err(|e| Error::format(path, e))
    }

    /// Parses a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        // The library indexes into some of its tables: a hostile file may panic inside it.
        let parsed = std::panic::catch_unwind(|| Inner::from_bytes(bytes).map_err(|e| e.to_string()));
        match parsed {
            Ok(Ok(mut inner)) => {
                inner.with_padding(None);
                inner.with_truncation(None).map_err(|e| e.to_string())?;
                Ok(Self { inner })
            }
            Ok(Err(e)) => Err(format!("not a tokenizer.json: {e}")),
            Err(_) => Err("not a tokenizer.json: its tables contradict each other".into()),
        }
    }

    /// Ids of `text`, nothing added; special tokens written in it are recognised, but for those that a chat template
    /// marked as what somebody said: these are read as text.
    ///
    /// # Errors
    /// When the library fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if marks::has_marks(text) { self.encode_marked(text) } else { self.read(text) }
    }

    fn read(&self, text: &str) -> Result<Vec<u32>> {
        let e = self.inner.encode_fast(text, false).map_err(|e| Error::Text(format!("cannot tokenise: {e}")))?;
        Ok(e.get_ids().to_vec())
    }

    /// Text of `ids`, special tokens left out. Where they end inside a character, the piece of it is left out too; a
    /// U+FFFD that they spell stays.
    ///
    /// # Errors
    /// When the library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        partial::decode(&self.inner, ids).map_err(|e| Error::Text(format!("cannot decode: {e}")))
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of ids.
    pub fn vocab(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// One more than the largest id that ordinary text can give. Special tokens may lie beyond: the
    /// text-only Gemmas come with `<image_soft_token>` at 262144, which their 262144 rows lack, and
    /// special tokens in what people and models write are read as text.
    pub fn ids_of_text(&self) -> usize {
        let vocab = self.inner.get_vocab(true);
        let added = self.inner.get_added_tokens_decoder();
        let plain = vocab.values().filter(|id| added.get(id).is_none_or(|t| !t.special));
        plain.max().map_or(0, |id| *id as usize + 1)
    }

    /// The `tokenizer.json` of this tokenizer.
    ///
    /// # Errors
    /// When the library fails.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|e| Error::Text(e.to_string()))
    }

    /// The special tokens: what text that is not the template's never makes.
    pub fn specials(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder();
        added.values().filter(|t| t.special).map(|t| t.content.clone()).collect()
    }
}

impl friction_core::TextCodec for Tokenizer {
    fn decode(&self, ids: &[u32]) -> friction_core::Result<String> {
        Tokenizer::decode(self, ids).map_err(friction_core::Error::other)
    }
    fn whole(&self, ids: &[u32]) -> friction_core::Result<usize> {
        Ok(partial::whole(&self.inner, ids))
    }
}
