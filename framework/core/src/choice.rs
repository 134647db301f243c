//! Multiple-choice questions: how a prompt is written, and how an answer letter is read out of a reply.
//!
//! Three parsers read a reply. *Declared* is the primary one: it finds the answer that the reply states as its answer
//! ([`reading`]). *Lenient* falls back to the first stand-alone letter. *Official* is MMLU-Pro's own chain of regular
//! expressions (TIGER-AI-Lab/MMLU-Pro, `evaluate_from_local.py`). It ends in the last stand-alone letter and therefore
//! misreads replies that discuss the options one by one.
//!
//! # What counts as declared
//!
//! - **Explicit**: a noun that names the answer, joined to a letter by a colon, a verb or a heading ("Answer: B",
//!   "the correct option is therefore (B)", "### Answer", and equivalents in some thirty languages); `\boxed{B}`,
//!   `<answer>B</answer>`; "B is correct", "Option B is the best answer". If there are several, the last one counts.
//! - Otherwise **chosen**: "I'd go with B", "so B", "it is B". The last one counts.
//! - Otherwise **shown**: a letter or an option's text at the start of the reply, in a bold line, or alone on a line.
//!   The first one counts. A list of the options does not count.
//! - A line "Question: …" starts another question. If the text before it declares anything, only that text is read.
//!   Text in `<think>` tags is ignored.
//! - Formatting is removed first: markdown, LaTeX fonts and boxes, HTML, quotes and brackets, invisible characters,
//!   and other forms of a letter (full-width, mathematical, circled). Letters of other alphabets are not read as Latin
//!   ones.
//! - What follows a letter decides whether it is an answer: the end of the sentence, punctuation of its own, or
//!   "because" do. A letter is not an answer in a word or formula (`H_2O`, `B/2`, "B cells", "C-14", "A = 3", "F(x)")
//!   or in a name ("E. coli", "J. S. Bach").
//! - The options' texts are used too. A declared text that equals exactly one option is read as that option, whatever
//!   letter the text begins with. A letter followed by its own option's text is read as that letter. Texts are
//!   compared without spaces, formatting and final punctuation, and without case unless case tells two options apart.
//!   A text that still equals several options is not an answer.
//! - Several answers at once ("A and B", "AB"; "A is correct and B is correct"; `\boxed{A}\boxed{B}`; a letter with
//!   another option's text) do not count as an answer.
//! - A lower-case letter counts only if it stands alone or directly follows the words that declare it. A letter beyond
//!   the last option is not an answer.
//! - A statement that is denied, asked or hypothetical declares nothing. "Not A but B" declares B. "If the answer is A"
//!   and "if it were hot, the answer would be A" declare nothing. "If I had to guess, I would say A" is a choice.
//! - A letter that the reply corrects at once is replaced: "A, no wait, C" declares C, "A? No." declares nothing.
//! - If a reply goes through the options, marks one as right and others as wrong, by ticks and crosses or in words, the
//!   one marked as right is shown.
//!
//! If a reply declares another letter besides the one that counts, [`Reading::contradicts`] holds it. If it declares
//! several at once, that field holds the first of them.
mod declared;
mod fold;
mod letter;
mod named;
mod patterns;
mod right;
mod scan;
mod shown;
mod text;
mod value;
mod words;

use crate::{Category, Dataset, Error, Grade, Item, Result};
pub use declared::{Reading, declared, reading};
pub use patterns::{lenient, official};
use std::collections::BTreeMap;

/// A dataset in memory. Plugins that read files of questions fill it. Replies to items with choices are graded by the
/// letter that they declare; replies to others are not graded.
pub struct Bank {
    /// Categories, sorted by name.
    pub categories: Vec<Category>,
    /// Items by category name. Their order is part of the dataset: draws depend on it.
    pub items: BTreeMap<String, Vec<Item>>,
    fingerprint: String,
}

impl Bank {
    /// Makes a bank. `fingerprint` identifies the data that the items came from; the run's lock stores it.
    pub fn new(items: BTreeMap<String, Vec<Item>>, fingerprint: String) -> Self {
        let categories = items.iter().map(|(n, all)| Category { name: n.clone(), items: all.len() }).collect();
        Self { categories, items, fingerprint }
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
        Ok(prompt(item))
    }
    fn grade(&self, item: &Item, reply: &str) -> Result<Grade> {
        Ok(if item.choices.is_empty() { Grade::default() } else { grade(item, reply) })
    }
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// The user message for an item. With choices: its text, a blank line, one line per choice (`A. …`), a blank line, and
/// an instruction that names the letters of this item's choices. Without: its text.
pub fn prompt(item: &Item) -> String {
    if item.choices.is_empty() {
        return item.text.clone();
    }
    let mut out = format!("{}\n\n", item.text);
    for (i, choice) in item.choices.iter().enumerate() {
        out.push_str(&format!("{}. {choice}\n", Item::letter(i)));
    }
    let last = Item::letter(item.choices.len() - 1);
    out.push_str(&format!("\nPlease provide your answer as a single letter (A-{last})."));
    out
}

/// Grades a reply by the declared answer. [`Grade::others`] holds the answers of the parsers `declared`, `lenient` and
/// `official`, and `contradicts` ([`Reading::contradicts`]). The score is `None` if no choice of the item is right.
pub fn grade(item: &Item, reply: &str) -> Grade {
    let Reading { declared, contradicts } = reading(reply, &item.choices);
    let lenient = declared.or_else(|| patterns::alone(reply, item.choices.len()));
    let others =
        [("declared", declared), ("lenient", lenient), ("official", official(reply)), ("contradicts", contradicts)];
    Grade {
        score: item.target_letter().map(|right| f64::from(u8::from(declared == Some(right)))),
        answer: declared.map(String::from),
        others: others.into_iter().map(|(k, v)| (k.to_string(), v.map(String::from))).collect(),
        metrics: BTreeMap::new(),
    }
}
