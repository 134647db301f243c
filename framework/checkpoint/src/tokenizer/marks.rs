//! Control tokens in the text of messages. A rendered prompt contains the template's control tokens and may contain
//! the same strings as content of a message. The latter are marked before the template is rendered and encoded as
//! plain text, as transformers does with `sanitize_control_tokens`.
use super::Tokenizer;
use crate::jinja::literals;
use crate::{Error, Result};
use std::collections::BTreeSet;
use tokenizers::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

/// Opening mark around a control token that is content. The code point is a Unicode noncharacter, which text does not
/// use.
const OPEN: char = '\u{FDD0}';
/// Closing mark.
const CLOSE: char = '\u{FDD1}';

/// The control tokens of a tokenizer under one template.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control {
    /// Special tokens: marked in every message.
    special: Vec<String>,
    /// Other added tokens that the template writes, so turns may depend on them.
    named: Vec<String>,
    /// The first characters of all of them.
    starts: String,
}

/// The longest token that `text` begins with.
fn longest<'a>(tokens: impl Iterator<Item = &'a String>, text: &str) -> Option<&'a str> {
    tokens.map(String::as_str).filter(|t| text.starts_with(*t)).max_by_key(|t| t.len())
}

impl Control {
    pub(super) fn new(special: Vec<String>, named: Vec<String>) -> Self {
        let real = |all: Vec<String>| all.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>();
        let (special, named) = (real(special), real(named));
        let starts = special.iter().chain(&named).filter_map(|t| t.chars().next()).collect::<BTreeSet<_>>();
        Self { special, named, starts: starts.into_iter().collect() }
    }

    /// The longest control token at the beginning of `text`; non-special ones only if `named`.
    fn at(&self, text: &str, named: bool) -> Option<&str> {
        if !text.starts_with(|c: char| self.starts.contains(c)) {
            return None;
        }
        longest(self.special.iter().chain(self.named.iter().filter(|_| named)), text)
    }

    /// Content with its control tokens marked; non-special ones only if `named`.
    pub(crate) fn mark(&self, content: &str, named: bool) -> String {
        // Marks in the content are removed, since they could forge one.
        let content = content.replace([OPEN, CLOSE], "");
        let mut out = String::with_capacity(content.len());
        let mut rest = content.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some(token) = self.at(rest, named) {
                out.push(OPEN);
                out.push_str(token);
                out.push(CLOSE);
                rest = &rest[token.len()..];
            } else {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        out
    }

    /// The first control token in a text.
    pub(crate) fn first(&self, text: &str) -> Option<&str> {
        text.char_indices().find_map(|(i, _)| self.at(&text[i..], true))
    }
}

impl Tokenizer {
    /// The control tokens under a template: the special tokens, and other added tokens that the template writes
    /// literally, except white space, which templates write as text.
    pub(crate) fn control(&self, template: &str) -> Control {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let literals = literals(template);
        let named = |content: &str| literals.contains(content) && !content.trim().is_empty();
        let others = added.values().filter(|t| !t.special && named(&t.content));
        Control::new(self.specials(), others.map(|t| t.content.clone()).collect())
    }

    /// Token ids of text in which no added token is recognised.
    pub(super) fn plain(&self, text: &str) -> Result<Vec<u32>> {
        let ids = self.model_ids(text)?;
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let within = |content: &str| !content.trim().is_empty() && text.contains(content);
        let control = |id: &u32| added.get(id).is_some_and(|t| within(&t.content));
        if !ids.iter().any(control) {
            return Ok(ids);
        }
        // The merges themselves produce a control token. Encoding the two halves separately avoids it.
        let Some((at, _)) = text.char_indices().nth(text.chars().count() / 2).filter(|(at, _)| *at > 0) else {
            return Err(Error::Text(format!(
                "cannot take `{text}` as text: the tokenizer makes a control token of it"
            )));
        };
        Ok([self.plain(&text[..at])?, self.plain(&text[at..])?].concat())
    }

    /// Token ids by normaliser, pre-tokeniser and model alone, without added tokens.
    fn model_ids(&self, text: &str) -> Result<Vec<u32>> {
        let fail = |e: tokenizers::Error| Error::Text(format!("cannot tokenise: {e}"));
        let mut normalized = NormalizedString::from(text);
        if let Some(n) = self.inner.get_normalizer() {
            n.normalize(&mut normalized).map_err(fail)?;
        }
        let mut split = PreTokenizedString::from(normalized);
        if let Some(p) = self.inner.get_pre_tokenizer() {
            p.pre_tokenize(&mut split).map_err(fail)?;
        }
        let model = self.inner.get_model();
        split.tokenize(|s| model.tokenize(s.get())).map_err(fail)?;
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        Ok(splits.into_iter().filter_map(|(_, _, tokens)| tokens.as_ref()).flatten().map(|t| t.id).collect())
    }
}

/// Whether a text contains marks.
pub(super) fn has_marks(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

/// The pieces between marks, and whether a piece is a marked token. A template may separate the two marks of a token.
/// A lone mark is dropped: what it enclosed is not a token, and is not joined to its neighbours either.
pub(super) fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut out = vec![];
    let mut rest = text;
    loop {
        let Some(at) = rest.find([OPEN, CLOSE]) else {
            out.push((rest, false));
            return out;
        };
        out.push((&rest[..at], false));
        let opens = rest[at..].starts_with(OPEN);
        rest = &rest[at + OPEN.len_utf8()..];
        if opens
            && let Some(end) = rest.find([OPEN, CLOSE])
            && rest[end..].starts_with(CLOSE)
        {
            out.push((&rest[..end], true));
            rest = &rest[end + CLOSE.len_utf8()..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_around_the_longest_token() {
        let control = Control::new(vec!["<s>".into(), "<s>>".into(), String::new()], vec!["[X]".into()]);
        let marked = |text, named| control.mark(text, named).replace(OPEN, "(").replace(CLOSE, ")");
        assert_eq!(marked("a<s>b<s>>[X]<s", true), "a(<s>)b(<s>>)([X])<s");
        assert_eq!(marked("[X]<s>", false), "[X](<s>)");
        assert_eq!(marked("\u{FDD1}<\u{FDD0}s>", true), "(<s>)");
        assert_eq!(control.first("ab<s>>"), Some("<s>>"));
    }

    #[test]
    fn lone_marks_are_dropped() {
        let text = format!("a{OPEN}<s>{CLOSE}b{CLOSE}c{OPEN}d{OPEN}e{CLOSE}");
        let want = [("a", false), ("<s>", true), ("b", false), ("c", false), ("d", false), ("e", true), ("", false)];
        assert_eq!(pieces(&text), want);
        assert_eq!(pieces("x"), [("x", false)]);
    }
}
