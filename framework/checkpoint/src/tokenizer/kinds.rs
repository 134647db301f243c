//! Which pieces of a GGUF's vocabulary are added tokens, and which of them are control tokens.
//!
//! The token types of GGUF files disagree: converters type `<start_of_image>` as control or user-defined, `<unused7>`
//! the other way round, and some type turn markers as ordinary text. So for a file with Gemma's vocabulary, Gemma's
//! own `tokenizer.json` decides. Any other token is taken as the file types it, in Gemma's vocabulary only where its
//! name looks like a token's. A token that looks like one is a control token whatever its type if the metadata name it
//! as beginning or end of something, and instead of ordinary text if the file's chat template writes it. What a template
//! writes and the file types user-defined stays so: Qwen3's `<think>` is a part of the reply.
use crate::jinja::literals;
use crate::weights::gguf::{Gguf, Meta};
use std::collections::BTreeSet;

/// How a piece is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Ordinary text: produced by merges.
    Text,
    /// An added token: matched as a whole before any merge.
    Whole,
    /// A control token: matched as a whole, and only where the chat template writes it.
    Control,
}

/// SentencePiece token type in GGUF: normal.
pub(super) const NORMAL: i64 = 1;
/// SentencePiece token types in GGUF: unknown (2) and control (3).
const CONTROL: [i64; 2] = [2, 3];
/// SentencePiece token type in GGUF: user-defined.
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

/// Added tokens of Gemma 2 that Gemma 3's vocabulary lacks.
const GEMMA2: [&str; 3] = ["<2mass>", "[@BOS@]", "[toxicity=0]"];

/// HTML tags in Gemma's vocabulary; each has an opening and a closing token.
const HTML: &str = "table caption thead tbody tfoot tr th td h1 h2 h3 h4 h5 h6 blockquote strong em b i u s sub sup code \
    a html body img span bbox ul li div iframe footer";

/// Whether a piece consists of one repeated newline, tab or `▁`, which Gemma keeps as tokens.
pub(super) fn is_run(piece: &str) -> bool {
    let first = piece.chars().next();
    first.is_some_and(|c| matches!(c, '\n' | '\t' | '▁') && piece.chars().all(|d| d == c))
}

/// How Gemma's `tokenizer.json` treats a piece; `None` where it is ordinary text or unknown.
fn gemma(piece: &str) -> Option<Kind> {
    if GEMMA.contains(&piece) {
        return Some(Kind::Control);
    }
    // A single `▁` is ordinary text.
    if piece != "▁" && is_run(piece) || matches!(piece, "<mask>" | "[multimodal]") || GEMMA2.contains(&piece) {
        return Some(Kind::Whole);
    }
    let inner = piece.strip_prefix('<')?.strip_suffix('>')?;
    let number = inner.strip_prefix("unused");
    let unused = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let tag = inner.strip_prefix('/').unwrap_or(inner);
    (unused || HTML.split(' ').any(|t| t == tag)).then_some(Kind::Whole)
}

/// Whether a name looks like a token's: `<…>` or `[…]` around something with a letter or digit and no space, and not
/// a byte token.
fn marker(piece: &str) -> bool {
    let inner = piece
        .strip_prefix('<')
        .and_then(|p| p.strip_suffix('>'))
        .or_else(|| piece.strip_prefix('[').and_then(|p| p.strip_suffix(']')));
    inner.is_some_and(|p| p.contains(char::is_alphanumeric) && !p.contains([' ', '▁'])) && !byte(piece)
}

/// Whether a piece is one of the 256 byte tokens `<0x00>` to `<0xFF>`.
fn byte(piece: &str) -> bool {
    let hex = piece.strip_prefix("<0x").and_then(|p| p.strip_suffix('>'));
    hex.is_some_and(|h| h.len() == 2 && h.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Token ids that the metadata name: beginning and end of sequence and turn, unknown, padding, separator, mask.
fn named(gguf: &Gguf) -> BTreeSet<usize> {
    const KEYS: [&str; 8] = ["bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "mask"];
    let id = |key: &&str| match gguf.meta(&format!("tokenizer.ggml.{key}_token_id")) {
        Some(Meta::Int(n)) => usize::try_from(*n).ok(),
        _ => None,
    };
    KEYS.iter().filter_map(id).collect()
}

/// Whether a vocabulary is Gemma's.
pub(super) fn is_gemma(pieces: &[String]) -> bool {
    ["<start_of_turn>", "<end_of_turn>"].iter().all(|m| pieces.iter().any(|p| p == m))
}

/// Whether a piece only fills the row `id`, for which the tokenizer has no token.
fn is_padding(id: usize, piece: &str) -> bool {
    let number = piece.strip_prefix("[PAD").and_then(|p| p.strip_suffix(']'));
    number.is_some_and(|n| n.parse::<usize>() == Ok(id))
}

/// The kind of each piece. `types` has as many entries as `pieces`.
pub(super) fn kinds(gguf: &Gguf, pieces: &[String], types: &[i64]) -> Vec<Kind> {
    let of_gemma = is_gemma(pieces);
    let of_gemma2 = of_gemma && GEMMA2.iter().all(|m| pieces.iter().any(|p| p == m));
    let named = named(gguf);
    let template = match gguf.meta("tokenizer.chat_template") {
        Some(Meta::Text(t)) => literals(t),
        _ => String::new(),
    };
    // In Gemma's vocabulary `[0]` and the like are ordinary text.
    let typed = |piece: &str| if of_gemma { marker(piece) && piece.starts_with('<') } else { !byte(piece) };
    let kind = |(id, (piece, kind)): (usize, (&String, &i64))| {
        // Gemma 2 has longer runs of tabs as tokens, but writes one as text.
        let text = of_gemma2 && piece == "\t" || is_padding(id, piece);
        if text {
            return Kind::Text;
        }
        if of_gemma && let Some(known) = gemma(piece) {
            return known;
        }
        let written = marker(piece) && template.contains(piece.as_str());
        match *kind {
            _ if named.contains(&id) && marker(piece) || of_gemma && written => Kind::Control,
            k if CONTROL.contains(&k) && typed(piece) => Kind::Control,
            USER_DEFINED if typed(piece) => Kind::Whole,
            _ if written => Kind::Control,
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
            ("[@BOS@]", Some(Kind::Whole)),
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
