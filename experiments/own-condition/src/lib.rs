//! `impatient`: a user who asks for more speed and cuts replies off. The bundled `template` could do the same from a
//! table; this crate shows how a condition is written in code.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    seed, Ask, BuildContext, Condition, Error, Kept, PluginConfig, PluginEntry, Reply, Result, TurnContext,
};
use serde::Deserialize;

const WORDINGS: [&str; 2] = ["Faster, please. ", "Hurry up. "];

/// Asks for more speed, and cuts replies off in the history.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Impatient {
    /// Tokens of a reply that the history keeps.
    #[schemars(example = 20, range(min = 1))]
    patience: usize,
}

impl PluginConfig for Impatient {
    type Output = dyn Condition;
    fn validate(&self) -> Result<()> {
        if self.patience == 0 {
            return Err(Error::config("`patience` must be at least 1"));
        }
        Ok(())
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> {
        Ok(Box::new(self.clone()))
    }
}

impl Condition for Impatient {
    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        if cx.turn == 1 {
            return Ok(Some(Ask::new(cx.prompt)));
        }
        // The draw depends on names and indices alone, so that resumed runs draw the same.
        let [s, g, t] = [cx.seed, cx.group as u64, cx.turn as u64].map(u64::to_le_bytes);
        let phrase = seed::derive(&[b"phrase", &s, &g, &t]) % WORDINGS.len() as u64;
        let text = format!("{}{}", WORDINGS[phrase as usize], cx.prompt);
        Ok(Some(Ask::new(text).phrase(phrase as u32)))
    }

    fn keep(&self, reply: &Reply, _: &TurnContext) -> Result<Kept> {
        if reply.ids.len() <= self.patience {
            return Ok(Kept::whole(reply));
        }
        let cut = reply.codec.decode(&reply.ids[..self.patience])?;
        Ok(Kept { text: format!("{} -", cut.trim_end()), removed_tokens: reply.ids.len() - self.patience })
    }
}

friction_core::inventory::submit! {
    PluginEntry::condition::<Impatient>("impatient", "Asks to be faster and cuts replies off", env!("CARGO_PKG_VERSION"))
}

#[cfg(feature = "dylib")]
friction_plugin::export!();
