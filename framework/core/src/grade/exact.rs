//! `kind = "exact"`: the reply, or what follows a phrase, is a target text.
use super::equal::Equal;
use super::phrase::{Phrases, plain};
use super::section::GradeSection;
use super::{accepted, scored};
use crate::{Grade, Item};

/// Compares texts.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    equal: Equal,
    after: Phrases,
}

impl Exact {
    pub fn new(s: &GradeSection) -> Self {
        Self { equal: Equal::new(s), after: Phrases::new(s.after.as_deref().unwrap_or_default()) }
    }

    /// The texts that may be the answer, the likeliest first. Behind a phrase: its line, or the first sentence of it.
    fn candidates<'a>(&self, reply: &'a str) -> Vec<&'a str> {
        if self.after.is_empty() {
            return if reply.trim().is_empty() { vec![] } else { vec![reply] };
        }
        let Some(line) = self.after.behind(reply).first().copied() else { return vec![] };
        let end = [". ", "! ", "? "].iter().filter_map(|s| line.find(s)).min().unwrap_or(line.len());
        vec![plain(line), plain(&line[..end])]
    }

    /// The metric `f1` is the share of words that answer and target have in common, of the nearest target.
    pub fn grade(&self, item: &Item, reply: &str) -> Grade {
        let targets = accepted(item);
        let candidates = self.candidates(reply);
        let is = |c: &&&str| targets.iter().any(|t| self.equal.form(t) == self.equal.form(c));
        let equal = candidates.iter().find(is);
        let answer = equal.or(candidates.first()).copied();
        let mut grade = scored(answer.map(str::trim), (!targets.is_empty()).then_some(equal.is_some()));
        if !targets.is_empty() {
            let f1 = |a: &str| targets.iter().map(|t| self.equal.f1(a, t)).fold(0.0, f64::max);
            grade.metrics.insert("f1".into(), answer.map_or(0.0, f1));
        }
        grade
    }
}
