//! `residual`: capture activations at sites and positions.
use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Position, Result, Site, Tap,
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
