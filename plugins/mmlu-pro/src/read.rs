//! Reads MMLU-Pro's Parquet files.
use friction_core::{Error, Item, Result, Target};
use friction_parquet::{Ask, Table, Want};
use std::path::Path;

/// A row of a file.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The item: options and text without white space around them, without padding.
    pub item: Item,
    /// The question's text as it stands in the file.
    pub raw: String,
    /// The worked answer of the validation split; empty in the test split.
    pub worked: String,
}

/// A file that was read.
pub(crate) struct File {
    /// Its rows, in order.
    pub questions: Vec<Question>,
    /// Identifies its bytes.
    pub fingerprint: String,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or a row lacks something.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let fingerprint = format!("{:016x}-{}", friction_core::seed::derive(&[&bytes]), bytes.len());
        Ok(Self { questions: rows(path, bytes)?, fingerprint })
    }
}

fn rows(path: &Path, bytes: Vec<u8>) -> Result<Vec<Question>> {
    let bad = |e: friction_parquet::Error| Error::data(path, format!("not MMLU-Pro's Parquet: {e}"));
    let asks = [
        Ask::needed("question", Want::Text),
        Ask::needed("options", Want::Texts),
        Ask::needed("answer_index", Want::Whole),
        Ask::needed("category", Want::Text),
        Ask::needed("question_id", Want::Label),
        Ask::optional("answer", Want::Text),
        Ask::optional("cot_content", Want::Text),
    ];
    let table = friction_parquet::read(bytes, &asks).map_err(bad)?;
    (0..table.rows()).map(|row| question(path, &table, row, bad)).collect()
}

fn question(
    path: &Path,
    table: &Table,
    row: usize,
    bad: impl Fn(friction_parquet::Error) -> Error,
) -> Result<Question> {
    let wrong = |what: String| Error::data(path, format!("not MMLU-Pro's Parquet: row {}: {what}", row + 1));
    let text = |column: &str| -> Result<String> {
        let text = table.need_text(column, row).map_err(&bad)?.trim();
        if text.is_empty() { Err(wrong(format!("`{column}` is empty"))) } else { Ok(text.to_string()) }
    };
    let (number, category) = (text("question_id")?, text("category")?);
    let options = table.need_texts("options", row).map_err(&bad)?;
    let index = table.need_whole("answer_index", row).map_err(&bad)?;
    let beyond = || wrong(format!("question {number} has no option {index}: `answer_index` counts from 0"));
    let index = usize::try_from(index).ok().filter(|i| *i < options.len()).ok_or_else(beyond)?;
    if options.len() > 26 {
        return Err(wrong(format!("{} options; letters go to 26", options.len())));
    }
    let letter = Item::letter(index);
    if let Some(given) = table.text("answer", row).map_err(&bad)?
        && given.trim() != letter.to_string()
    {
        return Err(wrong(format!("`answer` is {given:?}, but `answer_index` {index} is {letter}: mend one of them")));
    }
    let (mut real, mut answer) = (vec![], 0);
    for (k, option) in options.iter().map(|o| o.trim()).enumerate() {
        if k == index {
            answer = real.len();
            if option.is_empty() {
                return Err(wrong(format!("the right option, {letter}, is empty")));
            }
        } else if option.is_empty() || option == "N/A" {
            // "N/A" pads short lists of options. If the right option reads "N/A", it is kept.
            continue;
        }
        real.push(option.to_string());
    }
    if real.len() < 2 {
        return Err(wrong(format!("question {number} has {} option; there must be 2", real.len())));
    }
    let id = format!("{}_{number}", category.replace(' ', "-"));
    let target = Some(Target::Choice(answer));
    let item = Item { id, category, text: text("question")?, choices: real, target, ..Item::default() };
    let raw = table.need_text("question", row).map_err(&bad)?.to_string();
    let worked = table.text("cot_content", row).map_err(&bad)?.unwrap_or_default().to_string();
    Ok(Question { item, raw, worked })
}
