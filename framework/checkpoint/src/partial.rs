//! Decoding of token ids that end inside a character.
//!
//! A character outside the vocabulary is spelled in bytes: one token per byte (`<0xF0>`, SentencePiece's byte
//! fallback) or tokens of several bytes (byte-level BPE). A reply that is cut between them ends in an incomplete
//! UTF-8 sequence, which the tokenizers library decodes to U+FFFD. Here the incomplete sequence is left out; a U+FFFD
//! that the ids spell themselves is kept.
use tokenizers::{DecoderWrapper, Tokenizer as Inner};

/// How a tokenizer spells bytes as tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Byte fallback: one token `<0xF0>` per byte.
    Fallback,
    /// Byte-level BPE, as in GPT-2: one letter per byte, several per token.
    Level,
}

fn spelling(decoder: &DecoderWrapper) -> Option<Spelling> {
    match decoder {
        DecoderWrapper::ByteFallback(_) => Some(Spelling::Fallback),
        DecoderWrapper::ByteLevel(_) => Some(Spelling::Level),
        DecoderWrapper::Sequence(all) => all.get_decoders().iter().find_map(spelling),
        _ => None,
    }
}

/// The byte that a letter of byte-level BPE stands for; `None` for other letters.
fn byte(letter: char) -> Option<u8> {
    // Printable bytes stand for themselves; the other 68 are numbered from 256 on, in order.
    let n = u32::from(letter);
    match (n, n.wrapping_sub(256)) {
        (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF, _) => u8::try_from(n).ok(),
        (_, i @ 0..33) => u8::try_from(i).ok(),
        (_, i @ 33..67) => u8::try_from(0x7F + i - 33).ok(),
        (_, 67) => Some(0xAD),
        _ => None,
    }
}

/// The bytes that a token spells; `None` for a token of ordinary text (byte fallback).
fn bytes(token: &str, spelling: Spelling) -> Option<Vec<u8>> {
    match spelling {
        Spelling::Fallback => {
            let hex = token.strip_prefix("<0x")?.strip_suffix('>').filter(|h| h.len() == 2)?;
            u8::from_str_radix(hex, 16).ok().map(|b| vec![b])
        }
        Spelling::Level => {
            Some(token.chars().map(byte).collect::<Option<_>>().unwrap_or_else(|| token.as_bytes().to_vec()))
        }
    }
}

/// Length of the incomplete UTF-8 sequence at the end of `bytes`; 0 where there is none.
fn broken_off(bytes: &[u8]) -> usize {
    let begins = |n: &usize| {
        let piece = std::str::from_utf8(&bytes[bytes.len() - n..]);
        piece.is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
    };
    (1..=3.min(bytes.len())).find(begins).unwrap_or(0)
}

/// The incomplete character at the end of a list of ids.
struct Piece {
    /// Index of the first token that holds only bytes of the incomplete character.
    from: usize,
    spelling: Spelling,
}

fn piece(inner: &Inner, ids: &[u32]) -> Option<Piece> {
    let spelling = spelling(inner.get_decoder()?)?;
    let added = inner.get_added_vocabulary();
    // Collects the last tokens with text, from the end, until they hold as many bytes as a character can have.
    let (mut tail, mut tokens): (Vec<u8>, Vec<(usize, usize)>) = (vec![], vec![]);
    for (at, id) in ids.iter().enumerate().rev() {
        let Some(token) = inner.id_to_token(*id).filter(|t| !added.is_special_token(t)) else { continue };
        let Some(mut of) = bytes(&token, spelling) else { break };
        tokens.push((at, of.len()));
        of.append(&mut tail);
        tail = of;
        if tail.len() > 3 {
            break;
        }
    }
    let mut left = broken_off(&tail);
    if left == 0 {
        return None;
    }
    let mut from = ids.len();
    for (at, len) in tokens {
        if len > left {
            break;
        }
        (from, left) = (at, left - len);
    }
    Some(Piece { from, spelling })
}

/// Text of `ids`, without special tokens and without an incomplete character at the end.
pub(crate) fn decode(inner: &Inner, ids: &[u32]) -> tokenizers::Result<String> {
    let mut text = inner.decode(ids, true)?;
    if !text.ends_with(char::REPLACEMENT_CHARACTER) {
        return Ok(text);
    }
    match piece(inner, ids) {
        // With an incomplete sequence the library decodes all adjacent bytes to U+FFFD, complete characters included.
        Some(Piece { from, spelling: Spelling::Fallback }) => inner.decode(&ids[..from], true),
        Some(Piece { spelling: Spelling::Level, .. }) => {
            text.pop();
            Ok(text)
        }
        None => Ok(text),
    }
}

/// Number of leading ids that remain when trailing tokens are dropped that hold only part of a character.
pub(crate) fn whole(inner: &Inner, ids: &[u32]) -> usize {
    piece(inner, ids).map_or(ids.len(), |p| p.from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Tokenizer;
    use friction_core::TextCodec;
    use serde_json::{Map, json};

    /// A tokenizer with these tokens, of which the first is special.
    fn tokenizer(tokens: &[String], decoder: &serde_json::Value) -> Tokenizer {
        let vocab: Map<String, serde_json::Value> =
            tokens.iter().enumerate().map(|(i, t)| (t.clone(), json!(i))).collect();
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null,
            "added_tokens": [{"id": 0, "content": tokens[0], "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false}],
            "post_processor": null, "decoder": decoder,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true, "vocab": vocab, "merges": []}
        });
        Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap()
    }

    /// Like SentencePiece: a special token, the 256 bytes, `a`, and U+FFFD as a token.
    fn fallback() -> Tokenizer {
        let mut tokens = vec!["<pad>".to_string()];
        tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
        tokens.extend(["a".into(), "\u{FFFD}".into()]);
        let decoders = json!([{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]);
        tokenizer(&tokens, &json!({"type": "Sequence", "decoders": decoders}))
    }

    fn of_bytes(bytes: &[u8]) -> Vec<u32> {
        bytes.iter().map(|b| 1 + u32::from(*b)).collect()
    }

    #[test]
    fn a_piece_of_a_character_at_the_end_is_left_out() {
        let t = fallback();
        for text in ["é", "東", "😀", "a😀", "é😀"] {
            let all = of_bytes(text.as_bytes());
            assert_eq!(t.decode(&all).unwrap(), text);
            assert_eq!(TextCodec::whole(&t, &all).unwrap(), all.len());
            let last = text.char_indices().next_back().unwrap().0;
            for cut in last + 1..all.len() {
                assert_eq!(t.decode(&all[..cut]).unwrap(), text[..last], "{text} cut to {cut} bytes");
                assert_eq!(TextCodec::whole(&t, &all[..cut]).unwrap(), last, "{text} cut to {cut} bytes");
                // Special tokens have no text, wherever they are.
                let mut marked = all[..cut].to_vec();
                marked.insert(last + 1, 0);
                assert_eq!(t.decode(&marked).unwrap(), text[..last], "{text} cut to {cut} bytes");
            }
        }
    }

    #[test]
    fn what_the_ids_spell_stays() {
        let t = fallback();
        let (a, replacement) = (257, 258);
        assert_eq!(t.decode(&[a, replacement]).unwrap(), "a\u{FFFD}");
        assert_eq!(t.decode(&of_bytes("\u{FFFD}".as_bytes())).unwrap(), "\u{FFFD}");
        assert_eq!(TextCodec::whole(&t, &[a, replacement]).unwrap(), 2);
        // Not the beginning of a character: bytes that cannot be decoded remain visible.
        assert_eq!(t.decode(&of_bytes(&[0x61, 0x80])).unwrap(), "\u{FFFD}\u{FFFD}");
        assert_eq!(t.decode(&of_bytes(&[0xFF])).unwrap(), "\u{FFFD}");
        // An incomplete sequence in the middle is not a cut.
        assert_eq!(t.decode(&[of_bytes(&[0xF0, 0x9F]), vec![a]].concat()).unwrap(), "\u{FFFD}\u{FFFD}a");
        assert_eq!(t.decode(&[]).unwrap(), "");
        assert_eq!(TextCodec::whole(&t, &[]).unwrap(), 0);
    }

    #[test]
    fn letters_of_byte_level_bpe_stand_for_all_bytes() {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let mut found: Vec<u8> = alphabet.iter().filter_map(|c| byte(*c)).collect();
        found.sort_unstable();
        assert_eq!(found, (0..=255).collect::<Vec<u8>>());
        assert_eq!((byte('Ġ'), byte('é'), byte('!'), byte('東')), (Some(b' '), Some(0xE9), Some(b'!'), None));
    }

    #[test]
    fn tokens_of_several_bytes_keep_their_whole_characters() {
        // " \xF0\x9F" and "\x98" and "\x80", as byte-level BPE writes them.
        let letter = |b: u8| {
            let all = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
            all.into_iter().find(|c| byte(*c) == Some(b)).unwrap()
        };
        let spelt = |bytes: &[u8]| bytes.iter().map(|b| letter(*b)).collect::<String>();
        let tokens =
            ["<pad>".to_string(), spelt(b" \xF0\x9F"), spelt(b"\x98"), spelt(b"\x80"), spelt("\u{FFFD}".as_bytes())];
        let decoder = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        let t = tokenizer(&tokens, &decoder);
        let read = |ids: &[u32]| (t.decode(ids).unwrap(), TextCodec::whole(&t, ids).unwrap());
        assert_eq!(read(&[1, 2, 3]), (" 😀".into(), 3));
        assert_eq!(read(&[1, 2]), (" ".into(), 1));
        assert_eq!(read(&[1]), (" ".into(), 1));
        assert_eq!(read(&[4]), ("\u{FFFD}".into(), 1));
        assert_eq!(read(&[4, 1]), ("\u{FFFD} ".into(), 2));
    }
}
