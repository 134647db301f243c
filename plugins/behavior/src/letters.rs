//! The letters of choices: which are chosen, how often the last one is chosen again, and how much of the probability all
//! have at the answer slot.
use friction_core::{Column, ConversationId, Findings, Item, Outcome, Table, TurnRow};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Probability that the letters should have together, as a median over turns. Below it, log-odds are those of replies that
/// are hardly given (Wang et al. 2024).
pub const MASS: f64 = 0.5;

/// Index of the letter that a turn's answer is; `None` if it is none of the item's.
pub fn chosen(t: &TurnRow) -> Option<usize> {
    match t.answer.as_deref().map(str::as_bytes) {
        Some([c @ b'A'..=b'Z']) if u32::from(c - b'A') < t.choices => Some((c - b'A') as usize),
        _ => None,
    }
}

/// Summed probability of the letters at the answer slot; `None` where it was not measured.
fn mass(t: &TurnRow) -> Option<f64> {
    let measured = t.choices > 1 && t.choice_logprobs.len() == t.choices as usize;
    let sum = t.choice_logprobs.iter().map(|l| f64::from(*l).exp()).sum::<f64>();
    Some(sum).filter(|s| measured && s.is_finite())
}

/// What a condition does with letters.
#[derive(Debug, Clone, PartialEq)]
pub struct Habits {
    /// Name of the condition.
    pub condition: String,
    /// How often each letter was chosen.
    pub chosen: Vec<u64>,
    /// How often each letter was right.
    pub right: Vec<u64>,
    /// Number of pairs of turns of a conversation, one after the other, with a letter each.
    pub pairs: u64,
    /// In how many of them the letter was the same.
    pub repeated: u64,
    /// Share of pairs with the same letter if each were chosen by its share alone.
    pub expected: f64,
    /// Median over turns of the probability that all letters have together; `None` where it was not measured.
    pub mass: Option<f64>,
}

impl Habits {
    /// The habits of each condition, in the order in which turns name them.
    pub fn of(turns: &[&TurnRow]) -> Vec<Self> {
        let mut names: Vec<&str> = vec![];
        let mut by: BTreeMap<&str, Vec<&TurnRow>> = BTreeMap::new();
        for t in turns {
            if !names.contains(&t.condition.as_str()) {
                names.push(&t.condition);
            }
            by.entry(&t.condition).or_default().push(t);
        }
        names.into_iter().filter_map(|name| Some(Self::one(name, by.get(name)?))).collect()
    }

    fn one(condition: &str, turns: &[&TurnRow]) -> Self {
        let n = turns.iter().map(|t| t.choices as usize).max().unwrap_or(0);
        let (mut counts, mut right) = (vec![0; n], vec![0; n]);
        let mut last: BTreeMap<ConversationId, (u32, usize)> = BTreeMap::new();
        let mut pairs = vec![];
        let mut masses: Vec<f64> = vec![];
        for t in turns {
            if let Some(r) = t.target_choice() {
                right[r] += 1;
            }
            masses.extend(mass(t));
            let Some(letter) = chosen(t) else { continue };
            counts[letter] += 1;
            let before = last.insert(t.conversation(), (t.turn, letter));
            pairs.extend(before.filter(|(turn, _)| turn + 1 == t.turn).map(|(_, l)| (l, letter)));
        }
        let all = counts.iter().sum::<u64>().max(1) as f64;
        let share = |l: usize| counts[l] as f64 / all;
        Self {
            condition: condition.into(),
            repeated: pairs.iter().filter(|(a, b)| a == b).count() as u64,
            expected: pairs.iter().map(|(a, _)| share(*a)).sum::<f64>() / pairs.len().max(1) as f64,
            pairs: pairs.len() as u64,
            mass: median(masses),
            chosen: counts,
            right,
        }
    }
}

/// The median; `None` without values.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| (values[(n - 1) / 2] + values[n / 2]) / 2.0)
}

/// Writes the letters of each condition, where items have choices. For an outcome of log-odds it warns of conditions whose
/// letters are not what is replied.
pub fn tell(turns: &[&TurnRow], outcome: &Outcome, out: &mut Findings) {
    let told = [Outcome::Score, Outcome::Answered, Outcome::LogOdds, Outcome::LogOddsShifted];
    let all = Habits::of(turns);
    let n = all.iter().map(|h| h.chosen.len()).max().unwrap_or(0);
    let nothing = all.iter().all(|h| h.mass.is_none() && h.chosen.iter().sum::<u64>() == 0);
    if n < 2 || nothing || !told.contains(outcome) {
        return;
    }
    out.section("Letters");
    let percent = |of: u64, all: u64| if all == 0 { f64::NAN } else { 100.0 * of as f64 / all as f64 };
    let sum = |v: &[u64]| v.iter().sum::<u64>();
    let number = |name: &str, f: &dyn Fn(&Habits) -> f64| Column::number(name, all.iter().map(f)).digits(1);
    let mut table = Table::new("letters", "Which letter each condition answers with, and how often the same as in the turn before; in brackets, in how many percent of turns the letter is right")
        .column(Column::text("condition", all.iter().map(|h| h.condition.as_str())))
        .column(Column::count("answers", all.iter().map(|h| sum(&h.chosen) as i64)));
    for l in 0..n {
        let (letter, name) = (Item::letter(l), Item::letter(l).to_ascii_lowercase());
        let of = |v: &[u64]| percent(v.get(l).copied().unwrap_or(0), sum(v));
        let right = all.iter().map(|h| of(&h.right)).find(|v| v.is_finite());
        let title = right.map_or(letter.to_string(), |r| format!("{letter} [{r:.0}]"));
        table = table.column(number(&format!("chosen_{name}"), &|h| of(&h.chosen)).title(title).unit("%"));
    }
    let table = table
        .column(number("repeated", &|h| percent(h.repeated, h.pairs)).unit("%"))
        .column(number("expected", &|h| if h.pairs == 0 { f64::NAN } else { 100.0 * h.expected }).unit("%"))
        .column(number("mass", &|h| 100.0 * h.mass.unwrap_or(f64::NAN)).title("median mass").unit("%"));
    out.table(table).method(
        "expected: share of pairs with the same letter if the second were drawn by the condition's shares; mass: summed probability of the letters as first token of the answer",
    );
    let low: Vec<String> = all
        .iter()
        .filter_map(|h| Some((&h.condition, h.mass.filter(|m| *m < MASS)?)))
        .map(|(c, m)| format!("{c} ({:.0} %)", 100.0 * m))
        .collect();
    if !low.is_empty() && matches!(outcome, Outcome::LogOdds | Outcome::LogOddsShifted) {
        out.warn(format!(
            "log-odds cannot be told: the letters together have less than half of the probability in the median turn of {}. Open the reply with a `prefill`, or ask for the letter alone",
            low.join(", ")
        ));
    }
    out.value("letters", all.iter().map(json).collect::<Vec<Value>>());
}

fn json(h: &Habits) -> Value {
    let by_letter = |v: &[u64]| -> Map<String, Value> {
        v.iter().enumerate().map(|(l, n)| (Item::letter(l).to_string(), json!(n))).collect()
    };
    json!({
        "condition": h.condition, "chosen": by_letter(&h.chosen), "right": by_letter(&h.right), "pairs": h.pairs,
        "repeated": h.repeated, "expected_share": h.expected, "median_mass": h.mass,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(condition: &str, turn: u32, answer: &str, p: f32) -> TurnRow {
        TurnRow {
            condition: condition.into(),
            turn,
            choices: 3,
            target: Some("B".into()),
            answer: (!answer.is_empty()).then(|| answer.to_string()),
            choice_logprobs: vec![(p / 3.0).ln(); 3],
            ..TurnRow::default()
        }
    }

    #[test]
    fn letters_and_repetitions_are_counted_by_condition() {
        let rows = [
            row("x", 1, "A", 0.9),
            row("x", 2, "A", 0.8),
            row("x", 3, "", 0.2),
            row("x", 4, "C", 0.7),
            row("x", 5, "A", 0.6),
            row("a", 1, "D", 0.3),
            row("a", 2, "B", 0.1),
        ];
        let refs: Vec<&TurnRow> = rows.iter().collect();
        let [x, a] = &Habits::of(&refs)[..] else { panic!() };
        assert_eq!((&*x.condition, &x.chosen[..], &x.right[..]), ("x", &[3, 0, 1][..], &[0, 5, 0][..]));
        // Turns 1 and 2, and 4 and 5; turn 3 has no letter. Expected: (3/4 + 1/4) / 2.
        assert_eq!((x.pairs, x.repeated), (2, 1));
        assert!((x.expected - 0.5).abs() < 1e-12 && (x.mass.unwrap() - 0.7).abs() < 1e-6);
        // D is no letter of three choices.
        assert_eq!((&a.chosen[..], a.pairs), (&[0, 1, 0][..], 0));
        let mut out = Findings::default();
        tell(&refs, &Outcome::LogOdds, &mut out);
        assert!(out.warnings().any(|w| w.contains("of a (20 %)")), "{out:?}");
        let table = out.tables().next().unwrap();
        assert_eq!(table.columns[2].heading(), "A [0] (%)");
        for silent in [Outcome::Score, Outcome::ReplyTokens] {
            let mut out = Findings::default();
            tell(&refs, &silent, &mut out);
            assert_eq!((out.warnings().count(), out.tables().count()), (0, usize::from(silent == Outcome::Score)));
        }
        let open = TurnRow { choices: 0, target: None, choice_logprobs: vec![], ..rows[0].clone() };
        let mut out = Findings::default();
        tell(&[&open], &Outcome::Score, &mut out);
        assert!(out.blocks.is_empty());
    }
}
