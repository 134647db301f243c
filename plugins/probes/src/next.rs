//! Does the probe's score predict worse answers?
//!
//! Only conversations at the same question (group and turn) are compared. A score that depends on the question's
//! difficulty would predict the answers whatever the condition does, so the question's mean is subtracted from both the
//! score and the answer.
use crate::fit::HeldOut;
use crate::rows::Row;
use friction_core::{Column, Estimate, Findings, Table};
use friction_stats::{Flips, cite, percent, ratio_flips};
use serde_json::json;
use std::collections::BTreeMap;

/// Regresses right (1 or 0) on the held-out score within questions, in points of accuracy per standard deviation of the
/// score there: once over all conditions, and once with the conditions' means subtracted too. Each group gives one
/// cross product; p and the interval come from sign flips of groups.
pub fn tell(rows: &[Row], held: &HeldOut, level: f64, seed: u64, out: &mut Findings) {
    let method = format!(
        "regression of right (1 or 0) on the held-out score, question's means subtracted, points per standard deviation of the score within questions; sign flips with one sign per group, inverted for the {} interval",
        percent(level)
    );
    // How the means were subtracted, and the slope in points.
    let mut found: Vec<(&str, Flips)> = vec![];
    for (key, words, beside) in [
        ("next_answer", "over all conditions", false),
        ("next_answer_adjusted", "with the conditions' means subtracted", true),
    ] {
        match within_questions(rows, held, level, seed, beside) {
            Ok((f, sd)) => {
                let points = |v: f64| 100.0 * sd * v;
                let f = Flips { estimate: points(f.estimate), low: points(f.low), high: points(f.high), ..f };
                if !beside {
                    let e = Estimate::new("answers per SD of score", "points", f.estimate);
                    out.add(e.interval(f.low, f.high, level).over(f.n, "group").p(f.p).null(0.0))
                        .method(method.as_str())
                        .citation(cite::SIGN_FLIPS);
                }
                out.value(
                    key,
                    json!({"points": f.estimate, "low": f.low, "high": f.high, "level": level, "p": f.p, "groups": f.n}),
                );
                found.push((words, f));
            }
            Err(e) => out.say(format!("The next answer, within questions, {words}, cannot be told: {e}")),
        }
    }
    if found.is_empty() {
        return;
    }
    let number = |name: &str, f: fn(&Flips) -> f64| Column::number(name, found.iter().map(|(_, v)| f(v)));
    out.table(
        Table::new(
            "next_answer",
            "What a standard deviation of the score goes with in the next answer, within questions",
        )
        .column(Column::text("compared", found.iter().map(|(words, _)| *words)))
        .column(number("points", |f| f.estimate).digits(2))
        .column(number("low", |f| f.low).digits(2))
        .column(number("high", |f| f.high).digits(2))
        .column(number("p", |f| f.p).digits(4))
        .column(Column::count("groups", found.iter().map(|(_, f)| f.n as i64))),
    )
    .method(method)
    .citation(cite::SIGN_FLIPS);
}

/// The slope of right (1 or 0) on the score, and the score's standard deviation within questions.
fn within_questions(
    rows: &[Row],
    held: &HeldOut,
    level: f64,
    seed: u64,
    beside: bool,
) -> Result<(friction_stats::Flips, f64), friction_stats::Error> {
    let of = |k: usize| &rows[held.rows[k]].turn;
    let n = held.rows.len();
    let question: Vec<usize> = numbered((0..n).map(|k| (of(k).group, of(k).turn)));
    let condition: Vec<usize> = numbered((0..n).map(|k| &of(k).condition));
    let mut score = standardised(held);
    let mut right: Vec<f64> = (0..n).map(|k| f64::from(u8::from(of(k).right() == Some(true)))).collect();
    centre(&mut right, &question);
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
    for k in 0..n {
        let g = groups.entry(of(k).group).or_default();
        *g = (g.0 + score[k] * right[k], g.1 + score[k] * score[k]);
    }
    let (cross, square): (Vec<f64>, Vec<f64>) = groups.into_values().unzip();
    let questions = question.iter().max().map_or(0, |q| q + 1);
    let squares: f64 = square.iter().sum();
    if n <= questions || squares < 1e-9 {
        return Err(friction_stats::Error::TooLittle(
            "the score does not differ between conversations at the same question".into(),
        ));
    }
    Ok((ratio_flips(&cross, &square, level, seed)?, (squares / (n - questions) as f64).sqrt()))
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
                    rows.push(Row { turn, conversation: group as usize * 4 + c, y: f64::from(u8::from(c >= 2)) });
                }
            }
        }
        (rows, held)
    }

    #[test]
    fn difficulty_alone_is_no_effect() {
        let mut rng = Rng::new(5);
        type Outcome = fn(f64, usize, f64, f64, &mut Rng) -> bool;
        let nulls: [(&str, Outcome); 3] = [
            ("difficulty", |d, _, _, _, r| r.unit() > d),
            ("coin", |_, _, _, _, r| r.unit() > 0.5),
            ("effect around 0", |_, c, own, _, r| r.unit() > 0.5 + if c >= 2 { 0.15 * own } else { 0.0 }),
        ];
        for (name, outcome) in nulls {
            let (mut found, mut covered) = ([0, 0], [0, 0]);
            for s in 0..200 {
                let (rows, held) = study(&mut rng, outcome);
                for (i, beside) in [false, true].into_iter().enumerate() {
                    let (f, _) = within_questions(&rows, &held, 0.95, s, beside).unwrap();
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
            let (f, sd) = within_questions(&rows, &held, 0.95, 1, beside).unwrap();
            assert!(f.p < 0.01 && f.high < 0.0 && sd > 0.0, "{f:?}");
        }
        let flat = HeldOut { outputs: vec![vec![1.0]; rows.len()], ..held };
        assert!(within_questions(&rows, &flat, 0.95, 1, false).is_err());
    }
}
