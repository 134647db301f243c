//! A dataset in memory.
use super::{grade, prompt::prompt_with};
use crate::{Category, ChatMessage, Dataset, Error, Grade, Item, Result, Role};
use std::collections::BTreeMap;

/// A dataset in memory. Plugins that read files of questions fill it. Replies to items with choices are graded by the
/// letter that they declare; replies to others are not graded.
pub struct Bank {
    /// Categories, sorted by name.
    pub categories: Vec<Category>,
    /// Items by category name. Their order is part of the dataset: draws depend on it.
    pub items: BTreeMap<String, Vec<Item>>,
    fingerprint: String,
    instruction: Option<String>,
    shots: Vec<ChatMessage>,
    ordered: bool,
    notes: Vec<String>,
}

impl Bank {
    /// Makes a bank. `fingerprint` identifies the data that the items came from; the run's lock stores it.
    pub fn new(items: BTreeMap<String, Vec<Item>>, fingerprint: String) -> Self {
        let categories = items.iter().map(|(n, all)| Category { name: n.clone(), items: all.len() }).collect();
        let (instruction, shots, ordered, notes) = (None, vec![], false, vec![]);
        Self { categories, items, fingerprint, instruction, shots, ordered, notes }
    }

    /// Sets the sentence that closes every prompt, as [`prompt_with`] takes it.
    pub fn with_instruction(self, instruction: Option<String>) -> Self {
        Self { instruction, ..self }
    }

    /// Sets messages that stand before the first turn of every conversation, such as worked examples. An item's own
    /// system prompt stands before them, the rest of its opening behind them.
    pub fn with_shots(self, shots: Vec<ChatMessage>) -> Self {
        Self { shots, ..self }
    }

    /// Sets whether items are taken in their order instead of shuffled.
    pub fn with_order(self, ordered: bool) -> Self {
        Self { ordered, ..self }
    }

    /// Sets what a reader must know of the data: [`Dataset::notes`].
    pub fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }
}

impl Dataset for Bank {
    fn categories(&self) -> &[Category] {
        &self.categories
    }
    fn item(&self, c: &Category, index: usize) -> Result<Item> {
        let found = self.items.get(&c.name).and_then(|all| all.get(index));
        found.cloned().ok_or_else(|| Error::other(format!("category `{}` has no item {index}", c.name)))
    }
    fn prompt(&self, item: &Item) -> Result<String> {
        prompt_with(item, self.instruction.as_deref())
    }
    fn opening(&self, items: &[Item]) -> Result<Vec<ChatMessage>> {
        let mut own = items.first().map(|i| i.opening.clone()).unwrap_or_default();
        let system = usize::from(own.first().is_some_and(|m| m.role == Role::System));
        own.splice(system..system, self.shots.iter().cloned());
        Ok(own)
    }
    fn grade(&self, item: &Item, reply: &str) -> Result<Grade> {
        Ok(if item.choices.is_empty() { Grade::default() } else { grade(item, reply) })
    }
    fn metrics(&self) -> Option<Vec<String>> {
        Some(vec![])
    }
    fn ordered(&self) -> bool {
        self.ordered
    }
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
