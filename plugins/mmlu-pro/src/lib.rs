//! `mmlu-pro`: TIGER-Lab/MMLU-Pro (Wang et al. 2024, arXiv 2406.01574), from a local Parquet file or
//! the hub.
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use friction_core::choice::Bank;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Dataset, Error, PluginConfig, PluginEntry, Question, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Options of `mmlu-pro`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// A local Parquet file in the dataset's schema, relative to the manifest. Default: the hub's
    /// test split.
    #[serde(default)]
    path: Option<PathBuf>,
    /// Revision on the hub. Default `main`.
    #[serde(default)]
    revision: Option<String>,
    /// Keep only questions with at least so many real options. Default 3 (all).
    #[serde(default = "three")]
    min_options: usize,
}
fn three() -> usize {
    3
}

/// Reads rows into a bank.
struct MmluPro;

const REPO: (&str, &str) = ("TIGER-Lab", "MMLU-Pro");
const FILE: &str = "data/test-00000-of-00001.parquet";

fn fetch(revision: Option<&str>) -> Result<PathBuf> {
    let say = |e: hf_hub::HFError| {
        Error::other(format!(
            "hf:datasets/{}/{}: `{FILE}`: {e}; check the network and HF_ENDPOINT, or give the file with `path`",
            REPO.0, REPO.1
        ))
    };
    let client = hf_hub::HFClientSync::new().map_err(say)?;
    let repo = client.dataset(REPO.0, REPO.1);
    let get = |local: bool| {
        repo.download_file().filename(FILE).revision(revision.unwrap_or("main")).local_files_only(local).send()
    };
    match get(std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v == "1")) {
        Ok(p) => Ok(p),
        Err(e @ hf_hub::HFError::Request { .. }) => get(true).map_err(|_| say(e)),
        Err(e) => Err(say(e)),
    }
}

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Dataset>> {
        let path = match &self.path {
            Some(p) => cx.base.join(p),
            None => fetch(self.revision.as_deref())?,
        };
        Ok(Box::new(MmluPro::read(&path, self.min_options)?))
    }
}

impl MmluPro {
    fn read(path: &Path, min_options: usize) -> Result<Bank> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let fingerprint = format!("{:016x}-{}", friction_core::seed::derive(&[&bytes]), bytes.len());
        drop(bytes);
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        // The Parquet library may panic on hostile bytes: that is an error here.
        let rows = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rows(path, file)))
            .map_err(|_| Error::data(path, "not a Parquet file that can be read"))??;
        let mut questions: BTreeMap<String, Vec<Question>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for q in rows {
            // 159 questions stand in the set twice, under two subjects: the first stays.
            if q.options.len() >= min_options && seen.insert((q.text.clone(), q.options.clone())) {
                questions.entry(q.category.clone()).or_default().push(q);
            }
        }
        if questions.is_empty() {
            return Err(Error::data(path, "holds no question with enough options"));
        }
        Ok(Bank::new(questions, fingerprint))
    }
}

fn rows(path: &Path, file: File) -> Result<Vec<Question>> {
    let bad = |e: &dyn std::fmt::Display| Error::data(path, format!("not MMLU-Pro's Parquet: {e}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| bad(&e))?.build().map_err(|e| bad(&e))?;
    let mut out = vec![];
    for batch in reader {
        let batch = batch.map_err(|e| bad(&e))?;
        let column =
            |name: &str| batch.column_by_name(name).cloned().ok_or_else(|| bad(&format!("column `{name}` is missing")));
        let utf8 = |name: &str| -> Result<arrow::array::ArrayRef> {
            arrow::compute::cast(&column(name)?, &arrow::datatypes::DataType::Utf8).map_err(|e| bad(&e))
        };
        let (texts, categories, options) = (utf8("question")?, utf8("category")?, column("options")?);
        let (texts, categories) = (texts.as_string::<i32>(), categories.as_string::<i32>());
        let options = options.as_list_opt::<i32>().ok_or_else(|| bad(&"`options` is no list"))?;
        let ids = column("question_id")?;
        let ids = ids.as_primitive_opt::<Int64Type>().ok_or_else(|| bad(&"`question_id` is no int64"))?;
        let answers = column("answer_index")?;
        let answers = answers.as_primitive_opt::<Int64Type>().ok_or_else(|| bad(&"`answer_index` is no int64"))?;
        for i in 0..batch.num_rows() {
            let list =
                arrow::compute::cast(&options.value(i), &arrow::datatypes::DataType::Utf8).map_err(|e| bad(&e))?;
            let list = list.as_string::<i32>();
            let index = usize::try_from(answers.value(i)).unwrap_or(usize::MAX);
            let (mut real, mut answer) = (vec![], None);
            for (k, option) in list.iter().enumerate() {
                let option = option.unwrap_or("").trim();
                // "N/A" pads short lists. Should the right one read so, it is kept.
                if k != index && (option.is_empty() || option == "N/A") {
                    continue;
                }
                if k == index {
                    answer = Some(real.len());
                }
                real.push(option.to_string());
            }
            let category = categories.value(i).trim().to_string();
            let id = format!("{}_{}", category.replace(' ', "-"), ids.value(i));
            let Some(answer) = answer.filter(|_| real.len() >= 2) else {
                return Err(bad(&format!("question {} has no option {index}", ids.value(i))));
            };
            out.push(Question { id, category, text: texts.value(i).trim().to_string(), options: real, answer });
        }
    }
    Ok(out)
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Config>("mmlu-pro", "MMLU-Pro from the hub or a local Parquet file", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder};
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use proptest::prelude::*;
    use std::sync::{Arc, LazyLock};

    /// Question, options, index of the right one, category.
    type Row<'a> = (&'a str, &'a [&'a str], i64, &'a str);

    fn file(rows: &[Row]) -> Vec<u8> {
        let mut options = ListBuilder::new(StringBuilder::new());
        for (_, o, _, _) in rows {
            for s in *o {
                options.values().append_value(s);
            }
            options.append(true);
        }
        let text = |f: fn(&Row) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(f))) };
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("question_id", Arc::new(Int64Array::from_iter_values(0..rows.len() as i64))),
            ("question", text(|r| r.0.into())),
            ("options", Arc::new(options.finish())),
            ("answer_index", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2)))),
            ("category", text(|r| r.3.into())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut w = ArrowWriter::try_new(vec![], batch.schema(), None).unwrap();
        w.write(&batch).unwrap();
        w.into_inner().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Bank> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        std::fs::write(&path, bytes).unwrap();
        MmluPro::read(&path, 3)
    }

    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        file(&[
            (" What? ", &["x", "N/A", " right ", "N/A", "y"], 2, "computer science"),
            ("Twice?", &["a", "b", "c"], 0, "law"),
            ("Twice?", &["a", "b", "c"], 0, "health"),
            ("N/A is right?", &["a", "b", "N/A"], 2, "law"),
        ])
    });

    #[test]
    fn padding_is_dropped_options_are_stripped_and_doubles_stand_once() {
        let d = read(&FILE).unwrap();
        let q = &d.questions["computer science"][0];
        assert_eq!((q.text.as_str(), q.answer, q.id.as_str()), ("What?", 1, "computer-science_0"));
        assert_eq!(q.options, ["x", "right", "y"]);
        assert!(
            d.prompt(q).unwrap().ends_with("B. right\nC. y\n\nPlease provide your answer as a single letter (A-C).")
        );
        assert!(!d.questions.contains_key("health"));
        assert_eq!(d.questions["law"][1].options[2], "N/A");
        assert!(read(&file(&[("q", &["a", "b", "c"], 7, "law")])).err().unwrap().to_string().contains("no option 7"));
    }

    #[test]
    fn the_real_sample() {
        let Some(dir) = std::env::var_os("FRICTION_DATA") else {
            eprintln!("SKIPPED: set FRICTION_DATA to the folder that holds mmlu-pro-sample.parquet");
            return;
        };
        let d = MmluPro::read(&Path::new(&dir).join("mmlu-pro-sample.parquet"), 3).unwrap();
        let all: Vec<&Question> = d.questions.values().flatten().collect();
        assert!(all.len() > 950 && d.categories.len() >= 10, "{} in {}", all.len(), d.categories.len());
        for q in all {
            assert!((3..=10).contains(&q.options.len()) && q.answer < q.options.len(), "{}", q.id);
            assert!(q.options.iter().all(|o| o == o.trim() && !o.is_empty()), "{}", q.id);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn hostile_bytes_are_errors(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), whole in any::<bool>()) {
            let mut b = FILE.clone();
            for (at, v) in flips {
                let n = b.len();
                b[at.index(n)] = v;
            }
            if !whole {
                b.truncate(cut.index(b.len()));
            }
            let _ = read(&b);
        }
    }
}
