//! Graders of replies that a manifest chooses by its table `[grade]`, for items of any dataset.
//!
//! A [`Grader`] reads an answer out of a reply and compares it with what the item accepts: the texts of its target, or,
//! if the target names a choice, that choice's letter and text. An item without a target has an answer and no score.
mod contains;
mod equal;
mod exact;
mod number;
mod pattern;
mod phrase;
mod scan;
mod section;

pub use section::{GradeKind, GradeSection, Group, Need, Take};

use crate::choice::{self, ChoiceParser};
use crate::{Grade, Item, Result, Target};

/// Grades replies as a table `[grade]` says.
#[derive(Debug, Clone)]
pub struct Grader(Rule);

#[derive(Debug, Clone)]
enum Rule {
    Choice(ChoiceParser),
    Exact(exact::Exact),
    Number(number::Number),
    Contains(contains::Contains),
    Pattern(Box<pattern::Pattern>),
}

impl Grader {
    /// Makes a grader of a table that was checked.
    ///
    /// # Errors
    /// If a regular expression is wrong.
    pub fn new(section: &GradeSection) -> Result<Self> {
        Ok(Self(match section.kind {
            GradeKind::Choice => Rule::Choice(section.parser.unwrap_or_default()),
            GradeKind::Exact => Rule::Exact(exact::Exact::new(section)),
            GradeKind::Number => Rule::Number(number::Number::new(section)),
            GradeKind::Contains => Rule::Contains(contains::Contains::new(section)),
            GradeKind::Regex => Rule::Pattern(Box::new(pattern::Pattern::new(section)?)),
        }))
    }

    /// Grades a reply, without its thought block.
    pub fn grade(&self, item: &Item, reply: &str) -> Grade {
        match &self.0 {
            Rule::Choice(_) if item.choices.is_empty() => Grade::default(),
            Rule::Choice(parser) => choice::grade_by(item, reply, *parser),
            Rule::Exact(rule) => rule.grade(item, reply),
            Rule::Number(rule) => rule.grade(item, reply),
            Rule::Contains(rule) => rule.grade(item, reply),
            Rule::Pattern(rule) => rule.grade(item, reply),
        }
    }

    /// Names of the metrics that its grades may have.
    pub fn metrics(&self) -> &'static [&'static str] {
        match &self.0 {
            Rule::Choice(_) => &[],
            Rule::Exact(_) => &["f1"],
            Rule::Number(_) => &["number", "error"],
            Rule::Contains(_) => &["found"],
            Rule::Pattern(_) => &["matches"],
        }
    }

    /// Why replies to an item cannot be scored, in words that follow its id; `None` if they can, or if this grader
    /// measures something else of them.
    pub fn fault(&self, item: &Item) -> Option<String> {
        let no_target = || item.target.is_none().then(|| "has no target".to_string());
        match &self.0 {
            Rule::Choice(_) if item.choices.is_empty() => Some("has no choices".into()),
            Rule::Choice(_) if item.right().is_none() => Some("has no right choice".into()),
            Rule::Choice(_) => None,
            Rule::Exact(_) => no_target(),
            Rule::Number(rule) => rule.fault(item),
            Rule::Contains(rule) if rule.wants_target() => no_target(),
            Rule::Pattern(rule) if rule.wants_target() => no_target(),
            Rule::Contains(_) | Rule::Pattern(_) => None,
        }
    }
}

/// The texts that an item accepts. Of a choice its text, and its letter unless a choice reads as a letter itself.
fn accepted(item: &Item) -> Vec<String> {
    match &item.target {
        None => vec![],
        Some(Target::Text(texts)) => texts.clone(),
        Some(Target::Choice(i)) => {
            let lettered = |c: &String| c.trim().chars().count() == 1 && c.chars().all(char::is_alphabetic);
            let letter = (!item.choices.iter().any(lettered)).then(|| Item::letter(*i).to_string());
            item.choices.get(*i).cloned().into_iter().chain(letter).collect()
        }
    }
}

/// A grade that holds an answer and a score.
fn scored(answer: Option<&str>, right: Option<bool>) -> Grade {
    Grade { score: right.map(|r| f64::from(u8::from(r))), answer: answer.map(String::from), ..Grade::default() }
}

#[cfg(test)]
mod tests;
