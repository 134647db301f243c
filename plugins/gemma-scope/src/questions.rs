//! Sorts a run's turns by question, so that only turns with the same question are compared.
//!
//! A question is an item, or a round of one, that several conditions of a group ask at the same turn. A hard question
//! changes a feature and the answer alike in every condition, so only a difference within a question is due to the
//! condition. Therefore both links of a feature are sums within questions, one number per group. Each sum is linear in the
//! feature's values: every row has a weight, which does not depend on the feature. All samples of a conversation are rows
//! of the same questions.
use friction_core::{Factors, Outcome, TurnRow, other_factors};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of a question at one level, each with its outcome.
type Told = Vec<(usize, f64)>;

/// The run's turns (rows, in the given order) with their questions and weights.
#[derive(Debug, Clone, Default)]
pub struct Questions {
    /// Groups with at least one question asked at both levels, ascending.
    pub groups: Vec<u32>,
    /// Whether rows are compared only with rows that agree in all other factors; false if there are no such rows.
    pub paired: bool,
    /// For each row: its group's index, its question and its weights. `None` if its question has one level only.
    places: Vec<Option<Place>>,
    questions: usize,
    /// For each group, the outcome at level 1 minus that at level 0, shares in points. NaN for a group without a question
    /// that has the outcome at both levels.
    pub performance: Vec<f64>,
    /// Number of rows that have the outcome.
    pub told: usize,
    /// Factor from the outcome to the unit in which it is shown.
    scale: f64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    group: usize,
    question: usize,
    /// The row's weight in the group's mean over questions of level 1 minus level 0.
    difference: f64,
    /// The row's outcome (of an answer: 1 right, 0 wrong) minus the question's mean, divided by the group's number of rows
    /// that have one. `None` if the question does not have it at both levels, or the row has none.
    answer: Option<f64>,
}

/// A feature's two links, as one number per group, and its standard deviation within questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Links {
    /// Mean over questions of the feature's activation at level 1 minus that at level 0.
    pub difference: Vec<f64>,
    /// Association with the outcome (right answers), shares in points, per standard deviation of the feature within
    /// questions. NaN for a group without the outcome.
    pub answers: Vec<f64>,
    /// The standard deviation within questions of the rows that have the outcome, in units of activation.
    pub sd: f64,
}

impl Questions {
    /// Sorts rows into questions: group, turn, item, round, and the levels of all other factors. If no two conditions agree
    /// in the other factors, all conditions of a group and turn are compared. `second` is the name of level 1 of `factor`;
    /// level 0 is every other. Features are linked with `outcome`.
    pub fn new(rows: &[&TurnRow], factor: &str, second: &str, outcome: &Outcome) -> Self {
        let strict = Self::by(rows, (factor, second), outcome, true);
        if strict.groups.is_empty() { Self::by(rows, (factor, second), outcome, false) } else { strict }
    }

    fn by(rows: &[&TurnRow], (factor, second): (&str, &str), outcome: &Outcome, paired: bool) -> Self {
        let level = |r: &TurnRow| usize::from(r.factors.get(factor).is_some_and(|l| l == second));
        let key = |r: &TurnRow| {
            let others = if paired { other_factors(&r.factors, &[factor]) } else { Factors::new() };
            (r.group, r.turn, r.round, r.item_id.clone(), others)
        };
        let mut cells: BTreeMap<_, [Vec<usize>; 2]> = BTreeMap::new();
        for (i, r) in rows.iter().enumerate() {
            cells.entry(key(r)).or_default()[level(r)].push(i);
        }
        cells.retain(|_, [a, b]| !a.is_empty() && !b.is_empty());
        let groups: Vec<u32> = cells.keys().map(|(g, ..)| *g).collect::<BTreeSet<_>>().into_iter().collect();
        // The rows of each question that have the outcome, if it is there at both levels.
        let told: Vec<Option<[Told; 2]>> = cells
            .values()
            .map(|levels| {
                let of = |l: usize| levels[l].iter().filter_map(|i| Some((*i, rows[*i].outcome(outcome)?))).collect();
                let of: [Told; 2] = [of(0), of(1)];
                of.iter().all(|rows| !rows.is_empty()).then_some(of)
            })
            .collect();
        let mut sizes: BTreeMap<u32, Size> = BTreeMap::new();
        for ((g, ..), told) in cells.keys().zip(&told) {
            let s = sizes.entry(*g).or_default();
            s.questions += 1.0;
            if let Some([a, b]) = told {
                (s.told, s.rows) = (s.told + 1.0, s.rows + (a.len() + b.len()) as f64);
            }
        }
        let scale = outcome.scale();
        let performance = sizes.values().map(|s| if s.told > 0.0 { 0.0 } else { f64::NAN }).collect();
        let mut out = Self {
            performance,
            places: vec![None; rows.len()],
            questions: cells.len(),
            told: told.iter().flatten().flatten().map(Vec::len).sum(),
            scale,
            paired,
            groups,
        };
        for (question, (((g, ..), levels), told)) in cells.iter().zip(&told).enumerate() {
            let Ok(group) = out.groups.binary_search(g) else { continue };
            let size = &sizes[g];
            for (level, of) in levels.iter().enumerate() {
                let difference = sign(level) / (of.len() as f64 * size.questions);
                for i in of {
                    out.places[*i] = Some(Place { group, question, difference, answer: None });
                }
            }
            let Some(told) = told else { continue };
            let n = (told[0].len() + told[1].len()) as f64;
            let mean = told.iter().flatten().map(|(_, v)| v).sum::<f64>() / n;
            for (level, of) in told.iter().enumerate() {
                let weight = sign(level) / (of.len() as f64 * size.told);
                for (i, v) in of {
                    out.performance[group] += scale * weight * v;
                    if let Some(place) = &mut out.places[*i] {
                        place.answer = Some((v - mean) / size.rows);
                    }
                }
            }
        }
        out
    }

    /// Whether a group, by its index in `groups`, has the outcome at both levels of a question.
    pub fn has_outcome(&self, group: usize) -> bool {
        self.performance.get(group).is_some_and(|p| !p.is_nan())
    }

    /// A feature's links. `values` are pairs of a row and the feature's activation there, for rows where it is not 0.
    pub fn links(&self, values: &[(usize, f64)]) -> Links {
        let mut difference = vec![0.0; self.groups.len()];
        let mut answers: Vec<f64> = self.performance.iter().map(|p| if p.is_nan() { f64::NAN } else { 0.0 }).collect();
        let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
        let mut squares = 0.0;
        for (row, v) in values {
            let Some(Some(p)) = self.places.get(*row) else { continue };
            difference[p.group] += p.difference * v;
            let Some(answer) = p.answer else { continue };
            answers[p.group] += answer * v;
            *sums.entry(p.question).or_default() += v;
            squares += v * v;
        }
        let mut sizes = vec![0.0; self.questions];
        self.places.iter().flatten().filter(|p| p.answer.is_some()).for_each(|p| sizes[p.question] += 1.0);
        let between: f64 = sums.iter().map(|(q, s)| s * s / sizes[*q]).sum();
        let rows: f64 = sizes.iter().sum();
        // A feature that is constant within questions has no spread; what remains is a rounding error.
        let within = if squares - between > 1e-12 * squares { squares - between } else { 0.0 };
        let sd = if rows > 0.0 { (within / rows).sqrt() } else { 0.0 };
        let shown = |a: f64| if sd > 0.0 { self.scale * a / sd } else { 0.0 };
        answers.iter_mut().filter(|a| !a.is_nan()).for_each(|a| *a = shown(*a));
        Links { difference, answers, sd }
    }
}

/// How much of a group's rows is compared.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// Number of questions.
    questions: f64,
    /// Number of questions that have the outcome at both levels.
    told: f64,
    /// Number of rows of those that have it.
    rows: f64,
}

fn sign(level: usize) -> f64 {
    if level == 1 { 1.0 } else { -1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&TurnRow]) -> Questions {
        Questions::new(rows, "f", "b", &Outcome::Score)
    }

    fn row(group: u32, turn: u32, levels: &[(&str, &str)], correct: bool) -> TurnRow {
        let factors = levels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let condition = levels.iter().map(|(_, v)| *v).collect::<Vec<_>>().join("_");
        let score = Some(f64::from(u8::from(correct)));
        TurnRow { group, turn, factors, condition, score, ..TurnRow::default() }
    }

    #[test]
    fn only_a_question_asked_at_both_levels_counts() {
        // Group 4 lacks the second level at turn 2, group 9 at all turns.
        let rows = [
            row(4, 2, &[("f", "a")], true),
            row(4, 3, &[("f", "a")], true),
            row(4, 3, &[("f", "b")], false),
            row(9, 2, &[("f", "a")], true),
        ];
        let q = of(&rows.iter().collect::<Vec<_>>());
        assert_eq!((q.groups.as_slice(), q.performance.as_slice(), q.paired), (&[4][..], &[-100.0][..], true));
        let l = q.links(&[(0, 50.0), (1, 1.0), (2, 3.0), (3, 70.0)]);
        assert_eq!(l.difference, [2.0]);
        // Values lie 1 below and 1 above their mean: a deviation of 1, which goes with −50 points.
        assert_eq!((l.sd, l.answers.as_slice()), (1.0, &[-50.0][..]));
    }

    #[test]
    fn a_hard_question_moves_neither_link() {
        // The value and the answer depend on the question alone.
        let rows: Vec<TurnRow> =
            (0..6).flat_map(|i| ["a", "b"].map(|l| row(i / 3, i % 3, &[("f", l)], i % 2 == 0))).collect();
        let values: Vec<(usize, f64)> = (0..12).map(|i| (i, if (i / 2) % 2 == 0 { 5.0 } else { 0.3 })).collect();
        let l = of(&rows.iter().collect::<Vec<_>>()).links(&values);
        assert_eq!(l, Links { difference: vec![0.0; 2], answers: vec![0.0; 2], sd: 0.0 });
    }

    #[test]
    fn partners_agree_in_the_other_factors() {
        // The feature and the answers depend on the tone and not on the factor.
        let mut rows = vec![];
        let mut values = vec![];
        for (i, (f, tone)) in [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")].into_iter().enumerate() {
            rows.push(row(0, 2, &[("f", f), ("tone", tone)], tone == "x"));
            values.push((i, if tone == "x" { 3.0 } else { 1.0 }));
        }
        let all: Vec<&TurnRow> = rows.iter().collect();
        let l = of(&all).links(&values);
        assert_eq!((l.difference, l.answers), (vec![0.0], vec![0.0]));
        // If no two conditions agree in the other factors, all are compared and `paired` is false.
        let q = of(&[all[0], all[3]]);
        assert!(!q.paired);
        assert_eq!(q.links(&[(0, 3.0), (1, 1.0)]).difference, [-2.0]);
    }

    #[test]
    fn a_question_is_an_item_and_its_round_and_samples_are_rows_of_it() {
        let mut rows = [
            row(0, 2, &[("f", "a")], true),
            row(0, 2, &[("f", "b")], false),
            row(0, 2, &[("f", "b")], true),
            row(0, 3, &[("f", "a")], true),
            row(0, 3, &[("f", "b")], false),
        ];
        rows[2].sample = 1;
        let performance = |rows: &[TurnRow]| of(&rows.iter().collect::<Vec<_>>()).performance;
        // Turn 2: half of the samples are right, against one; turn 3: none, against one.
        assert_eq!(performance(&rows), [-75.0]);
        // Another item, or another round of it, is no partner.
        rows[4].item_id = "other".into();
        assert_eq!(performance(&rows), [-50.0]);
        rows[2].round = 2;
        assert_eq!(performance(&rows), [-100.0]);
    }

    #[test]
    fn rows_without_the_outcome_count_for_the_difference_alone() {
        let mut rows: Vec<TurnRow> =
            (0..8).flat_map(|i| ["a", "b"].map(|l| row(i / 4, i % 4, &[("f", l)], true))).collect();
        // Group 0 has a number of tokens at its first turn alone, group 1 nowhere at both levels.
        for (i, r) in rows.iter_mut().enumerate().filter(|(i, _)| *i < 2 || *i == 8) {
            r.metrics.insert("n".into(), 3.0 + 4.0 * i as f64);
        }
        let outcome: Outcome = "metric.n".parse().unwrap_or_default();
        let values: Vec<(usize, f64)> = (0..16).map(|i| (i, (i % 2) as f64 * 2.0)).collect();
        let q = Questions::new(&rows.iter().collect::<Vec<_>>(), "f", "b", &outcome);
        assert!(q.performance[0] == 4.0 && q.performance[1].is_nan() && q.told == 2, "{q:?}");
        assert!(q.has_outcome(0) && !q.has_outcome(1) && !q.has_outcome(2));
        let l = q.links(&values);
        // Values lie 1 below and 1 above their mean, the outcome 2 below and 2 above; no percent of a number.
        assert!(l.difference == [2.0, 2.0] && l.sd == 1.0 && l.answers[0] == 2.0 && l.answers[1].is_nan(), "{l:?}");
        // With the score, every row has one.
        assert!(of(&rows.iter().collect::<Vec<_>>()).performance == [0.0, 0.0]);
    }
}
