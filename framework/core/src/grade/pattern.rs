//! `kind = "regex"`: what a regular expression captures.
use super::equal::Equal;
use super::section::{GradeSection, Group, Take};
use super::{accepted, scored};
use crate::{Error, Grade, Item, Result};
use regex::{Captures, Regex};

/// Looks for a pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    group: Group,
    take: Take,
    compare: Option<bool>,
    equal: Equal,
}

impl Pattern {
    pub fn new(s: &GradeSection) -> Result<Self> {
        let pattern = s.pattern.as_deref().ok_or_else(|| Error::at("pattern", "`pattern` is missing"))?;
        let regex = Regex::new(pattern).map_err(|e| Error::at("pattern", e.to_string()))?;
        let group = s.group.clone().unwrap_or(Group::Number(usize::from(regex.captures_len() > 1)));
        Ok(Self { regex, group, take: s.take.unwrap_or(Take::First), compare: s.compare, equal: Equal::new(s) })
    }

    /// Whether an item without a target cannot be graded.
    pub fn wants_target(&self) -> bool {
        self.compare == Some(true)
    }

    fn captured<'a>(&self, found: &Captures<'a>) -> Option<&'a str> {
        match &self.group {
            Group::Number(n) => found.get(*n),
            Group::Name(name) => found.name(name),
        }
        .map(|m| m.as_str())
    }

    /// The metric `matches` is the number of matches.
    pub fn grade(&self, item: &Item, reply: &str) -> Grade {
        let all: Vec<Captures> = self.regex.captures_iter(reply).collect();
        // A match in which the group takes no part has no answer.
        let mut texts = all.iter().filter_map(|c| self.captured(c));
        let answer = match self.take {
            Take::First => texts.next(),
            Take::Last => texts.next_back(),
        };
        let targets = accepted(item);
        let right = match self.compare.unwrap_or(!targets.is_empty()) {
            true if targets.is_empty() => None,
            true => Some(answer.is_some_and(|a| targets.iter().any(|t| self.equal.form(t) == self.equal.form(a)))),
            false => Some(!all.is_empty()),
        };
        let mut grade = scored(answer, right);
        grade.metrics.insert("matches".into(), all.len() as f64);
        grade
    }
}
