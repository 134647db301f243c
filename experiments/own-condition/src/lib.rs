//! `shouting`: the question in capitals, with as many exclamation marks as you like.
use friction_core::{BuildContext, Condition, Kept, Message, PluginConfig, PluginEntry, Reply, Result, TurnContext};
use serde::Deserialize;

/// Options of `shouting`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shouting {
    /// Exclamation marks before the question.
    marks: usize,
}

impl PluginConfig for Shouting {
    type Output = dyn Condition;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> {
        Ok(Box::new(self.clone()))
    }
}

impl Condition for Shouting {
    fn ask(&self, cx: &TurnContext) -> Result<Message> {
        Ok(Message { text: format!("{} {}", "!".repeat(self.marks), cx.question.to_uppercase()), phrase: None })
    }
    fn keep(&self, reply: &Reply, _: &TurnContext) -> Result<Kept> {
        Ok(Kept::whole(reply))
    }
}

friction_core::inventory::submit! {
    PluginEntry::condition::<Shouting>("shouting", "The question in capitals", env!("CARGO_PKG_VERSION"))
}
