//! `mmlu-pro`: TIGER-Lab/MMLU-Pro (Wang et al. 2024, arXiv 2406.01574), from a local Parquet file or
//! the hub.
//!
//! The columns are the dataset's: `question`, `options`, `answer_index`, `category`, `item_id`, and optionally
//! `answer`. A null, an index beyond the options or an `answer` that contradicts `answer_index` is an error that names
//! the row, because a question without its right answer would grade every reply as wrong. Three properties of the real
//! file are handled: padding options (`N/A` or empty) are dropped, a question that occurs twice is used once, and a
//! question whose right option occurs twice among its options, so that two letters are right, is left out.
use friction_core::choice::Bank;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Dataset, Error, Item, PluginConfig, PluginEntry, Result, Target};
use friction_model::hub::Repo;
use friction_parquet::{Ask, Table, Want};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Asks the questions of MMLU-Pro (Wang et al. 2024, arXiv 2406.01574): multiple choice in 14 categories, up to ten options
/// each. A reply is graded by the letter that it declares.
///
/// Padding among the options is dropped, a question that stands twice is asked once, and one whose right option stands
/// twice among its options is left out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// A local Parquet file with the dataset's columns, relative to the manifest. Default: the test split on the hub. Set it
    /// on a machine without network.
    #[serde(default)]
    path: Option<PathBuf>,
    /// Branch, tag or commit of the dataset on the hub. Default: `main`. Set it to a commit to pin the questions; it is
    /// refused beside `path`.
    #[serde(default)]
    revision: Option<String>,
    /// Fewest real options of a question; questions with fewer are left out. The default keeps all. Set it to 10 for the
    /// same chance level in every question.
    #[serde(default = "three")]
    #[schemars(range(max = 10))]
    min_options: usize,
}
fn three() -> usize {
    3
}

/// Reads the Parquet file into a [`Bank`].
struct MmluPro;

const REPO: &str = "TIGER-Lab/MMLU-Pro";
const FILE: &str = "data/test-00000-of-00001.parquet";

fn fetch(revision: Option<&str>) -> Result<PathBuf> {
    Repo::new(REPO, revision, true).and_then(|mut repo| repo.get(FILE)).map_err(Error::other)
}

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn validate(&self) -> Result<()> {
        let mut faults = friction_core::error::Faults::default();
        let idle = "`revision` does nothing beside `path`: only the hub's file has revisions";
        faults.when(self.path.is_some() && self.revision.is_some(), "revision", idle);
        faults.when(self.min_options > 10, "min_options", "`min_options` is at most 10: no question has more options");
        faults.end()
    }
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
        let mut questions: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        let (mut seen, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for q in rows(path, bytes)? {
            // 159 questions of the dataset occur twice, under two subjects; the first is kept.
            let usable = q.choices.len() >= min_options && !answered_twice(&q);
            if !usable || !seen.insert((q.text.clone(), q.choices.clone())) {
                continue;
            }
            if !ids.insert(q.id.clone()) {
                return Err(Error::data(path, format!("two questions are called `{}`; ids must differ", q.id)));
            }
            questions.entry(q.category.clone()).or_default().push(q);
        }
        if questions.is_empty() {
            return Err(Error::data(path, format!("holds no question with {min_options} options or more")));
        }
        Ok(Bank::new(questions, fingerprint))
    }
}

/// Whether another option has the same text as the right one, so that two letters are right.
fn answered_twice(q: &Item) -> bool {
    q.right().is_some_and(|right| q.choices.iter().filter(|o| **o == q.choices[right]).count() > 1)
}

fn rows(path: &Path, bytes: Vec<u8>) -> Result<Vec<Item>> {
    let bad = |e: friction_parquet::Error| Error::data(path, format!("not MMLU-Pro's Parquet: {e}"));
    let asks = [
        Ask::needed("question", Want::Text),
        Ask::needed("options", Want::Texts),
        Ask::needed("answer_index", Want::Whole),
        Ask::needed("category", Want::Text),
        Ask::needed("item_id", Want::Label),
        Ask::optional("answer", Want::Text),
    ];
    let table = friction_parquet::read(bytes, &asks).map_err(bad)?;
    (0..table.rows()).map(|row| question(path, &table, row, bad)).collect()
}

fn question(path: &Path, table: &Table, row: usize, bad: impl Fn(friction_parquet::Error) -> Error) -> Result<Item> {
    let wrong = |what: String| Error::data(path, format!("not MMLU-Pro's Parquet: row {}: {what}", row + 1));
    let text = |column: &str| -> Result<String> {
        let text = table.need_text(column, row).map_err(&bad)?.trim();
        if text.is_empty() { Err(wrong(format!("`{column}` is empty"))) } else { Ok(text.to_string()) }
    };
    let (number, category) = (text("item_id")?, text("category")?);
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
    Ok(Item { id, category, text: text("question")?, choices: real, target, ..Item::default() })
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Config>("mmlu-pro", "MMLU-Pro from the hub or a local Parquet file", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
