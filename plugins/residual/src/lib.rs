//! `residual`: capture activations at sites and positions.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Error, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Position, Result, Site, Tap,
};
use serde::Deserialize;

/// Options of `residual`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Residual {
    /// Where: `resid_post.L` and the other sites of the forward pass.
    #[schemars(example = ["resid_post.9"])]
    sites: Vec<Site>,
    /// At which tokens. Default `["prompt-end"]`.
    #[serde(default = "prompt_end")]
    positions: Vec<Position>,
}
fn prompt_end() -> Vec<Position> {
    vec![Position::PromptEnd]
}

impl PluginConfig for Residual {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        if self.sites.is_empty() || self.positions.is_empty() {
            return Err(Error::config("`sites` and `positions` must name at least one each"));
        }
        Ok(())
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
