//! Sorts a run's turns by question, so that only turns with the same question are compared.
//!
//! All conditions of a group ask the same question at the same turn. A hard question changes a feature and the answer
//! alike in every condition, so only a difference within a question is due to the condition. Therefore both links of a
//! feature are sums within questions, one number per group. Each sum is linear in the feature's values: every row has a
//! weight, which does not depend on the feature.
use friction_core::TurnRow;
use std::collections::{BTreeMap, BTreeSet};

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
    /// For each group, accuracy at level 1 minus accuracy at level 0, in percentage points.
    pub performance: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    group: usize,
    question: usize,
    /// The row's weight in the group's mean over questions of level 1 minus level 0.
    difference: f64,
    /// The row's answer (1 right, 0 wrong) minus the question's mean, divided by the group's number of rows.
    answer: f64,
}

/// A feature's two links, as one number per group, and its standard deviation within questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Links {
    /// Mean over questions of the feature's activation at level 1 minus that at level 0.
    pub difference: Vec<f64>,
    /// Association with right answers: points of accuracy per standard deviation of the feature within questions.
    pub answers: Vec<f64>,
    /// The standard deviation within questions, in units of activation.
    pub sd: f64,
}

impl Questions {
    /// Sorts rows into questions: group, turn and the levels of all other factors. If no two conditions agree in the
    /// other factors, all conditions of a group and turn are compared. `second` is the name of level 1 of `factor`.
    pub fn new(rows: &[&TurnRow], factor: &str, second: &str) -> Self {
        let strict = Self::by(rows, factor, second, true);
        if strict.groups.is_empty() { Self::by(rows, factor, second, false) } else { strict }
    }

    fn by(rows: &[&TurnRow], factor: &str, second: &str, paired: bool) -> Self {
        let level = |r: &TurnRow| usize::from(r.factors.get(factor).is_some_and(|l| l == second));
        let key = |r: &TurnRow| {
            let others: Vec<(String, String)> = match paired {
                true => r.factors.iter().filter(|(k, _)| *k != factor).map(|(k, v)| (k.clone(), v.clone())).collect(),
                false => vec![],
            };
            (r.group, r.turn, others)
        };
        let mut cells: BTreeMap<_, [Vec<usize>; 2]> = BTreeMap::new();
        for (i, r) in rows.iter().enumerate() {
            cells.entry(key(r)).or_default()[level(r)].push(i);
        }
        cells.retain(|_, [a, b]| !a.is_empty() && !b.is_empty());
        let groups: Vec<u32> = cells.keys().map(|(g, ..)| *g).collect::<BTreeSet<_>>().into_iter().collect();
        // The numbers of questions and of rows in each group.
        let mut sizes: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for ((g, ..), [a, b]) in &cells {
            let s = sizes.entry(*g).or_default();
            *s = (s.0 + 1.0, s.1 + (a.len() + b.len()) as f64);
        }
        let right = |i: usize| f64::from(u8::from(rows[i].right() == Some(true)));
        let mut out = Self {
            performance: vec![0.0; groups.len()],
            places: vec![None; rows.len()],
            questions: cells.len(),
            paired,
            groups,
        };
        for (question, ((g, ..), levels)) in cells.iter().enumerate() {
            let Ok(group) = out.groups.binary_search(g) else { continue };
            let (questions, of_group) = sizes[g];
            let n = (levels[0].len() + levels[1].len()) as f64;
            let mean = levels.iter().flatten().map(|i| right(*i)).sum::<f64>() / n;
            for (level, of) in levels.iter().enumerate() {
                let weight = (if level == 1 { 1.0 } else { -1.0 }) / (of.len() as f64 * questions);
                for i in of {
                    out.performance[group] += 100.0 * weight * right(*i);
                    let answer = (right(*i) - mean) / of_group;
                    out.places[*i] = Some(Place { group, question, difference: weight, answer });
                }
            }
        }
        out
    }

    /// A feature's links. `values` are pairs of a row and the feature's activation there, for rows where it is not 0.
    pub fn links(&self, values: &[(usize, f64)]) -> Links {
        let mut difference = vec![0.0; self.groups.len()];
        let mut answers = vec![0.0; self.groups.len()];
        let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
        let mut squares = 0.0;
        for (row, v) in values {
            let Some(Some(p)) = self.places.get(*row) else { continue };
            difference[p.group] += p.difference * v;
            answers[p.group] += p.answer * v;
            *sums.entry(p.question).or_default() += v;
            squares += v * v;
        }
        let mut sizes = vec![0.0; self.questions];
        self.places.iter().flatten().for_each(|p| sizes[p.question] += 1.0);
        let between: f64 = sums.iter().map(|(q, s)| s * s / sizes[*q]).sum();
        let rows: f64 = sizes.iter().sum();
        // A feature that is constant within questions has no spread; what remains is a rounding error.
        let within = if squares - between > 1e-12 * squares { squares - between } else { 0.0 };
        let sd = (within / rows).sqrt();
        answers.iter_mut().for_each(|a| *a = if sd > 0.0 { 100.0 * *a / sd } else { 0.0 });
        Links { difference, answers, sd }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let q = Questions::new(&rows.iter().collect::<Vec<_>>(), "f", "b");
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
        let l = Questions::new(&rows.iter().collect::<Vec<_>>(), "f", "b").links(&values);
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
        let l = Questions::new(&all, "f", "b").links(&values);
        assert_eq!((l.difference, l.answers), (vec![0.0], vec![0.0]));
        // If no two conditions agree in the other factors, all are compared and `paired` is false.
        let q = Questions::new(&[all[0], all[3]], "f", "b");
        assert!(!q.paired);
        assert_eq!(q.links(&[(0, 3.0), (1, 1.0)]).difference, [-2.0]);
    }
}
