//! Items that several groups ask. Such groups are not independent, and analyses take groups for independent.
use super::Lists;
use friction_core::manifest::{Issues, Manifest, Path as KeyPath};
use friction_core::plural;
use serde::Serialize;

/// How many items more than one group asks. Items of one id are one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reuse {
    /// Number of items that are asked.
    pub asked: usize,
    /// Number of those that more than one group asks.
    pub reused: usize,
    /// Fewest groups that ask an item, of those that are asked.
    pub least: usize,
    /// Most groups that ask one item.
    pub most: usize,
}

impl Reuse {
    /// Counts from the number of groups that ask each item.
    pub(super) fn of(groups: &[usize]) -> Self {
        Self {
            asked: groups.iter().filter(|n| **n > 0).count(),
            reused: groups.iter().filter(|n| **n > 1).count(),
            least: groups.iter().copied().filter(|n| *n > 0).min().unwrap_or(0),
            most: groups.iter().copied().max().unwrap_or(0),
        }
    }
}

impl Lists {
    /// Warns where groups ask the same: whole lists, which greedy decoding repeats, and single items.
    pub(crate) fn shared(&self, m: &Manifest, warnings: &mut Issues) {
        let (groups, key) = (m.study.groups, || KeyPath::default().key("study").key("groups"));
        if self.different < groups && m.generation.temperature == 0.0 {
            let different = self.different;
            let message = format!(
                "the {} ask {different} different list{}: with greedy decoding the others repeat them where the wordings are the same too, and analyses count every group",
                plural(groups, "group"),
                if different == 1 { " of items" } else { "s of items" }
            );
            let help = Some("give the dataset more items, lower `groups`, or sample with a temperature above 0".into());
            warnings.push(key(), message, help);
        }
        if self.reuse.reused > 0 {
            let Reuse { asked, reused, least, most } = self.reuse;
            let message = format!(
                "{reused} of {} asked in more than one group, {} {most}: groups that share items are not independent, and analyses and the planner take them for independent",
                if asked == 1 { "1 item is".to_string() } else { format!("{} are", plural(asked, "item")) },
                if least == most { "each in" } else { "in up to" }
            );
            let other = if self.categories.len() > 1 { ", let `[topics]` ask more categories" } else { "" };
            let help = format!("lower `groups` or the turns of a conversation, give the dataset more items{other}");
            warnings.push(key(), message, Some(help));
        }
    }
}
