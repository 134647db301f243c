//! Whether turn and topic are confounded: how often each topic stands at each turn.
use crate::{TopicPlan, plural};
use std::collections::BTreeMap;
use std::fmt;

/// How often each topic of a design stands at each turn. Groups are added one at a time, so that a study of a million
/// groups needs no table of them all. Topics that no group visits are not counted.
///
/// ```
/// use friction_core::TopicPlan;
/// let balance = TopicPlan { order: vec![vec![4, 7], vec![7, 4], vec![4, 7]] }.balance();
/// assert_eq!((balance.least(), balance.most(), balance.count(4, 0)), (1, 2, 2));
/// assert!(balance.even());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    groups: u64,
    turns: usize,
    /// By topic, the number of groups that visit it at each turn.
    counts: BTreeMap<usize, Vec<u64>>,
}

impl Balance {
    /// Adds a group's topics, one a turn. (Where an item takes several turns, a turn is an item here.)
    pub fn add(&mut self, topics: &[usize]) {
        self.groups += 1;
        self.turns = self.turns.max(topics.len());
        for (turn, topic) in topics.iter().enumerate() {
            let at = self.counts.entry(*topic).or_default();
            if at.len() <= turn {
                at.resize(turn + 1, 0);
            }
            at[turn] += 1;
        }
    }

    /// Number of groups.
    pub fn groups(&self) -> u64 {
        self.groups
    }

    /// Number of turns of the longest group.
    pub fn turns(&self) -> usize {
        self.turns
    }

    /// The topics that occur, sorted: indices into the dataset's categories.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.counts.keys().copied()
    }

    /// Number of groups that visit a topic at a turn, from 0.
    pub fn count(&self, topic: usize, turn: usize) -> u64 {
        self.counts.get(&topic).and_then(|at| at.get(turn)).copied().unwrap_or(0)
    }

    /// The counts of each topic, one for each turn.
    fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = u64> + '_> + '_ {
        self.counts.values().map(move |at| (0..self.turns).map(move |turn| at.get(turn).copied().unwrap_or(0)))
    }

    /// The smallest number of times that a topic stands at a turn. 0 without groups.
    pub fn least(&self) -> u64 {
        self.rows().flatten().min().unwrap_or(0)
    }

    /// The largest number of times that a topic stands at a turn. 0 without groups.
    pub fn most(&self) -> u64 {
        self.rows().flatten().max().unwrap_or(0)
    }

    /// Whether turn and topic are independent, as far as whole numbers allow: the counts of each topic at two turns
    /// differ by one at most.
    pub fn even(&self) -> bool {
        self.rows().all(|row| {
            let (least, most) = row.fold((u64::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
            most.saturating_sub(least) <= 1
        })
    }

    /// Cramér's V of topic and turn (Cramér 1946): 0 if they are independent, 1 if each tells the other, as in a study
    /// that visits the topics in one order in every group. Not corrected for chance: with N places, R topics and C turns,
    /// an order drawn at random gives about √(max(R, C) − 1) / √N. `None` with fewer than two topics or two turns.
    pub fn association(&self) -> Option<f64> {
        let (topics, turns) = (self.counts.len(), self.turns);
        let degrees = topics.min(turns).saturating_sub(1);
        if degrees == 0 {
            return None;
        }
        let by_turn: Vec<u64> = (0..turns).map(|turn| self.topics().map(|t| self.count(t, turn)).sum()).collect();
        let total = by_turn.iter().sum::<u64>() as f64;
        let mut sum = 0.0;
        for row in self.rows() {
            let row: Vec<u64> = row.collect();
            let by_topic: u64 = row.iter().sum();
            for (n, at_turn) in row.iter().zip(&by_turn) {
                let expected = by_topic as f64 * *at_turn as f64 / total;
                sum += (*n as f64 - expected).powi(2) / expected;
            }
        }
        Some((sum / total / degrees as f64).sqrt())
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.least(), self.most());
        let times = if least == most { plural(most as usize, "time") } else { format!("{least} to {most} times") };
        let topics = plural(self.counts.len(), "topic");
        write!(f, "each of {topics} stands {times} at each of {}", plural(self.turns, "turn"))
    }
}

impl TopicPlan {
    /// How often each topic stands at each turn.
    pub fn balance(&self) -> Balance {
        let mut out = Balance::default();
        self.order.iter().for_each(|row| out.add(row));
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(rows: &[&[usize]]) -> Balance {
        TopicPlan { order: rows.iter().map(|r| r.to_vec()).collect() }.balance()
    }

    #[test]
    fn a_latin_square_is_even_and_one_order_is_not() {
        let square = of(&[&[0, 1, 3], &[1, 3, 0], &[3, 0, 1]]);
        assert_eq!((square.least(), square.most(), square.even()), (1, 1, true));
        assert_eq!(square.association(), Some(0.0));
        assert_eq!(square.to_string(), "each of 3 topics stands 1 time at each of 3 turns");
        assert_eq!(square.topics().collect::<Vec<_>>(), [0, 1, 3]);
        let same = of(&[&[0, 1, 2][..]; 5]);
        assert_eq!((same.least(), same.most(), same.even()), (0, 5, false));
        assert!((same.association().unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(same.to_string(), "each of 3 topics stands 0 to 5 times at each of 3 turns");
        // One group says as little of independence as of dependence, but its counts differ by one.
        assert!(of(&[&[0, 1, 2]]).even());
    }

    #[test]
    fn counts_are_of_turns_and_topics_that_occur() {
        let b = of(&[&[5, 2], &[5, 9], &[2, 5]]);
        assert_eq!((b.groups(), b.turns(), b.topics().len()), (3, 2, 3));
        assert_eq!((b.count(5, 0), b.count(5, 1), b.count(9, 0), b.count(1, 1), b.count(5, 7)), (2, 1, 0, 0, 0));
        // scipy.stats.contingency.association([[1, 1], [2, 1], [0, 1]], "cramer"), 1.17.1
        assert!((b.association().unwrap() - 0.471_404_520_791_031_7).abs() < 1e-12, "{:?}", b.association());
    }

    #[test]
    fn what_has_one_level_has_no_association() {
        assert_eq!(of(&[&[3], &[4]]).association(), None);
        assert_eq!(of(&[&[3, 3]]).association(), None);
        assert_eq!((of(&[]).association(), of(&[]).least(), of(&[]).most(), of(&[]).even()), (None, 0, 0, true));
    }
}
