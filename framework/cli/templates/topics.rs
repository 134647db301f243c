//! `{{name}}`: topics. Say here how the subjects of a conversation are chosen.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Category, Error, PlanContext, PluginConfig, PluginEntry, Result, TopicPlan, Topics};
use serde::Deserialize;

/// Say here what the plugin is for and what it writes. `friction plugins show {{name}}` prints this text, with the text of
/// each option; `friction plugins guide DIR` writes them as a page.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Turns that stay with a subject before the next.
    #[serde(default = "two")]
    stay: usize,
}
fn two() -> usize {
    2
}

impl PluginConfig for Options {
    type Output = dyn Topics;
    fn validate(&self) -> Result<()> {
        if self.stay == 0 {
            return Err(Error::at("stay", "`stay` must be at least 1"));
        }
        Ok(())
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Topics>> {
        Ok(Box::new(self.clone()))
    }
}

impl Topics for Options {
    /// The category of each turn of each group; all conditions of a group get the same. The result must depend on the
    /// arguments alone: draw random numbers with `friction_core::seed`.
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
        if categories.is_empty() {
            return Err(Error::config("the dataset has no categories"));
        }
        let turn = |group: usize, turn: usize| (group + turn / self.stay) % categories.len();
        let order = (0..cx.groups).map(|g| (0..cx.turns).map(|t| turn(g, t)).collect()).collect();
        Ok(TopicPlan { order })
    }
}

friction_core::inventory::submit! {
    PluginEntry::topics::<Options>("{{name}}", "Stays with a subject for some turns", env!("CARGO_PKG_VERSION"))
}
{{export}}
