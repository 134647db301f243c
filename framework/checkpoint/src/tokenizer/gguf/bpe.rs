//! Byte-level BPE: merges of letters that stand for bytes. `tokenizer.ggml.pre` names how a text is split before the
//! merges, and only that: each name here stands for what the model's own `tokenizer.json` does.
use super::{added, missing, text, vocabulary};
use crate::tokenizer::kinds::{Kind, NORMAL, kinds};
use crate::weights::gguf::{Gguf, Meta};
use crate::{Error, Result};
use std::collections::HashMap;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer as Inner};

/// Words with one mark or space before them, up to three digits, marks, line ends, spaces.
const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// As [`CL100K`], with digits one by one.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Words end before a capital that follows a small letter; digits one by one.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What happens to a text before the merges.
#[derive(Debug, Clone, Copy, Default)]
struct Pre {
    /// The text is brought to NFC.
    nfc: bool,
    /// Digits are split off one by one, before the pattern is applied.
    digits: bool,
    /// The pattern that splits; `None` for GPT-2's.
    pattern: Option<&'static str>,
    /// A split that is a token is that token, whatever the merges make of it.
    ignore_merges: bool,
    /// Whether texts begin with the BOS token where the file does not say so.
    bos: bool,
}

/// The names that are read, for messages.
const NAMES: &str =
    "`gpt-2`, `llama-bpe`, `smaug-bpe` (SmolLM3), `dbrx` (OLMo 2 and 3), `qwen2`, `smollm`, `olmo` and `tekken`";

/// What a `tokenizer.ggml.pre` stands for; `None` where it is not known. llama.cpp's converter finds the name by the ids
/// of one text, so models with the same splits share a name.
fn pre(name: &str) -> Option<Pre> {
    let none = Pre::default();
    Some(match name {
        "gpt-2" => none,
        "olmo" => Pre { nfc: true, ..none },
        "smollm" => Pre { digits: true, ..none },
        "llama-bpe" | "llama3" | "llama-v3" => Pre { pattern: Some(CL100K), ignore_merges: true, bos: true, ..none },
        // Llama 3's vocabulary in a tokenizer that adds no BOS token.
        "smaug-bpe" => Pre { pattern: Some(CL100K), ignore_merges: true, ..none },
        "dbrx" => Pre { pattern: Some(CL100K), ..none },
        "qwen2" => Pre { pattern: Some(QWEN2), nfc: true, ..none },
        "tekken" => Pre { pattern: Some(TEKKEN), ignore_merges: true, bos: true, ..none },
        _ => return None,
    })
}

impl Pre {
    /// The pre-tokenizer.
    fn splits(self) -> tokenizers::Result<Sequence> {
        let mut steps: Vec<PreTokenizerWrapper> = vec![];
        if self.digits {
            steps.push(Digits::new(true).into());
        }
        if let Some(pattern) = self.pattern {
            let pattern = SplitPattern::Regex(pattern.into());
            steps.push(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into());
        }
        steps.push(ByteLevel::new(false, false, self.pattern.is_none()).into());
        Ok(Sequence::new(steps))
    }
}

/// Whether texts begin with the BOS token where the file does not say so.
pub(super) fn adds_bos(gguf: &Gguf) -> bool {
    text(gguf, "tokenizer.ggml.pre").and_then(pre).is_some_and(|p| p.bos)
}

/// The tokenizer of a file.
///
/// # Errors
/// When a part is missing or malformed, or it is not known how text is split.
pub(super) fn tokenizer(gguf: &Gguf) -> Result<Inner> {
    let err = |m: String| Error::format(gguf.path(), m);
    let fail = |e: tokenizers::Error| err(format!("its tokenizer: {e}"));
    let pre = match text(gguf, "tokenizer.ggml.pre") {
        // Some files are older than the key. How llama.cpp splits text for them is not how their models do.
        None | Some("default") => {
            return Err(err(
                "does not say in `tokenizer.ggml.pre` how its tokenizer splits text; name a `model.tokenizer`".into(),
            ));
        }
        Some(name) => pre(name).ok_or_else(|| {
            err(format!("`tokenizer.ggml.pre` is `{name}`; {NAMES} are read; name a `model.tokenizer`"))
        })?,
    };
    if gguf.meta("tokenizer.ggml.add_space_prefix") == Some(&Meta::Bool(true)) {
        return Err(err(
            "`tokenizer.ggml.add_space_prefix` is true, which byte-level BPE is not known to do; name a `model.tokenizer`"
                .into(),
        ));
    }
    let (pieces, types) = vocabulary(gguf)?;
    if types.len() != pieces.len() {
        return Err(err("its tokenizer's tokens and types differ in number".into()));
    }
    let Some(Meta::Texts(merges)) = gguf.meta("tokenizer.ggml.merges") else {
        return Err(missing(gguf, "merges"));
    };
    let merges = merges
        .iter()
        .map(|m| split(m).ok_or_else(|| err(format!("`tokenizer.ggml.merges` holds `{m}`, which is not a pair"))))
        .collect::<Result<Vec<_>>>()?;
    let kinds = unmade(kinds(gguf, pieces, types), pieces, types, &merges);
    let vocab: Vocab = pieces.iter().enumerate().map(|(i, p)| (p.clone(), i as u32)).collect();
    let model =
        BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(pre.ignore_merges).build().map_err(fail)?;
    let mut inner = Inner::new(model);
    if pre.nfc {
        inner.with_normalizer(Some(NFC));
    }
    inner.with_pre_tokenizer(Some(pre.splits().map_err(fail)?));
    inner.with_decoder(Some(ByteLevel::default()));
    inner.add_special_tokens(&added(pieces, &kinds, Kind::Control));
    inner.add_tokens(&added(pieces, &kinds, Kind::Whole));
    Ok(inner)
}

/// The two parts of a merge. A space separates them, and may begin the first.
fn split(merge: &str) -> Option<(String, String)> {
    let (at, _) = merge.char_indices().skip(1).find(|(_, c)| *c == ' ')?;
    Some((merge[..at].to_string(), merge[at + 1..].to_string()))
}

/// The kinds, less those of tokens that the file types normal and that merges make: no merge makes an added token.
fn unmade(mut kinds: Vec<Kind>, pieces: &[String], types: &[i64], merges: &[(String, String)]) -> Vec<Kind> {
    let normal: HashMap<&str, usize> = (0..pieces.len())
        .filter(|i| types[*i] == NORMAL && kinds[*i] != Kind::Text)
        .map(|i| (pieces[i].as_str(), i))
        .collect();
    for (a, b) in merges {
        if let Some(i) = normal.get(format!("{a}{b}").as_str()) {
            kinds[*i] = Kind::Text;
        }
    }
    kinds
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    /// What the models' own `tokenizer.json` do with one text (`pre_tokenize_str` of tokenizers 0.22.2): those of Llama
    /// 3.1, Llama 3.2, dolma2 (OLMo 2), Qwen3, Mistral Nemo and OLMo 1. The splits of `smollm` give the ids by which
    /// llama.cpp's converter knows SmolLM's tokenizer; GPT-2's pattern is the library's own.
    #[test]
    fn texts_are_split_as_the_models_do() {
        let text = "I've 12345\tI'VE  camelCase don't\r\n\n (é東) x² 3.14!?\n";
        let cl100k = "I 've Ġ 123 45 ĉI 'VE Ġ ĠcamelCase Ġdon 't čĊĊ Ġ( Ã©æĿ± ) Ġx Â² Ġ 3 . 14 !?Ċ";
        let gpt2 = "I 've Ġ12345 ĉ I ' VE Ġ ĠcamelCase Ġdon 't čĊĊ Ġ( Ã©æĿ± ) Ġx Â² Ġ3 . 14 !? Ċ";
        for (name, want) in [
            ("llama-bpe", cl100k),
            ("smaug-bpe", cl100k),
            ("dbrx", cl100k),
            ("qwen2", "I 've Ġ 1 2 3 4 5 ĉI 'VE Ġ ĠcamelCase Ġdon 't čĊĊ Ġ( Ã©æĿ± ) Ġx Â² Ġ 3 . 1 4 !?Ċ"),
            ("tekken", "I 've Ġ 1 2 3 4 5 ĉI 'VE Ġ Ġcamel Case Ġdon 't čĊĊ Ġ( Ã©æĿ± ) Ġx Â² Ġ 3 . 1 4 !?Ċ"),
            ("olmo", gpt2),
            ("gpt-2", gpt2),
            ("smollm", "I 've Ġ 1 2 3 4 5 ĉ I ' VE Ġ ĠcamelCase Ġdon 't čĊĊ Ġ( Ã©æĿ± ) Ġx Â² Ġ 3 . 1 4 !? Ċ"),
        ] {
            let mut split = PreTokenizedString::from(text);
            pre(name).unwrap().splits().unwrap().pre_tokenize(&mut split).unwrap();
            let all = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
            assert_eq!(all.iter().map(|(s, _, _)| *s).collect::<Vec<_>>().join(" "), want, "{name}");
        }
    }

    #[test]
    fn names_in_the_message_are_known() {
        let names: Vec<&str> = NAMES.split('`').skip(1).step_by(2).collect();
        assert_eq!(names.len(), 8);
        assert!(names.iter().all(|n| pre(n).is_some()));
        let bos = |n: &&&str| pre(n).unwrap().bos;
        assert_eq!(names.iter().filter(bos).collect::<Vec<_>>(), [&"llama-bpe", &"tekken"]);
    }

    #[test]
    fn a_merge_is_split_at_its_space() {
        let of = |m: &str| split(m).map(|(a, b)| format!("{a}|{b}"));
        assert_eq!(of("Ġ t").as_deref(), Some("Ġ|t"));
        assert_eq!(of("é b c").as_deref(), Some("é|b c"));
        assert_eq!(of("  a").as_deref(), Some(" |a"));
        assert_eq!((of("ab"), of(""), of(" a")), (None, None, None));
    }
}
