//! SentencePiece's byte-pair encoding, from pieces and scores. Every way to split a piece into two pieces is a merge,
//! ranked by the piece's score, as transformers makes `tokenizer.json` from a SentencePiece model.
use super::{added, kind, missing, vocabulary};
use crate::tokenizer::kinds::{Kind, NORMAL, is_gemma, is_run, kinds};
use crate::weights::gguf::{Gguf, Meta};
use crate::{Error, Result};
use std::collections::HashMap;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, SplitDelimiterBehavior, Tokenizer as Inner};

/// Where a space is put that the text does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// Nowhere: Gemma.
    Never,
    /// Before a text, and behind each added token: Llama 2, and Mistral before its control tokens.
    Always,
    /// Before a text that does not begin with an added token: Mistral, whose template writes the space behind `[INST]`.
    First,
}

impl Prefix {
    fn of(gguf: &Gguf, pieces: &[String], kinds: &[Kind]) -> Self {
        let puts = match gguf.meta("tokenizer.ggml.add_space_prefix") {
            Some(Meta::Bool(puts)) => *puts,
            _ => kind(gguf).is_some() && !is_gemma(pieces),
        };
        let control = |token: &str| pieces.iter().zip(kinds).any(|(p, k)| p == token && *k == Kind::Control);
        match puts {
            false => Self::Never,
            true if control("[INST]") => Self::First,
            true => Self::Always,
        }
    }
}

/// The tokenizer of a file.
///
/// # Errors
/// When a part is missing or malformed.
pub(super) fn tokenizer(gguf: &Gguf) -> Result<Inner> {
    let err = |m: &str| Error::format(gguf.path(), m);
    let (pieces, types) = vocabulary(gguf)?;
    let Some(Meta::Floats(scores)) = gguf.meta("tokenizer.ggml.scores") else {
        return Err(missing(gguf, "scores"));
    };
    if scores.len() != pieces.len() || types.len() != pieces.len() {
        return Err(err("its tokenizer's pieces, scores and types differ in number"));
    }
    if unranked(scores, types) {
        return Err(err(
            "its tokenizer's scores are all equal, so that the order of its merges is lost; name a `model.tokenizer`",
        ));
    }
    let pieces: Vec<String> = pieces.iter().map(|p| spaced(p)).collect();
    let kinds = kinds(gguf, &pieces, types);
    let vocab: HashMap<&str, u32> = pieces.iter().enumerate().map(|(i, p)| (p.as_str(), i as u32)).collect();
    let vocab_has = |piece: &str| pieces.iter().any(|p| p == piece);
    let merges = merges(&pieces, scores, &kinds, &vocab);
    let merges = merges.into_iter().map(|(a, b)| (pieces[a as usize].clone(), pieces[b as usize].clone())).collect();
    let fail = |e: tokenizers::Error| Error::format(gguf.path(), format!("its tokenizer: {e}"));
    let model = BPE::builder()
        .vocab_and_merges(vocab.into_iter().map(|(p, i)| (p.to_string(), i)).collect::<Vocab>(), merges)
        .unk_token("<unk>".into())
        .fuse_unk(true)
        .byte_fallback(true)
        .build()
        .map_err(fail)?;
    let mut inner = Inner::new(model);
    let mut decoders = vec![
        DecoderWrapper::Replace(Replace::new("▁", " ").map_err(fail)?),
        DecoderWrapper::ByteFallback(Default::default()),
        DecoderWrapper::Fuse(Default::default()),
    ];
    let prefix = Prefix::of(gguf, &pieces, &kinds);
    let spaces = Replace::new(" ", "▁").map_err(fail)?;
    match prefix {
        Prefix::Never => {
            inner.with_normalizer(Some(spaces));
            let split = Split::new(SplitPattern::String(" ".into()), SplitDelimiterBehavior::MergedWithPrevious, false);
            inner.with_pre_tokenizer(Some(split.map_err(fail)?));
        }
        Prefix::Always => {
            let first = NormalizerWrapper::Prepend(Prepend::new("▁".into()));
            inner.with_normalizer(Some(Normalizers::new(vec![first, NormalizerWrapper::Replace(spaces)])));
        }
        Prefix::First => {
            inner.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::First, false)));
        }
    }
    if prefix != Prefix::Never {
        decoders.push(DecoderWrapper::Strip(Strip::new(' ', 1, 0)));
    }
    inner.with_decoder(Some(Decoders::new(decoders)));
    let mut control = added(&pieces, &kinds, Kind::Control);
    // Vocabularies of text-only files end before this token; `tokenizer.json` has it after the last row.
    if vocab_has("<start_of_image>") && !vocab_has("<image_soft_token>") {
        control.push(AddedToken::from("<image_soft_token>", true).normalized(false));
    }
    inner.add_special_tokens(&control);
    inner.add_tokens(&added(&pieces, &kinds, Kind::Whole));
    Ok(inner)
}

/// Whether the scores rank nothing: converters that find no SentencePiece model give all pieces one score. A vocabulary
/// of a few pieces may have equal scores.
fn unranked(scores: &[f32], types: &[i64]) -> bool {
    let normal: Vec<f32> = scores.iter().zip(types).filter(|(_, t)| **t == NORMAL).map(|(s, _)| *s).collect();
    normal.len() > 1000 && normal.windows(2).all(|w| w[0] == w[1])
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
