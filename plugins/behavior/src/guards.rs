//! Guards of a verdict: what would make the contrast a matter of how replies are read, or of where they are cut off.
use friction_core::{Outcome, TurnRow, plural};
use friction_stats::signed;
use std::collections::BTreeMap;

/// Largest share of a condition's replies that may end at the limit of their length.
const CUT: f64 = 0.05;

/// A guard with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
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

/// Whether replies end by themselves: the condition with the largest share of replies that met the limit.
pub fn ends(read: &[&TurnRow]) -> Option<Guard> {
    let mut by: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for t in read {
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
    Some(Guard { told, holds: share(most) <= CUT })
}

/// Whether estimates keep their sign when all unread answers count as right: pairs of the estimate and that one. `None`
/// if every answer could be read.
pub fn sign(read: &[&TurnRow], estimates: &[(f64, f64)], unit: &str, digits: usize) -> Option<Guard> {
    let unread = read.iter().filter(|t| is_unread(t)).count();
    if unread == 0 || estimates.is_empty() {
        return None;
    }
    let now: Vec<String> = estimates.iter().map(|(_, right)| signed(*right, digits)).collect();
    let told = format!(
        "with {} counted as right the estimate is {} {unit}, and its sign must stay",
        plural(unread, "unread answer"),
        now.join(", ")
    );
    Some(Guard { told, holds: estimates.iter().all(|(wrong, right)| wrong * right > 0.0) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
    }

    #[test]
    fn unread_answers_must_not_decide_the_sign() {
        let (read, unread) = (row("a", Some("B"), "stop"), row("a", None, "stop"));
        assert_eq!((lenient(&read), lenient(&unread)), (Some(0.0), Some(1.0)));
        assert_eq!(sign(&[&read], &[(-1.0, 1.0)], "points", 1), None);
        let of = |estimates: &[(f64, f64)]| sign(&[&read, &unread], estimates, "points", 1).unwrap();
        assert!(of(&[(-1.0, -0.2)]).holds && !of(&[(-1.0, 0.2)]).holds && !of(&[(-1.0, -0.5), (1.0, 0.0)]).holds);
        assert_eq!(
            of(&[(-1.0, 0.2)]).told,
            "with 1 unread answer counted as right the estimate is +0.2 points, and its sign must stay"
        );
    }
}
