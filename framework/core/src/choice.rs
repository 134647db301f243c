//! Multiple choice: how a question is written, and how a letter is read out of a reply.
//!
//! Three readings stand side by side. *Declared* is the primary one: an answer that the reply
//! declares as such ([`reading`]). *Lenient* falls back to the first stand-alone letter. *Official* is
//! MMLU-Pro's own chain of patterns (TIGER-AI-Lab/MMLU-Pro, `evaluate_from_local.py`), which ends in the last
//! stand-alone letter and therefore misreads replies that walk through the options.
//!
//! # What counts as declared
//!
//! - **Explicit**: a noun that names the answer, joined to a letter by a colon, a verb or a heading ("Answer: B",
//!   "the correct option is therefore (B)", "### Answer", and the like in some thirty languages); `\boxed{B}`,
//!   `<answer>B</answer>`; "B is correct", "Option B is the best answer". The last one counts.
//! - Else **chosen**: "I'd go with B", "so B", "it is B". The last one counts.
//! - Else **shown**: a letter or an option's text that the reply begins with, a bold line, a line alone. The first
//!   one counts. A list of options is none of these.
//! - A line "Question: …" begins another question: what stands before it is the reply, once it declares anything.
//!   Text in `<think>` is no reply.
//! - Dress is taken off first: markdown, LaTeX fonts and frames, HTML, quotes and brackets, invisible characters,
//!   other forms of a letter (full-width, mathematical, circled). Letters of other alphabets are no letters.
//! - A letter is an answer by what follows it: the end of the sentence, a mark of its own, "because". It is none in a
//!   word or formula (`H_2O`, `B/2`, "B cells", "C-14", "A = 3", "F(x)") nor in a name ("E. coli", "J. S. Bach").
//! - The option's text is evidence. A declared text that equals exactly one option reads as that option, whatever
//!   letter it begins with; a letter before its own option's text is that letter. Texts are compared without case,
//!   spaces, dress and the stop at their end; options that differ in nothing else name none.
//! - Several answers at once ("A and B", "AB"; "A is correct and B is correct"; `\boxed{A}\boxed{B}`; a letter with
//!   another option's text) are no answer.
//! - Lower case counts alone or right behind what declares. A letter beyond the options is no answer.
//! - What is denied, asked or supposed is not declared ("not A but B" declares B; "if the answer is A" and
//!   "if it were hot, the answer would be A" nothing; "if I had to guess, I would say A" is a choice).
//! - A letter that is taken back in the same breath gives way: "A, no wait, C" declares C, "A? No." nothing.
//! - A walk through the options shows the one that it marks as right, by a tick or the word, if it marks others as
//!   wrong.
//!
//! Where a reply declares another letter beside the one that counts, the grade `contradicts` holds it; where it
//! declares several at once, the first of them.
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

use crate::{Category, Dataset, Grade, Question, Result};
pub use declared::{Reading, declared, reading};
pub use patterns::{lenient, official};
use std::collections::BTreeMap;

/// Questions by category: the dataset that file readers fill.
pub struct Bank {
    /// The subjects, in order of name.
    pub categories: Vec<Category>,
    /// The questions of each.
    pub questions: BTreeMap<String, Vec<Question>>,
    fingerprint: String,
}

impl Bank {
    /// A bank of `questions`; `fingerprint` identifies the data they came from.
    pub fn new(questions: BTreeMap<String, Vec<Question>>, fingerprint: String) -> Self {
        let categories = questions.iter().map(|(n, q)| Category { name: n.clone(), questions: q.len() }).collect();
        Self { categories, questions, fingerprint }
    }
}

impl Dataset for Bank {
    fn categories(&self) -> &[Category] {
        &self.categories
    }
    fn questions(&self, c: &Category) -> &[Question] {
        self.questions.get(&c.name).map_or(&[], Vec::as_slice)
    }
    fn prompt(&self, q: &Question) -> Result<String> {
        Ok(prompt(q))
    }
    fn grade(&self, q: &Question, reply: &str) -> Result<Grade> {
        Ok(grade(q, reply))
    }
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// Question, blank line, lettered options, blank line, the instruction with the real letters.
pub fn prompt(q: &Question) -> String {
    let mut out = format!("{}\n\n", q.text);
    for (i, option) in q.options.iter().enumerate() {
        out.push_str(&format!("{}. {option}\n", Question::letter(i)));
    }
    let last = Question::letter(q.options.len().saturating_sub(1));
    out.push_str(&format!("\nPlease provide your answer as a single letter (A-{last})."));
    out
}

/// All readings of a reply. `contradicts` stands among the others: [`Reading::contradicts`].
pub fn grade(q: &Question, reply: &str) -> Grade {
    let Reading { declared, contradicts } = reading(reply, &q.options);
    let lenient = declared.or_else(|| patterns::alone(reply, q.options.len()));
    let others =
        [("declared", declared), ("lenient", lenient), ("official", official(reply)), ("contradicts", contradicts)];
    Grade {
        parsed: declared,
        correct: declared == Some(q.answer_letter()),
        others: others.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
    }
}
