//! Compares each arm with the untouched control, turn by turn.
use crate::arms::ArmName;
use friction_core::{Outcome, TurnRow};
use friction_stats::{Interval, mean_t, settled, settled_sum};
use std::collections::{BTreeMap, BTreeSet};

/// Levels of factors that a turn must have.
pub type Where = BTreeMap<String, String>;

/// A turn, by group, condition and number, without its arm.
type Place<'a> = (u32, &'a str, u32);

/// The replies of an arm at each turn: one for each sample.
pub type Items<'a> = BTreeMap<Place<'a>, Vec<&'a TurnRow>>;

/// The turns of an arm from turn `first` on that have these levels.
pub fn items<'a>(turns: &'a [TurnRow], arm: &str, first: u32, levels: &Where) -> Items<'a> {
    let mut out = Items::new();
    for t in turns.iter().filter(|t| t.arm == arm && t.turn >= first && t.has(levels)) {
        out.entry((t.group, t.condition.as_str(), t.turn)).or_default().push(t);
    }
    out
}

/// Mean of the outcome over a turn's samples; `None` if none has it.
fn value(samples: &[&TurnRow], outcome: &Outcome) -> Option<f64> {
    let values: Vec<f64> = samples.iter().filter_map(|t| t.outcome(outcome)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// How an arm changed the outcome, compared with the control's turns about the same items.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Change of the outcome as it is shown (shares in points), with its interval over groups (Student's t).
    pub change: Interval,
    /// Change of each group.
    pub groups: BTreeMap<u32, f64>,
    /// Number of turns in which the outcome rose: of the outcome `score`, answers that became right.
    pub rose: usize,
    /// Number of turns in which it fell: answers that became wrong.
    pub fell: usize,
    /// Share of replies whose text differs, 0 to 1.
    pub changed: f64,
}

/// Turns that an arm has and the control has not, or the reverse.
pub fn unshared(arm: &Items, control: &Items) -> usize {
    // The control holds the conditions of all arms, of which this one may have some.
    let conditions: BTreeSet<&str> = arm.keys().map(|place| place.1).collect();
    let other = control.keys().filter(|place| conditions.contains(place.1) && !arm.contains_key(*place)).count();
    other + arm.keys().filter(|place| !control.contains_key(*place)).count()
}

/// Compares two arms on the turns that both have with the outcome; `None` with fewer than two groups.
pub fn effect(arm: &Items, control: &Items, outcome: &Outcome, level: f64) -> Option<Effect> {
    let mut by: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    let (mut rose, mut fell, mut changed, mut replies) = (0, 0, 0, 0);
    for (place, a) in arm {
        let Some(c) = control.get(place) else { continue };
        for (x, y) in a.iter().filter_map(|x| Some((x, c.iter().find(|y| y.sample == x.sample)?))) {
            changed += usize::from(x.reply != y.reply);
            replies += 1;
        }
        let (Some(x), Some(y)) = (value(a, outcome), value(c, outcome)) else { continue };
        // Averages of equal samples may differ by rounding, which changes nothing.
        let d = settled(x - y, x.abs() + y.abs());
        rose += usize::from(d > 0.0);
        fell += usize::from(d < 0.0);
        by.entry(place.0).or_default().push(d);
    }
    let mean = |d: Vec<f64>| {
        let n = d.len() as f64;
        outcome.scale() * settled_sum(d) / n
    };
    let groups: BTreeMap<u32, f64> = by.into_iter().map(|(g, d)| (g, mean(d))).collect();
    let change = mean_t(&groups.values().copied().collect::<Vec<_>>(), level).ok()?;
    Some(Effect { change, groups, rose, fell, changed: changed as f64 / f64::from(replies.max(1)) })
}

/// Properties of an arm's replies, for side effects of steering.
#[derive(Debug, Clone, Copy)]
pub struct Replies {
    /// Mean of the outcome, as it is shown: shares in percent. NaN if no turn has it.
    pub mean: f64,
    /// Share of replies to items with a target whose answer could be read, 0 to 1; NaN if no item has a target.
    pub parsed: f64,
    /// Mean number of tokens.
    pub tokens: f64,
    /// Share of replies that were cut by `max_new_tokens`, 0 to 1.
    pub cut: f64,
    /// Repetition: mean share of word triples that occurred earlier in the same reply.
    pub repetition: f64,
    /// Perplexity of the neutral text (`neutral` of the hook); `None` without one.
    pub perplexity: Option<f64>,
}

/// One arm's results.
pub struct Arm {
    /// The direction and the dose.
    pub name: ArmName,
    /// The change of the outcome where the analyzer looks (`where`).
    pub effect: Effect,
    /// Properties of all its replies there.
    pub replies: Replies,
}

/// The properties over all turns of an arm.
pub fn replies(items: &Items, outcome: &Outcome) -> Replies {
    let rows = || items.values().flatten().copied();
    let n = rows().count().max(1) as f64;
    let mean = |f: &dyn Fn(&TurnRow) -> f64| rows().map(f).sum::<f64>() / n;
    let values: Vec<f64> = items.values().filter_map(|samples| value(samples, outcome)).collect();
    let asked = rows().filter(|t| t.target.is_some()).count() as f64;
    Replies {
        mean: outcome.scale() * values.iter().sum::<f64>() / values.len() as f64,
        parsed: rows().filter(|t| t.target.is_some() && t.answer.is_some()).count() as f64 / asked,
        tokens: mean(&|t| f64::from(t.reply_tokens)),
        cut: mean(&|t| f64::from(u8::from(t.finish_reason == "length"))),
        repetition: mean(&|t| repetition(&t.reply)),
        perplexity: perplexity(rows().flat_map(|t| &t.neutral_logprobs)),
    }
}

/// Perplexity, exp(−mean log-probability) of tokens; `None` without tokens.
fn perplexity<'a>(logprobs: impl Iterator<Item = &'a f32>) -> Option<f64> {
    let (sum, n) = logprobs.fold((0.0, 0u32), |(s, n), v| (s - f64::from(*v), n + 1));
    (n > 0).then(|| (sum / f64::from(n)).exp())
}

fn repetition(reply: &str) -> f64 {
    let words: Vec<&str> = reply.split_whitespace().collect();
    let triples: Vec<&[&str]> = words.windows(3).collect();
    let distinct: std::collections::BTreeSet<&&[&str]> = triples.iter().collect();
    if triples.is_empty() { 0.0 } else { 1.0 - distinct.len() as f64 / triples.len() as f64 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_are_paired_by_item() {
        let row = |arm: &str, group, turn, correct: bool| TurnRow {
            arm: arm.into(),
            reply: format!("said under {arm}"),
            group,
            turn,
            score: Some(f64::from(u8::from(correct))),
            ..TurnRow::default()
        };
        let turns = [
            row("", 0, 2, false),
            row("", 0, 3, true),
            row("", 1, 2, false),
            row("", 1, 3, false),
            row("x", 0, 2, true),
            row("x", 0, 3, false),
            row("x", 1, 2, true),
            row("x", 1, 3, true),
        ];
        let none = Where::new();
        let of = |arm: &str, first| {
            effect(&items(&turns, arm, first, &none), &items(&turns, "", first, &none), &Outcome::Score, 0.95)
        };
        let e = of("x", 2).unwrap();
        assert_eq!((e.rose, e.fell, e.changed), (3, 1, 1.0));
        assert_eq!(of("", 2).unwrap().changed, 0.0);
        assert_eq!(e.groups.values().copied().collect::<Vec<_>>(), [0.0, 100.0]);
        assert_eq!(e.change.estimate, 50.0);
        assert!(of("x", 9).is_none());
    }

    #[test]
    fn samples_are_averaged_within_a_turn_and_unshared_turns_counted() {
        let row = |arm: &str, group, turn, sample, p: f32| TurnRow {
            arm: arm.into(),
            group,
            turn,
            sample,
            choices: 2,
            target: Some("A".into()),
            choice_logprobs: vec![p.ln(), (1.0 - p).ln()],
            ..TurnRow::default()
        };
        let odds = |p: f64| (p / (1.0 - p)).ln();
        let mut rows = vec![];
        for g in 0..2u32 {
            for (sample, before, after) in [(0, 0.5, 0.9), (1, 0.2, 0.6)] {
                rows.extend([row("", g, 1, sample, before), row("x", g, 1, sample, after)]);
            }
        }
        // A turn that only the steered conversation has, and one whose letters have no log-probabilities.
        rows.push(row("x", 0, 2, 0, 0.5));
        let bare = |arm: &str| TurnRow { choice_logprobs: vec![], ..row(arm, 1, 3, 0, 0.5) };
        rows.extend([bare(""), bare("x")]);
        let none = Where::new();
        let (x, control) = (items(&rows, "x", 1, &none), items(&rows, "", 1, &none));
        let e = effect(&x, &control, &Outcome::LogOdds, 0.95).unwrap();
        let want = (odds(0.9) + odds(0.6) - odds(0.5) - odds(0.2)) / 2.0;
        assert!(e.groups.values().all(|v| (v - want).abs() < 1e-5), "{e:?} {want}");
        assert_eq!((e.rose, e.fell, unshared(&x, &control)), (2, 0, 1));
        let mean = replies(&control, &Outcome::LogOdds).mean;
        assert!((mean - (odds(0.5) + odds(0.2)) / 2.0).abs() < 1e-5, "{mean}");
        assert!(replies(&control, &Outcome::Score).mean.is_nan());
    }

    #[test]
    fn repeated_triples_count() {
        assert_eq!(repetition("a b c d"), 0.0);
        assert_eq!(repetition("a a a a"), 0.5);
        assert_eq!(repetition("a"), 0.0);
    }
}
