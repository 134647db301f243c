//! Multiple-choice questions: how a prompt is written, and how an answer letter is read out of a reply.
//!
//! Five parsers read a reply. *Declared* is the primary one: it finds the answer that the reply states as its answer
//! ([`reading`]). *Lenient* falls back to the first stand-alone letter. *Official* is MMLU-Pro's own chain of regular
//! expressions (TIGER-AI-Lab/MMLU-Pro, `evaluate_from_local.py`). It ends in the last stand-alone letter and therefore
//! misreads replies that discuss the options one by one. *lm-eval* is the one pattern of lm-evaluation-harness's task
//! mmlu_pro, and *original* the parser of the original friction study ([`original()`]); these two are read where a manifest
//! or dataset asks for it.
//!
//! # What counts as declared
//!
//! - **Explicit**: a noun that names the answer, joined to a letter by a colon, a verb or a heading ("Answer: B",
//!   "the correct option is therefore (B)", "### Answer", and equivalents in some thirty languages); `\boxed{B}`,
//!   `<answer>B</answer>`; "B is correct", "Option B is the best answer"; "the best force here is option B". If there are
//!   several, the last one counts.
//! - Otherwise **chosen**: "I'd go with B", "so B", "it is B". The last one counts.
//! - Otherwise **shown**: a letter or an option's text at the start of the reply, in a bold line, or alone on a line.
//!   The first one counts. A list of the options in order from A does not count, nor does its last letter where the list
//!   is cut off.
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
//! - "A" and "I" are words too. At the beginning of a sentence, or in lower case, they are no letters where the sentence
//!   goes on with them: "A car", "a rather weak force", "A (normal) force", "I then looked".
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
mod article;
mod bank;
mod declared;
mod fold;
mod letter;
mod listed;
mod named;
mod naming;
mod original;
mod patterns;
mod prompt;
mod reader;
mod right;
mod scan;
mod shown;
mod text;
mod value;
mod words;

use crate::{Grade, Item};
pub use bank::Bank;
pub use declared::{Reading, declared, reading};
pub use naming::{Naming, naming};
pub use original::original;
pub use patterns::{lenient, lm_eval, official};
pub use prompt::{check_instruction, prompt, prompt_with};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// A parser of choice letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChoiceParser {
    /// The letter that a person would say the reply gives as its answer.
    #[default]
    Declared,
    /// The declared letter, or else the first capital that stands alone.
    Lenient,
    /// MMLU-Pro's own chain of patterns (evaluate_from_local.py), which ends in the last capital that stands alone.
    Official,
    /// The pattern of lm-evaluation-harness's task mmlu_pro: the first `answer is X` or `answer is (X)`.
    LmEval,
    /// The parser of the original friction study. In the reply in upper case: the first `ANSWER IS X`, else `ANSWER: X`,
    /// else `X.` or `X ` at the beginning, else the first letter from A to J that stands alone. It reads G in "the answer
    /// is Gold". Take it to compare with that study.
    Original,
}

/// As [`grade`], with the answer and score of another parser. [`Grade::others`] then has the keys `lm-eval` and `original`
/// too.
pub fn grade_by(item: &Item, reply: &str, parser: ChoiceParser) -> Grade {
    let mut out = grade(item, reply);
    out.others.insert("lm-eval".into(), lm_eval(reply).map(String::from));
    out.others.insert("original".into(), original(reply).map(String::from));
    let name = match parser {
        ChoiceParser::Declared => "declared",
        ChoiceParser::Lenient => "lenient",
        ChoiceParser::Official => "official",
        ChoiceParser::LmEval => "lm-eval",
        ChoiceParser::Original => "original",
    };
    let answer = out.others.get(name).cloned().flatten();
    let right = item.target_letter().map(String::from);
    out.score = right.map(|right| f64::from(u8::from(answer.as_ref() == Some(&right))));
    out.answer = answer;
    out
}
