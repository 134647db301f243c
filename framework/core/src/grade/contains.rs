//! `kind = "contains"`: texts that stand somewhere in the reply.
use super::section::{GradeSection, Need};
use super::{accepted, scored};
use crate::{Grade, Item};

/// Looks for texts.
#[derive(Debug, Clone)]
pub(super) struct Contains {
    texts: Option<Vec<String>>,
    need: Need,
    words: bool,
    case: bool,
}

impl Contains {
    pub fn new(s: &GradeSection) -> Self {
        Self {
            texts: s.texts.clone(),
            need: s.need.unwrap_or_default(),
            words: s.words.unwrap_or(true),
            case: s.case.unwrap_or(false),
        }
    }

    /// Whether targets are looked for, and not texts of the table.
    pub fn wants_target(&self) -> bool {
        self.texts.is_none()
    }

    /// A text as it is compared: one space for each run of white space, straight quotes.
    fn form(&self, text: &str) -> String {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text
            .chars()
            .map(|c| match c {
                '’' | '‘' | 'ʼ' => '\'',
                '“' | '”' => '"',
                c => c,
            })
            .collect();
        if self.case { text } else { text.to_lowercase() }
    }

    fn found(&self, reply: &str, text: &str) -> bool {
        let edges = |start: usize, end: usize| {
            let outside = (reply[..start].chars().next_back(), reply[end..].chars().next());
            let inside = (text.chars().next(), text.chars().next_back());
            !joined(outside.0, inside.0) && !joined(inside.1, outside.1)
        };
        // Overlapping places too: "aba" stands twice in "ababa".
        let mut from = 0;
        while let Some(i) = reply[from..].find(text) {
            let start = from + i;
            if !self.words || edges(start, start + text.len()) {
                return true;
            }
            from = start + reply[start..].chars().next().map_or(1, char::len_utf8);
        }
        false
    }

    /// The answer is the first text that was found, in the order of the texts. The metric `found` is the share of the
    /// texts that were.
    pub fn grade(&self, item: &Item, reply: &str) -> Grade {
        let texts = match &self.texts {
            Some(texts) => texts.clone(),
            // A letter would be found as a word of the reply.
            None => match item.right() {
                Some(i) => item.choices.get(i).cloned().into_iter().collect(),
                None => accepted(item),
            },
        };
        let form = self.form(reply);
        let has: Vec<bool> = texts.iter().map(|t| self.found(&form, &self.form(t))).collect();
        let n = has.iter().filter(|h| **h).count();
        let right = match self.need {
            Need::Any => n > 0,
            Need::All => n == texts.len(),
        };
        let first = has.iter().position(|h| *h).map(|i| texts[i].as_str());
        let mut grade = scored(first, (!texts.is_empty()).then_some(right));
        if !texts.is_empty() {
            grade.metrics.insert("found".into(), n as f64 / texts.len() as f64);
        }
        grade
    }
}

/// Whether two neighbours belong to one word.
fn joined(a: Option<char>, b: Option<char>) -> bool {
    let of_word = |c: char| (c.is_alphanumeric() || c == '_') && !unspaced(c);
    a.is_some_and(of_word) && b.is_some_and(of_word)
}

/// Whether a character is of a script that writes no spaces between words, or joins endings to them.
fn unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF
        | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}
