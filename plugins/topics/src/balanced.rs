//! `balanced`: the given categories in Latin squares, so that turn and topic are not confounded.
use crate::order::{Order, enough, named};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Category, Error, PlanContext, PluginConfig, PluginEntry, Result, TopicPlan, Topics};
use serde::Deserialize;
use std::ops::Range;

/// Gives each turn a category from a list, so that turn and topic are not confounded: over as many groups as there are
/// categories, each category stands once at each turn (a Latin square). All conditions of a group have the same order.
///
/// The squares are Williams's (1949): where a conversation visits every category, each category also follows each other one
/// equally often, over as many groups as there are categories if that number is even, and over twice as many if it is odd.
/// Which row of a square a group has, and which category a symbol stands for, are drawn anew for each square. Best with
/// `study.groups` a multiple of the number of categories; otherwise the counts differ by one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Balanced {
    /// Categories to use, by name. An empty list means all of the dataset's.
    #[serde(default)]
    topics: Vec<String>,
    /// Whether categories are visited again once all have been, none twice running; a further square is drawn for them.
    /// Set it to `true` where the study has more turns than there are categories, which is refused otherwise.
    #[serde(default)]
    repeat: bool,
}

impl PluginConfig for Balanced {
    type Output = dyn Topics;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Topics>> {
        Ok(Box::new(self.clone()))
    }
}

impl Balanced {
    fn chosen(&self, categories: &[Category], cx: &PlanContext) -> Result<Vec<usize>> {
        let chosen = named(&self.topics, categories)?;
        enough(chosen.len(), cx.turns, self.repeat)?;
        if let ([one], true) = (&chosen[..], cx.turns > 1) {
            let what = format!("`{}` alone would follow itself in {} turns", categories[*one].name, cx.turns);
            return Err(Error::at("topics", what).help("name two categories or more, or use `plugin = \"fixed\"`"));
        }
        Ok(chosen)
    }
}

impl Topics for Balanced {
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
        Ok(Order::Balanced.rows(&self.chosen(categories, cx)?, cx, 0..cx.groups))
    }

    fn choose_groups(&self, all: &[Category], cx: &PlanContext, groups: Range<usize>) -> Result<Option<TopicPlan>> {
        Ok(Some(Order::Balanced.rows(&self.chosen(all, cx)?, cx, groups)))
    }

    fn notes(&self, categories: &[Category], cx: &PlanContext) -> Vec<String> {
        // What is wrong with the options is reported by `choose`.
        self.chosen(categories, cx).map(|chosen| vec![note(&chosen, cx)]).unwrap_or_default()
    }
}

/// What a balanced order came to.
pub(crate) fn note(chosen: &[usize], cx: &PlanContext) -> String {
    let balance = Order::Balanced.balance(chosen, cx);
    let hint = match cx.groups.checked_rem(chosen.len()) {
        Some(0) | None => String::new(),
        Some(_) => format!("; with `study.groups` a multiple of {} all counts would be equal", chosen.len()),
    };
    format!("topics are balanced: over the groups, {balance}{hint}")
}

friction_core::inventory::submit! {
    PluginEntry::topics::<Balanced>(
        "balanced",
        "The categories given, each equally often at each turn",
        env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn categories(n: usize) -> Vec<Category> {
        (0..n).map(|i| Category { name: format!("c{i}"), items: 99 }).collect()
    }

    fn cx(groups: usize, turns: usize) -> PlanContext {
        PlanContext { seed: 4, groups, turns }
    }

    #[test]
    fn it_says_how_often_topics_stand_at_turns() {
        let all = Balanced { topics: vec![], repeat: false };
        assert_eq!(
            all.notes(&categories(14), &cx(42, 14)),
            ["topics are balanced: over the groups, each of 14 topics stands 3 times at each of 14 turns"]
        );
        let note = "topics are balanced: over the groups, each of 14 topics stands 3 to 4 times at each of 9 turns; with `study.groups` a multiple of 14 all counts would be equal";
        assert_eq!(all.notes(&categories(14), &cx(50, 9)), [note]);
        assert_eq!(all.notes(&categories(3), &cx(9, 4)), [""; 0]);
    }

    #[test]
    fn what_cannot_be_balanced_is_refused() {
        let of = |topics: &[&str], repeat, turns| {
            let topics = topics.iter().map(|t| (*t).to_string()).collect();
            Balanced { topics, repeat }.choose(&categories(3), &cx(6, turns)).map_err(|e| e.to_string())
        };
        assert_eq!(of(&[], false, 4).unwrap_err(), "4 turns need 4 categories, but there are 3");
        assert_eq!(of(&["c1"], true, 2).unwrap_err(), "`c1` alone would follow itself in 2 turns");
        assert!(of(&["c1", "c1"], true, 2).unwrap_err().contains("`c1` is listed twice"));
        assert!(of(&["c9"], true, 2).unwrap_err().contains("the dataset has no category `c9`"));
        assert_eq!(of(&["c1"], false, 1).unwrap().order, vec![vec![1]; 6]);
        assert!(of(&["c2", "c0"], true, 7).unwrap().order.iter().flatten().all(|t| [0, 2].contains(t)));
    }
}
