//! Finds what stands behind a phrase that declares an answer, such as "the answer is".
use regex::Regex;

/// The phrases of a table, as one regular expression.
#[derive(Debug, Clone)]
pub(super) struct Phrases(Option<Regex>);

/// Characters around an answer that are no part of it: markup, quotes, a colon.
fn around(c: char) -> bool {
    c.is_whitespace() || "*_`$\"'“”‘’«»:=".contains(c)
}

impl Phrases {
    pub fn new(phrases: &[impl AsRef<str>]) -> Self {
        let mut all: Vec<&str> = phrases.iter().map(|p| p.as_ref().trim()).collect();
        // Of two phrases that begin alike, the longer one is found.
        all.sort_by_key(|p| std::cmp::Reverse(p.len()));
        let one = |p: &str| {
            let spaced = p.split_whitespace().map(regex::escape).collect::<Vec<_>>().join(r"\s+");
            let begins = p.starts_with(|c: char| c.is_alphanumeric());
            if begins { format!(r"\b{spaced}") } else { spaced }
        };
        let any = all.into_iter().map(one).collect::<Vec<_>>().join("|");
        Self(if any.is_empty() { None } else { Regex::new(&format!("(?i)(?:{any})")).ok() })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What stands behind each phrase, the last one first. What is denied ("the answer is not 3") is left out.
    pub fn behind<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let Some(regex) = &self.0 else { return vec![] };
        let found: Vec<usize> = regex.find_iter(text).map(|m| m.end()).collect();
        let denied = |t: &&str| {
            let first = t.split(|c: char| !c.is_alphabetic()).next().unwrap_or("");
            !first.eq_ignore_ascii_case("not")
        };
        found.into_iter().rev().filter_map(|end| answer(&text[end..])).filter(denied).collect()
    }
}

/// The answer that a text begins with: what braces hold, or the rest of the line, or else the next line.
fn answer(rest: &str) -> Option<&str> {
    if let Some(inner) = rest.trim_start().strip_prefix('{') {
        return Some(inner[..closing(inner)?].trim_matches(around));
    }
    let line = rest.lines().map(|l| l.trim_matches(around)).find(|l| !l.is_empty())?;
    // "The answer is \boxed{42}."
    Some(line)
}

/// Where the brace that was opened before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (i, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(i);
        }
    }
    None
}

/// A declared text without a full stop behind it.
pub(super) fn plain(text: &str) -> &str {
    text.trim_end_matches('.').trim_matches(around)
}
