//! The order in which a group visits topics, the same for all plugins of this crate.
use crate::latin::Block;
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Balance, Category, Error, PlanContext, Result, TopicPlan, manifest, plural, seed};
use serde::Deserialize;
use std::ops::Range;

/// The order in which a group visits topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Shuffled for each group.
    #[default]
    Shuffled,
    /// Latin squares: over as many groups as there are topics, each topic stands once at each turn.
    Balanced,
    /// The order in which the topics were chosen, in every group.
    Fixed,
}

/// Number of groups whose rows are held at once where all are counted.
const CHUNK: usize = 4096;

impl Order {
    /// The topics of some groups. `chosen` are the topics of all groups, at least one; where there are more turns, they are
    /// visited again, round by round. With two topics or more, none is visited twice running. Each row depends on its
    /// group, the seed and the number of turns alone.
    pub fn rows(self, chosen: &[usize], cx: &PlanContext, groups: Range<usize>) -> TopicPlan {
        let named = |row: Vec<usize>| -> Vec<usize> { row.into_iter().map(|i| chosen[i]).collect() };
        let n = chosen.len();
        let order = match self {
            Order::Shuffled => groups.map(|g| named(shuffled(n, cx, g))).collect(),
            Order::Fixed => groups.map(|_| named((0..cx.turns).map(|t| t % n).collect())).collect(),
            Order::Balanced => {
                let mut held: Option<(usize, Block)> = None;
                let row = |g: usize| {
                    let (at, place) = (g / n, g % n);
                    if held.as_ref().is_none_or(|(h, _)| *h != at) {
                        held = Some((at, Block::new(n, cx.turns, cx.seed, at as u64)));
                    }
                    named(held.as_ref().map(|(_, block)| block.row(place)).unwrap_or_default())
                };
                groups.map(row).collect()
            }
        };
        TopicPlan { order }
    }

    /// How often each topic stands at each turn, over all groups.
    pub fn balance(self, chosen: &[usize], cx: &PlanContext) -> Balance {
        let mut balance = Balance::default();
        for from in (0..cx.groups).step_by(CHUNK) {
            let rows = self.rows(chosen, cx, from..(from + CHUNK).min(cx.groups));
            rows.order.iter().for_each(|row| balance.add(row));
        }
        balance
    }
}

/// A permutation of `0..n` for each round.
fn shuffled(n: usize, cx: &PlanContext, group: usize) -> Vec<usize> {
    let (mut out, mut round): (Vec<usize>, u64) = (vec![], 0);
    while out.len() < cx.turns {
        let parts = [cx.seed, group as u64, round].map(u64::to_le_bytes);
        let drawn = seed::derive(&[b"topics", &parts[0], &parts[1], &parts[2]]);
        let mut order = seed::permutation(n, drawn);
        // A round that begins with the topic before it has that topic put at another place, drawn evenly. What is left is
        // an even draw of the permutations that begin otherwise.
        if n > 1 && out.last() == order.first() {
            let place = seed::derive(&[b"topics, not twice running", &drawn.to_le_bytes()]) % (n as u64 - 1);
            order.swap(0, 1 + place as usize);
        }
        out.extend(order);
        round += 1;
    }
    out.truncate(cx.turns);
    out
}

/// The categories that `topics` names, all if it is empty.
///
/// # Errors
/// At `topics`: a name that is no category's or occurs twice, or a dataset without categories.
pub(crate) fn named(topics: &[String], categories: &[Category]) -> Result<Vec<usize>> {
    if categories.is_empty() {
        return Err(Error::at("topics", "the dataset has no category"));
    }
    if topics.is_empty() {
        return Ok((0..categories.len()).collect());
    }
    let mut chosen: Vec<usize> = vec![];
    let mut faults = Faults::default();
    for (i, topic) in topics.iter().enumerate() {
        let key = format!("topics.{i}");
        match find(topic, categories, &key) {
            Err(e) => faults.add(e),
            Ok(at) if chosen.contains(&at) => {
                faults.when(true, &key, format!("category `{topic}` is listed twice"));
            }
            Ok(at) => chosen.push(at),
        }
    }
    faults.end()?;
    Ok(chosen)
}

/// The index of a category.
///
/// # Errors
/// At `key`, if there is none of this name.
pub(crate) fn find(name: &str, categories: &[Category], key: &str) -> Result<usize> {
    categories.iter().position(|c| c.name == name).ok_or_else(|| {
        let help = manifest::suggestion(name, categories.iter().map(|c| c.name.as_str())).unwrap_or_default();
        Error::at(key, format!("the dataset has no category `{name}`: {help}"))
    })
}

/// Fails if there are fewer categories than turns and none is visited again.
pub(crate) fn enough(chosen: usize, turns: usize, repeat: bool) -> Result<()> {
    if chosen >= turns || repeat {
        return Ok(());
    }
    let what = format!("{turns} turns need {turns} categories, but there are {chosen}");
    Err(Error::at("topics", what).help("lower `study.turns`, or set `repeat = true` to visit categories again"))
}

/// Fails if all groups visit the topics in one order that never comes to the last ones. `topics` are their names.
pub(crate) fn comes_to_all(key: &str, topics: &[&str], turns: usize, help: &str) -> Result<()> {
    if topics.len() <= turns {
        return Ok(());
    }
    let never = topics[turns..].iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
    let what = format!("a study of {} in this order never comes to {never}", plural(turns, "turn"));
    Err(Error::at(key, what).help(help))
}

#[cfg(test)]
mod tests;
