//! The number of cut replies so far, told apart from the number of the turn.
//!
//! Where every reply of a condition is cut, the number of cuts is the number of the turn before, and nothing tells whether
//! cuts add up or turns do. Where a schedule draws which replies are cut, and a partner has exactly the others cut, two
//! conversations about the same items have different numbers of cuts at the same turn.
use crate::levels::About;
use crate::values::Factor;
use friction_core::{Estimate, Findings, TurnRow, plural};
use friction_stats::{cite, percent, ratio_flips, settled, settled_sum};
use serde_json::json;
use std::collections::BTreeMap;

/// A conversation: cut replies before each turn, and the outcome, where the turn has one.
type Talk = BTreeMap<u32, (u32, Option<f64>)>;
/// Conversations of a condition by group and sample.
type Talks = BTreeMap<(u32, u32), Talk>;

/// Conversations of each condition, in the manifest's order.
fn talks(turns: &[&TurnRow], about: &About) -> Vec<(String, Talks)> {
    let mut sorted = turns.to_vec();
    sorted.sort_by_key(|t| t.turn);
    let of = |name: String| {
        let mut talks = Talks::new();
        let mut so_far: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for t in sorted.iter().filter(|t| t.condition == name) {
            let key = (t.group, t.sample);
            let cuts = so_far.entry(key).or_default();
            talks.entry(key).or_default().insert(t.turn, (*cuts, t.outcome(about.outcome)));
            *cuts += u32::from(t.removed_tokens > 0);
        }
        (name, talks)
    };
    Factor::Condition.levels(turns).into_iter().map(of).collect()
}

/// Whether the replies of two conditions are cut by a schedule and its complement: no turn has both cut, and at the same
/// turn one of them has more cuts behind it in some groups and fewer in others. Of a condition whose replies are all cut
/// and one whose replies are whole, the first is never behind.
fn scheduled(a: &Talks, b: &Talks) -> bool {
    let cut = |talk: &Talk, turn: u32| Some(talk.get(&(turn + 1))?.0 > talk.get(&turn)?.0);
    let (mut more, mut fewer) = (false, false);
    for (key, a) in a {
        let Some(b) = b.get(key) else { continue };
        for (turn, (cuts, _)) in a {
            let Some((other, _)) = b.get(turn) else { continue };
            if cut(a, *turn) == Some(true) && cut(b, *turn) == Some(true) {
                return false;
            }
            (more, fewer) = (more || cuts > other, fewer || cuts < other);
        }
    }
    more && fewer
}

/// Writes what each cut so far does to the outcome at the same turn, for each pair of conditions with complementary
/// schedules. `turns` are all turns of the run.
///
/// The estimate is Σ c·y / Σ c², where c is the difference in the number of cuts before a turn between the two
/// conversations of a group, and y that of their outcomes: least squares with an effect of each group and turn, which is
/// an effect of each item.
pub fn tell(turns: &[&TurnRow], about: &About, out: &mut Findings) {
    let all = talks(turns, about);
    let mut values = vec![];
    for (i, (a, first)) in all.iter().enumerate() {
        for (b, second) in all.iter().skip(i + 1).filter(|(_, second)| scheduled(first, second)) {
            if values.is_empty() {
                out.section("Cuts so far");
                out.say("Replies are cut by a schedule and by its complement, so that the number of cuts and that of the turn can be told apart");
            }
            let mut groups: BTreeMap<u32, (Vec<f64>, f64)> = BTreeMap::new();
            for (key, one) in first {
                for (turn, (cuts, outcome)) in one {
                    let Some((others, other)) = second.get(key).and_then(|talk| talk.get(turn)) else { continue };
                    let (Some(y), Some(other)) = (outcome, other) else { continue };
                    let c = f64::from(*cuts) - f64::from(*others);
                    let differs = settled(y - other, y.abs() + other.abs()) * about.outcome.scale();
                    let sums = groups.entry(key.0).or_default();
                    sums.0.push(c * differs);
                    sums.1 += c * c;
                }
            }
            let (cross, square): (Vec<f64>, Vec<f64>) =
                groups.values().map(|(terms, square)| (settled_sum(terms.iter().copied()), *square)).unzip();
            let what = format!("each cut so far ({a}, {b})");
            let unit = format!("{}/cut", about.outcome.difference_unit());
            match ratio_flips(&cross, &square, about.level, about.seed) {
                Ok(f) => {
                    let e = Estimate::new(what, unit, f.estimate).interval(f.low, f.high, about.level);
                    out.add(e.over(f.n, "group").p(f.p).null(0.0).digits(about.outcome.digits() + 1))
                        .method(format!(
                            "least squares on the number of cut replies before the turn, with an effect of each group and turn; {} interval and p by sign flips with one sign per group",
                            percent(about.level)
                        ))
                        .citation(cite::SIGN_FLIPS)
                        .exploratory();
                    values.push(json!({"conditions": [a, b], "estimate": f.estimate, "low": f.low, "high": f.high, "p": f.p, "groups": f.n}));
                }
                Err(_) => out.warn(format!(
                    "what each cut does in `{a}` and `{b}` cannot be told: {} with the outcome",
                    plural(groups.len(), "group")
                )),
            }
        }
    }
    if !values.is_empty() {
        out.value("cuts_so_far", values);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::Outcome;

    const TURNS: u32 = 6;

    /// A conversation of a condition whose replies are cut behind the turns of `cut`. Each cut costs 0.1, and each turn
    /// 0.02.
    fn talk(group: u32, condition: &str, cut: impl Fn(u32) -> bool) -> Vec<TurnRow> {
        let mut cuts = 0;
        let turn = |turn: u32| {
            let score = 1.0 - 0.1 * f64::from(cuts) - 0.02 * f64::from(turn);
            cuts += u32::from(cut(turn));
            let removed_tokens = if cut(turn) { 9 } else { 0 };
            TurnRow {
                group,
                condition: condition.into(),
                turn,
                score: Some(score),
                removed_tokens,
                ..TurnRow::default()
            }
        };
        (1..=TURNS).map(turn).collect()
    }

    fn told(rows: &[TurnRow]) -> Findings {
        let about = About { outcome: &Outcome::Score, reference: None, level: 0.95, seed: 1, turns: "all turns" };
        let mut out = Findings::default();
        tell(&rows.iter().collect::<Vec<_>>(), &about, &mut out);
        out
    }

    #[test]
    fn cuts_are_told_apart_from_turns() {
        let drawn = |g: u32, t: u32| (g.wrapping_mul(2_654_435_761) >> (8 + t)) & 1 == 1;
        let study =
            |g| [talk(g, "half", |t| drawn(g, t)), talk(g, "other", |t| !drawn(g, t)), talk(g, "whole", |_| false)];
        let rows: Vec<TurnRow> = (1..=10).flat_map(study).flatten().collect();
        let out = told(&rows);
        let v = &out.values["cuts_so_far"];
        // The pairs with `whole` are no schedule: it never has more cuts.
        assert_eq!(v.as_array().unwrap().len(), 1, "{v}");
        let of = |key: &str| v[0][key].as_f64().unwrap();
        assert!((of("estimate") + 10.0).abs() < 1e-9 && (of("low") + 10.0).abs() < 1e-9 && of("p") < 0.01, "{v}");
        assert_eq!(out.estimates().next().unwrap().unit, "points/cut");
    }

    #[test]
    fn without_a_schedule_nothing_is_said() {
        let rows: Vec<TurnRow> =
            (1..=10).flat_map(|g| [talk(g, "cut", |_| true), talk(g, "whole", |_| false)]).flatten().collect();
        assert!(told(&rows).blocks.is_empty());
        // Replies too short to be cut: which ones are, follows from what the model said.
        let short = |g: u32| {
            [talk(g, "blunt", |t| !(g + t).is_multiple_of(3)), talk(g, "polite", |t| !(g + t).is_multiple_of(4))]
        };
        assert!(told(&(1..=10).flat_map(short).flatten().collect::<Vec<_>>()).blocks.is_empty());
    }
}
