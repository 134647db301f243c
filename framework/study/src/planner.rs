//! What the planner tells of a design before a run: how long the user's messages are in each condition, and how topics
//! are spread over the places of a list.
use crate::design::Counter;
use crate::rehearsal::Course;
use crate::{Plan, Result};
use friction_core::Balance;
use serde::Serialize;
use std::collections::BTreeSet;

/// Most conversations whose messages are measured, in groups spread evenly over the study; all conditions of a group are
/// measured together, so that their items are the same.
const MEASURED: usize = 512;

/// Most items whose choices are counted for the chance level.
const CHANCE: usize = 32;

/// The user's messages of one condition, in tokens without the chat template's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Messages {
    /// Name of the condition.
    pub condition: String,
    /// Mean length of the first turn's message.
    pub first: f64,
    /// Mean length of the messages of later turns; `None` in conversations of one turn.
    pub later: Option<f64>,
    /// Turns of the longest conversation that was measured.
    pub turns: usize,
}

/// The messages of all conditions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageLengths {
    /// Number of groups whose messages were measured.
    pub groups: usize,
    /// One entry for each condition, in the manifest's order.
    pub conditions: Vec<Messages>,
}

/// Two conditions whose messages differ most in length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Apart {
    /// Difference of the means, in tokens.
    pub tokens: f64,
    /// The condition with the longer messages.
    pub longer: String,
    /// The condition with the shorter ones.
    pub shorter: String,
}

impl MessageLengths {
    /// The largest difference between two conditions in the first turn.
    pub fn first(&self) -> Option<Apart> {
        apart(self.conditions.iter().map(|c| (c.condition.as_str(), c.first)))
    }
    /// The largest difference between two conditions in later turns.
    pub fn later(&self) -> Option<Apart> {
        apart(self.conditions.iter().filter_map(|c| Some((c.condition.as_str(), c.later?))))
    }
}

/// The entries with the largest and the smallest number; `None` of fewer than two.
fn apart<'a>(all: impl Iterator<Item = (&'a str, f64)> + Clone) -> Option<Apart> {
    let longer = all.clone().reduce(|a, b| if b.1 > a.1 { b } else { a })?;
    let shorter = all.clone().reduce(|a, b| if b.1 < a.1 { b } else { a })?;
    let found = Apart { tokens: longer.1 - shorter.1, longer: longer.0.into(), shorter: shorter.0.into() };
    (all.count() > 1).then_some(found)
}

/// How often one topic stands where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topic {
    /// Name of the category.
    pub name: String,
    /// Times that it is asked.
    pub asked: usize,
    /// Fewest times that it stands at one place of the lists.
    pub least: usize,
    /// Most times that it stands at one place.
    pub most: usize,
    /// Mean of the places where it stands, from 1. NaN, which JSON writes as null, if it is never asked.
    pub place: f64,
}

/// How topics are spread over the places of the groups' lists. With one turn an item, places are turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicBalance {
    /// Number of groups.
    pub groups: usize,
    /// Places of each list.
    pub places: usize,
    /// The dataset's categories.
    pub topics: Vec<Topic>,
    /// Number of different orders of topics, of the first 4,096 groups.
    pub orders: usize,
    /// Times that a topic follows itself, in the same groups.
    pub repeats: usize,
}

impl TopicBalance {
    /// Counts of all groups; orders and repeats of the first groups, whose topics are `rows`, `[groups][places]`.
    fn of(names: Vec<String>, balance: &Balance, rows: &[Vec<usize>]) -> Self {
        let topic = |(index, name): (usize, String)| {
            let at: Vec<usize> = (0..balance.turns()).map(|place| balance.count(index, place) as usize).collect();
            let asked: usize = at.iter().sum();
            let sum: usize = at.iter().enumerate().map(|(i, n)| (i + 1) * n).sum();
            let (least, most) = (at.iter().min(), at.iter().max());
            let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
            Topic { name, asked, least, most, place: sum as f64 / asked as f64 }
        };
        Self {
            groups: balance.groups() as usize,
            places: balance.turns(),
            topics: names.into_iter().enumerate().map(topic).collect(),
            orders: rows.iter().collect::<BTreeSet<_>>().len(),
            repeats: rows.iter().flat_map(|row| row.windows(2)).filter(|w| w[0] == w[1]).count(),
        }
    }

    /// The topics that are asked.
    pub fn asked(&self) -> impl Iterator<Item = &Topic> + Clone {
        self.topics.iter().filter(|t| t.asked > 0)
    }
}

impl Plan {
    /// What counts tokens of this plan.
    pub(crate) fn counter(&self) -> Counter<'_> {
        Counter {
            manifest: &self.manifest,
            conditions: &self.conditions,
            dataset: self.dataset.as_ref(),
            lists: &self.lists,
            tokenizer: &self.tokenizer,
            template: &self.template,
            neutral: self.program.neutral.as_ref(),
        }
    }

    /// Measures the user's messages of each condition, as they are with made-up replies: those of all conditions in the
    /// same groups, of at most 512 conversations.
    ///
    /// # Errors
    /// If a plugin or the tokenizer fails.
    pub fn message_lengths(&self) -> Result<MessageLengths> {
        let counter = self.counter();
        let all = self.lists.groups();
        let groups = (MEASURED / self.conditions.len().max(1)).clamp(1, all.max(1)).min(all);
        let mut sums = vec![Sums::default(); self.conditions.len()];
        for i in 0..groups {
            let group = i * all / groups;
            let list = self.group(group)?;
            for (c, sums) in self.conditions.iter().zip(&mut sums) {
                let course = Course::new(c.plugin.as_ref(), &list, self.manifest.study.most_turns());
                let told = counter.rehearsals(c, &course, group, &list)?.into_iter().next().unwrap_or_default();
                sums.turns = sums.turns.max(told.len());
                for (turn, said) in told.iter().enumerate() {
                    let at = &mut sums.of[usize::from(turn > 0)];
                    *at = (at.0 + counter.tokens(&said.ask.text)?, at.1 + 1);
                }
            }
        }
        let mean = |(sum, n): (usize, usize)| (n > 0).then(|| sum as f64 / n as f64);
        let conditions = self.conditions.iter().zip(&sums).map(|(c, s)| Messages {
            condition: c.name.clone(),
            first: mean(s.of[0]).unwrap_or(0.0),
            later: mean(s.of[1]),
            turns: s.turns,
        });
        Ok(MessageLengths { groups, conditions: conditions.collect() })
    }

    /// Counts how topics are spread over places.
    pub fn topic_balance(&self) -> TopicBalance {
        let names = self.dataset.categories().iter().map(|c| c.name.clone()).collect();
        TopicBalance::of(names, self.lists.balance(), self.lists.orders())
    }

    /// The share of right answers by guessing, over the items of the first group; `None` if they have no choices.
    ///
    /// # Errors
    /// If the dataset fails.
    pub fn chance(&self) -> Result<Option<f64>> {
        let list = self.group(0)?;
        let choices: Vec<usize> = list.iter().take(CHANCE).map(|p| p.item.choices.len()).collect();
        let known = !choices.is_empty() && choices.iter().all(|n| *n > 1);
        Ok(known.then(|| choices.iter().map(|n| 1.0 / *n as f64).sum::<f64>() / choices.len() as f64))
    }
}

/// Sums and numbers of messages: of first turns, and of later ones.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    of: [(usize, usize); 2],
    turns: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_core::TopicPlan;

    #[test]
    fn topics_are_counted_by_place() {
        let names = ["art", "law", "math"].map(String::from).to_vec();
        let order = vec![vec![0, 1, 1], vec![1, 0, 1], vec![0, 1, 1]];
        let balance = TopicPlan { order: order.clone() }.balance();
        let b = TopicBalance::of(names, &balance, &order);
        assert_eq!((b.groups, b.places, b.orders, b.repeats), (3, 3, 2, 2));
        let of = |i: usize| (b.topics[i].asked, b.topics[i].least, b.topics[i].most, b.topics[i].place);
        // Art: twice at place 1, once at 2, never at 3. Law: once at 1, twice at 2, three times at 3.
        assert_eq!((of(0), of(1)), ((3, 0, 2, 4.0 / 3.0), (6, 1, 3, 14.0 / 6.0)));
        assert!(b.topics[2].place.is_nan() && b.topics[2].asked == 0);
        assert_eq!(b.asked().count(), 2);
    }

    #[test]
    fn the_conditions_that_differ_most_are_named() {
        let of = |name: &str, first: f64, later| Messages { condition: name.into(), first, later, turns: 2 };
        let mut all = MessageLengths {
            groups: 3,
            conditions: vec![of("a", 10.0, Some(30.0)), of("b", 10.0, None), of("c", 12.5, Some(26.0))],
        };
        let far = all.later().map(|a| (a.tokens, a.longer, a.shorter));
        assert_eq!(far, Some((4.0, "a".into(), "c".into())));
        let far = all.first().map(|a| (a.tokens, a.longer, a.shorter));
        assert_eq!(far, Some((2.5, "c".into(), "a".into())));
        all.conditions.truncate(1);
        assert_eq!(all.first(), None);
    }
}
