//! The tokenizer in a GGUF file.
use super::Tokenizer;
use super::kinds::{Kind, is_run, kinds};
use crate::weights::gguf::{Gguf, Meta};
use crate::{Error, Result};
use std::collections::HashMap;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::Replace;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, DecoderWrapper, SplitDelimiterBehavior, Tokenizer as Inner};

impl Tokenizer {
    /// Rebuilds Gemma's byte-pair encoding from the SentencePiece vocabulary of a GGUF file. Every way to split a
    /// piece into two pieces is a merge, ranked by the piece's score. Which pieces are added tokens is not decided by
    /// the file's token types alone (see `kinds`): the ids equal those of Gemma's `tokenizer.json` whatever the types
    /// are.
    ///
    /// # Errors
    /// When the file has no such tokenizer, or it is malformed.
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
        let pieces: Vec<String> = pieces.iter().map(|p| spaced(p)).collect();
        let kinds = kinds(gguf, &pieces, types);
        let vocab: HashMap<&str, u32> = pieces.iter().enumerate().map(|(i, p)| (p.as_str(), i as u32)).collect();
        let vocab_has = |piece: &str| pieces.iter().any(|p| p == piece);
        let merges = merges(&pieces, scores, &kinds, &vocab);
        let merges =
            merges.into_iter().map(|(a, b)| (pieces[a as usize].clone(), pieces[b as usize].clone())).collect();
        let fail = |e: tokenizers::Error| Error::format(gguf.path(), format!("its tokenizer: {e}"));
        let model = BPE::builder()
            .vocab_and_merges(vocab.into_iter().map(|(p, i)| (p.to_string(), i)).collect::<Vocab>(), merges)
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
        let of = |kind: Kind, special: bool| -> Vec<AddedToken> {
            let wanted = pieces.iter().zip(&kinds).filter(|(_, k)| **k == kind);
            wanted.map(|(p, _)| AddedToken::from(p.clone(), special).normalized(false)).collect()
        };
        let mut control = of(Kind::Control, true);
        // Vocabularies of text-only files end before this token; `tokenizer.json` has it after the last row.
        if vocab_has("<start_of_image>") && !vocab_has("<image_soft_token>") {
            control.push(AddedToken::from("<image_soft_token>", true).normalized(false));
        }
        inner.add_special_tokens(&control);
        inner.add_tokens(&of(Kind::Whole, false));
        Ok(Self { inner })
    }
}

/// A piece as `tokenizer.json` writes it. In runs of spaces, which are added tokens, llama.cpp's converter replaced
/// `▁` by spaces.
fn spaced(piece: &str) -> String {
    if piece.len() > 1 && piece.bytes().all(|b| b == b' ') { piece.replace(' ', "▁") } else { piece.to_string() }
}

/// The merges in order of rank: first those within runs of one character, the longest first; then other pieces by
/// score. Added tokens need no merges.
fn merges(pieces: &[String], scores: &[f32], kinds: &[Kind], vocab: &HashMap<&str, u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(usize, usize, u32, u32)> = vec![];
    let mut others: Vec<(f32, u32, u32)> = vec![];
    for ((piece, score), kind) in pieces.iter().zip(scores).zip(kinds) {
        let run = is_run(piece);
        if *kind != Kind::Text && !run {
            continue;
        }
        let mut local: Vec<(u32, u32)> = piece
            .char_indices()
            .skip(1)
            .filter_map(|(i, _)| Some((*vocab.get(&piece[..i])?, *vocab.get(&piece[i..])?)))
            .collect();
        local.sort_unstable();
        if run && *kind != Kind::Text {
            let length = |id: u32| pieces[id as usize].chars().count();
            runs.extend(local.into_iter().map(|(a, b)| (length(a), length(b), a, b)));
        } else {
            others.extend(local.into_iter().map(|(a, b)| (*score, a, b)));
        }
    }
    // The sort is stable: pieces with equal scores keep their order.
    runs.sort_by_key(|r| std::cmp::Reverse((r.0, r.1)));
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    runs.into_iter().map(|(_, _, a, b)| (a, b)).chain(others.into_iter().map(|(_, a, b)| (a, b))).collect()
}
