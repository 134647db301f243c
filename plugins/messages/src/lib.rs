//! `messages`: conversations of others, from a file of JSON lines with roles and contents.
//!
//! `row` reads a row; `index` holds where each row lies, and reads one at a time, so that files of hundreds of
//! thousands of rows take little memory.
mod index;
mod row;

use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Category, Dataset, Error, Grade, Item, PluginConfig, PluginEntry, Result};
use index::Index;
use serde::Deserialize;
use std::path::PathBuf;

/// Asks what the users of recorded conversations said, message by message; a condition may replay the replies.
///
/// A row is an object with `messages` (OpenAI's form: a list of objects with `role` and `content`) or `conversations`
/// (ShareGPT's: `from` and `value`). It makes an item with a script: each message of the user, with the reply that
/// follows it, if one does. A system prompt at the beginning is the item's opening. Contents may be lists of parts of
/// type `text`, which are joined. `id` (or the row's number) names the item; other keys of the row are its metadata.
/// Replies are not graded, unless the manifest has a table `[grade]`. The file is indexed and read row by row: it must
/// not change during a run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The file, relative to the manifest: `.jsonl` or `.ndjson`, an object a line.
    #[schemars(example = &"conversations.jsonl")]
    path: PathBuf,
    /// Largest number of the user's messages of a conversation that are asked; the rest of it is left out. Default: all.
    #[serde(default)]
    #[schemars(range(min = 1))]
    max_turns: Option<usize>,
    /// The key of a row that names its category, such as `language`; every row must have it. Default: `category`, and
    /// rows without one are of the category `general`.
    #[serde(default)]
    category: Option<String>,
    /// The order in which items are drawn.
    #[serde(default)]
    order: Order,
    /// What happens to rows that cannot be asked: an unknown role, a system prompt in the middle, a reply before the
    /// user has spoken, two replies in a row, an empty message, a part that is no text.
    #[serde(default)]
    unusable: Unusable,
}

/// The order in which items are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Order {
    /// As in the file: the first conversations get the first items of their categories.
    #[default]
    File,
    /// Shuffled within each category, by the study's seed.
    Shuffled,
}

/// What happens to rows that cannot be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Unusable {
    /// The first of them is an error.
    #[default]
    Refuse,
    /// They are left out, and counted.
    LeaveOut,
}

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(self.max_turns == Some(0), "max_turns", "`max_turns` must be at least 1");
        let taken = |k: &&String| ["messages", "conversations", "id"].contains(&k.as_str());
        if let Some(key) = self.category.as_ref().filter(taken) {
            faults.add(Error::at("category", format!("`{key}` holds no category")));
        }
        faults.end()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Dataset>> {
        let path = cx.base.join(&self.path);
        if !matches!(path.extension().and_then(|e| e.to_str()), Some("jsonl" | "ndjson")) {
            return Err(Error::data(&path, "the name must end in .jsonl or .ndjson"));
        }
        let form = row::Form { category: self.category.clone(), max_turns: self.max_turns };
        let leave_out = self.unusable == Unusable::LeaveOut;
        let index = Index::build(&path, form, leave_out)?;
        Ok(Box::new(Messages { index, ordered: self.order == Order::File }))
    }
}

/// An indexed file of conversations, whose rows are read one at a time.
struct Messages {
    index: Index,
    ordered: bool,
}

impl Dataset for Messages {
    fn categories(&self) -> &[Category] {
        self.index.categories()
    }
    fn item(&self, category: &Category, index: usize) -> Result<Item> {
        self.index.item(category, index)
    }
    fn prompt(&self, item: &Item) -> Result<String> {
        Ok(item.text.clone())
    }
    fn grade(&self, _: &Item, _: &str) -> Result<Grade> {
        Ok(Grade::default())
    }
    fn metrics(&self) -> Option<Vec<String>> {
        Some(vec![])
    }
    fn ordered(&self) -> bool {
        self.ordered
    }
    fn fingerprint(&self) -> String {
        self.index.fingerprint().into()
    }
    fn notes(&self) -> Vec<String> {
        self.index.left_out().into_iter().collect()
    }
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Config>("messages", "Recorded conversations in OpenAI's and ShareGPT's form, JSON lines", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
