//! `fixed`: the categories given, shuffled anew for each group.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Category, Error, PlanContext, PluginConfig, PluginEntry, Result, TopicPlan, Topics, manifest, seed,
};
use serde::Deserialize;

/// Options of `fixed`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fixed {
    /// Categories to use. Default: all of the dataset, in its order.
    #[serde(default)]
    topics: Vec<String>,
    /// Shuffle the order for each group (the same for all conditions of a group). Default true.
    #[serde(default = "yes")]
    shuffle: bool,
    /// Visit categories again when there are more turns than categories. Default false.
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
        let names = categories.iter().map(|c| c.name.as_str());
        let mut chosen: Vec<usize> = vec![];
        for t in &self.topics {
            let at = categories.iter().position(|c| &c.name == t).ok_or_else(|| {
                let help = manifest::suggestion(t, names.clone()).unwrap_or_default();
                Error::config(format!("the dataset has no category `{t}`: {help}"))
            })?;
            if chosen.contains(&at) {
                return Err(Error::config(format!("category `{t}` is listed twice")));
            }
            chosen.push(at);
        }
        if self.topics.is_empty() {
            chosen = (0..categories.len()).collect();
        }
        if chosen.is_empty() || (chosen.len() < cx.turns && !self.repeat) {
            return Err(Error::config(format!(
                "{} turns need {} categories, but there are {}; lower `study.turns`, or set `repeat = true` to visit categories again",
                cx.turns,
                cx.turns,
                chosen.len()
            )));
        }
        let order = (0..cx.groups)
            .map(|g| {
                let mut out = vec![];
                let mut round = 0u64;
                while out.len() < cx.turns {
                    let s = seed::derive(&[
                        b"topics",
                        &cx.seed.to_le_bytes(),
                        &(g as u64).to_le_bytes(),
                        &round.to_le_bytes(),
                    ]);
                    if self.shuffle {
                        out.extend(seed::permutation(chosen.len(), s).into_iter().map(|i| chosen[i]));
                    } else {
                        out.extend(&chosen);
                    }
                    round += 1;
                }
                out.truncate(cx.turns);
                out
            })
            .collect();
        Ok(TopicPlan { order })
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
        let categories: Vec<Category> = (0..6).map(|i| Category { name: format!("c{i}"), questions: 9 }).collect();
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
        assert!(fixed.choose(&categories, &PlanContext { turns: 7, ..cx }).is_err());
    }
}
