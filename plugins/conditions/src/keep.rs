//! The option `keep`.
use friction_core::schemars::{self, JsonSchema};
use serde::Deserialize;

/// How much of a reply the history keeps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keep {
    /// Length that a longer reply is cut to in the history, in tokens. It must be below `generation.max_new_tokens`, or no
    /// reply would ever be cut.
    pub tokens: usize,
    /// Text that is written directly behind the last word of a cut reply, such as `"..."`.
    #[serde(default)]
    pub marker: String,
    /// Share of turns whose reply is cut; the others keep theirs whole. Which turns is drawn by seed, group and turn, alike
    /// in all conditions. Set it below 1 to tell the number of interruptions so far from the number of the turn.
    #[serde(default = "always")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub share: f64,
}
fn always() -> f64 {
    1.0
}
