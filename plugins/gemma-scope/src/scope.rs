//! What the analysis needs and finds before the run.
use crate::options::GemmaScope;
use friction_checkpoint::Checkpoint;
use friction_core::{BuildContext, Error, Result, RunReader, Site};
use friction_sae::load::Found;

/// Everything that the analysis needs and that is found before the run.
#[derive(Clone)]
pub struct Scope {
    /// The manifest's options.
    pub options: GemmaScope,
    /// The autoencoder's files.
    pub found: Found,
    /// The other autoencoders' names and files, from `also`.
    pub also: Vec<(String, Found)>,
    /// The site whose activations the autoencoder reads.
    pub reads: Site,
    /// The site whose activations it reconstructs; a transcoder's differs from `reads`.
    pub writes: Site,
    /// A warning about how the autoencoder fits the model, for the findings.
    pub warning: Option<String>,
    /// The manifest's model and device.
    pub cx: BuildContext,
}

impl Scope {
    /// The analyzer with the outcome as the run's replies are graded: a score that says what was found is no accuracy.
    pub fn graded(&self, run: &dyn RunReader) -> Self {
        let outcome = self.options.outcome().graded_in(self.cx.grade.as_ref(), run.turns());
        let options = GemmaScope { outcome: Some(outcome), ..self.options.clone() };
        Self { options, ..self.clone() }
    }
}

/// Whether the prompts of a study begin with BOS.
pub fn begins_with_bos(cx: &BuildContext) -> Result<bool> {
    Checkpoint::of(cx).and_then(|c| c.begins_with_bos()).map_err(Error::other)
}
