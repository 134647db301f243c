//! The letter guard: whether a contrast is more than a preference for letters that the conditions change.
//!
//! Conditions that show the same choices in the same order share a constant preference for letters, and their difference
//! is free of it. A preference that a condition changes is not: a model that is drawn to `A` under interruption is wrong
//! wherever another letter is right. So each condition's preference is estimated on groups of discovery and divided out
//! of the letters' probabilities on the groups of confirmation, as Zheng et al. (2024) divide out a prior. What is left of
//! the contrast must have the sign and half of the size. Where the contrast does not differ from 0, there is nothing to lose.
use crate::beside::Beside;
use crate::contrast::{contrast, estimate};
use crate::guards::Guard;
use crate::letters::{Habits, MASS, chosen};
use crate::levels::About;
use crate::question::Question;
use crate::values::{Course, comparable, courses_of, reference};
use friction_core::findings::Body;
use friction_core::{Column, Findings, Outcome, Table, TurnRow, plural, split};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Where the method is published.
const CITATION: &str = "Zheng et al. 2024, ICLR, Large Language Models Are Not Robust Multiple Choice Selectors";
/// What a primary contrast is called that fails.
pub const BIAS: &str = "cannot be told: response bias";
/// Share of the contrast that the correction must leave.
const LEFT: f64 = 0.5;
/// Most passes of the fit, and the change below which it has converged (nats).
const PASSES: usize = 2000;
const CONVERGED: f64 = 1e-10;

/// A contrast and how it is read.
pub struct Guarded<'a> {
    /// The contrast, with the levels and the reference that it compares.
    pub question: &'a Question,
    /// The turns that are compared.
    pub turns: &'a [&'a TurnRow],
    /// The outcome and the seed.
    pub about: &'a About<'a>,
    /// Share of the groups of discovery.
    pub discovery: f64,
    /// Whether the last turns of conversations are compared, whichever they are.
    pub last: bool,
}

/// What the guard says.
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// The correction leaves the contrast its sign and half of its size.
    Holds,
    /// It does not; at which level, and what happens to the contrast.
    Fails(String),
    /// Why it has nothing to say.
    CannotBeTold(String),
}

/// What the guard says, and of what.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What it says.
    pub says: Says,
    /// The contrast before and after the correction, for each level beside the reference.
    pub left: Vec<Left>,
}

impl Judged {
    /// As a guard of the verdict. `None` if it has nothing to say.
    pub fn as_guard(&self) -> Option<Guard> {
        let (holds, why) = match &self.says {
            Says::Holds => (true, HOLDS),
            Says::Fails(why) => (false, why.as_str()),
            Says::CannotBeTold(_) => return None,
        };
        Some(Guard { name: "letters", told: format!("letters: {why} {DIVIDED}"), holds })
    }
}

/// Heading of the contrast that is guarded.
pub const SECTION: &str = "Primary contrast";

/// What holds, and when.
const HOLDS: &str = "the contrast keeps its sign and half of its size";
const DIVIDED: &str = "once each condition's preference for letters is divided out";

/// A level beside the reference: the contrast on the groups of confirmation, and what the correction leaves of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// What is compared, such as `interrupt - complete`.
    pub what: String,
    /// The contrast before the correction, in the outcome's unit.
    pub before: f64,
    /// The contrast after it.
    pub after: f64,
    /// Whether the contrast, on all groups, differs from 0, so that there is something to lose.
    pub differs: bool,
}

/// The preference of a condition for letters: the effect of each letter on its log-probability (nats), with mean 0 over
/// the letters that occur. Of each turn its own level is taken out, and what the right choice has more than others.
/// `None` if the turns do not tell the two apart: fewer than two letters are right in them.
pub fn prior(turns: &[&TurnRow]) -> Option<Vec<f64>> {
    let rows: Vec<(Vec<f64>, usize)> = turns.iter().filter_map(|t| slot(t)).collect();
    let rights: BTreeSet<usize> = rows.iter().map(|(_, r)| *r).collect();
    if rights.len() < 2 {
        return None;
    }
    let n = rows.iter().map(|(y, _)| y.len()).max().unwrap_or(0);
    let (mut letters, mut own) = (vec![0.0; n], 0.0);
    let offered: Vec<usize> = (0..n).map(|l| rows.iter().filter(|(y, _)| l < y.len()).count()).collect();
    // Least squares by turns: each effect is the mean of what the others leave.
    for _ in 0..PASSES {
        let (mut sums, mut right) = (vec![0.0; n], 0.0);
        for (y, r) in &rows {
            let left = |l: usize| y[l] - letters[l] - if l == *r { own } else { 0.0 };
            let level = (0..y.len()).map(left).sum::<f64>() / y.len() as f64;
            for (l, sum) in sums.iter_mut().enumerate().take(y.len()) {
                *sum += left(l) - level;
            }
            right += left(*r) - level;
        }
        let most = |m: f64, v: f64| m.max(v.abs());
        let steps: Vec<f64> = sums.iter().zip(&offered).map(|(s, k)| s / *k as f64).collect();
        // Both are moved at once, so by half.
        letters.iter_mut().zip(&steps).for_each(|(b, s)| *b += s / 2.0);
        let step = right / rows.len() as f64;
        own += step / 2.0;
        if steps.iter().copied().fold(step.abs(), most) < CONVERGED {
            break;
        }
    }
    let mean = letters.iter().sum::<f64>() / n as f64;
    Some(letters.into_iter().map(|b| b - mean).collect())
}

/// The log-probabilities of a turn's letters and the right one; `None` where they were not measured.
fn slot(t: &TurnRow) -> Option<(Vec<f64>, usize)> {
    let all: Vec<f64> = t.choice_logprobs.iter().map(|l| f64::from(*l)).collect();
    let whole = all.len() == t.choices as usize && all.len() > 1 && all.iter().all(|l| l.is_finite());
    Some((all, t.target_choice()?)).filter(|_| whole)
}

/// A turn as its answer slot has it, without a preference: the outcome `score` is whether the right letter is the likeliest.
fn without(t: &TurnRow, prior: &[f64]) -> Option<TurnRow> {
    let (all, right) = slot(t)?;
    let left: Vec<f64> = all.iter().enumerate().map(|(l, y)| y - prior.get(l).copied().unwrap_or(0.0)).collect();
    let best = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?.0;
    let score = Some(f64::from(u8::from(best == right)));
    Some(TurnRow { choice_logprobs: left.into_iter().map(|l| l as f32).collect(), score, ..t.clone() })
}

impl Guarded<'_> {
    /// Whether the outcome can follow from letters.
    fn applies(&self) -> bool {
        matches!(self.about.outcome, Outcome::Score | Outcome::LogOdds) && self.turns.iter().any(|t| t.choices > 1)
    }

    /// Computes the contrast before and after the correction. `None` if the outcome cannot follow from letters.
    pub fn judge(&self) -> Option<Judged> {
        let (says, left) = self.applies().then(|| self.judged())?;
        Some(Judged { says, left })
    }

    fn judged(&self) -> (Says, Vec<Left>) {
        let untold = |why: &str| (Says::CannotBeTold(why.into()), vec![]);
        let found = |t: &&&TurnRow| split::discovery(self.about.seed, t.group as usize, self.discovery);
        let measured: Vec<&TurnRow> = self.turns.iter().copied().filter(|t| slot(t).is_some()).collect();
        if measured.is_empty() {
            return untold("no turn has log-probabilities of its letters");
        }
        if *self.about.outcome == Outcome::Score {
            let low = Habits::of(&measured).into_iter().find(|h| h.mass.is_some_and(|m| m < MASS));
            if let Some(h) = low {
                let mass = 100.0 * h.mass.unwrap_or(0.0);
                return untold(&format!(
                    "at the answer slot of `{}` the letters have {mass:.0} % of the probability in the median turn, so they are not what is replied",
                    h.condition
                ));
            }
            let likeliest = |t: &&&TurnRow| chosen(t).is_some() && without(t, &[]).is_some_and(|s| same(&s, t));
            let read = measured.iter().filter(|t| chosen(t).is_some()).count();
            let agree = measured.iter().filter(likeliest).count();
            if 2 * agree < read {
                return untold(&format!(
                    "the likeliest letter at the answer slot is the one that is replied in {agree} of {} alone",
                    plural(read, "turn")
                ));
            }
        }
        let mut by: BTreeMap<&str, Vec<&TurnRow>> = BTreeMap::new();
        for t in measured.iter().filter(found) {
            by.entry(&t.condition).or_default().push(t);
        }
        let confirmed: Vec<&TurnRow> = measured.iter().filter(|t| !found(t)).copied().collect();
        let mut priors: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for condition in confirmed.iter().map(|t| t.condition.as_str()).collect::<BTreeSet<_>>() {
            let Some(prior) = by.get(condition).and_then(|turns| prior(turns)) else {
                return untold(&format!(
                    "the discovery groups of `{condition}` are too few, or the same letter is right in all of them"
                ));
            };
            priors.insert(condition, prior);
        }
        let rows = |correct: bool| -> Vec<TurnRow> {
            let prior =
                |t: &TurnRow| priors.get(t.condition.as_str()).filter(|_| correct).map_or(&[][..], Vec::as_slice);
            confirmed.iter().filter_map(|t| without(t, prior(t))).collect()
        };
        let of = |rows: &[TurnRow]| self.estimates(&rows.iter().collect::<Vec<_>>());
        let (before, after) = (of(&rows(false)), of(&rows(true)));
        let slots: Vec<TurnRow> = measured.iter().filter_map(|t| without(t, &[])).collect();
        let whole = self.differing(&slots.iter().collect::<Vec<_>>());
        let pair = |(what, before): (&String, &f64)| {
            let differs = whole.contains_key(what);
            Some(Left { what: what.clone(), before: *before, after: *after.get(what)?, differs })
        };
        let all: Vec<Left> = before.iter().filter_map(pair).collect();
        if all.is_empty() {
            return untold("the groups of confirmation are too few for the contrast");
        }
        if all.iter().all(|l| !l.differs) {
            let why = "at the answer slot the contrast does not differ from 0, so that there is nothing to lose";
            return (Says::CannotBeTold(why.into()), all);
        }
        let lost = all.iter().find_map(|l| Some((l, l.fails()?)));
        let says = lost.map_or(Says::Holds, |(l, why)| Says::Fails(format!("the contrast {} {why}", l.what)));
        (says, all)
    }

    /// Estimates of the contrast of each level with the reference, or of the trend.
    pub(crate) fn estimates(&self, refs: &[&TurnRow]) -> BTreeMap<String, f64> {
        self.estimates_by(refs, self.about.outcome.scale(), |t| t.outcome(self.about.outcome))
    }

    /// The same of any number of a turn, times `scale`.
    pub(crate) fn estimates_by(
        &self,
        refs: &[&TurnRow],
        scale: f64,
        value: impl Fn(&TurnRow) -> Option<f64>,
    ) -> BTreeMap<String, f64> {
        self.each(refs, value, |differences| estimate(differences, self.question.measure(), scale))
    }

    /// The estimates that differ from 0 at the level of the intervals.
    pub(crate) fn differing(&self, refs: &[&TurnRow]) -> BTreeMap<String, f64> {
        let About { outcome, level, seed, .. } = *self.about;
        self.each(
            refs,
            |t| t.outcome(outcome),
            |differences| {
                let tested = contrast(differences, self.question.measure(), outcome.scale(), level, seed);
                let flips = tested.contrast.ok()?.flips;
                (flips.p <= 1.0 - level).then_some(flips.estimate)
            },
        )
    }

    /// What `of` says of the differences between each level and the reference, or over the trend, by what is compared.
    fn each(
        &self,
        refs: &[&TurnRow],
        value: impl Fn(&TurnRow) -> Option<f64>,
        of: impl Fn(&[Course]) -> Option<f64>,
    ) -> BTreeMap<String, f64> {
        let question = self.question;
        let place = |t: &TurnRow| if self.last { 1 } else { t.turn };
        let all: Vec<Course> = question.of(&courses_of(refs, value, place).all);
        let (all, _) = comparable(&all, question.contrast.factors());
        let factors = question.contrast.factors().iter();
        let levels: Vec<Vec<String>> = factors.map(|f| question.levels_of(f, self.turns)).collect();
        let Some(first) = levels.first().and_then(|l| reference(l, question.reference.as_deref())) else {
            return BTreeMap::new();
        };
        let one = |(beside, _): (Beside, usize)| {
            let found = of(&beside.differences)?;
            Some((beside.what, found))
        };
        question.beside(&all, &levels, first).into_iter().filter_map(one).collect()
    }

    /// Writes what the guard found. If it fails, the primary contrast cannot be told.
    pub fn tell(&self, Judged { says, left: all }: &Judged, out: &mut Findings) {
        if !out.values.contains_key("primary") {
            return;
        }
        out.section("Letter guard");
        let unit = self.question.wording(self.about.outcome).unit();
        if !all.is_empty() {
            let number = |name: &str, f: &dyn Fn(&Left) -> f64| {
                Column::number(name, all.iter().map(f)).unit(unit.as_str()).digits(self.about.outcome.digits() + 1)
            };
            let caption = "The primary contrast at the answer slot of the groups of confirmation, before and after each condition's preference for letters is divided out";
            let table = Table::new("letter_guard", caption)
                .column(Column::text("contrast", all.iter().map(|l| l.what.as_str())))
                .column(number("before", &|l| l.before))
                .column(number("after", &|l| l.after));
            out.table(table).method(format!("preference: effect of the letter on its log-probability, by least squares beside a level of each turn and an effect of the right choice, for each condition on the {:.0} % of groups of discovery", 100.0 * self.discovery)).citation(CITATION);
        }
        let (word, why) = match says {
            Says::Holds => ("holds", None),
            Says::Fails(why) => ("fails", Some(why)),
            Says::CannotBeTold(why) => ("cannot be told", Some(why)),
        };
        match (says, why) {
            (Says::Fails(_), Some(why)) => out.warn(format!("{BIAS}: {why} {DIVIDED}")),
            (_, Some(why)) => out.say(format!("The letter guard {word}: {why}")),
            (_, None) => out.say(format!("The letter guard holds: {HOLDS} {DIVIDED}")),
        }
        let levels: Vec<_> =
            all.iter().map(|l| json!({"contrast": l.what, "before": l.before, "after": l.after})).collect();
        let guard = json!({"says": word, "why": why, "discovery": self.discovery, "levels": levels});
        if let Some(primary) = out.values.get_mut("primary") {
            primary["letter_guard"] = guard;
            if matches!(says, Says::Fails(_)) {
                primary["verdict"] = json!(BIAS);
            }
        }
        if matches!(says, Says::Fails(_)) {
            let primary = out.blocks.iter_mut().filter(|b| b.section.as_deref() == Some(SECTION));
            for block in primary {
                if let Body::Estimate(e) = &mut block.body {
                    e.says = Some(BIAS.into());
                }
            }
        }
        out.section("");
    }
}

impl Left {
    /// What the correction does to the contrast, if that is too much.
    fn fails(&self) -> Option<&'static str> {
        if !self.differs {
            return None;
        }
        if self.before * self.after < 0.0 {
            return Some("changes its sign");
        }
        (self.after.abs() < LEFT * self.before.abs()).then_some("loses more than half of its size")
    }
}

/// Whether the likeliest letter of a turn's slot is its answer.
fn same(slot: &TurnRow, t: &TurnRow) -> bool {
    let best = slot.choice_logprobs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(l, _)| l);
    best == chosen(t)
}

#[cfg(test)]
mod tests;
