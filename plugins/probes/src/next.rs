//! Does the probe's score go with worse answers, or with another outcome of the turn?
//!
//! Only conversations at the same question (group, turn, item and round) are compared. A score that depends on the
//! question's difficulty would predict the answers whatever the condition does, so the question's mean is subtracted from
//! both the score and the outcome.
use crate::fit::HeldOut;
use crate::rows::Row;
use friction_core::{Column, Estimate, Findings, Outcome, Table};
use friction_stats::{Flips, cite, holm, percent, ratio_flips};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the scores are compared with, and how.
pub struct Compared<'a> {
    /// All rows of the analysis.
    pub rows: &'a [Row],
    /// The turns' number that scores are compared with.
    pub outcome: &'a Outcome,
    /// Confidence level of the intervals.
    pub level: f64,
    /// Seed of the sign flips.
    pub seed: u64,
}

/// A score of the held-out rows.
pub struct Score {
    /// The level that it tells from all others; `None` where there is one score.
    pub level: Option<String>,
    /// The rows; the first output is the score.
    pub held: HeldOut,
}

/// A slope, in the unit of a difference of the outcome for a standard deviation of the score.
struct Slope {
    level: Option<String>,
    /// How the means were subtracted.
    means: &'static str,
    flips: Flips,
    /// p-value adjusted for all levels.
    adjusted: f64,
}

/// Both ways in which means are subtracted: key of the value, words, and whether the conditions' are too.
const WAYS: [(&str, &str, bool); 2] = [
    ("next_answer", "over all conditions", false),
    ("next_answer_adjusted", "with the conditions' means subtracted", true),
];

/// Regresses the outcome (right answers: 1 or 0) on the held-out scores within questions, per standard deviation of the
/// score there, shares in points: once over all conditions, and once with the conditions' means subtracted too. Each group
/// gives one cross product; p and the interval come from sign flips of groups. Turns without the outcome are left out.
pub fn tell(c: &Compared, scores: &[Score], out: &mut Findings) {
    let (o, unit) = (c.outcome, c.outcome.difference_unit());
    if let Some(held) = scores.first().map(|s| &s.held.rows) {
        let without = held.iter().filter(|i| c.rows[**i].turn.outcome(o).is_none()).count();
        o.left_out(without, held.len()).into_iter().for_each(|w| out.warn(w));
    }
    let (what, name) = match o {
        Outcome::Score => ("right (1 or 0)".to_string(), "answers".to_string()),
        _ => (o.label(), o.label()),
    };
    let scale = if o.is_share() { "points" } else { "the outcome's unit" };
    let method = format!(
        "regression of {what} on the held-out score, question's means subtracted, {scale} per standard deviation of the score within questions; sign flips with one sign per group, inverted for the {} interval",
        percent(c.level)
    );
    let mut found: Vec<Slope> = vec![];
    for (key, means, beside) in WAYS {
        let mut slopes: Vec<Slope> = vec![];
        for s in scores {
            match within_questions(c, &s.held, beside) {
                Ok((f, sd)) => {
                    let shown = |v: f64| o.scale() * sd * v;
                    let flips = Flips { estimate: shown(f.estimate), low: shown(f.low), high: shown(f.high), ..f };
                    slopes.push(Slope { level: s.level.clone(), means, flips, adjusted: f.p });
                }
                Err(e) => {
                    let of = s.level.as_ref().map(|l| format!(" of `{l}`")).unwrap_or_default();
                    let which = if *o == Outcome::Score { "next answer".to_string() } else { format!("outcome `{o}`") };
                    out.say(format!("The {which}, within questions, {means}, cannot be told from the score{of}: {e}"));
                }
            }
        }
        let adjusted = holm(&slopes.iter().map(|s| s.flips.p).collect::<Vec<_>>());
        slopes.iter_mut().zip(adjusted).for_each(|(s, p)| s.adjusted = p);
        if let [Slope { level: None, flips: f, .. }] = &slopes[..] {
            if !beside {
                let e = Estimate::new(format!("{name} per SD of score"), unit, f.estimate);
                out.add(e.interval(f.low, f.high, c.level).over(f.n, "group").p(f.p).null(0.0))
                    .method(method.as_str())
                    .citation(cite::SIGN_FLIPS);
            }
            out.value(key, value(&slopes[0], c));
        } else if !slopes.is_empty() {
            out.value(key, slopes.iter().map(|s| value(s, c)).collect::<Vec<_>>());
        }
        found.extend(slopes);
    }
    if !found.is_empty() {
        out.table(table(&found, o)).unit(unit).method(method).citation(cite::SIGN_FLIPS);
    }
}

/// A slope for programs. Of shares it is under `points` too.
fn value(s: &Slope, c: &Compared) -> Value {
    let (f, o) = (&s.flips, c.outcome);
    let mut v = json!({
        "outcome": o.to_string(), "unit": o.difference_unit(), "estimate": f.estimate, "low": f.low, "high": f.high,
        "level": c.level, "p": f.p, "groups": f.n,
    });
    if o.is_share() {
        v["points"] = json!(f.estimate);
    }
    if let Some(level) = &s.level {
        v["name"] = json!(level);
        v["p_family"] = json!(s.adjusted);
    }
    v
}

fn table(found: &[Slope], o: &Outcome) -> Table {
    let number = |name: &str, f: fn(&Slope) -> f64| Column::number(name, found.iter().map(f));
    let caption = match o {
        Outcome::Score => {
            "What a standard deviation of the score goes with in the next answer, within questions".to_string()
        }
        _ => format!("What a standard deviation of the score goes with in the {}, within questions", o.label()),
    };
    let mut table = Table::new("next_answer", caption);
    let levels = found.iter().any(|s| s.level.is_some());
    if levels {
        table = table.column(Column::text("level", found.iter().map(|s| s.level.clone().unwrap_or_default())));
    }
    table = table
        .column(Column::text("compared", found.iter().map(|s| s.means)))
        .column(number(if o.is_share() { "points" } else { "slope" }, |s| s.flips.estimate).digits(2))
        .column(number("low", |s| s.flips.low).digits(2))
        .column(number("high", |s| s.flips.high).digits(2))
        .column(number("p", |s| s.flips.p).digits(4));
    if levels {
        table = table.column(number("p_family", |s| s.adjusted).title("adjusted p").digits(4));
    }
    table.column(Column::count("groups", found.iter().map(|s| s.flips.n as i64)))
}

/// The slope of the outcome on the score, and the score's standard deviation within questions.
fn within_questions(c: &Compared, held: &HeldOut, beside: bool) -> Result<(Flips, f64), friction_stats::Error> {
    // Scores are standardised over all rows of a fold, whether they have the outcome or not.
    let scores = standardised(held);
    let rows: Vec<(&friction_core::TurnRow, f64, f64)> = held
        .rows
        .iter()
        .zip(scores)
        .filter_map(|(i, s)| {
            let turn = &c.rows[*i].turn;
            Some((turn, s, turn.outcome(c.outcome)?))
        })
        .collect();
    let question: Vec<usize> = numbered(rows.iter().map(|(t, ..)| (t.group, t.turn, t.round, &t.item_id)));
    let condition: Vec<usize> = numbered(rows.iter().map(|(t, ..)| &t.condition));
    let mut score: Vec<f64> = rows.iter().map(|r| r.1).collect();
    let mut value: Vec<f64> = rows.iter().map(|r| r.2).collect();
    centre(&mut value, &question);
    centre(&mut score, &question);
    if beside {
        // The means of conditions and of questions are subtracted in turn until both are 0. If no turn is missing, one
        // round is enough.
        for _ in 0..50 {
            let moved = centre(&mut score, &condition) + centre(&mut score, &question);
            if moved < 1e-10 {
                break;
            }
        }
    }
    let mut groups: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (k, (t, ..)) in rows.iter().enumerate() {
        let g = groups.entry(t.group).or_default();
        *g = (g.0 + score[k] * value[k], g.1 + score[k] * score[k]);
    }
    let (cross, square): (Vec<f64>, Vec<f64>) = groups.into_values().unzip();
    let (n, questions) = (rows.len(), question.iter().max().map_or(0, |q| q + 1));
    let squares: f64 = square.iter().sum();
    if n <= questions || squares < 1e-9 {
        return Err(friction_stats::Error::TooLittle(
            "the score does not differ between conversations at the same question".into(),
        ));
    }
    Ok((ratio_flips(&cross, &square, c.level, c.seed)?, (squares / (n - questions) as f64).sqrt()))
}

/// The first output of each row, standardised within its fold: each fold has its own probe with its own scale.
fn standardised(held: &HeldOut) -> Vec<f64> {
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    held.folds.iter().enumerate().for_each(|(k, f)| of.entry(*f).or_default().push(k));
    let mut out = vec![0.0; held.rows.len()];
    for at in of.values() {
        let mean = at.iter().map(|k| held.outputs[*k][0]).sum::<f64>() / at.len() as f64;
        let sd = (at.iter().map(|k| (held.outputs[*k][0] - mean).powi(2)).sum::<f64>() / at.len() as f64).sqrt();
        at.iter().for_each(|k| out[*k] = if sd > 0.0 { (held.outputs[*k][0] - mean) / sd } else { 0.0 });
    }
    out
}

/// Replaces values by numbers from 0, in order of first occurrence.
fn numbered<T: Ord>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let mut known: BTreeMap<T, usize> = BTreeMap::new();
    values
        .map(|v| {
            let next = known.len();
            *known.entry(v).or_insert(next)
        })
        .collect()
}

/// Subtracts each class's mean from `values`; returns the largest |mean|.
fn centre(values: &mut [f64], class: &[usize]) -> f64 {
    let mut sums = vec![(0.0, 0.0); class.iter().max().map_or(0, |c| c + 1)];
    values.iter().zip(class).for_each(|(v, c)| sums[*c] = (sums[*c].0 + v, sums[*c].1 + 1.0));
    values.iter_mut().zip(class).for_each(|(v, c)| *v -= sums[*c].0 / sums[*c].1);
    sums.iter().filter(|s| s.1 > 0.0).map(|s| (s.0 / s.1).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::TurnRow;
    use friction_stats::Rng;

    fn slope(rows: &[Row], held: &HeldOut, seed: u64, beside: bool) -> Result<(Flips, f64), friction_stats::Error> {
        within_questions(&Compared { rows, outcome: &Outcome::Score, level: 0.95, seed }, held, beside)
    }

    /// Sixteen groups of eight turns in four conditions. Each question has a difficulty, which the score depends on,
    /// and each condition has its own level of the score. `right` decides whether an answer is right from: difficulty,
    /// condition, the group's own number, the score's noise.
    fn study(rng: &mut Rng, right: impl Fn(f64, usize, f64, f64, &mut Rng) -> bool) -> (Vec<Row>, HeldOut) {
        let (mut rows, mut held) = (vec![], HeldOut { learnt: vec![1], ..HeldOut::default() });
        for group in 0..16 {
            let own = rng.normal();
            for turn in 1..=8 {
                let difficulty = rng.unit();
                for c in 0..4usize {
                    let noise = rng.normal();
                    let correct = right(difficulty, c, own, noise, rng);
                    let score = Some(f64::from(u8::from(correct)));
                    let turn = TurnRow { group, turn, score, condition: format!("c{c}"), ..TurnRow::default() };
                    held.rows.push(rows.len());
                    held.folds.push(0);
                    held.outputs.push(vec![3.0 * difficulty + if c >= 2 { 1.0 } else { 0.0 } + 0.5 * noise]);
                    rows.push(Row { turn, y: f64::from(u8::from(c >= 2)) });
                }
            }
        }
        (rows, held)
    }

    #[test]
    fn difficulty_alone_is_no_effect() {
        let mut rng = Rng::new(5);
        type Rule = fn(f64, usize, f64, f64, &mut Rng) -> bool;
        let nulls: [(&str, Rule); 3] = [
            ("difficulty", |d, _, _, _, r| r.unit() > d),
            ("coin", |_, _, _, _, r| r.unit() > 0.5),
            ("effect around 0", |_, c, own, _, r| r.unit() > 0.5 + if c >= 2 { 0.15 * own } else { 0.0 }),
        ];
        for (name, outcome) in nulls {
            let (mut found, mut covered) = ([0, 0], [0, 0]);
            for s in 0..200 {
                let (rows, held) = study(&mut rng, outcome);
                for (i, beside) in [false, true].into_iter().enumerate() {
                    let (f, _) = slope(&rows, &held, s, beside).unwrap();
                    found[i] += usize::from(f.p <= 0.05);
                    covered[i] += usize::from(f.low <= 0.0 && 0.0 <= f.high);
                }
            }
            // 10 of 200 are expected; 1 to 22 covers 99.98 % of the binomial.
            assert!(found.iter().all(|f| (1..=22).contains(f)), "{name}: {found:?} of 200");
            assert!(covered.iter().all(|c| (178..=199).contains(c)), "{name}: {covered:?} of 200");
        }
    }

    #[test]
    fn a_score_that_costs_answers_is_found_and_signed() {
        let mut rng = Rng::new(6);
        let (rows, held) = study(&mut rng, |_, _, _, noise, r| r.unit() > 0.5 + 0.25 * noise.clamp(-1.5, 1.5));
        for beside in [false, true] {
            let (f, sd) = slope(&rows, &held, 1, beside).unwrap();
            assert!(f.p < 0.01 && f.high < 0.0 && sd > 0.0, "{f:?}");
        }
        let flat = HeldOut { outputs: vec![vec![1.0]; rows.len()], ..held };
        assert!(slope(&rows, &flat, 1, false).is_err());
    }

    #[test]
    fn another_outcome_is_told_in_its_unit_and_turns_without_it_are_left_out() {
        let mut rng = Rng::new(8);
        let (mut rows, held) = study(&mut rng, |_, _, _, _, r| r.unit() > 0.5);
        // Two tokens for each unit of the score, which has a standard deviation of its own.
        let sd = {
            let all: Vec<f64> = held.outputs.iter().map(|o| o[0]).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt()
        };
        for (row, output) in rows.iter_mut().zip(&held.outputs) {
            row.turn.metrics.insert("length".into(), 2.0 * output[0] / sd);
        }
        rows.iter_mut().step_by(7).for_each(|r| r.turn.metrics.clear());
        let outcome: Outcome = "metric.length".parse().unwrap();
        let compared = Compared { rows: &rows, outcome: &outcome, level: 0.95, seed: 1 };
        let (f, within) = within_questions(&compared, &held, false).unwrap();
        assert!((f.estimate - 2.0).abs() < 1e-9 && f.p < 0.001, "{f:?}");
        let mut out = Findings::default();
        tell(&compared, &[Score { level: None, held: held.clone() }], &mut out);
        let value = &out.values["next_answer"];
        assert!((value["estimate"].as_f64().unwrap() - 2.0 * within).abs() < 1e-9, "{value}");
        assert!(value["unit"] == "" && value.get("points").is_none() && value["outcome"] == "metric.length", "{value}");
        let left_out = format!("{} of {} turns have no `metric.length`", rows.len().div_ceil(7), rows.len());
        assert!(out.warnings().next().unwrap().starts_with(&left_out), "{:?}", out.warnings().next());
        // Several levels: a row and an adjusted p for each, and no estimate of one that happens to come first.
        let two = ["a", "b"].map(|l| Score { level: Some(l.into()), held: held.clone() });
        let mut out = Findings::default();
        tell(&compared, &two, &mut out);
        assert!(out.estimates().next().is_none() && out.values["next_answer"].as_array().unwrap().len() == 2);
        assert!(out.values["next_answer"][0]["p_family"].as_f64().unwrap() <= 2.0 * f.p);
    }

    #[test]
    fn only_the_same_item_and_round_is_one_question() {
        // At the same turn one condition asks another item: nothing can be compared.
        let mut rng = Rng::new(2);
        let (mut rows, held) = study(&mut rng, |_, _, _, _, r| r.unit() > 0.5);
        assert!(slope(&rows, &held, 1, false).is_ok());
        rows.iter_mut().for_each(|r| r.turn.item_id = r.turn.condition.clone());
        assert!(slope(&rows, &held, 1, false).is_err());
        // Two samples of a conversation are two rows of the same question.
        rows.iter_mut().for_each(|r| (r.turn.item_id, r.turn.sample) = (String::new(), u32::from(r.y > 0.5)));
        assert!(slope(&rows, &held, 1, false).is_ok());
    }
}
