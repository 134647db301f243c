//! A reply that is read against the options of its question, and what may be found in it.
use super::text::{Kind, Text};
use std::collections::HashMap;

/// An option's text as tokens: as written, and in lower case.
pub(super) struct Known {
    pub exact: Vec<String>,
    pub lower: Vec<String>,
}

/// Whether a sign is ignored when texts are compared: quotes and left-over formatting.
pub(super) fn ignored(c: Option<char>) -> bool {
    matches!(c, Some('"' | '\'' | '*' | '_' | '\\' | '…' | '•'))
}

impl Known {
    pub fn new(option: &str) -> Self {
        let text = Text::option(option);
        let kept = |i: &usize| match text.kind(*i) {
            Kind::Word => true,
            Kind::Sign(c) => !ignored(Some(c)),
            _ => false,
        };
        let mut all: Vec<usize> = (0..text.tokens.len()).filter(kept).collect();
        while all.len() > 1
            && all.last().is_some_and(|i| matches!(text.sign(*i), Some('.' | ',' | ';' | ':' | '!' | '?')))
        {
            all.pop();
        }
        let of = |f: fn(&Text, usize) -> &str| all.iter().map(|i| f(&text, *i).to_string()).collect();
        Self { exact: of(Text::exact), lower: of(Text::lower) }
    }
}

/// A reply that is read against the options of its question.
pub(super) struct Reader<'a> {
    pub t: &'a Text,
    pub options: Vec<Known>,
    /// Indices of options by the first token of their text, in lower case.
    pub firsts: HashMap<String, Vec<usize>>,
    pub n: usize,
    pub end: usize,
}

/// What is found where an answer is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// One letter.
    Letter(char),
    /// Several answers at once; holds the first letter.
    Several(char),
    /// No answer.
    Nothing,
}

/// How the answer is joined to the words that declare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A colon or the like.
    Label,
    /// A verb.
    Verb,
    /// On the line below a heading.
    Below,
    /// In a frame: `\boxed{`, `<answer>`.
    Frame,
    /// Directly after the noun: "Answer B".
    Bare,
    /// After a verb of choice: "I choose B".
    Choice,
    /// At the start of the reply or a line.
    Lead,
}

/// How strongly a candidate was declared, from the strongest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// "answer is B", "Answer: B", `\boxed{B}`, "B is correct".
    Explicit,
    /// "I choose B", "so B", "it is B".
    Chosen,
    /// A letter at the start of the reply, in a bold line, or alone on a line.
    Shown,
}

/// A possible answer found in the reply; `at` is the index of its first token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub rank: Rank,
    pub value: Value,
    pub at: usize,
}
