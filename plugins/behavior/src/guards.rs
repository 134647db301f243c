//! Guards of a verdict: what would make the contrast a matter of how replies are read, or of where they are cut off.
use crate::summary::Cell;
use friction_core::{Outcome, TurnRow, brief, plural};
use friction_stats::{signed, wilson};
use std::collections::BTreeMap;

/// Largest share of a condition's replies that may end at the limit of their length.
const CUT: f64 = 0.05;

/// A guard with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// What is guarded, in a word or two.
    pub name: &'static str,
    /// The value, in words.
    pub told: String,
    /// Whether the verdict may be trusted in this respect.
    pub holds: bool,
}

/// Whether the answer of a reply could not be read, though its item has a right one.
pub fn is_unread(t: &TurnRow) -> bool {
    t.target.is_some() && t.answer.is_none()
}

/// The score of a turn where answers that could not be read count as right.
pub fn lenient(t: &TurnRow) -> Option<f64> {
    if is_unread(t) && t.score.is_some() { Some(1.0) } else { t.outcome(&Outcome::Score) }
}

/// Whether replies end by themselves: the condition with the largest share of replies that met the limit. `None` if it is
/// not known how replies ended, as in imported runs.
pub fn ends(read: &[&TurnRow]) -> Option<Guard> {
    let mut by: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for t in read.iter().filter(|t| !t.finish_reason.is_empty()) {
        let (cut, all) = by.entry(&t.condition).or_default();
        *cut += usize::from(t.finish_reason == "length");
        *all += 1;
    }
    let share = |(cut, all): (usize, usize)| cut as f64 / all as f64;
    let (condition, most) = by.into_iter().max_by(|a, b| share(a.1).total_cmp(&share(b.1)))?;
    let told = format!(
        "at most {:.1} % of a condition's replies ended at the limit of their length (`{condition}`); {:.0} % are allowed",
        100.0 * share(most),
        100.0 * CUT
    );
    Some(Guard { name: "ends", told, holds: share(most) <= CUT })
}

/// Whether estimates keep their sign when all unread answers count as right: pairs of the estimate and that one. Where both
/// are below `smallest`, the smallest effect of interest, the sign is a coin's and says nothing. `None` if every answer
/// could be read.
pub fn sign(read: &[&TurnRow], estimates: &[(f64, f64)], smallest: f64, unit: &str, digits: usize) -> Option<Guard> {
    let unread = read.iter().filter(|t| is_unread(t)).count();
    if unread == 0 || estimates.is_empty() {
        return None;
    }
    let now: Vec<String> = estimates.iter().map(|(_, right)| signed(*right, digits)).collect();
    let told = format!(
        "with {} counted as right the estimate is {} {unit}, and its sign must stay where it is {} or more",
        plural(unread, "unread answer"),
        now.join(", "),
        brief(smallest)
    );
    let keeps = |(wrong, right): &(f64, f64)| wrong * right > 0.0 || wrong.abs().max(right.abs()) < smallest;
    Some(Guard { name: "unread", told, holds: estimates.iter().all(keeps) })
}

/// What the model reads in a first turn: the opening, the message and the prefill.
fn prompt(t: &TurnRow) -> [&str; 3] {
    [&t.opening, &t.user, &t.prefill]
}

/// Whether the first turn, which precedes any treatment, is the same in all conditions: of groups whose first prompts are
/// equal (the opening, the message and the prefill), those whose first replies are. `None` if the prompts differ in every
/// group, or no reply's text is known.
pub fn first(turns: &[&TurnRow]) -> Option<Guard> {
    let mut by: BTreeMap<(u32, u32), Vec<&TurnRow>> = BTreeMap::new();
    for t in turns.iter().filter(|t| t.turn == 1 && t.reply_text().is_some()) {
        by.entry((t.group, t.sample)).or_default().push(t);
    }
    let asked = by.values().filter(|all| all.len() > 1 && all.iter().all(|t| prompt(t) == prompt(all[0])));
    let (mut all, mut same) = (0, 0);
    for group in asked {
        all += 1;
        same += usize::from(group.iter().all(|t| t.reply == group[0].reply));
    }
    let of = plural(all, if by.keys().any(|(_, sample)| *sample > 0) { "sample" } else { "group" });
    let told = format!("first turn: replies to equal first prompts are equal in {same} of {of}");
    (all > 0).then_some(Guard { name: "first turn", told, holds: same == all })
}

/// Accuracy of a cell that leaves nothing to lose, and points above chance at which there is nothing left.
const CEILING: f64 = 0.95;
const ABOVE_CHANCE: f64 = 0.05;

/// Whether the accuracy of each condition at each turn lies between chance + 5 and 95 %, as far as its 95 % interval over
/// groups (Wilson) tells. `chance` is the share of right answers by guessing, 0 without choices. `None` without cells.
pub fn cells(cells: &[Cell], chance: f64) -> Option<Guard> {
    let (mut least, mut most, mut beyond) = (f64::INFINITY, f64::NEG_INFINITY, None);
    for c in cells {
        let Some(mean) = c.mean.as_ref().map(|i| i.estimate) else { continue };
        let i = wilson((mean * c.n as f64).round() as u64, c.n as u64, 0.95)?;
        (least, most) = (least.min(mean), most.max(mean));
        if i.low > CEILING || i.high < chance + ABOVE_CHANCE {
            beyond = beyond.or(Some(format!("`{}` at turn {} is surely beyond", c.condition, c.turn)));
        }
    }
    let bounds = [chance + ABOVE_CHANCE, CEILING].map(|b| format!("{:.0}", 100.0 * b));
    let told = format!(
        "cells: accuracy by condition and turn is {:.1} to {:.1} %, and none may surely lie beyond {} to {} %{}",
        100.0 * least,
        100.0 * most,
        bounds[0],
        bounds[1],
        beyond.as_ref().map_or(String::new(), |b| format!(": {b}"))
    );
    least.is_finite().then_some(Guard { name: "cells", told, holds: beyond.is_none() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::levels::About;
    use crate::summary;
    use crate::values::courses;

    fn row(condition: &str, answer: Option<&str>, finish: &str) -> TurnRow {
        TurnRow {
            condition: condition.into(),
            target: Some("A".into()),
            answer: answer.map(String::from),
            score: Some(0.0),
            finish_reason: finish.into(),
            ..TurnRow::default()
        }
    }

    #[test]
    fn the_worst_condition_decides_about_the_limit() {
        let mut rows: Vec<TurnRow> = (0..40).map(|_| row("a", Some("B"), "stop")).collect();
        rows.extend((0..20).map(|i| row("b", Some("B"), if i == 0 { "length" } else { "stop" })));
        let of = |rows: &[TurnRow]| ends(&rows.iter().collect::<Vec<_>>()).unwrap();
        assert!(
            of(&rows).holds && of(&rows).told.starts_with("at most 5.0 % of a condition's replies"),
            "{:?}",
            of(&rows)
        );
        rows.push(row("b", Some("B"), "length"));
        assert!(!of(&rows).holds && of(&rows).told.contains("9.5 %") && of(&rows).told.contains("`b`"));
        assert_eq!(ends(&[]), None);
        // An import does not say how replies ended.
        assert_eq!(ends(&[&row("a", Some("B"), "")]), None);
    }

    #[test]
    fn unread_answers_must_not_decide_the_sign() {
        let (read, unread) = (row("a", Some("B"), "stop"), row("a", None, "stop"));
        assert_eq!((lenient(&read), lenient(&unread)), (Some(0.0), Some(1.0)));
        assert_eq!(sign(&[&read], &[(-1.0, 1.0)], 0.3, "points", 1), None);
        let of = |estimates: &[(f64, f64)]| sign(&[&read, &unread], estimates, 0.3, "points", 1).unwrap();
        assert!(of(&[(-1.0, -0.2)]).holds && !of(&[(-1.0, 0.2)]).holds && !of(&[(-1.0, -0.5), (1.0, 0.0)]).holds);
        // Both too small to be of interest.
        assert!(of(&[(-0.2, 0.2)]).holds && !of(&[(-0.2, 0.4)]).holds);
        assert_eq!(
            of(&[(-1.0, 0.2)]).told,
            "with 1 unread answer counted as right the estimate is +0.2 points, and its sign must stay where it is 0.3 or more"
        );
    }

    #[test]
    fn the_first_turn_is_the_same_in_all_conditions() {
        let row = |group, condition: &str, user: &str, reply: &str| TurnRow {
            group,
            condition: condition.into(),
            turn: 1,
            user: user.into(),
            reply: reply.into(),
            ..TurnRow::default()
        };
        let of = |rows: &[TurnRow]| first(&rows.iter().collect::<Vec<_>>());
        let mut rows = vec![row(0, "a", "q", "x"), row(0, "b", "q", "x"), row(1, "a", "p", "y"), row(1, "b", "r", "z")];
        let same = of(&rows).unwrap();
        assert!(same.holds && same.told.ends_with("equal in 1 of 1 group"), "{same:?}");
        rows.push(row(0, "c", "q", "other"));
        assert!(!of(&rows).unwrap().holds);
        assert_eq!(of(&rows[2..4]), None);
        // Replies of which no text is known are not equal.
        assert_eq!(of(&[row(4, "a", "", ""), row(4, "b", "", "")]), None);
        // Another system prompt or another prefill is another prompt.
        let told = TurnRow { opening: "[system]".into(), ..row(4, "b", "q", "z") };
        let opened = TurnRow { prefill: "(".into(), ..row(4, "b", "q", "z") };
        assert_eq!([told, opened].map(|t| of(&[row(4, "a", "q", "x"), t])), [None, None]);
    }

    #[test]
    fn cells_at_the_ceiling_or_at_chance_leave_nothing_to_see() {
        // Wilson's interval of 100 of 100 begins at 96.3 %, that of 40 of 40 at 91.2 %; that of 5 of 100 ends at 11.2 %.
        let rows = |right: u32, of: u32| -> Vec<TurnRow> {
            let score = |g| Some(f64::from(u8::from(g < right)));
            (0..of).map(|g| TurnRow { group: g, choices: 10, score: score(g), ..row("a", Some("A"), "stop") }).collect()
        };
        let judged = |rows: &[TurnRow]| {
            let rows: Vec<&TurnRow> = rows.iter().collect();
            let about = About { outcome: &Outcome::Score, reference: None, level: 0.95, seed: 1, turns: "all turns" };
            let courses = courses(&rows, &Outcome::Score, |t| t.turn).all;
            let chance = summary::chance(&rows).map_or(0.0, |(share, _)| share);
            cells(&summary::cells(&rows, &courses, &about), chance)
        };
        let holds = |right, of| judged(&rows(right, of)).unwrap().holds;
        assert!(!holds(100, 100) && holds(40, 40) && holds(50, 100) && !holds(5, 100));
        let told = judged(&rows(100, 100)).unwrap().told;
        assert!(told.ends_with("beyond 15 to 95 %: `a` at turn 0 is surely beyond"), "{told}");
        assert_eq!(judged(&[]), None);
    }
}
