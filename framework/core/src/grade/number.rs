//! `kind = "number"`: a number, compared within a tolerance.
use super::phrase::Phrases;
use super::scan::{Found, Signs};
use super::section::{GradeSection, Take};
use super::{accepted, scored};
use crate::{Grade, Item};

/// Phrases behind which a number stands, if the table names none.
const AFTER: [&str; 4] = ["answer is", "answer:", "####", "\\boxed"];

/// Compares numbers.
#[derive(Debug, Clone)]
pub(super) struct Number {
    after: Phrases,
    undeclared: bool,
    take: Take,
    signs: Signs,
    tolerance: f64,
    relative: f64,
}

impl Number {
    pub fn new(s: &GradeSection) -> Self {
        let decimal = s.decimal.unwrap_or('.');
        let thousands = s.thousands.as_deref().unwrap_or(if decimal == ',' { "." } else { "," });
        Self {
            after: s.after.as_ref().map_or_else(|| Phrases::new(&AFTER), |after| Phrases::new(after)),
            undeclared: s.undeclared.unwrap_or(true),
            take: s.take.unwrap_or(Take::Last),
            signs: Signs { thousands: thousands.chars().collect(), decimal },
            tolerance: s.tolerance.unwrap_or(0.0),
            relative: s.relative.unwrap_or(0.0),
        }
    }

    /// The number behind the last phrase that has one on its line.
    fn declared(&self, reply: &str) -> Option<Found> {
        let first = |text: &str| self.signs.numbers(text).into_iter().next();
        self.after.behind(reply).into_iter().find_map(first)
    }

    /// The numbers that are right. Of a target text its first number.
    fn targets(&self, item: &Item) -> Vec<Found> {
        accepted(item).iter().filter_map(|t| self.signs.numbers(t).into_iter().next()).collect()
    }

    /// Why an item cannot be graded: its targets hold no number. An item without a target has a number all the same.
    pub fn fault(&self, item: &Item) -> Option<String> {
        let targets = accepted(item);
        let none = !targets.is_empty() && self.targets(item).is_empty();
        none.then(|| format!("has no number in its target {:?}", targets[0]))
    }

    fn right(&self, x: &Found, target: &Found) -> bool {
        let allowed = self.tolerance.max(self.relative * target.value.abs());
        if x.exact && target.exact && allowed == 0.0 {
            // Digits beyond the precision of f64 count.
            return x.text == target.text;
        }
        // 3.15 lies within 0.05 of 3.1, although their difference is a little more in f64.
        let rounding = 4.0 * f64::EPSILON * x.value.abs().max(target.value.abs());
        (x.value - target.value).abs() <= allowed + rounding
    }

    /// The metrics are `number`, the number that was read, and `error`, its distance from the nearest target, with a
    /// sign. The others are `declared` and `last`.
    pub fn grade(&self, item: &Item, reply: &str) -> Grade {
        let all = self.signs.numbers(reply);
        let declared = self.declared(reply);
        let taken = match self.take {
            Take::First => all.first(),
            Take::Last => all.last(),
        };
        let answer = declared.clone().or_else(|| taken.filter(|_| self.undeclared).cloned());
        let targets = self.targets(item);
        let right = answer.as_ref().is_some_and(|x| targets.iter().any(|t| self.right(x, t)));
        let mut grade = scored(answer.as_ref().map(|x| x.text.as_str()), (!targets.is_empty()).then_some(right));
        let text = |f: Option<&Found>| f.map(|f| f.text.clone());
        grade.others.insert("declared".into(), text(declared.as_ref()));
        grade.others.insert("last".into(), text(all.last()));
        if let Some(x) = answer {
            let errors = targets.iter().map(|t| x.value - t.value).filter(|e| e.is_finite());
            if let Some(error) = errors.min_by(|a, b| a.abs().total_cmp(&b.abs())) {
                grade.metrics.insert("error".into(), error);
            }
            grade.metrics.insert("number".into(), x.value);
        }
        grade
    }
}
