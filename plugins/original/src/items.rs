//! The questions of the files as items: one for each id.
use crate::file::{Talk, Turn};
use friction_core::{Error, Result};
use serde_json::json;
use std::collections::BTreeMap;

/// What closed every question.
const CLOSING: &str = "Please provide your answer as a single letter (A-J).";
/// What stands in the place of a text that the files do not hold.
const UNKNOWN: &str = "(The text of this question is not in the imported files.)";

/// A question of the files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub topic: String,
    /// The letter of the right option.
    pub target: String,
    /// The text as it stands in the files, if it does.
    whole: Option<String>,
    /// Text and options, if they could be read out of it.
    asked: Option<(String, Vec<String>)>,
    /// Number of conversations that asked it.
    pub conversations: usize,
}

impl Question {
    /// Number of its options; `None` if it is not known.
    pub fn choices(&self) -> Option<usize> {
        self.asked.as_ref().map(|(_, options)| options.len())
    }

    /// Whether its text is known, but no options could be read out of it.
    pub fn unread(&self) -> bool {
        self.whole.is_some() && self.asked.is_none()
    }
}

/// The questions, by id.
///
/// # Errors
/// If one id has two texts or two right letters.
pub(crate) fn of(talks: &[Talk]) -> Result<BTreeMap<String, Question>> {
    let mut all: BTreeMap<String, Question> = BTreeMap::new();
    for talk in talks {
        for turn in &talk.turns {
            let q = all.entry(turn.question_id.clone()).or_default();
            if let Some(what) = differs(q, turn) {
                let at = format!("{}, turn {}", talk.place, turn.turn_number);
                let what = format!("{at}: the question `{}` has {what} than before", turn.question_id);
                return Err(Error::other(what));
            }
            (q.topic, q.target) = (turn.topic.clone(), turn.correct_answer.clone());
            q.whole = q.whole.take().or_else(|| turn.question_text.clone());
            q.conversations += 1;
        }
    }
    for q in all.values_mut() {
        let asked = q.whole.as_deref().and_then(parsed);
        q.asked = asked.filter(|(_, options)| {
            let right = q.target.bytes().next().map_or(0, |c| usize::from(c - b'A'));
            right < options.len()
        });
    }
    Ok(all)
}

/// What a turn says of a question that contradicts what is known of it.
fn differs(q: &Question, turn: &Turn) -> Option<&'static str> {
    let known = q.conversations > 0;
    let text = q.whole.as_ref().zip(turn.question_text.as_ref()).is_some_and(|(a, b)| a != b);
    match (known && q.target != turn.correct_answer, text) {
        (true, _) => Some("another right answer"),
        (_, true) => Some("another text"),
        _ => None,
    }
}

/// The text and the options of a question as the study wrote it: the text, a blank line, `A. …` lines, a blank line, and
/// the sentence that asks for a letter. Options may have several lines. `None` if there are no two options.
pub(crate) fn parsed(whole: &str) -> Option<(String, Vec<String>)> {
    let body = whole.trim_end();
    let body = body.strip_suffix(CLOSING).unwrap_or(body).trim_end();
    // The question itself may hold a list that begins like the options, which come last.
    body.rmatch_indices("\n\nA. ").find_map(|(at, mark)| {
        let (mut options, mut rest) = (vec![], &body[at + mark.len()..]);
        for letter in 'B'..='Z' {
            let Some((option, after)) = rest.split_once(&format!("\n{letter}. ")) else { break };
            options.push(option.trim().to_string());
            rest = after;
        }
        options.push(rest.trim().to_string());
        (options.len() > 1).then(|| (body[..at].trim().to_string(), options))
    })
}

/// Whether options can be told apart by their texts.
fn distinct(options: &[String]) -> bool {
    options.iter().enumerate().all(|(i, o)| !o.is_empty() && !options[..i].contains(o))
}

/// The items as lines of JSON, one a question. Where the options are not known, or cannot be told apart, the item has none,
/// and its target is the letter.
pub(crate) fn lines(all: &BTreeMap<String, Question>) -> Vec<u8> {
    let mut out = String::new();
    for (id, q) in all {
        let line = match &q.asked {
            Some((text, options)) if distinct(options) && !text.is_empty() => {
                json!({"id": id, "category": q.topic, "question": text, "options": options, "answer": q.target})
            }
            _ => {
                let text = q.whole.as_deref().map(str::trim).filter(|t| !t.is_empty()).unwrap_or(UNKNOWN);
                json!({"id": id, "category": q.topic, "question": text, "target": q.target})
            }
        };
        out.push_str(&format!("{line}\n"));
    }
    out.into_bytes()
}
