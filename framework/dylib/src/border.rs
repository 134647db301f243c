//! What both ways across the border have in common: a library's table of functions, and a process's lines.
use crate::heard::{escaped, start};
use crate::offer::Offer;
use friction_core::{BuildContext, Error, Kind, Origin, Result, Spoken, TapView};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// A plugin, as `list` describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub kind: Kind,
    pub name: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub options: Option<Value>,
}

/// A plugin's kind and name, in words for errors and in JSON for the border.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub kind: Kind,
    pub name: String,
}

impl Who {
    /// `condition `mine``, for errors.
    pub fn words(&self) -> String {
        format!("{} `{}`", self.kind.word(), self.name)
    }

    /// `{"kind": …, "name": …}`.
    pub fn json(&self) -> String {
        json!({"kind": self.kind, "name": self.name}).to_string()
    }
}

/// The answer to a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// JSON as text.
    Text(Vec<u8>),
    /// JSON that was read already.
    Value(Value),
}

impl Answer {
    /// Reads the answer. `border` and `what` name the call in errors.
    pub fn read<T: DeserializeOwned>(self, border: &dyn Border, what: &str) -> Result<T> {
        let wrong = |e: serde_json::Error, start: String| {
            let e = escaped(&e.to_string());
            Error::other(format!("{}: {what} answered with what cannot be read ({e}): {start}", border.name()))
        };
        match self {
            Answer::Text(bytes) => serde_json::from_slice(&bytes).map_err(|e| wrong(e, start(&bytes))),
            Answer::Value(value) => {
                let shown = start(value.to_string().as_bytes());
                serde_json::from_value(value).map_err(|e| wrong(e, shown))
            }
        }
    }
}

/// A side that holds plugins. Texts are JSON. An answer is `None` if the other side does not know the plugin or method.
/// Errors name the border and, by `what`, the call.
pub(crate) trait Border: Send + Sync {
    /// How errors name it: a library's file, a process's command.
    fn name(&self) -> &str;
    /// Version of the border that the other side speaks.
    fn version(&self) -> u32;
    /// What a registry and a lock record of it.
    fn origin(&self) -> Origin;
    /// Checks a configuration: a list of faults.
    fn validate(&self, who: &Who, config: &str, what: &str) -> Result<Option<Answer>>;
    /// Makes an instance of a plugin.
    fn build(
        self: Arc<Self>,
        who: &Who,
        config: &str,
        context: &BuildContext,
        what: &str,
    ) -> Result<Option<Box<dyn Instance>>>;
}

/// An instance of a plugin on the other side, which is destroyed there when this value is dropped.
pub(crate) trait Instance: Send + Sync {
    /// Calls a method. The other side may use what is offered until the call ends.
    fn call(&self, method: &str, request: &str, offer: Offer, what: &str) -> Result<Option<Answer>>;
    /// Of a hook: reads the activations of a finished turn.
    fn read(&self, turn: &Spoken, taps: &[TapView], what: &str) -> Result<Option<Answer>>;
}
