//! The figure of accuracy by turn, with a line for each condition.
use crate::summary::Cell;
use friction_core::{Figure, Result, TurnRow, plural};
use friction_draw::{Axis, Frame, Look};
use friction_stats::percent;
use std::collections::{BTreeMap, BTreeSet};

/// The figure of the cells of `turns`; `level` is that of the cells' intervals.
///
/// # Errors
/// When it cannot be drawn.
pub fn accuracy(cells: &[Cell], turns: &[&TurnRow], level: f64) -> Result<Figure> {
    let mut conditions: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for c in cells {
        conditions.entry(&c.condition).or_default().push(c);
    }
    let groups = turns.iter().map(|t| t.group).collect::<BTreeSet<_>>().len();
    let (least, most) = cells.iter().fold((u64::MAX, 0), |(a, b), c| (a.min(c.n), b.max(c.n)));
    let each = if least == most { format!("{most}") } else { format!("{least} to {most}") };
    // Turns without options have no chance level.
    let guessed = turns
        .iter()
        .all(|t| t.choices > 0)
        .then(|| 100.0 * turns.iter().map(|t| 1.0 / f64::from(t.choices)).sum::<f64>() / turns.len() as f64);
    let turn = |f: fn(u32, u32) -> u32| cells.iter().map(|c| c.turn).reduce(f).unwrap_or(1);
    let ends = cells.iter().flat_map(|c| [100.0 * c.accuracy.low, 100.0 * c.accuracy.high]);
    let mut frame = Frame::new(
        "accuracy",
        "How many answers are right, turn by turn?",
        Axis::whole("turn of the conversation", turn(u32::min), turn(u32::max)),
        Axis::numbers("replies with the right answer, %", ends.chain(guessed)),
    )
    .heading("condition")
    .say(format!(
        "Points: share of replies with the right answer, n = {each} replies at each point; {}, {} in all.",
        plural(groups, "group"),
        plural(turns.len(), "reply")
    ))
    .say(format!("Bars: {} Wilson score intervals of each point by itself.", percent(level)));
    let unread = turns.iter().filter(|t| t.answer.is_none()).count();
    if unread > 0 {
        let share = 100.0 * unread as f64 / turns.len() as f64;
        frame = frame.say(format!("{share:.1} % of the replies declare no answer and count as wrong."));
    }
    if conditions.len() > 1 {
        frame = frame.say("Points of one turn stand side by side so that all are seen.");
    }
    for (i, name) in conditions.keys().enumerate() {
        frame = frame.key(name, Look::series(i));
    }
    if let Some(guessed) = guessed {
        frame = frame.key(&format!("guessing ({guessed:.0} %)"), Look::reference());
    }
    let (n, apart) = (conditions.len() as f64, (0.6 / conditions.len().max(1) as f64).min(0.13));
    frame.draw(|plot| {
        if let Some(guessed) = guessed {
            plot.across(Look::reference(), guessed)?;
        }
        let x = |i: usize, c: &Cell| f64::from(c.turn) + apart * (i as f64 - (n - 1.0) / 2.0);
        for (i, row) in conditions.values().enumerate() {
            let bars: Vec<(f64, f64, f64)> =
                row.iter().map(|c| (x(i, c), 100.0 * c.accuracy.low, 100.0 * c.accuracy.high)).collect();
            plot.intervals(Look::series(i), &bars)?;
        }
        for (i, row) in conditions.values().enumerate() {
            let points: Vec<(f64, f64)> = row.iter().map(|c| (x(i, c), 100.0 * c.accuracy.estimate)).collect();
            plot.series(Look::series(i), &points)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::summary::cells;
    use friction_draw::faults;

    fn turns(conditions: &[&str], options: u32) -> Vec<TurnRow> {
        let mut rows = vec![];
        for group in 0..6 {
            for (i, condition) in conditions.iter().enumerate() {
                for turn in 1..=5 {
                    let correct = (group + turn + i as u32).is_multiple_of(3);
                    let condition = condition.to_string();
                    let parsed = Some("A".into());
                    let (score, target) = (Some(f64::from(u8::from(correct))), Some("B".into()));
                    rows.push(TurnRow {
                        group,
                        condition,
                        turn,
                        score,
                        choices: options,
                        target,
                        answer: parsed,
                        ..TurnRow::default()
                    });
                }
            }
        }
        rows
    }

    fn drawn(rows: &[TurnRow], level: f64) -> Figure {
        let rows: Vec<&TurnRow> = rows.iter().collect();
        accuracy(&cells(&rows, level), &rows, level).unwrap()
    }

    #[test]
    fn the_caption_tells_the_manifests_level_and_n() {
        let rows = turns(&["complete", "interrupt"], 4);
        for (level, told) in [(0.9, "90 % Wilson"), (0.95, "95 % Wilson"), (0.975, "97.5 % Wilson")] {
            let f = drawn(&rows, level);
            assert!(f.caption.contains(told), "{}", f.caption);
            assert!(f.caption.contains("n = 6 replies at each point; 6 groups, 60 replies in all"), "{}", f.caption);
            assert!(level == 0.95 || !f.caption.contains("95 %"), "{}", f.caption);
            assert!(f.svg.contains("guessing (25 %)") && !f.caption.contains("no answer"));
            assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn the_caption_tells_of_replies_without_an_answer() {
        let mut rows = turns(&["complete", "interrupt"], 4);
        rows.iter_mut().take(15).for_each(|r| r.answer = None);
        let f = drawn(&rows, 0.95);
        assert!(f.caption.contains("25.0 % of the replies declare no answer and count as wrong."), "{}", f.caption);
    }

    #[test]
    fn names_of_conditions_are_text_and_stay_inside() {
        let long = "x".repeat(200);
        let rows = turns(&["<script>alert(1)</script>", "\"q\" & 'p'", &long, ""], 0);
        let f = drawn(&rows, 0.95);
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
        assert!(!f.svg.contains("<script") && !f.svg.contains("guessing"));
    }
}
