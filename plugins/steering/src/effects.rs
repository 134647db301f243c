//! Compares each arm with the untouched control, question by question.
use friction_core::TurnRow;
use friction_stats::{Interval, mean_t};
use std::collections::BTreeMap;

/// Levels of factors that a turn must have.
pub type Where = BTreeMap<String, String>;

/// A turn, by group, condition and number, without its arm.
type Item<'a> = (u32, &'a str, u32);

/// The turns of an arm from turn `first` on that have these levels.
pub fn items<'a>(turns: &'a [TurnRow], arm: &str, first: u32, levels: &Where) -> BTreeMap<Item<'a>, &'a TurnRow> {
    turns
        .iter()
        .filter(|t| t.arm == arm && t.turn >= first && t.has(levels))
        .map(|t| ((t.group, t.condition.as_str(), t.turn), t))
        .collect()
}

/// How an arm changed the answers, compared with the control's answers to the same questions.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Change of accuracy in percentage points, with its interval over groups (Student's t).
    pub points: Interval,
    /// Change of each group in percentage points.
    pub groups: BTreeMap<u32, f64>,
    /// Number of answers that became right.
    pub mended: usize,
    /// Number of answers that became wrong.
    pub broken: usize,
    /// Share of replies whose text differs, 0 to 1.
    pub changed: f64,
}

/// Compares two arms on the turns that both have; `None` with fewer than two groups.
pub fn effect(arm: &BTreeMap<Item, &TurnRow>, control: &BTreeMap<Item, &TurnRow>, level: f64) -> Option<Effect> {
    let mut by: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    let (mut mended, mut broken, mut changed, mut items) = (0, 0, 0, 0);
    for (place, a) in arm {
        let Some(c) = control.get(place) else { continue };
        let d = i32::from(a.right() == Some(true)) - i32::from(c.right() == Some(true));
        mended += usize::from(d > 0);
        broken += usize::from(d < 0);
        changed += usize::from(a.reply != c.reply);
        items += 1;
        let sum = by.entry(place.0).or_default();
        *sum = (sum.0 + f64::from(d), sum.1 + 1.0);
    }
    let groups: BTreeMap<u32, f64> = by.into_iter().map(|(g, (d, n))| (g, 100.0 * d / n)).collect();
    let points = mean_t(&groups.values().copied().collect::<Vec<_>>(), level).ok()?;
    Some(Effect { points, groups, mended, broken, changed: changed as f64 / f64::from(items.max(1)) })
}

/// Properties of an arm's replies, for side effects of steering.
#[derive(Debug, Clone, Copy)]
pub struct Replies {
    /// Share of right answers, 0 to 1.
    pub accuracy: f64,
    /// Share of replies whose answer could be read, 0 to 1.
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

/// The properties over all turns of an arm.
pub fn replies(rows: &BTreeMap<Item, &TurnRow>) -> Replies {
    let n = rows.len().max(1) as f64;
    let mean = |f: &dyn Fn(&TurnRow) -> f64| rows.values().map(|t| f(t)).sum::<f64>() / n;
    Replies {
        accuracy: mean(&|t| f64::from(t.right() == Some(true))),
        parsed: mean(&|t| f64::from(t.answer.is_some())),
        tokens: mean(&|t| f64::from(t.reply_tokens)),
        cut: mean(&|t| f64::from(t.finish_reason == "length")),
        repetition: mean(&|t| repetition(&t.reply)),
        perplexity: perplexity(rows.values().flat_map(|t| &t.neutral_logprobs)),
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
        let e = effect(&items(&turns, "x", 2, &none), &items(&turns, "", 2, &none), 0.95).unwrap();
        assert_eq!((e.mended, e.broken, e.changed), (3, 1, 1.0));
        assert_eq!(effect(&items(&turns, "", 2, &none), &items(&turns, "", 2, &none), 0.95).unwrap().changed, 0.0);
        assert_eq!(e.groups.values().copied().collect::<Vec<_>>(), [0.0, 100.0]);
        assert_eq!(e.points.estimate, 50.0);
        assert!(effect(&items(&turns, "x", 9, &none), &items(&turns, "", 9, &none), 0.95).is_none());
    }

    #[test]
    fn repeated_triples_count() {
        assert_eq!(repetition("a b c d"), 0.0);
        assert_eq!(repetition("a a a a"), 0.5);
        assert_eq!(repetition("a"), 0.0);
    }
}
