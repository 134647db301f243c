//! `questions`: items of one's own, from a file of JSON lines or Parquet.
//!
//! `row` says what a row may hold, `read` reads files, `shots` makes worked examples. A row that cannot be asked or
//! graded is an error that names it: an empty question or option, two options with the same text, an answer that is not
//! among the options, an id that occurs twice, a key that is not known.
mod read;
mod row;
mod shots;

use friction_core::choice::{Bank, check_instruction};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Dataset, Error, Item, PluginConfig, PluginEntry, Result, plural};
use read::{File, Rows};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Asks questions and tasks of your own, from a file: multiple choice, open ones, and ones that take several messages.
///
/// A row has `question` (or `text`). With `options` (2 to 26 texts) it is multiple choice, and has `answer` (a letter) or
/// `answer_index` (from 0); `"target": null` says that none is right, and `"fixed_choices": true` that the options never
/// move, because the question asks for their places. Without options it may have a `target`, a text or several that count
/// as right: the manifest's `[grade]` says how replies are compared with it. A row may also have `category` (by default
/// `general`), `id`, `script` (what the user says turn by turn: texts, or objects with `user` and `reply`), `system` (a
/// system prompt) or `opening` (messages with `role` and `content`), and `metadata`, an object that conditions and tables
/// can read. In Parquet `opening` and `metadata` are texts that hold JSON, and `fixed_choices` is 0 or 1. What cannot be
/// asked is refused before the run, with its row.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The file, relative to the manifest: `.jsonl` or `.ndjson` (an object a line) or `.parquet`.
    #[schemars(example = &"questions.jsonl")]
    path: PathBuf,
    /// The text that closes each prompt, in place of `Please provide your answer as a single letter (A-D).` and, of items
    /// without options, of nothing. `{letters}` stands for the letters of the options, such as `A-D`. Empty for no such
    /// text. It is not put behind the messages of a `script`.
    #[serde(default)]
    instruction: Option<String>,
    /// Number of worked examples before the first turn, each a question and its answer as messages of user and assistant.
    /// They are the first rows of `shots_path`, or else of the file itself, which are then not asked. Default: all rows
    /// of `shots_path`, or none.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    shots: Option<usize>,
    /// A file of worked examples, in the form of `path`. An example that is also asked is refused.
    #[serde(default)]
    shots_path: Option<PathBuf>,
    /// The order in which items are drawn.
    #[serde(default)]
    order: Order,
}

/// The order in which items are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Order {
    /// Shuffled within each category, by the study's seed.
    #[default]
    Shuffled,
    /// As in the file: the first conversations get the first items of their categories.
    File,
}

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.take(self.instruction.as_deref().map_or(Ok(()), |i| check_instruction(i, &["letters"])));
        let most = "`shots` is at most 1000";
        faults.when(self.shots.is_some_and(|n| n > 1000), "shots", most);
        let idle = "`shots_path` does nothing at `shots = 0`";
        faults.when(self.shots == Some(0) && self.shots_path.is_some(), "shots_path", idle);
        faults.end()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Dataset>> {
        let path = cx.base.join(&self.path);
        let mut file = File::read(&path)?;
        let mut fingerprint = file.fingerprint.clone();
        let mut notes = file.notes(&self.path);
        let shots = match (&self.shots_path, self.shots.unwrap_or(0)) {
            (Some(shots), _) => {
                let at = cx.base.join(shots);
                let given = File::read(&at)?;
                fingerprint = format!("{fingerprint}+{}", given.fingerprint);
                notes.extend(given.notes(shots));
                self.first(given.items, &at)?
            }
            (None, 0) => vec![],
            (None, n) => {
                let rest = file.items.split_off(n.min(file.items.len()));
                let own = self.first(std::mem::replace(&mut file.items, rest), &path)?;
                let rows = plural(n, "row");
                notes
                    .push(format!("the first {rows} of {} are worked examples and are not asked", self.path.display()));
                own
            }
        };
        if let Some((at, _)) = shots.iter().find_map(|s| shots::same(s, &file.items)) {
            let what = format!("row {at} is asked, and is a worked example too: leave it out of one of them");
            return Err(Error::data(&path, what));
        }
        if file.items.is_empty() {
            return Err(Error::data(&path, "holds no questions beside the worked examples"));
        }
        self.check_prompts(&file.items, &path)?;
        let instruction = self.instruction.as_deref();
        let examples = shots.iter().map(|item| shots::messages(item, instruction)).collect::<Result<Vec<_>>>()?;
        let bank = Bank::new(by_category(file.items), fingerprint)
            .with_instruction(self.instruction.clone())
            .with_shots(examples.concat())
            .with_order(self.order == Order::File)
            .with_notes(notes);
        Ok(Box::new(bank))
    }
}

impl Config {
    /// The first `shots` items of a file that worked examples are taken from; all if `shots` is not set.
    fn first(&self, items: Rows, path: &Path) -> Result<Vec<Item>> {
        let n = self.shots.unwrap_or(items.len());
        if n > items.len() {
            let has = plural(items.len(), "row");
            return Err(Error::at("shots", format!("`shots = {n}`, but {} has {has}", path.display())));
        }
        let checked = |(at, item): (usize, Item)| match shots::fault(&item) {
            Some(what) => Err(Error::data(path, format!("row {at}: {what}"))),
            None => Ok(item),
        };
        items.into_iter().take(n).map(checked).collect()
    }

    /// Checks that the instruction can be put behind every prompt, and stands behind one.
    fn check_prompts(&self, items: &Rows, path: &Path) -> Result<()> {
        let Some(instruction) = &self.instruction else { return Ok(()) };
        let mut asked = items.iter().filter(|(_, item)| item.script.is_empty()).peekable();
        if asked.peek().is_none() {
            return Err(Error::at("instruction", "`instruction` does nothing: every row has a `script`"));
        }
        match asked.find(|(_, item)| item.choices.is_empty() && instruction.contains("{letters}")) {
            None => Ok(()),
            Some((at, _)) => {
                let what = format!("`{{letters}}` names nothing in row {at} of {}: it has no options", path.display());
                Err(Error::at("instruction", what))
            }
        }
    }
}

/// The items of each category, in the order of the file.
fn by_category(items: Rows) -> BTreeMap<String, Vec<Item>> {
    let mut out: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for (_, item) in items {
        out.entry(item.category.clone()).or_default().push(item);
    }
    out
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Config>("questions", "Questions and tasks of one's own, JSON lines or Parquet", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
