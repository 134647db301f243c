//! The result files: a list of conversations, each with its turns. Keys that are not known are ignored.
use crate::CONDITIONS;
use friction_core::{Error, ImportFile, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most turns of a conversation, and the largest index: those of a manifest.
const MOST_TURNS: usize = 1000;
const MOST_GROUPS: u32 = 1_000_000;

/// A turn, as the files have it. The optional ones are absent in some files.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Turn {
    /// From 1.
    pub turn_number: u32,
    pub topic: String,
    /// `<category>_<row>`.
    pub question_id: String,
    /// A letter.
    pub correct_answer: String,
    #[serde(deserialize_with = "nullable")]
    pub parsed_answer: Option<String>,
    pub is_correct: bool,
    /// Of the reply, in code points.
    pub response_length: u64,
    pub hedging_count: u64,
    #[serde(default)]
    pub question_text: Option<String>,
    #[serde(default)]
    pub user_message: Option<String>,
    #[serde(default)]
    model_response: Option<String>,
    #[serde(default)]
    pub history_response: Option<String>,
    #[serde(default)]
    pub was_truncated: Option<bool>,
}

/// A value that may be null and must be there.
fn nullable<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(d)
}

impl Turn {
    /// The reply, if the file holds it.
    pub fn reply(&self) -> Option<&str> {
        self.model_response.as_deref().filter(|r| !r.is_empty() || self.response_length == 0)
    }

    /// What the history kept of the reply, if the file says so.
    pub fn kept(&self) -> Option<&str> {
        self.history_response.as_deref()
    }

    /// The reply and what was kept of it, if both are known.
    pub fn texts(&self) -> Option<(&str, &str)> {
        Some((self.reply()?, self.kept()?))
    }

    /// Takes empty texts as missing: the files write them where a version did not store the text.
    fn tidied(mut self) -> Self {
        let said = |text: Option<String>| text.filter(|t| !t.is_empty());
        self.question_text = said(self.question_text.take());
        self.user_message = said(self.user_message.take());
        let silent = self.reply() == Some("");
        self.history_response = self.history_response.take().filter(|t| silent || !t.is_empty());
        self.topic = self.topic.trim().into();
        self.question_id = self.question_id.trim().into();
        self
    }
}

/// What a conversation says of itself.
#[derive(Debug, Deserialize)]
struct Head {
    conversation_id: String,
    condition: String,
    #[serde(default)]
    model_name: Option<String>,
}

/// A conversation.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    /// Where it stands, for messages.
    pub place: String,
    /// Its index, which conversations of all conditions share.
    pub index: u32,
    /// Index into [`CONDITIONS`].
    pub condition: usize,
    /// Name of the model; empty if the file does not say.
    pub model: String,
    pub turns: Vec<Turn>,
}

impl Talk {
    /// The name of its condition.
    pub fn name(&self) -> &'static str {
        CONDITIONS[self.condition].0
    }

    /// The ids of its items, in order.
    pub fn ids(&self) -> Vec<&str> {
        self.turns.iter().map(|t| t.question_id.as_str()).collect()
    }
}

/// The conversations of all files, ordered by index and condition. One that stands in several files is taken once.
///
/// # Errors
/// If a file is not of the format, two conversations of one index and condition differ, or the models do.
pub(crate) fn all(files: &[ImportFile]) -> Result<Vec<Talk>> {
    let mut found: BTreeMap<(u32, usize), Talk> = BTreeMap::new();
    for file in files {
        for talk in conversations(file)? {
            let key = (talk.index, talk.condition);
            match found.get(&key) {
                None => drop(found.insert(key, talk)),
                Some(same) if same.turns == talk.turns && same.model == talk.model => {}
                Some(other) => {
                    let what = "is another conversation of the same index and condition; runs are imported one by one";
                    return Err(Error::other(format!("{}: {} {what}", talk.place, other.place)));
                }
            }
        }
    }
    let talks: Vec<Talk> = found.into_values().collect();
    let Some(first) = talks.first() else { return Ok(talks) };
    if let Some(other) = talks.iter().find(|t| t.model != first.model) {
        let what = format!(
            "the model is `{}`, but in {} it is `{}`; runs are imported one by one",
            other.model, first.place, first.model
        );
        return Err(Error::other(format!("{}: {what}", other.place)));
    }
    Ok(talks)
}

fn conversations(file: &ImportFile) -> Result<Vec<Talk>> {
    let bad = |what: String| Error::other(format!("{}: {what}", file.name));
    let bytes = file.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&file.bytes);
    let all: Value = serde_json::from_slice(bytes).map_err(|e| bad(format!("is not JSON: {e}")))?;
    let Value::Array(all) = all else {
        return Err(bad("is no list of conversations, which a result file is".into()));
    };
    if all.is_empty() {
        return Err(bad("holds no conversation".into()));
    }
    all.into_iter().enumerate().map(|(i, v)| conversation(&file.name, i + 1, v)).collect()
}

/// Reads a value, and says which key is wrong.
fn typed<T: DeserializeOwned>(v: Value, place: &str) -> Result<T> {
    if !v.is_object() {
        return Err(Error::other(format!("{place}: is no JSON object")));
    }
    serde_path_to_error::deserialize(v).map_err(|e| {
        let path = e.path().to_string();
        let at = if path == "." { String::new() } else { format!("`{path}`: ") };
        Error::other(format!("{place}: {at}{}", e.inner()))
    })
}

fn conversation(file: &str, number: usize, mut v: Value) -> Result<Talk> {
    let place = format!("{file}: conversation {number}");
    let turns = v.as_object_mut().and_then(|o| o.remove("turns"));
    let Head { conversation_id: id, condition, model_name } = typed(v, &place)?;
    let place = format!("{place} ({id:?})");
    let bad = |what: String| Error::other(format!("{place}: {what}"));
    let Some(known) = CONDITIONS.iter().position(|(name, _)| *name == condition) else {
        let all = CONDITIONS.map(|(name, _)| format!("`{name}`")).join(", ");
        return Err(bad(format!("the condition {condition:?} is none of {all}")));
    };
    let digits = id.strip_prefix(&condition).and_then(|rest| rest.strip_prefix('_'));
    let index = digits.filter(|d| d.bytes().all(|b| b.is_ascii_digit())).and_then(|d| d.parse::<u32>().ok());
    let Some(index) = index.filter(|i| *i < MOST_GROUPS) else {
        return Err(bad(format!(
            "the id is not `{condition}_` and an index below {MOST_GROUPS}, by which the conversations of a group are found"
        )));
    };
    let turns = match turns {
        Some(Value::Array(turns)) => turns,
        Some(_) => return Err(bad("`turns` is no list".into())),
        None => return Err(bad("there is no `turns`".into())),
    };
    if turns.is_empty() || turns.len() > MOST_TURNS {
        return Err(bad(format!("there are {} turns; there must be 1 to {MOST_TURNS}", turns.len())));
    }
    let turns = turns.into_iter().enumerate().map(|(i, v)| turn(&place, i + 1, v)).collect::<Result<Vec<_>>>()?;
    Ok(Talk { place, index, condition: known, model: model_name.unwrap_or_default().trim().into(), turns })
}

fn turn(place: &str, number: usize, v: Value) -> Result<Turn> {
    let place = format!("{place}, turn {number}");
    let turn = typed::<Turn>(v, &place)?.tidied();
    let bad = |what: String| Err(Error::other(format!("{place}: {what}")));
    if turn.turn_number as usize != number {
        let what = "the turns are not in order, or one is missing or stands twice";
        return bad(format!("`turn_number` is {}: {what}", turn.turn_number));
    }
    if turn.topic.is_empty() || turn.question_id.is_empty() {
        let key = if turn.topic.is_empty() { "topic" } else { "question_id" };
        return bad(format!("`{key}` is empty"));
    }
    if !matches!(turn.correct_answer.as_bytes(), [b'A'..=b'Z']) {
        return bad(format!("`correct_answer` is {:?}, which is no letter", turn.correct_answer));
    }
    Ok(turn)
}
