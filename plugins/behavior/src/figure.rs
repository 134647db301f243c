//! The figure of the outcome by turn, with a line for each condition.
use crate::levels::About;
use crate::summary::{Cell, guessing, named};
use friction_core::{Figure, Outcome, Result, TurnRow, plural};
use friction_draw::{Axis, Frame, Look};
use friction_stats::percent;
use std::collections::{BTreeMap, BTreeSet};

/// The figure of the cells of `turns`, whose intervals were made as `bars` says. `None` with a single turn: there is no
/// line to draw.
///
/// # Errors
/// When it cannot be drawn.
pub fn by_turn(cells: &[Cell], turns: &[&TurnRow], about: &About, bars: &str) -> Result<Option<Figure>> {
    let outcome = about.outcome;
    let seen: Vec<&Cell> = cells.iter().filter(|c| c.mean.is_some()).collect();
    let turn = |f: fn(u32, u32) -> u32| seen.iter().map(|c| c.turn).reduce(f).unwrap_or(1);
    let (first, last) = (turn(u32::min), turn(u32::max));
    if first == last {
        return Ok(None);
    }
    let mut conditions: BTreeMap<&str, Vec<(u32, [f64; 3])>> = BTreeMap::new();
    for c in &seen {
        let Some(i) = c.mean else { continue };
        // A cell without an interval is a point.
        let end = |v: f64| outcome.scale() * if v.is_finite() { v } else { i.estimate };
        conditions.entry(&c.condition).or_default().push((c.turn, [end(i.estimate), end(i.low), end(i.high)]));
    }
    let groups = turns.iter().map(|t| t.group).collect::<BTreeSet<_>>().len();
    let (least, most) = seen.iter().fold((usize::MAX, 0), |(a, b), c| (a.min(c.n), b.max(c.n)));
    let each = if least == most { plural(most, "group") } else { format!("{least} to {}", plural(most, "group")) };
    let guessed = guessing(turns, outcome).map(|share| 100.0 * share);
    let ends = conditions.values().flatten().flat_map(|(_, [_, low, high])| [*low, *high]);
    let (title, axis) = words(outcome);
    let mut frame = Frame::new(
        named(outcome).1,
        &title,
        Axis::whole("turn of the conversation", first, last),
        Axis::numbers(&axis, ends.chain(guessed)),
    )
    .heading("condition")
    .say(format!(
        "Points: {}, n = {each} at each point; {}, {} in all.",
        match outcome {
            Outcome::Score => "share of replies with the right answer".into(),
            _ => format!("mean {}", outcome.label()),
        },
        plural(groups, "group"),
        plural(turns.len(), "reply")
    ))
    .say(format!("Bars: {bars}."));
    let asked: Vec<&&TurnRow> = turns.iter().filter(|t| t.target.is_some()).collect();
    let unread = asked.iter().filter(|t| t.answer.is_none()).count();
    if unread > 0 && *outcome == Outcome::Score {
        let share = 100.0 * unread as f64 / asked.len() as f64;
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
    let figure = frame.draw(|plot| {
        if let Some(guessed) = guessed {
            plot.across(Look::reference(), guessed)?;
        }
        let x = |i: usize, turn: u32| f64::from(turn) + apart * (i as f64 - (n - 1.0) / 2.0);
        for (i, row) in conditions.values().enumerate() {
            let bars: Vec<(f64, f64, f64)> = row.iter().map(|(t, [_, low, high])| (x(i, *t), *low, *high)).collect();
            plot.intervals(Look::series(i), &bars)?;
        }
        for (i, row) in conditions.values().enumerate() {
            let points: Vec<(f64, f64)> = row.iter().map(|(t, [mean, ..])| (x(i, *t), *mean)).collect();
            plot.series(Look::series(i), &points)?;
        }
        Ok(())
    })?;
    Ok(Some(figure))
}

/// Title and name of the vertical axis.
fn words(outcome: &Outcome) -> (String, String) {
    let label = outcome.label();
    match outcome {
        Outcome::Score => {
            ("How many answers are right, turn by turn?".into(), "replies with the right answer, %".into())
        }
        _ => {
            let unit = outcome.shown_unit();
            let axis = if unit.is_empty() { label.clone() } else { format!("{label}, {unit}") };
            (format!("Turn by turn: {label}"), axis)
        }
    }
}

/// How the bars of the figure are told, as [`summary::method`](crate::summary::method) makes them.
pub fn bars(binary: bool, level: f64) -> String {
    match binary {
        true => format!("{} Wilson score intervals of each point by itself", percent(level)),
        false => format!("{} Student's t intervals over groups, of each point by itself", percent(level)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::summary::cells;
    use crate::values::courses;
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
        of(rows, &Outcome::Score, level).unwrap()
    }

    fn of(rows: &[TurnRow], outcome: &Outcome, level: f64) -> Option<Figure> {
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let about = About { outcome, reference: None, level, seed: 0, turns: "" };
        let cells = cells(&rows, &courses(&rows, outcome, |t| t.turn).all, &about);
        by_turn(&cells, &rows, &about, &bars(*outcome == Outcome::Score, level)).unwrap()
    }

    #[test]
    fn the_caption_tells_the_manifests_level_and_n() {
        let rows = turns(&["complete", "interrupt"], 4);
        for (level, told) in [(0.9, "90 % Wilson"), (0.95, "95 % Wilson"), (0.975, "97.5 % Wilson")] {
            let f = drawn(&rows, level);
            assert!(f.caption.contains(told), "{}", f.caption);
            assert!(f.caption.contains("n = 6 groups at each point; 6 groups, 60 replies in all"), "{}", f.caption);
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

    #[test]
    fn other_outcomes_have_their_own_words_and_one_turn_has_no_line() {
        let mut rows = turns(&["complete", "interrupt"], 4);
        rows.iter_mut().enumerate().for_each(|(i, r)| {
            r.readings.insert("p.axis".into(), (i % 7) as f64 - 3.0);
        });
        let outcome: Outcome = "reading.p.axis".parse().unwrap();
        let f = of(&rows, &outcome, 0.95).unwrap();
        assert_eq!(f.name, "outcome");
        assert!(f.caption.contains("mean reading p.axis") && f.caption.contains("Student's t"), "{}", f.caption);
        assert!(!f.svg.contains("guessing"));
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
        rows.retain(|r| r.turn == 1);
        assert!(of(&rows, &outcome, 0.95).is_none() && of(&rows, &Outcome::Score, 0.95).is_none());
    }
}
