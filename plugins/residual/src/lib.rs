//! Hooks that read activations and change nothing. `residual` captures them at sites and positions; `projection`
//! measures them along directions.
mod projection;

use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Position, Result, Site, Tap,
};
use serde::Deserialize;

/// Stores activations: each site at each position, in every turn. It changes nothing. Analyzers such as `linear-probe` read
/// what it stored.
///
/// It writes `taps.safetensors` in each group's folder: for each conversation, site and position an `f32` array of turns ×
/// positions × width.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Residual {
    /// Places in the forward pass, named as in TransformerLens: `embed`, `resid_pre.L`, `resid_post.L`, `attn_out.L`,
    /// `mlp_in.L`, `mlp_out.L`, `final_norm`, `logits`, with L a layer from 0. Take layers at several depths to learn where
    /// something can be read.
    #[schemars(example = ["resid_post.9"], length(min = 1))]
    sites: Vec<Site>,
    /// Tokens of a turn: `prompt-end` (the token that predicts the first token of the reply), `prompt-tail:N` (the last N
    /// tokens of the prompt, `prompt-end` the last of them), `reply:N` (the tokens that predict tokens 1 to N of the reply),
    /// `reply` (every token of the reply), `reply-mean` (the mean over the reply), `reply-end` (its last token), `user-mean`
    /// (the mean over the user's message) or `all` (every token that the turn added). `all` and `reply` take the most disk
    /// space.
    #[serde(default = "prompt_end")]
    #[schemars(length(min = 1))]
    positions: Vec<Position>,
}
fn prompt_end() -> Vec<Position> {
    vec![Position::PromptEnd]
}

impl PluginConfig for Residual {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(self.sites.is_empty(), "sites", "`sites` must name at least one site");
        faults.when(self.positions.is_empty(), "positions", "`positions` must name at least one position");
        if let Some(s) = twice(&self.sites) {
            faults.when(true, "sites", format!("`{s}` is listed twice"));
        }
        if let Some(p) = twice(&self.positions) {
            faults.when(true, "positions", format!("`{p}` is listed twice"));
        }
        faults.end()
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Hook>> {
        Ok(Box::new(self.clone()))
    }
}

impl Hook for Residual {
    fn program(&self, _: &ModelSpec) -> Result<HookProgram> {
        let mut program = HookProgram::default();
        for site in &self.sites {
            for position in &self.positions {
                program.taps.push(Tap { site: *site, position: *position });
            }
        }
        Ok(program)
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Residual>("residual", "Capture activations at sites and positions", env!("CARGO_PKG_VERSION"))
}
