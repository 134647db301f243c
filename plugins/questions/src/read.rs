//! Reads a file's rows.
use crate::row::{Accepted, KEYS, Row, Said};
use friction_core::manifest::nearest;
use friction_core::{Error, Item, Result};
use friction_parquet::{Ask, Table, Want};
use std::collections::BTreeSet;
use std::path::Path;

/// Items with their rows.
pub(crate) type Rows = Vec<(usize, Item)>;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct File {
    /// Its items, each with its row: the line in JSON lines, or the row of the table, from 1.
    pub items: Rows,
    /// Identifies its bytes.
    pub fingerprint: String,
    /// Columns that are not read.
    unread: Vec<String>,
}

impl File {
    /// Reads a file; its name says how.
    ///
    /// # Errors
    /// If it cannot be read, or a row cannot be asked or graded.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let fingerprint = format!("{:016x}-{}", friction_core::seed::derive(&[&bytes]), bytes.len());
        let (rows, unread) = match path.extension().and_then(|e| e.to_str()) {
            Some("jsonl" | "ndjson") => (jsonl(path, &bytes)?, vec![]),
            Some("parquet") => parquet(path, bytes)?,
            _ => return Err(Error::data(path, "the name must end in .jsonl or .parquet")),
        };
        let item = |(at, row): (usize, Row)| {
            let item = row.item(at).map_err(|m| Error::data(path, format!("row {at}: {m}")))?;
            Ok((at, item))
        };
        let items = rows.into_iter().map(item).collect::<Result<Rows>>()?;
        if items.is_empty() {
            return Err(Error::data(path, "holds no questions"));
        }
        if let Some((at, id)) = twice(&items) {
            return Err(Error::data(path, format!("row {at}: the id `{id}` occurs twice")));
        }
        Ok(Self { items, fingerprint, unread })
    }

    /// What a reader must know of the file, which the manifest calls `name`.
    pub fn notes(&self, name: &Path) -> Vec<String> {
        if self.unread.is_empty() {
            return vec![];
        }
        let unread = self.unread.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
        vec![format!("columns of {} that are not read: {unread}", name.display())]
    }
}

/// The first id that occurs twice, with its second row.
fn twice(items: &Rows) -> Option<(usize, &str)> {
    let mut ids = BTreeSet::new();
    items.iter().find(|(_, item)| !ids.insert(item.id.as_str())).map(|(at, item)| (*at, item.id.as_str()))
}

/// Parses JSON lines. A byte order mark, CRLF and empty lines are accepted.
pub(crate) fn jsonl(path: &Path, bytes: &[u8]) -> Result<Vec<(usize, Row)>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::data(path, format!("not UTF-8 ({e}); save the file as UTF-8")))?;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(i, l)| {
            let bad = |what: String| Error::data(path, format!("line {}: {what}", i + 1));
            // A list would be read as the values of a row, in the order of its keys.
            if !l.trim_start().starts_with('{') {
                return Err(bad("not a JSON object; a line is one object".into()));
            }
            let mut text = serde_json::Deserializer::from_str(l);
            let row = serde_path_to_error::deserialize(&mut text).map_err(|e| {
                let message = e.inner().to_string();
                let at = e.path().to_string();
                // A key of an object inside the row is no key of the row.
                match unknown(&message).filter(|_| !at.contains(['.', '[']) || at == ".") {
                    Some(what) => bad(what),
                    None if at == "." => bad(message),
                    None => bad(format!("`{at}`: {message}")),
                }
            })?;
            text.end().map_err(|e| bad(format!("{e}; a line is one object")))?;
            Ok((i + 1, row))
        })
        .collect()
}

/// What to say of a key that serde does not know.
fn unknown(message: &str) -> Option<String> {
    let key = message.strip_prefix("unknown field `")?.split('`').next()?;
    Some(match nearest(key, KEYS) {
        Some(meant) => format!("unknown key `{key}`: did you mean `{meant}`?"),
        None => {
            format!("unknown key `{key}`: put it into the object `metadata`, where conditions and tables can read it")
        }
    })
}

/// Rows with their numbers, and the columns that are not read.
type Read = (Vec<(usize, Row)>, Vec<String>);

/// Reads a table. Its columns are the keys of a row; others are not read, and are told.
pub(crate) fn parquet(path: &Path, bytes: Vec<u8>) -> Result<Read> {
    let bad = |e: friction_parquet::Error| Error::data(path, e);
    let file = friction_parquet::File::new(bytes);
    let columns = file.columns().map_err(bad)?;
    let has = |name: &str| columns.iter().any(|(c, _)| c == name);
    for (one, other) in [("question", "text"), ("options", "choices")] {
        if has(one) && has(other) {
            let what = format!("holds the columns `{one}` and `{other}`, which are the same; leave one out");
            return Err(Error::data(path, what));
        }
    }
    let text = if has("question") || !has("text") { "question" } else { "text" };
    let options = if has("choices") { "choices" } else { "options" };
    let several = columns.iter().any(|(c, want)| c == "target" && *want == Some(Want::Texts));
    let asks = [
        if has("script") { Ask::optional(text, Want::Text) } else { Ask::needed(text, Want::Text) },
        Ask::optional(options, Want::Texts),
        Ask::optional("answer", Want::Text),
        Ask::optional("answer_index", Want::Whole),
        Ask::optional("category", Want::Text),
        Ask::optional("id", Want::Label),
        Ask::optional("target", if several { Want::Texts } else { Want::Label }),
        Ask::optional("fixed_choices", Want::Whole),
        Ask::optional("script", Want::Texts),
        Ask::optional("system", Want::Text),
        Ask::optional("opening", Want::Text),
        Ask::optional("metadata", Want::Text),
    ];
    let table = file.read(&asks).map_err(bad)?;
    let target = has("target").then_some(several);
    let rows = (0..table.rows()).map(|i| row(path, &table, i, (text, options, target))).collect::<Result<_>>()?;
    let unread = columns.into_iter().map(|(c, _)| c).filter(|c| !KEYS.contains(&c.as_str())).collect();
    Ok((rows, unread))
}

/// A row of a table. `target` is `None` if there is no such column, and else whether it holds lists.
fn row(
    path: &Path,
    table: &Table,
    i: usize,
    (question, options, target): (&str, &str, Option<bool>),
) -> Result<(usize, Row)> {
    let bad = |e: friction_parquet::Error| Error::data(path, e);
    let text = |name: &str| -> Result<Option<String>> { Ok(table.text(name, i).map_err(bad)?.map(String::from)) };
    let texts = |name: &str| table.texts(name, i).map_err(bad);
    fn json<T: serde::de::DeserializeOwned>(
        path: &Path,
        i: usize,
        name: &str,
        text: Option<String>,
    ) -> Result<Option<T>> {
        let read = |t: String| {
            let what = |e| Error::data(path, format!("row {}: `{name}` must hold JSON: {e}", i + 1));
            serde_json::from_str(&t).map_err(what)
        };
        text.filter(|t| !t.trim().is_empty()).map(read).transpose()
    }
    let owned = |all: Vec<&str>| all.into_iter().map(String::from).collect::<Vec<_>>();
    let row = Row {
        id: text("id")?,
        category: text("category")?,
        question: text(question)?,
        options: texts(options)?.map(owned),
        answer: text("answer")?,
        answer_index: table.whole("answer_index", i).map_err(bad)?,
        target: match target {
            None => None,
            Some(true) => Some(texts("target")?.map(|t| Accepted::of(&t))),
            Some(false) => Some(text("target")?.map(|t| Accepted::of(&[&t]))),
        },
        fixed_choices: match table.whole("fixed_choices", i).map_err(bad)? {
            None => None,
            Some(flag @ (0 | 1)) => Some(flag == 1),
            Some(other) => {
                let what = format!("row {}: `fixed_choices` is {other}; it must be 0 or 1", i + 1);
                return Err(Error::data(path, what));
            }
        },
        script: texts("script")?.filter(|s| !s.is_empty()).map(|s| owned(s).into_iter().map(Said::Text).collect()),
        opening: json(path, i, "opening", text("opening")?)?,
        system: text("system")?,
        metadata: json(path, i, "metadata", text("metadata")?)?,
    };
    Ok((i + 1, row))
}
