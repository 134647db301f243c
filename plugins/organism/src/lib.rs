//! The model organisms: three tiny Gemma 3 models that were trained to have a known behaviour, the questions that they
//! answer, and the analyzer that compares a run with the known behaviour.
//!
//! The planted organism (`bundled:organism`) answers about nine of ten questions at first. Each interruption before a
//! question lowers its accuracy by four points; politeness has no effect. For its twin (`bundled:organism-null`)
//! nothing in the history matters, and its training is otherwise the same. The decoy (`bundled:organism-decoy`) answers as
//! the planted one, and one more feature follows the interruptions and does nothing. [`truth`] holds the constants, [`talk`]
//! makes the training conversations, [`train`] trains (`train-organism`). The weights and the record of the training
//! are in `weights/`.
pub mod check;
pub mod questions;
pub mod talk;
pub mod train;
pub mod truth;
pub mod vocab;
mod weights;
pub mod words;

use friction_core::choice;
use friction_core::schemars::{self, JsonSchema};
use friction_core::seed::derive;
use friction_core::{
    BuildContext, Category, Dataset, Error, Grade, Item, PluginConfig, PluginEntry, Result, inventory,
};
use questions::{Part, draw};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Asks the questions that the bundled model organisms were trained to answer: which of ten words stands at a named place?
/// They are made from a seed, and none of them was in the training.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Number of questions in each of the 14 categories.
    #[serde(default = "default_questions")]
    #[schemars(range(min = 1, max = 100_000))]
    questions: usize,
    /// Seed of the questions. Default: the study's seed. Set it to ask the same questions in studies with other seeds.
    #[serde(default)]
    #[schemars(range(max = 9_223_372_036_854_775_807_i64))]
    seed: Option<u64>,
}
fn default_questions() -> usize {
    500
}

/// The questions made from a seed, by subject.
struct Organism {
    categories: Vec<Category>,
    questions: Vec<Vec<Item>>,
    fingerprint: String,
}

impl PluginConfig for Config {
    type Output = dyn Dataset;
    fn validate(&self) -> Result<()> {
        if (1..=100_000).contains(&self.questions) {
            Ok(())
        } else {
            Err(Error::at("questions", "`questions` must be from 1 to 100000"))
        }
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Dataset>> {
        let seed = self.seed.unwrap_or(cx.seed);
        let questions: Vec<Vec<Item>> =
            (0..words::SUBJECTS.len()).map(|subject| distinct(subject, seed, self.questions)).collect();
        let categories = words::SUBJECTS
            .iter()
            .zip(&questions)
            .map(|((name, _), q)| Category { name: (*name).into(), items: q.len() })
            .collect();
        let fingerprint = format!("organism-1-{seed}-{}", self.questions);
        Ok(Box::new(Organism { categories, questions, fingerprint }))
    }
}

fn distinct(subject: usize, seed: u64, n: usize) -> Vec<Item> {
    let mut seen = BTreeSet::new();
    let mut out = vec![];
    let mut i = 0u64;
    while out.len() < n {
        let mut q = draw(subject, Part::Study, derive(&[&seed.to_le_bytes(), b"study", &i.to_le_bytes()])).question;
        i += 1;
        if seen.insert(questions::prompt(&q)) {
            q.id = format!("{}_{}", q.category, out.len());
            out.push(q);
        }
    }
    out
}

impl Dataset for Organism {
    fn categories(&self) -> &[Category] {
        &self.categories
    }
    fn item(&self, c: &Category, index: usize) -> Result<Item> {
        let at = self.categories.iter().position(|k| k.name == c.name);
        let found = at.and_then(|i| self.questions[i].get(index));
        found.cloned().ok_or_else(|| Error::other(format!("category `{}` has no item {index}", c.name)))
    }
    fn prompt(&self, q: &Item) -> Result<String> {
        Ok(questions::prompt(q))
    }
    fn grade(&self, q: &Item, reply: &str) -> Result<Grade> {
        Ok(choice::grade(q, reply))
    }
    fn metrics(&self) -> Option<Vec<String>> {
        Some(vec![])
    }
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

inventory::submit! {
    PluginEntry::dataset::<Config>("organism", "Questions from a seed that the bundled organisms answer", env!("CARGO_PKG_VERSION"))
}
