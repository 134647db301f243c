//! `questions`: multiple-choice questions from a file of JSON lines or Parquet.
//!
//! A row has `question` (text), `options` (2 to 26 texts), and `answer` (a letter) or `answer_index` (from 0); if both
//! are given they must agree. It may have `category` (default `general`) and `id`. A row that cannot be asked or graded
//! is an error that names it: an empty question or option, two options with the same text, an answer that is not among
//! the options, an id that occurs twice.
use friction_core::choice::Bank;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Dataset, Error, Item, PluginConfig, PluginEntry, Result, Target};
use friction_parquet::{Ask, Want};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Asks multiple-choice questions of your own, from a file. A reply is graded by the letter that it declares.
///
/// A row has `question` (text), `options` (2 to 26 texts), and `answer` (a letter) or `answer_index` (from 0); it may have
/// `category` (by default `general`) and `id`. What cannot be asked or graded is refused before the run, with its row.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The file, relative to the manifest: `.jsonl` or `.ndjson` (an object a line) or `.parquet`.
    #[schemars(example = &"questions.jsonl")]
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    category: Option<String>,
    question: String,
    options: Vec<String>,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    answer_index: Option<i64>,
}

/// Reads the rows of a file into a [`Bank`].
struct Questions;

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Dataset>> {
        let path = cx.base.join(&self.path);
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        let rows = match path.extension().and_then(|e| e.to_str()) {
            Some("jsonl" | "ndjson") => jsonl(&path, &bytes)?,
            Some("parquet") => parquet(&path, bytes.clone())?,
            _ => return Err(Error::data(&path, "the name must end in .jsonl or .parquet")),
        };
        let fingerprint = format!("{:016x}-{}", friction_core::seed::derive(&[&bytes]), bytes.len());
        Ok(Box::new(Questions::bank(&path, rows, fingerprint)?))
    }
}

/// Parses JSON lines. A byte order mark, CRLF and empty lines are accepted.
fn jsonl(path: &Path, bytes: &[u8]) -> Result<Vec<(usize, Row)>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::data(path, format!("not UTF-8 ({e}); save the file as UTF-8")))?;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(i, l)| {
            let bad = |what: String| Error::data(path, format!("line {}: {what}", i + 1));
            let mut text = serde_json::Deserializer::from_str(l);
            let row = serde_path_to_error::deserialize(&mut text).map_err(|e| match e.path().to_string().as_str() {
                "." => bad(e.inner().to_string()),
                at => bad(format!("`{at}`: {}", e.inner())),
            })?;
            text.end().map_err(|e| bad(format!("{e}; a line is one object")))?;
            Ok((i + 1, row))
        })
        .collect()
}

fn parquet(path: &Path, bytes: Vec<u8>) -> Result<Vec<(usize, Row)>> {
    let bad = |e: friction_parquet::Error| Error::data(path, e);
    let asks = [
        Ask::needed("question", Want::Text),
        Ask::needed("options", Want::Texts),
        Ask::optional("answer", Want::Text),
        Ask::optional("answer_index", Want::Whole),
        Ask::optional("category", Want::Text),
        Ask::optional("id", Want::Label),
    ];
    let table = friction_parquet::read(bytes, &asks).map_err(bad)?;
    let row = |i: usize| -> friction_parquet::Result<(usize, Row)> {
        let text = |name: &str| -> friction_parquet::Result<_> { Ok(table.text(name, i)?.map(String::from)) };
        let row = Row {
            id: text("id")?,
            category: text("category")?,
            question: table.need_text("question", i)?.into(),
            options: table.need_texts("options", i)?.into_iter().map(String::from).collect(),
            answer: text("answer")?,
            answer_index: table.whole("answer_index", i)?,
        };
        Ok((i + 1, row))
    };
    (0..table.rows()).map(|i| row(i).map_err(bad)).collect()
}

impl Questions {
    fn bank(path: &Path, rows: Vec<(usize, Row)>, fingerprint: String) -> Result<Bank> {
        let mut questions: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (at, row) in rows {
            let bad = |m: String| Error::data(path, format!("row {at}: {m}"));
            let options: Vec<String> = row.options.iter().map(|o| o.trim().to_string()).collect();
            let (text, answer) = (row.question.trim(), right(&row, &options).map_err(bad)?);
            if text.is_empty() {
                return Err(bad("`question` is empty".into()));
            }
            let named = |name: Option<String>| name.map(|n| n.trim().to_string()).filter(|n| !n.is_empty());
            let category = named(row.category).unwrap_or_else(|| "general".into());
            let id = named(row.id).unwrap_or_else(|| format!("{}_{at}", category.replace(' ', "-")));
            if !ids.insert(id.clone()) {
                return Err(bad(format!("the id `{id}` occurs twice")));
            }
            questions.entry(category.clone()).or_default().push(Item {
                id,
                category,
                text: text.into(),
                choices: options,
                target: Some(Target::Choice(answer)),
                ..Item::default()
            });
        }
        if questions.is_empty() {
            return Err(Error::data(path, "holds no questions"));
        }
        Ok(Bank::new(questions, fingerprint))
    }
}

/// The index of the right option. Options must not be empty and must differ.
fn right(row: &Row, options: &[String]) -> Result<usize, String> {
    let n = options.len();
    if !(2..=26).contains(&n) {
        return Err(format!("{n} options; there must be 2 to 26"));
    }
    for (i, option) in options.iter().enumerate() {
        let letter = Item::letter(i);
        if option.is_empty() {
            return Err(format!("option {letter} is empty; leave it out or write it"));
        }
        if let Some(j) = options[..i].iter().position(|o| o == option) {
            let first = Item::letter(j);
            return Err(format!("options {first} and {letter} read the same ({option:?}): an answer could be either"));
        }
    }
    let last = Item::letter(n - 1);
    let letter = match row.answer.as_deref().map(str::trim) {
        None => None,
        Some(a) => match a.as_bytes() {
            [c @ b'A'..=b'Z'] if ((c - b'A') as usize) < n => Some((c - b'A') as usize),
            _ => return Err(format!("`answer` is {a:?}; it must be a letter from A to {last}")),
        },
    };
    let index = match row.answer_index {
        None => None,
        Some(i) => match usize::try_from(i).ok().filter(|i| *i < n) {
            Some(i) => Some(i),
            None => return Err(format!("`answer_index` is {i}; it must be from 0, the first option, to {}", n - 1)),
        },
    };
    match (letter, index) {
        (Some(a), Some(i)) if a != i => {
            let (a, given) = (Item::letter(a), Item::letter(i));
            Err(format!("`answer` is {a}, but `answer_index` {i} is {given}: mend one or leave it out"))
        }
        (a, i) => a.or(i).ok_or_else(|| format!("there is no `answer`, a letter from A to {last}, nor `answer_index`")),
    }
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Config>("questions", "Multiple-choice questions of one's own, JSON lines or Parquet", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
