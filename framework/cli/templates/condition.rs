//! `{{name}}`: a condition. Say here, in one sentence, what the user does.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Ask, BuildContext, Condition, Error, Kept, PluginConfig, PluginEntry, Reply, Result, TurnContext,
};
use serde::Deserialize;

/// Say here what the plugin is for and what it writes. `friction plugins show {{name}}` prints this text, with the text of
/// each option; `friction plugins guide DIR` writes them as a page.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Tokens of a reply that the history keeps.
    #[serde(default = "three")]
    tokens: usize,
}
fn three() -> usize {
    3
}

impl PluginConfig for Options {
    type Output = dyn Condition;
    /// Checks the options before anything is loaded.
    fn validate(&self) -> Result<()> {
        if self.tokens == 0 {
            return Err(Error::at("tokens", "`tokens` must be at least 1"));
        }
        Ok(())
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> {
        Ok(Box::new(self.clone()))
    }
}

impl Condition for Options {
    /// The user's message; `None` ends the conversation. It must depend on `cx` alone, because a resumed run asks again.
    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        Ok(Some(match cx.turn {
            1 => Ask::new(cx.prompt),
            _ => Ask::new(format!("Wait. {}", cx.prompt)),
        }))
    }

    /// What the history keeps of a reply.
    fn keep(&self, reply: &Reply, _: &TurnContext) -> Result<Kept> {
        if reply.ids.len() <= self.tokens {
            return Ok(Kept::whole(reply));
        }
        let text = format!("{}...", reply.codec.decode(&reply.ids[..self.tokens])?.trim_end());
        Ok(Kept { text, removed_tokens: reply.ids.len() - self.tokens })
    }
}

friction_core::inventory::submit! {
    PluginEntry::condition::<Options>("{{name}}", "Cuts in after a few tokens", env!("CARGO_PKG_VERSION"))
}
{{export}}
