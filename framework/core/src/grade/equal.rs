//! When two texts count as equal.
use super::section::GradeSection;
use regex::Regex;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[allow(clippy::unwrap_used)] // The patterns are constants; the tests compile them all.
fn pattern(p: &str) -> Regex {
    Regex::new(p).unwrap()
}

/// Punctuation of any script, and the ASCII symbols that Python's `string.punctuation` counts as such.
static PUNCTUATION: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\p{P}$+<=>^`|~]"));
static ARTICLES: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(?:a|an|the)\b"));

/// What counts in a comparison of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Equal {
    case: bool,
    punctuation: bool,
    articles: bool,
    white_space: bool,
}

impl Equal {
    pub fn new(s: &GradeSection) -> Self {
        Self {
            case: s.case.unwrap_or(false),
            punctuation: s.punctuation.unwrap_or(false),
            articles: s.articles.unwrap_or(true),
            white_space: s.white_space.unwrap_or(false),
        }
    }

    /// The form of a text that is compared, in SQuAD's order: case, punctuation, articles, white space.
    pub fn form(self, text: &str) -> String {
        let mut out = Cow::Borrowed(text);
        if !self.case {
            out = Cow::Owned(out.to_lowercase());
        }
        if !self.punctuation {
            out = Cow::Owned(PUNCTUATION.replace_all(&out, "").into_owned());
        }
        if !self.articles {
            out = Cow::Owned(ARTICLES.replace_all(&out, " ").into_owned());
        }
        if !self.white_space {
            out = Cow::Owned(out.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        out.into_owned()
    }

    /// The share of common words of two texts, as SQuAD's F1.
    pub fn f1(self, a: &str, b: &str) -> f64 {
        let (a, b) = (self.form(a), self.form(b));
        let words = |s: &str| s.split_whitespace().map(String::from).collect::<Vec<_>>();
        let (a, b) = (words(&a), words(&b));
        if a.is_empty() || b.is_empty() {
            return f64::from(u8::from(a == b));
        }
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        b.iter().for_each(|w| *left.entry(w).or_default() += 1);
        let mut common = 0usize;
        for word in &a {
            if let Some(n) = left.get_mut(word.as_str()).filter(|n| **n > 0) {
                *n -= 1;
                common += 1;
            }
        }
        if common == 0 {
            return 0.0;
        }
        let (precision, recall) = (common as f64 / a.len() as f64, common as f64 / b.len() as f64);
        2.0 * precision * recall / (precision + recall)
    }
}
