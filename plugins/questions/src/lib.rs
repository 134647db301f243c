//! `questions`: multiple-choice questions of one's own, JSON lines or Parquet.
//!
//! A row has `question` (text), `options` (list of texts), `answer` (a letter, or an index from 0 as
//! `answer_index`), and may have `category` (default `general`) and `id`.
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use friction_core::choice::Bank;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Dataset, Error, PluginConfig, PluginEntry, Question, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Options of `questions`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// A `.jsonl` or `.parquet` file, relative to the manifest.
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
    answer_index: Option<usize>,
}

/// Reads rows into a bank.
struct Questions;

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Dataset>> {
        let path = cx.base.join(&self.path);
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        let rows = match path.extension().and_then(|e| e.to_str()) {
            Some("jsonl" | "ndjson") => jsonl(&path, &bytes)?,
            Some("parquet") => std::panic::catch_unwind(|| parquet(&path))
                .map_err(|_| Error::data(&path, "not a Parquet file that can be read"))??,
            _ => return Err(Error::data(&path, "the name must end in .jsonl or .parquet")),
        };
        let fingerprint = format!("{:016x}-{}", friction_core::seed::derive(&[&bytes]), bytes.len());
        Ok(Box::new(Questions::bank(&path, rows, fingerprint)?))
    }
}

fn jsonl(path: &Path, bytes: &[u8]) -> Result<Vec<(usize, Row)>> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error::data(path, format!("not UTF-8: {e}")))?;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(i, l)| {
            Ok((i + 1, serde_json::from_str(l).map_err(|e| Error::data(path, format!("line {}: {e}", i + 1)))?))
        })
        .collect()
}

fn parquet(path: &Path) -> Result<Vec<(usize, Row)>> {
    let bad = |e: &dyn std::fmt::Display| Error::data(path, e);
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| bad(&e))?.build().map_err(|e| bad(&e))?;
    let mut out = vec![];
    for batch in reader {
        let batch = batch.map_err(|e| bad(&e))?;
        let cast = |name: &str, t: &DataType| -> Result<Option<arrow::array::ArrayRef>> {
            batch
                .column_by_name(name)
                .map(|c| arrow::compute::cast(c, t).map_err(|e| bad(&format!("`{name}`: {e}"))))
                .transpose()
        };
        let text = |name: &str| cast(name, &DataType::Utf8);
        let (ids, categories, questions, answers) =
            (text("id")?, text("category")?, text("question")?, text("answer")?);
        let index = cast("answer_index", &DataType::Int64)?;
        let options = batch
            .column_by_name("options")
            .and_then(|c| c.as_list_opt::<i32>())
            .ok_or_else(|| bad(&"column `options` must be a list of texts"))?;
        let at = |a: &Option<arrow::array::ArrayRef>, i: usize| {
            a.as_ref().map(|a| a.as_string::<i32>()).filter(|a| a.is_valid(i)).map(|a| a.value(i).to_string())
        };
        for i in 0..batch.num_rows() {
            let list = arrow::compute::cast(&options.value(i), &DataType::Utf8).map_err(|e| bad(&e))?;
            let list = list.as_string::<i32>().iter().map(|o| o.unwrap_or("").to_string()).collect();
            let index = index
                .as_ref()
                .map(|a| a.as_primitive::<Int64Type>())
                .filter(|a| a.is_valid(i))
                .and_then(|a| usize::try_from(a.value(i)).ok());
            let question = at(&questions, i).ok_or_else(|| bad(&format!("row {}: no `question`", i + 1)))?;
            out.push((
                i + 1,
                Row {
                    id: at(&ids, i),
                    category: at(&categories, i),
                    question,
                    options: list,
                    answer: at(&answers, i),
                    answer_index: index,
                },
            ));
        }
    }
    Ok(out)
}

impl Questions {
    fn bank(path: &Path, rows: Vec<(usize, Row)>, fingerprint: String) -> Result<Bank> {
        let mut questions: BTreeMap<String, Vec<Question>> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (at, row) in rows {
            let bad = |m: String| Error::data(path, format!("row {at}: {m}"));
            let options: Vec<String> = row.options.iter().map(|o| o.trim().to_string()).collect();
            if !(2..=26).contains(&options.len()) {
                return Err(bad(format!("{} options; there must be 2 to 26", options.len())));
            }
            let letter = |a: &str| match a.trim().as_bytes() {
                [c @ b'A'..=b'Z'] => Some((c - b'A') as usize),
                _ => None,
            };
            let answer = match (row.answer_index, row.answer.as_deref()) {
                (Some(i), _) => Some(i),
                (None, Some(a)) => letter(a),
                (None, None) => None,
            };
            let answer = answer.filter(|a| *a < options.len()).ok_or_else(|| {
                bad(format!("`answer` must be a letter from A to {}", Question::letter(options.len() - 1)))
            })?;
            let category = row.category.unwrap_or_else(|| "general".into());
            let id = row.id.unwrap_or_else(|| format!("{}_{at}", category.replace(' ', "-")));
            if !ids.insert(id.clone()) {
                return Err(bad(format!("the id `{id}` occurs twice")));
            }
            questions.entry(category.clone()).or_default().push(Question {
                id,
                category,
                text: row.question.trim().into(),
                options,
                answer,
            });
        }
        if questions.is_empty() {
            return Err(Error::data(path, "holds no questions"));
        }
        Ok(Bank::new(questions, fingerprint))
    }
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Config>("questions", "Multiple-choice questions of one's own, JSON lines or Parquet", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    #[test]
    fn rows_are_checked() {
        let p = Path::new("q.jsonl");
        let read = |s: &str| jsonl(p, s.as_bytes()).and_then(|r| Questions::bank(p, r, String::new()));
        let ok = read(r#"{"question": "1+1?", "options": ["1", "2"], "answer": "B", "category": "math"}"#).unwrap();
        assert_eq!(ok.questions["math"][0].answer, 1);
        for (bad, why) in [
            (r#"{"question": "1+1?", "options": ["1", "2"], "answer": "C"}"#, "from A to B"),
            (r#"{"question": "1+1?", "options": ["1"], "answer": "A"}"#, "2 to 26"),
            (r#"{"question": "1+1?", "option": ["1"], "answer": "A"}"#, "line 1"),
            ("", "no questions"),
        ] {
            assert!(read(bad).err().unwrap().to_string().contains(why), "{bad}");
        }
    }

    /// The questions that this project brings: 14 categories of ten, each letter right once.
    #[test]
    fn the_ordinary_bank() {
        let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
            .join("../../experiments/ordinary/questions.jsonl");
        let bank =
            Questions::bank(&path, jsonl(&path, &std::fs::read(&path).unwrap()).unwrap(), String::new()).unwrap();
        assert_eq!(bank.categories.len(), 14);
        let mut texts = BTreeSet::new();
        for (category, questions) in &bank.questions {
            let letters: BTreeSet<usize> = questions.iter().map(|q| q.answer).collect();
            assert_eq!((questions.len(), letters.len()), (10, 10), "{category}");
            for q in questions {
                let options: BTreeSet<String> = q.options.iter().map(|o| o.to_lowercase()).collect();
                assert_eq!(options.len(), 10, "{}", q.text);
                assert!(texts.insert(q.text.clone()), "{}", q.text);
            }
        }
    }
}
