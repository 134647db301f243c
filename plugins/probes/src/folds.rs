//! Folds without shared data: rows are held out by group, and if asked for by phrase or question too.
use crate::rows::Row;
use friction_core::schemars::{self, JsonSchema};
use friction_core::seed::permutation;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the training part and the test part must not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// The group, that is all conversations over the same questions.
    Group,
    /// The wording of the user's message.
    Phrase,
    /// The question.
    Question,
}

impl Key {
    fn of(self, r: &Row) -> String {
        match self {
            Key::Group => format!("{:08}", r.turn.group),
            Key::Phrase => format!("{}/{}", r.turn.condition, r.turn.phrase.unwrap_or(0)),
            Key::Question => format!("{}/{}", r.turn.topic, r.turn.item_id),
        }
    }
}

/// The training and test rows of one fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Indices of the training rows.
    pub train: Vec<usize>,
    /// Indices of the test rows.
    pub test: Vec<usize>,
}

/// Folds over the rows `of`. The values of each key are dealt into `k` parts (fewer if there are fewer values);
/// if targets are `classes`, phrases are dealt by class, so that each part has every class where possible. A fold tests one part of every key and
/// trains on rows that are in other parts of all keys. So two keys give k² folds, each row is tested once, and no test
/// row shares a group or a phrase with a training row.
pub fn folds(rows: &[Row], of: &[usize], keys: &[Key], k: usize, seed: u64, classes: bool) -> Vec<Fold> {
    let parts: Vec<BTreeMap<String, usize>> = keys.iter().map(|key| deal(rows, of, *key, k, seed, classes)).collect();
    let place =
        |i: usize| -> Vec<usize> { keys.iter().zip(&parts).map(|(key, part)| part[&key.of(&rows[i])]).collect() };
    let places: Vec<(usize, Vec<usize>)> = of.iter().map(|i| (*i, place(*i))).collect();
    let cells: BTreeSet<&Vec<usize>> = places.iter().map(|(_, p)| p).collect();
    cells
        .into_iter()
        .map(|cell| Fold {
            test: places.iter().filter(|(_, p)| p == cell).map(|(i, _)| *i).collect(),
            train: places.iter().filter(|(_, p)| p.iter().zip(cell).all(|(a, b)| a != b)).map(|(i, _)| *i).collect(),
        })
        .collect()
}

fn deal(rows: &[Row], of: &[usize], key: Key, k: usize, seed: u64, classes: bool) -> BTreeMap<String, usize> {
    // Phrases are dealt within their class; other keys, and targets that are numbers, have one stratum.
    let mut strata: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for i in of {
        let stratum = if key == Key::Phrase && classes { rows[*i].y as i64 } else { 0 };
        strata.entry(stratum).or_default().insert(key.of(&rows[*i]));
    }
    let least = strata.values().map(BTreeSet::len).min().unwrap_or(1);
    let parts = k.min(least).max(1);
    let mut out = BTreeMap::new();
    for values in strata.into_values() {
        let order = permutation(values.len(), seed);
        let values: Vec<String> = values.into_iter().collect();
        for (i, at) in order.into_iter().enumerate() {
            out.insert(values[at].clone(), i % parts);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_core::TurnRow;

    fn rows() -> Vec<Row> {
        let mut out = vec![];
        for group in 0..10 {
            for (c, condition) in ["calm", "rude"].iter().enumerate() {
                for turn in 1..=4 {
                    let turn = TurnRow {
                        group,
                        condition: (*condition).into(),
                        phrase: Some((group + turn) % 3),
                        item_id: format!("{group}-{turn}"),
                        turn,
                        ..TurnRow::default()
                    };
                    out.push(Row { turn, y: c as f64 });
                }
            }
        }
        out
    }

    #[test]
    fn train_and_test_share_no_key_and_each_row_is_tested_once() {
        let rows = rows();
        let all: Vec<usize> = (0..rows.len()).collect();
        for keys in [vec![Key::Group], vec![Key::Group, Key::Phrase], vec![Key::Group, Key::Question]] {
            let folds = folds(&rows, &all, &keys, 5, 1, true);
            let mut tested: Vec<usize> = folds.iter().flat_map(|f| f.test.clone()).collect();
            tested.sort_unstable();
            assert_eq!(tested, all, "{keys:?}");
            for f in &folds {
                assert!(!f.train.is_empty(), "{keys:?}");
                for key in &keys {
                    let of = |v: &[usize]| -> BTreeSet<String> { v.iter().map(|i| key.of(&rows[*i])).collect() };
                    assert!(of(&f.train).is_disjoint(&of(&f.test)), "{keys:?}");
                }
                let classes: BTreeSet<u64> = f.train.iter().map(|i| rows[*i].y as u64).collect();
                assert_eq!(classes.len(), 2, "{keys:?}");
            }
        }
    }

    #[test]
    fn samples_and_long_conversations_of_a_group_stay_together_and_numbers_are_dealt_in_one() {
        // Three samples of each conversation, of 1 to 5 turns; the target is a number that every phrase meets.
        let mut rows = vec![];
        for (group, sample) in (0..6u32).flat_map(|g| (0..3).map(move |s| (g, s))) {
            for turn in 1..=1 + (group + sample) % 5 {
                let y = f64::from(turn) * 1.7;
                let turn = TurnRow { group, sample, turn, phrase: Some(turn % 4), ..TurnRow::default() };
                rows.push(Row { turn, y });
            }
        }
        let all: Vec<usize> = (0..rows.len()).collect();
        for keys in [vec![Key::Group], vec![Key::Group, Key::Phrase]] {
            let folds = folds(&rows, &all, &keys, 5, 3, false);
            let tested: BTreeSet<usize> = folds.iter().flat_map(|f| f.test.clone()).collect();
            assert_eq!(tested.len(), rows.len(), "{keys:?}");
            for f in &folds {
                let of = |v: &[usize]| -> BTreeSet<u32> { v.iter().map(|i| rows[*i].turn.group).collect() };
                assert!(!f.train.is_empty() && of(&f.train).is_disjoint(&of(&f.test)), "{keys:?}");
            }
        }
    }
}
