//! What conditions replied, by condition and turn, and warnings about what would mislead.
use crate::hedges::{HEDGES, Known, characters, hedging, uncounted};
use crate::levels::About;
use crate::values::Course;
use friction_core::{Column, Findings, Outcome, Table, TurnRow, plural};
use friction_stats::{Interval, cite, percent};
use std::collections::{BTreeMap, BTreeSet};

/// Counts of replies.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Replies.
    pub replies: u64,
    /// Right answers.
    pub correct: u64,
    /// Replies to items with a target.
    pub asked: u64,
    /// Of these, replies whose answer could be read.
    pub parsed: u64,
    /// Turns in which the right option's letter is the likeliest first reply token among the options' letters: an
    /// outcome that needs no parsing. Out of `scored`.
    pub likeliest: u64,
    /// Turns with log-probabilities of all options' letters.
    pub scored: u64,
    /// Hedging phrases.
    pub hedges: Known,
    /// Characters.
    pub characters: Known,
}

impl Counts {
    /// Adds a reply.
    fn add(&mut self, t: &TurnRow) {
        self.replies += 1;
        self.correct += u64::from(t.right() == Some(true));
        self.asked += u64::from(t.target.is_some());
        self.parsed += u64::from(t.target.is_some() && read(t));
        self.likeliest += u64::from(likeliest(t) == Some(true));
        self.scored += u64::from(likeliest(t).is_some());
        self.hedges.add(hedging(t));
        self.characters.add(characters(t));
    }
}

/// Whether an answer was read, or a score above 0 given by other means.
fn read(t: &TurnRow) -> bool {
    t.answer.is_some() || t.score.is_some_and(|s| s > 0.0)
}

/// Whether the right letter is the likeliest among the options' letters; `None` without their log-probabilities.
fn likeliest(t: &TurnRow) -> Option<bool> {
    if t.choice_logprobs.is_empty() || t.choice_logprobs.iter().any(|p| p.is_nan()) {
        return None;
    }
    let best = t.choice_logprobs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?.0;
    Some(t.target_choice()? == best)
}

/// One condition at one turn.
pub struct Cell {
    /// Name of the condition.
    pub condition: String,
    /// Number of the turn, from 1.
    pub turn: u32,
    /// Number of groups with the outcome.
    pub n: usize,
    /// What was counted.
    pub counts: Counts,
    /// Mean of the outcome with its interval, in its own unit; `None` where no group has it.
    pub mean: Option<Interval>,
}

/// The cells, ordered by condition and turn.
pub fn cells(turns: &[&TurnRow], courses: &[Course], about: &About) -> Vec<Cell> {
    let mut by: BTreeMap<(&str, u32), (Counts, Vec<f64>)> = BTreeMap::new();
    for t in turns {
        by.entry((&t.condition, t.turn)).or_default().0.add(t);
    }
    for c in courses {
        for (turn, value) in &c.turns {
            by.entry((&c.condition, *turn)).or_default().1.push(*value);
        }
    }
    let cell = |((condition, turn), (counts, groups)): ((&str, u32), (Counts, Vec<f64>))| Cell {
        condition: condition.into(),
        turn,
        n: groups.len(),
        counts,
        mean: about.mean(&groups),
    };
    by.into_iter().map(cell).collect()
}

/// How intervals of cells are made.
pub fn method(courses: &[Course], level: f64) -> (String, &'static str) {
    let binary = courses.iter().flat_map(|c| c.turns.values()).all(|v| *v == 0.0 || *v == 1.0);
    let level = percent(level);
    match binary {
        true => (format!("Wilson's score interval of each row by itself, {level}"), cite::WILSON),
        false => (
            format!(
                "of each row by itself Student's {level} interval over groups, and Wilson's score interval where every group's value is 0 or 1"
            ),
            cite::STUDENT,
        ),
    }
}

/// Name of the column, table and figure of the outcome.
pub fn named(outcome: &Outcome) -> (&'static str, &'static str) {
    if *outcome == Outcome::Score { ("accuracy", "accuracy") } else { ("mean", "outcome") }
}

/// The cells as a table, in the outcome's own unit.
pub fn table(cells: &[Cell], outcome: &Outcome) -> Table {
    let count = |name: &str, f: &dyn Fn(&Cell) -> u64| Column::count(name, cells.iter().map(|c| f(c) as i64));
    let number = |name: &str, f: fn(&Interval) -> f64| {
        Column::number(name, cells.iter().map(|c| c.mean.as_ref().map_or(f64::NAN, f)))
    };
    // The sum over some of a cell's replies is none of the cell.
    let known = |name: &str, f: fn(&Counts) -> Known| {
        let whole = |c: &Cell| f(&c.counts).of == c.counts.replies;
        if cells.iter().all(whole) {
            return Column::count(name, cells.iter().map(|c| f(&c.counts).sum as i64));
        }
        let sum = |c: &Cell| if whole(c) { f(&c.counts).sum as f64 } else { f64::NAN };
        Column::number(name, cells.iter().map(sum)).digits(0)
    };
    let (column, name) = named(outcome);
    let unit = if outcome.is_share() { " is a share, 0 to 1" } else { "" };
    let what = if *outcome == Outcome::Score { "accuracy".into() } else { format!("mean: {}", outcome.label()) };
    let caption = format!("Replies of each condition at each turn; n counts groups; {what}{unit}");
    let mut table = Table::new(name, caption)
        .stored()
        .column(Column::text("condition", cells.iter().map(|c| c.condition.as_str())))
        .column(count("turn", &|c| u64::from(c.turn)))
        .column(count("n", &|c| c.n as u64))
        .column(count("replies", &|c| c.counts.replies));
    if *outcome == Outcome::Score {
        table = table.column(count("correct", &|c| c.counts.correct));
    }
    table
        .column(number(column, |i| i.estimate))
        .column(number("low", |i| i.low))
        .column(number("high", |i| i.high))
        .column(count("likeliest_correct", &|c| c.counts.likeliest))
        .column(count("scored", &|c| c.counts.scored))
        .column(count("parsed", &|c| c.counts.parsed))
        .column(known("hedges", |c| c.hedges))
        .column(known("characters", |c| c.characters))
}

/// Share of right answers if all were guessed, over turns with at least two choices, and their number.
pub fn chance(turns: &[&TurnRow]) -> Option<(f64, usize)> {
    let choices: Vec<f64> = turns.iter().filter(|t| t.choices >= 2).map(|t| f64::from(t.choices)).collect();
    let n = choices.len();
    (n > 0).then(|| (choices.iter().map(|c| 1.0 / c).sum::<f64>() / n as f64, n))
}

/// Share of right answers if all were guessed; `None` unless every turn with a score has at least two choices.
pub fn guessing(turns: &[&TurnRow], outcome: &Outcome) -> Option<f64> {
    let graded: Vec<&TurnRow> = turns.iter().copied().filter(|t| t.score.is_some()).collect();
    let (share, n) = chance(&graded).filter(|_| *outcome == Outcome::Score)?;
    (n == graded.len()).then_some(share)
}

/// Writes the outcome and hedges of each condition, and warns about what would mislead.
pub fn tell(turns: &[&TurnRow], courses: &[Course], about: &About, out: &mut Findings) {
    let outcome = about.outcome;
    let groups = turns.iter().map(|t| t.group).collect::<BTreeSet<_>>().len();
    let graded: Vec<&TurnRow> = turns.iter().copied().filter(|t| t.score.is_some()).collect();
    let chance = chance(&graded).filter(|_| *outcome == Outcome::Score);
    let guessed = chance.map_or(String::new(), |(share, n)| {
        let of = if n == turns.len() { String::new() } else { format!(" of the {} with choices", plural(n, "turn")) };
        format!("; guessing would be right in {:.1} %{of}", 100.0 * share)
    });
    out.say(format!("{}, {}{guessed}", plural(groups, "group"), plural(turns.len(), "turn")));
    let (table, named) = conditions(turns, courses, about);
    out.table(table).over(groups, "group").method(format!(
        "{named}; other shares are of all replies; hedges: occurrences of {} phrases, in any case{}",
        HEDGES.len(),
        uncounted(turns)
    ));
    out.value("groups", groups);
    out.value("turns", turns.len());
    if let Some((share, _)) = chance {
        out.value("chance", share);
    }
    beware(turns, outcome, out);
}

/// Warns of replies without an answer, and of replies that were cut.
fn beware(turns: &[&TurnRow], outcome: &Outcome, out: &mut Findings) {
    let asked: Vec<&&TurnRow> = turns.iter().filter(|t| t.target.is_some()).collect();
    if !asked.is_empty() {
        let unread = asked.iter().filter(|t| !read(t)).count() as f64 / asked.len() as f64;
        if unread > 0.05 && *outcome == Outcome::Score {
            out.warn(format!(
                "{:.1} % of replies declare no answer and count as wrong: look at them before reading accuracy",
                100.0 * unread
            ));
        }
        out.value("unparsed_share", unread);
    }
    let known: Vec<&&TurnRow> = turns.iter().filter(|t| !t.finish_reason.is_empty()).collect();
    let cut = known.iter().filter(|t| t.finish_reason == "length").count() as f64 / known.len().max(1) as f64;
    if cut > 0.05 {
        out.warn(format!(
            "{:.1} % of replies met max_new_tokens: \"complete\" replies were cut too; raise it",
            100.0 * cut
        ));
    }
    // How the replies of an imported run ended may not be known.
    if !known.is_empty() {
        out.value("length_share", cut);
    }
}

/// The table of conditions, and how its means are made.
fn conditions(turns: &[&TurnRow], courses: &[Course], about: &About) -> (Table, String) {
    let mut by: BTreeMap<&str, (Counts, Vec<f64>)> = BTreeMap::new();
    for t in turns {
        by.entry(&t.condition).or_default().0.add(t);
    }
    for c in courses {
        by.entry(&c.condition).or_default().1.extend(c.mean());
    }
    let means: Vec<Option<Interval>> = by.values().map(|(_, groups)| about.shown(groups)).collect();
    let (column, _) = named(about.outcome);
    let mean = |name: &str, f: fn(&Interval) -> f64| {
        let of = means.iter().map(|i| i.as_ref().map_or(f64::NAN, f));
        Column::number(name, of).unit(about.outcome.shown_unit()).digits(about.outcome.digits())
    };
    let share = |name: &str, f: fn(&Counts) -> (u64, u64)| {
        Column::number(name, by.values().map(|c| f(&c.0)).map(|(of, all)| 100.0 * of as f64 / all as f64))
    };
    let any = |f: fn(&Counts) -> u64| by.values().any(|c| f(&c.0) > 0);
    let title = if *about.outcome == Outcome::Score { String::new() } else { about.outcome.label() };
    let likeliest = any(|c| c.scored);
    let caption = match likeliest {
        true => {
            "Replies of each condition; likeliest: the right letter has the largest probability among the options' letters as first reply token"
        }
        false => "Replies of each condition",
    };
    let mut table = Table::new("conditions", caption)
        .column(Column::text("condition", by.keys().copied()))
        .column(Column::count("replies", by.values().map(|c| c.0.replies as i64)))
        .column(mean(column, |i| i.estimate).title(title))
        .column(mean("low", |i| i.low))
        .column(mean("high", |i| i.high));
    if any(|c| c.asked) {
        table = table.column(share("parsed", |c| (c.parsed, c.asked)).title("answer read").unit("%").digits(1));
    }
    if likeliest {
        table = table.column(share("likeliest", |c| (c.likeliest, c.scored)).unit("%").digits(1));
    }
    let hedges = share("hedges_per_reply", |c| (c.hedges.sum, 100 * c.hedges.of)).title("hedges a reply").digits(2);
    // Of the same replies, or of none.
    let each = share("hedges_per_100_characters", |c| match (c.hedges, c.characters) {
        (hedges, characters) if hedges.of == characters.of && hedges.of > 0 => (hedges.sum, characters.sum.max(1)),
        _ => (0, 0),
    });
    let table = table.column(hedges).column(each.title("hedges in 100 characters").digits(2));
    let (what, level) = (about.outcome.label(), percent(about.level));
    let method = format!(
        "{what}: mean over groups of the mean over turns; Student's {level} interval over groups, and Wilson's where every group's value is 0 or 1"
    );
    (table, method)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::values::courses;

    fn told(rows: &[TurnRow], outcome: &Outcome) -> Findings {
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let about = About { outcome, reference: None, level: 0.95, seed: 1, turns: "all turns" };
        let mut out = Findings::default();
        tell(&rows, &courses(&rows, outcome, |t| t.turn).all, &about, &mut out);
        out
    }

    #[test]
    fn guessing_is_told_of_choices_alone() {
        let row = |choices: u32, score: Option<f64>| TurnRow { choices, score, ..TurnRow::default() };
        let first = |rows: &[TurnRow], outcome: &Outcome| told(rows, outcome).texts().next().unwrap().clone();
        let exam = [row(4, Some(1.0)), row(2, Some(0.0))];
        assert!(first(&exam, &Outcome::Score).ends_with("2 turns; guessing would be right in 37.5 %"));
        // A number that is told, or a single choice, cannot be guessed.
        let mixed = [row(0, Some(1.0)), row(1, Some(1.0)), row(4, Some(0.0))];
        assert!(
            first(&mixed, &Outcome::Score).ends_with("guessing would be right in 25.0 % of the 1 turn with choices")
        );
        assert!(!first(&mixed[..2], &Outcome::Score).contains("guessing"));
        assert!(!told(&mixed[..2], &Outcome::Score).values.contains_key("chance"));
        assert!(!first(&exam, &Outcome::ReplyTokens).contains("guessing"));
    }

    #[test]
    fn replies_to_open_items_are_no_answers_that_are_missing() {
        let open = |tokens: u32| TurnRow { reply_tokens: tokens, ..TurnRow::default() };
        let out = told(&[open(4), open(8)], &Outcome::ReplyTokens);
        assert_eq!(out.warnings().count(), 0, "{out:?}");
        assert!(!out.values.contains_key("unparsed_share"));
        let names: Vec<&str> = out.tables().next().unwrap().columns.iter().map(|c| c.name.as_str()).collect();
        assert!(!names.contains(&"parsed") && !names.contains(&"likeliest") && names.contains(&"mean"), "{names:?}");
        let silent = TurnRow { target: Some("A".into()), score: Some(0.0), ..TurnRow::default() };
        assert!(
            told(std::slice::from_ref(&silent), &Outcome::Score).warnings().any(|w| w.contains("100.0 % of replies"))
        );
        assert_eq!(told(&[silent], &Outcome::ReplyTokens).warnings().count(), 0);
    }
}
