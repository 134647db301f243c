//! `{{name}}`: a hook. Say here what it reads or changes.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Position, Readings, Result, Site, Spoken,
    Tap, TapView,
};
use serde::Deserialize;

/// Say here what the plugin is for and what it writes. `friction plugins show {{name}}` prints this text, with the text of
/// each option; `friction plugins guide DIR` writes them as a page.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Where the norm is taken.
    #[schemars(example = &"resid_post.1")]
    site: Site,
}

impl PluginConfig for Options {
    type Output = dyn Hook;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Hook>> {
        Ok(Box::new(self.clone()))
    }
}

impl Hook for Options {
    /// The taps, edits and arms, declared once. The engine applies them; no code of the hook runs while tokens are
    /// generated.
    fn program(&self, _: &ModelSpec) -> Result<HookProgram> {
        let taps = vec![Tap { site: self.site, position: Position::PromptEnd }];
        Ok(HookProgram { taps, ..HookProgram::default() })
    }

    /// The readings of a finished turn; column `reading_<hook>.norm` of the stored turn holds this one.
    fn read(&self, _: &Spoken, taps: &[TapView]) -> Result<Readings> {
        let rows = taps.iter().flat_map(|t| t.rows);
        let norm = rows.map(|r| r.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()).next();
        Ok(norm.map(|n| ("norm".to_string(), n)).into_iter().collect())
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Options>("{{name}}", "Norm of the activations at prompt-end", env!("CARGO_PKG_VERSION"))
}
{{export}}
