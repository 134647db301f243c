//! Text to ids and back: a checkpoint's `tokenizer.json`, or the pieces inside a GGUF file.
use crate::weights::gguf::{Gguf, Meta};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::Replace;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, DecoderWrapper, SplitDelimiterBehavior, Tokenizer as Inner};

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

    /// Rebuilds Gemma's byte-pair encoding from the SentencePiece pieces of a GGUF file: every way
    /// to split a piece into two pieces is a merge, ranked by the piece's score.
    ///
    /// # Errors
    /// When the file holds no such tokenizer.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let err = |m: &str| Error::format(gguf.path(), m);
        let Some(Meta::Texts(pieces)) = gguf.meta("tokenizer.ggml.tokens") else {
            return Err(err("holds no `tokenizer.ggml.tokens`; name a `model.tokenizer`"));
        };
        let Some(Meta::Floats(scores)) = gguf.meta("tokenizer.ggml.scores") else {
            return Err(err("holds no `tokenizer.ggml.scores`; name a `model.tokenizer`"));
        };
        let Some(Meta::Ints(types)) = gguf.meta("tokenizer.ggml.token_type") else {
            return Err(err("holds no `tokenizer.ggml.token_type`; name a `model.tokenizer`"));
        };
        if scores.len() != pieces.len() || types.len() != pieces.len() {
            return Err(err("its tokenizer's pieces, scores and types differ in number"));
        }
        let vocab: HashMap<String, u32> = pieces.iter().enumerate().map(|(i, p)| (p.clone(), i as u32)).collect();
        let mut merges: Vec<(f32, u32, u32)> = vec![];
        for (id, piece) in pieces.iter().enumerate() {
            let mut local: Vec<(u32, u32)> = piece
                .char_indices()
                .skip(1)
                .filter_map(|(i, _)| Some((*vocab.get(&piece[..i])?, *vocab.get(&piece[i..])?)))
                .collect();
            local.sort_unstable();
            merges.extend(local.into_iter().map(|(a, b)| (scores[id], a, b)));
        }
        // Stable: equal scores keep the order of the pieces.
        merges.sort_by(|a, b| b.0.total_cmp(&a.0));
        let merges =
            merges.into_iter().map(|(_, a, b)| (pieces[a as usize].clone(), pieces[b as usize].clone())).collect();
        let fail = |e: tokenizers::Error| Error::format(gguf.path(), format!("its tokenizer: {e}"));
        let model = BPE::builder()
            .vocab_and_merges(vocab.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
            .unk_token("<unk>".into())
            .fuse_unk(true)
            .byte_fallback(true)
            .build()
            .map_err(fail)?;
        let mut inner = Inner::new(model);
        inner.with_normalizer(Some(Replace::new(" ", "▁").map_err(fail)?));
        let split = Split::new(SplitPattern::String(" ".into()), SplitDelimiterBehavior::MergedWithPrevious, false);
        inner.with_pre_tokenizer(Some(split.map_err(fail)?));
        let decoders = vec![
            DecoderWrapper::Replace(Replace::new("▁", " ").map_err(fail)?),
            DecoderWrapper::ByteFallback(Default::default()),
            DecoderWrapper::Fuse(Default::default()),
        ];
        inner.with_decoder(Some(tokenizers::decoders::sequence::Sequence::new(decoders)));
        // SentencePiece's types: 3 is control, 4 user-defined; both are matched before merging.
        let of = |kind: i64, special: bool| -> Vec<AddedToken> {
            let wanted = pieces.iter().zip(types).filter(|(_, t)| **t == kind);
            wanted.map(|(p, _)| AddedToken::from(p.clone(), special).normalized(false)).collect()
        };
        inner.add_special_tokens(&of(3, true));
        inner.add_tokens(&of(4, false));
        Ok(Self { inner })
    }

    /// Ids of `text`, nothing added; special tokens written in it are recognised.
    ///
    /// # Errors
    /// When the library fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let e = self.inner.encode_fast(text, false).map_err(|e| Error::Text(format!("cannot tokenise: {e}")))?;
        Ok(e.get_ids().to_vec())
    }

    /// Text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// When the library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|e| Error::Text(format!("cannot decode: {e}")))
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Number of ids.
    pub fn vocab(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// One more than the largest id that ordinary text can give. Special tokens may lie beyond: the
    /// text-only Gemmas come with `<image_soft_token>` at 262144, which their 262144 rows lack, and
    /// the chat template takes special tokens out of what people and models write.
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

    /// The special tokens, for taking them out of text that is not ours.
    pub fn specials(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder();
        added.values().filter(|t| t.special).map(|t| t.content.clone()).collect()
    }
}

impl friction_core::TextCodec for Tokenizer {
    fn decode(&self, ids: &[u32]) -> friction_core::Result<String> {
        Tokenizer::decode(self, ids).map_err(friction_core::Error::other)
    }
}
