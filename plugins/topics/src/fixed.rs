//! `fixed`: the given categories, in an order that is shuffled for each group.
use crate::order::{Order, comes_to_all, enough, named};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Category, PlanContext, PluginConfig, PluginEntry, Result, TopicPlan, Topics};
use serde::Deserialize;
use std::ops::Range;

/// Gives each turn a category from a fixed list, in an order of its own for each group. All conditions of a group have the
/// same order.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fixed {
    /// Categories to use, by name. An empty list means all of the dataset's, in its order.
    #[serde(default)]
    topics: Vec<String>,
    /// Whether the order is shuffled for each group. Set it to `false` to visit the categories in the order of `topics` in
    /// every group.
    #[serde(default = "yes")]
    shuffle: bool,
    /// Whether categories are visited again once all have been, none twice running. Set it to `true` where the study has
    /// more turns than there are categories, which is refused otherwise.
    #[serde(default)]
    repeat: bool,
}
fn yes() -> bool {
    true
}

impl PluginConfig for Fixed {
    type Output = dyn Topics;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Topics>> {
        Ok(Box::new(self.clone()))
    }
}

impl Topics for Fixed {
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
        self.rows(categories, cx, 0..cx.groups)
    }

    fn choose_groups(&self, all: &[Category], cx: &PlanContext, groups: Range<usize>) -> Result<Option<TopicPlan>> {
        self.rows(all, cx, groups).map(Some)
    }
}

impl Fixed {
    fn rows(&self, categories: &[Category], cx: &PlanContext, groups: Range<usize>) -> Result<TopicPlan> {
        let chosen = named(&self.topics, categories)?;
        if !self.shuffle {
            let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
            comes_to_all("topics", &topics, cx.turns, "raise `study.turns`, or leave out `shuffle = false`")?;
        }
        enough(chosen.len(), cx.turns, self.repeat)?;
        let order = if self.shuffle { Order::Shuffled } else { Order::Fixed };
        Ok(order.rows(&chosen, cx, groups))
    }
}

friction_core::inventory::submit! {
    PluginEntry::topics::<Fixed>("fixed", "The categories given, shuffled for each group", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn orders_differ_by_group_and_hold_each_topic_once() {
        let categories: Vec<Category> = (0..6).map(|i| Category { name: format!("c{i}"), items: 9 }).collect();
        let fixed = Fixed { topics: vec![], shuffle: true, repeat: false };
        let cx = PlanContext { seed: 3, groups: 20, turns: 6 };
        let plan = fixed.choose(&categories, &cx).unwrap();
        for o in &plan.order {
            let mut sorted = o.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        }
        assert!(plan.order.windows(2).any(|w| w[0] != w[1]));
        assert_eq!(plan, fixed.choose(&categories, &cx).unwrap());
        let some = fixed.choose_groups(&categories, &cx, 7..12).unwrap().unwrap();
        assert_eq!(some.order, plan.order[7..12]);
        assert!(fixed.choose(&categories, &PlanContext { turns: 7, ..cx.clone() }).is_err());
        let in_order = Fixed { topics: vec!["c2".into(), "c0".into(), "c1".into()], shuffle: false, repeat: false };
        let told = in_order.choose(&categories, &PlanContext { turns: 2, ..cx.clone() }).unwrap_err().to_string();
        assert_eq!(told, "a study of 2 turns in this order never comes to `c1`");
        assert_eq!(in_order.choose(&categories, &PlanContext { turns: 3, ..cx }).unwrap().order[0], [2, 0, 1]);
    }
}
