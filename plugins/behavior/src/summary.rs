//! Counts by condition and turn, and warnings about what would mislead.
use friction_core::{Column, Findings, Table, TurnRow, plural};
use friction_stats::{Interval, wilson};
use std::collections::BTreeMap;

/// Phrases that count as hedging, compared case-insensitively. The list is that of the published study.
pub const HEDGES: [&str; 15] = [
    "i think",
    "i believe",
    "perhaps",
    "maybe",
    "might",
    "could be",
    "possibly",
    "probably",
    "it seems",
    "it appears",
    "i'm not sure",
    "i'm not certain",
    "if i recall",
    "to my knowledge",
    "arguably",
];

/// Number of hedging phrases in a reply.
pub fn hedges(reply: &str) -> u64 {
    let text = reply.to_lowercase().replace('’', "'");
    HEDGES.iter().map(|h| text.matches(h).count() as u64).sum()
}

/// Counts for one condition at one turn.
pub struct Cell {
    /// Name of the condition.
    pub condition: String,
    /// Number of the turn, from 1.
    pub turn: u32,
    /// Number of conversations.
    pub n: u64,
    /// Number of right answers.
    pub correct: u64,
    /// Turns in which the right option's letter is the likeliest first reply token among the options' letters: an
    /// outcome that needs no parsing. Out of `scored`.
    pub likeliest: u64,
    /// Turns with log-probabilities of all options' letters.
    pub scored: u64,
    /// Number of replies whose answer could be read.
    pub parsed: u64,
    /// Number of hedging phrases in all replies.
    pub hedges: u64,
    /// Number of characters in all replies.
    pub characters: u64,
    /// Accuracy with Wilson's interval, 0 to 1.
    pub accuracy: Interval,
}

/// Whether the right letter is the likeliest among the options' letters; `None` without their log-probabilities.
fn likeliest(t: &TurnRow) -> Option<bool> {
    if t.choice_logprobs.is_empty() || t.choice_logprobs.iter().any(|p| p.is_nan()) {
        return None;
    }
    let best = t.choice_logprobs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?.0;
    Some(t.target_choice()? == best)
}

/// The cells, ordered by condition and turn; `level` is that of the intervals.
pub fn cells(turns: &[&TurnRow], level: f64) -> Vec<Cell> {
    let mut by: BTreeMap<(&str, u32), Vec<&TurnRow>> = BTreeMap::new();
    for t in turns {
        by.entry((&t.condition, t.turn)).or_default().push(t);
    }
    by.into_iter()
        .filter_map(|((condition, turn), rows)| {
            let n = rows.len() as u64;
            let correct = rows.iter().filter(|r| r.right() == Some(true)).count() as u64;
            Some(Cell {
                condition: condition.into(),
                turn,
                n,
                correct,
                likeliest: rows.iter().filter(|r| likeliest(r) == Some(true)).count() as u64,
                scored: rows.iter().filter(|r| likeliest(r).is_some()).count() as u64,
                parsed: rows.iter().filter(|r| r.answer.is_some()).count() as u64,
                hedges: rows.iter().map(|r| hedges(&r.reply)).sum(),
                characters: rows.iter().map(|r| r.reply.chars().count() as u64).sum(),
                accuracy: wilson(correct, n, level)?,
            })
        })
        .collect()
}

/// The cells as a table.
pub fn table(cells: &[Cell]) -> Table {
    let count = |name: &str, f: fn(&Cell) -> u64| Column::count(name, cells.iter().map(|c| f(c) as i64));
    let number = |name: &str, f: fn(&Cell) -> f64| Column::number(name, cells.iter().map(f));
    Table::new("accuracy", "Replies of each condition at each turn; accuracy is a share, 0 to 1")
        .stored()
        .column(Column::text("condition", cells.iter().map(|c| c.condition.as_str())))
        .column(count("turn", |c| u64::from(c.turn)))
        .column(count("n", |c| c.n))
        .column(count("correct", |c| c.correct))
        .column(number("accuracy", |c| c.accuracy.estimate))
        .column(number("low", |c| c.accuracy.low))
        .column(number("high", |c| c.accuracy.high))
        .column(count("likeliest_correct", |c| c.likeliest))
        .column(count("scored", |c| c.scored))
        .column(count("parsed", |c| c.parsed))
        .column(count("hedges", |c| c.hedges))
        .column(count("characters", |c| c.characters))
}

/// Writes accuracy and hedging by condition, and warns about unreadable and truncated replies.
pub fn tell(turns: &[&TurnRow], cells: &[Cell], out: &mut Findings) {
    let mut conditions: BTreeMap<&str, [u64; 7]> = BTreeMap::new();
    for c in cells {
        let row = conditions.entry(&c.condition).or_default();
        for (r, v) in row.iter_mut().zip([c.n, c.correct, c.parsed, c.hedges, c.characters, c.likeliest, c.scored]) {
            *r += v;
        }
    }
    let groups = turns.iter().map(|t| t.group).collect::<std::collections::BTreeSet<_>>().len();
    let chance = turns.iter().map(|t| 1.0 / f64::from(t.choices.max(1))).sum::<f64>() / turns.len() as f64;
    out.say(format!(
        "{}, {}; guessing would be right in {:.1} %",
        plural(groups, "group"),
        plural(turns.len(), "turn"),
        100.0 * chance
    ));
    let share = |name: &str, f: fn(&[u64; 7]) -> (u64, u64)| {
        Column::number(name, conditions.values().map(|c| f(c)).map(|(of, all)| 100.0 * of as f64 / all as f64))
    };
    let percent = |name: &str, f: fn(&[u64; 7]) -> (u64, u64)| share(name, f).unit("%").digits(1);
    let hedges = share("hedges_per_reply", |c| (c[3], 100 * c[0])).title("hedges a reply").digits(2);
    let each = share("hedges_per_100_characters", |c| (c[3], c[4].max(1))).title("hedges in 100 characters").digits(2);
    out.table(
        Table::new("conditions", "Replies of each condition; likeliest: the right letter has the largest probability among the options' letters as first reply token")
            .column(Column::text("condition", conditions.keys().copied()))
            .column(Column::count("replies", conditions.values().map(|c| c[0] as i64)))
            .column(percent("accuracy", |c| (c[1], c[0])))
            .column(percent("parsed", |c| (c[2], c[0])).title("answer read"))
            .column(percent("likeliest", |c| (c[5], c[6])))
            .column(hedges)
            .column(each),
    )
    .over(groups, "group")
    .method(format!("shares of all replies; hedges: occurrences of {} phrases, in any case", HEDGES.len()));
    let share = |f: &dyn Fn(&TurnRow) -> bool| turns.iter().filter(|t| f(t)).count() as f64 / turns.len() as f64;
    let unread = share(&|t| t.answer.is_none());
    let cut = share(&|t| t.finish_reason == "length");
    if unread > 0.05 {
        out.warn(format!(
            "{:.1} % of replies declare no answer and count as wrong: look at them before reading accuracy",
            100.0 * unread
        ));
    }
    if cut > 0.05 {
        out.warn(format!(
            "{:.1} % of replies met max_new_tokens: \"complete\" replies were cut too; raise it",
            100.0 * cut
        ));
    }
    out.value("groups", groups);
    out.value("turns", turns.len());
    out.value("chance", chance);
    out.value("unparsed_share", unread);
    out.value("length_share", cut);
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn markers_count_in_any_case() {
        assert_eq!(hedges("I think, maybe; It SEEMS. I’m not sure."), 4);
        assert_eq!(hedges("Certainly."), 0);
    }
}
