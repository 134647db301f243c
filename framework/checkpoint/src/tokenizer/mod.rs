//! Tokenizers: a checkpoint's `tokenizer.json`, or the vocabulary in a GGUF file.
mod gguf;
mod kinds;
mod marks;
mod spans;

pub(crate) use marks::Control;

use crate::{Error, Result, partial};
use std::path::Path;
use tokenizers::Tokenizer as Inner;

/// A tokenizer that adds no special tokens of its own; the chat template writes them.
pub struct Tokenizer {
    inner: Inner,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` from a file.
    ///
    /// # Errors
    /// When it cannot be read or is malformed.
    pub fn from_file(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        Self::from_bytes(&bytes).map_err(|e| Error::format(path, e))
    }

    /// Parses a `tokenizer.json`.
    ///
    /// # Errors
    /// A message that says why it is malformed.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        // The tokenizers library indexes into some of its tables unchecked, so a malformed file may panic inside it.
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

    /// Token ids of `text`, with nothing added. Special tokens in the text are recognised, except those that a chat
    /// template marked as content of a message: they are encoded as plain text.
    ///
    /// # Errors
    /// When the library fails, or a marked token cannot be encoded as anything but itself.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if marks::has_marks(text) { self.encode_marked(text) } else { self.read(text) }
    }

    fn read(&self, text: &str) -> Result<Vec<u32>> {
        let e = self.inner.encode_fast(text, false).map_err(|e| Error::Text(format!("cannot tokenise: {e}")))?;
        Ok(e.get_ids().to_vec())
    }

    /// Token ids of `text` with what the post-processor of a `tokenizer.json` puts around it, such as BERT's `[CLS]` and
    /// `[SEP]`.
    ///
    /// # Errors
    /// When the library fails.
    pub fn encode_surrounded(&self, text: &str) -> Result<Vec<u32>> {
        let e = self.inner.encode_fast(text, true).map_err(|e| Error::Text(format!("cannot tokenise: {e}")))?;
        Ok(e.get_ids().to_vec())
    }

    /// What the post-processor of a `tokenizer.json` puts before a text; empty where it puts nothing there, `None` where
    /// there is no post-processor.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn begins(&self) -> Result<Option<String>> {
        if self.inner.get_post_processor().is_none() {
            return Ok(None);
        }
        let e = self.inner.encode_fast("a", true).map_err(|e| Error::Text(format!("cannot tokenise: {e}")))?;
        let put = e.get_special_tokens_mask().iter().take_while(|put| **put == 1).count();
        Ok(Some(e.get_tokens()[..put].concat()))
    }

    /// Text of `ids`, without special tokens. Where the ids end inside a character (byte tokens), the incomplete
    /// character is left out; a U+FFFD that the ids spell themselves is kept.
    ///
    /// # Errors
    /// When the library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        partial::decode(&self.inner, ids).map_err(|e| Error::Text(format!("cannot decode: {e}")))
    }

    /// The id of a token; `None` where the vocabulary lacks it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token with an id; `None` where there is none.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of tokens, added ones included.
    pub fn vocab(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// One more than the largest id that ordinary text can encode to. Special tokens may have larger ids, also beyond
    /// the embedding: the text-only Gemmas have `<image_soft_token>` at 262144 and 262144 rows. Text of messages
    /// never encodes to them.
    pub fn ids_of_text(&self) -> usize {
        let vocab = self.inner.get_vocab(true);
        let added = self.inner.get_added_tokens_decoder();
        let plain = vocab.values().filter(|id| added.get(id).is_none_or(|t| !t.special));
        plain.max().map_or(0, |id| *id as usize + 1)
    }

    /// This tokenizer as a `tokenizer.json`.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|e| Error::Text(e.to_string()))
    }

    /// The special tokens. Text of messages never encodes to them.
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
