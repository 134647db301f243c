//! Which pieces of a GGUF's vocabulary are tokens of their own, whatever the file's token types say.
//!
//! Files disagree: converters type `<start_of_image>` control or user-defined and `<unused7>` the other way round, and
//! some type a turn's markers as ordinary text. What Gemma's own `tokenizer.json` says of its tokens holds for each
//! file with Gemma's vocabulary. A token that Gemma does not know is taken as the file types it, where its name looks
//! like one. A token that the metadata name as the beginning or the end of something, or that the file's chat template
//! writes, is control.
use crate::template::literals;
use crate::weights::gguf::{Gguf, Meta};
use std::collections::BTreeSet;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Merged from letters.
    Text,
    /// Matched whole before anything is merged.
    Whole,
    /// Matched whole, and nobody's to write but the template's.
    Control,
}

/// SentencePiece's types in a GGUF.
const CONTROL: [i64; 2] = [2, 3];
const USER_DEFINED: i64 = 4;

/// Control tokens of Gemma 3.
const GEMMA: [&str; 9] = [
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
];

/// HTML that Gemma knows, opened and closed.
const HTML: &str = "table caption thead tbody tfoot tr th td h1 h2 h3 h4 h5 h6 blockquote strong em b i u s sub sup code \
    a html body img span bbox ul li div iframe footer";

/// Whether a piece is a run of one of the characters that Gemma keeps in runs.
pub(super) fn is_run(piece: &str) -> bool {
    let first = piece.chars().next();
    first.is_some_and(|c| matches!(c, '\n' | '\t' | '▁') && piece.chars().all(|d| d == c))
}

/// Gemma's own word on a piece: `None` where its `tokenizer.json` has none but that it is text.
fn gemma(piece: &str) -> Option<Kind> {
    if GEMMA.contains(&piece) {
        return Some(Kind::Control);
    }
    // A single `▁` is a letter among others.
    if piece != "▁" && is_run(piece) || matches!(piece, "<mask>" | "[multimodal]") {
        return Some(Kind::Whole);
    }
    let inner = piece.strip_prefix('<')?.strip_suffix('>')?;
    let number = inner.strip_prefix("unused");
    let unused = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let tag = inner.strip_prefix('/').unwrap_or(inner);
    (unused || HTML.split(' ').any(|t| t == tag)).then_some(Kind::Whole)
}

/// Whether a name looks like a token's: `<…>` or `[…]` around a letter or digit, and no space.
fn marker(piece: &str) -> bool {
    let inner = piece
        .strip_prefix('<')
        .and_then(|p| p.strip_suffix('>'))
        .or_else(|| piece.strip_prefix('[').and_then(|p| p.strip_suffix(']')));
    inner.is_some_and(|p| p.contains(char::is_alphanumeric) && !p.contains([' ', '▁'])) && !byte(piece)
}

/// Whether a piece is one of the 256 bytes.
fn byte(piece: &str) -> bool {
    let hex = piece.strip_prefix("<0x").and_then(|p| p.strip_suffix('>'));
    hex.is_some_and(|h| h.len() == 2 && h.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Ids that the metadata name: begins and ends.
fn named(gguf: &Gguf) -> BTreeSet<usize> {
    const KEYS: [&str; 8] = ["bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "mask"];
    let id = |key: &&str| match gguf.meta(&format!("tokenizer.ggml.{key}_token_id")) {
        Some(Meta::Int(n)) => usize::try_from(*n).ok(),
        _ => None,
    };
    KEYS.iter().filter_map(id).collect()
}

/// What each piece is. Types are as many as pieces.
pub(super) fn kinds(gguf: &Gguf, pieces: &[String], types: &[i64]) -> Vec<Kind> {
    let of_gemma = ["<start_of_turn>", "<end_of_turn>"].iter().all(|m| pieces.iter().any(|p| p == m));
    let named = named(gguf);
    let template = match gguf.meta("tokenizer.chat_template") {
        Some(Meta::Text(t)) => literals(t),
        _ => String::new(),
    };
    // Gemma's vocabulary has `[0]` and its like for text.
    let typed = |piece: &str| if of_gemma { marker(piece) && piece.starts_with('<') } else { !byte(piece) };
    let kind = |(id, (piece, kind)): (usize, (&String, &i64))| {
        if of_gemma && let Some(known) = gemma(piece) {
            return known;
        }
        let control = marker(piece) && template.contains(piece.as_str());
        match *kind {
            _ if control || named.contains(&id) && (marker(piece) || !of_gemma) => Kind::Control,
            k if CONTROL.contains(&k) && typed(piece) => Kind::Control,
            USER_DEFINED if typed(piece) => Kind::Whole,
            _ => Kind::Text,
        }
    };
    pieces.iter().zip(types).enumerate().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gemmas_tokens_are_known_by_name() {
        for (piece, kind) in [
            ("<end_of_turn>", Some(Kind::Control)),
            ("<mask>", Some(Kind::Whole)),
            ("<unused7>", Some(Kind::Whole)),
            ("<unused>", None),
            ("<unused7x>", None),
            ("</td>", Some(Kind::Whole)),
            ("<bbox>", Some(Kind::Whole)),
            ("<p>", None),
            ("\n\n", Some(Kind::Whole)),
            ("\t", Some(Kind::Whole)),
            ("▁▁", Some(Kind::Whole)),
            ("▁", None),
            ("\n\t", None),
            ("the", None),
            ("", None),
        ] {
            assert_eq!(gemma(piece), kind, "{piece:?}");
        }
    }

    #[test]
    fn names_of_tokens_are_told_from_text() {
        for piece in ["<|im_start|>", "[INST]", "</s>", "<start_of_turn>"] {
            assert!(marker(piece), "{piece}");
        }
        for piece in ["<0x0A>", "<>", "<=>", "<()>", "the", "<a b>", "[", "[]"] {
            assert!(!marker(piece), "{piece}");
        }
    }
}
