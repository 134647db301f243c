//! The chain of thought as lm-evaluation-harness's task mmlu_pro asks for it (version 3.1 of the task).
//!
//! ```text
//! The following are multiple choice questions (with answers) about law. Think step by step and then finish your answer with "the answer is (X)" where X is the correct letter choice.
//! Question:
//! …
//! Options:
//! A. …
//! B. …
//! Answer: Let's think step by step. … The answer is (B).
//!
//! Question:
//! …
//! Answer: Let's think step by step.
//! ```
//!
//! The worked examples are messages of user and assistant; the description opens the first message of the user. With
//! `model.chat_template = "none"` the prompt has the task's bytes. The task itself, with a chat template, gives the
//! description as a system prompt.
use crate::read::Question;
use friction_core::{ChatMessage, Item};

/// What stands before the first question.
pub(crate) const DESCRIPTION: &str = "The following are multiple choice questions (with answers) about {topic}. Think step by step and then finish your answer with \"the answer is (X)\" where X is the correct letter choice.";

/// The words that open every answer.
const OPENING: &str = "Let's think step by step.";

/// The description of a subject, with its line end; empty for an empty one.
pub(crate) fn description(text: &str, subject: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{}\n", text.replace("{topic}", subject)) }
}

/// A question with its options. `raw` is its text as it stands in the file: the task keeps the white space around it.
pub(crate) fn question(raw: &str, item: &Item) -> String {
    let options = item.choices.iter().enumerate().map(|(i, c)| format!("{}. {c}\n", Item::letter(i)));
    format!("Question:\n{raw}\nOptions:\n{}Answer: {OPENING}", options.collect::<String>())
}

/// The messages of a worked example. The reply begins with the space that parts it from the question.
pub(crate) fn example(q: &Question) -> [ChatMessage; 2] {
    let worked = q.worked.replace(&format!("A: {OPENING} "), "");
    [ChatMessage::user(question(&q.raw, &q.item)), ChatMessage::assistant(format!(" {worked}"))]
}
