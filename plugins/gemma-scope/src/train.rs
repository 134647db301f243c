//! `sae-train`: trains an autoencoder on a run's activations, for models that have no published one. It writes SAELens'
//! format, which `gemma-scope` reads. `friction sae train` does the same outside a study.
use friction_core::findings::Column;
use friction_core::manifest::BackendSection;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader, Site, Table,
};
use friction_sae::tokens;
use friction_sae::train::{Kind, Training, told, train};
use friction_sae::write::{About, files};
use serde::Deserialize;

/// Options of `sae-train`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SaeTrain {
    /// What is reconstructed: a tapped site.
    #[schemars(example = &"resid_post.9")]
    site: Site,
    /// Which tokens, each by itself. Default `all`.
    #[serde(default = "all")]
    position: Position,
    /// `topk`, or `jumprelu`, whose mean number of active features is driven to `k`. Default `topk`.
    #[serde(default = "topk")]
    activation: Kind,
    /// Features. Default 512.
    #[serde(default = "width")]
    width: usize,
    /// Active features of a token. Default 16.
    #[serde(default = "sixteen")]
    k: usize,
    /// Steps of Adam. Default 2000.
    #[serde(default = "steps")]
    steps: usize,
    /// Tokens of a step. Default 256.
    #[serde(default = "batch")]
    batch: usize,
    /// Largest learning rate; it falls to nothing in a cosine. Default 0.002.
    #[serde(default = "rate")]
    rate: f64,
}
fn all() -> Position {
    Position::All
}
fn topk() -> Kind {
    Kind::TopK
}
fn width() -> usize {
    512
}
fn sixteen() -> usize {
    16
}
fn steps() -> usize {
    2000
}
fn batch() -> usize {
    256
}
fn rate() -> f64 {
    2e-3
}

impl SaeTrain {
    fn training(&self, seed: u64) -> Training {
        let Self { activation, width, k, steps, batch, rate, .. } = *self;
        Training { kind: activation, width, k, steps, batch, rate, seed }
    }
}

impl PluginConfig for SaeTrain {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        self.training(0).check()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(Trainer { options: self.clone(), backend: cx.backend.clone(), model: cx.model.source.clone() }))
    }
}

struct Trainer {
    options: SaeTrain,
    backend: BackendSection,
    /// Name of the study's model, for the autoencoder's configuration.
    model: String,
}

impl Analyzer for Trainer {
    fn needs(&self) -> Needs {
        Needs { taps: vec![(self.options.site, self.options.position)], ..Needs::default() }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let SaeTrain { site, position, .. } = self.options;
        let (kind, device) = (self.backend.kind, self.backend.device);
        let tokens = tokens::of_run(run, site, position)?;
        let training = self.options.training(run.seed());
        let trained = train(&tokens.learnt, tokens.width, &training, kind, device)?;
        let about = About {
            site,
            position,
            model: &self.model,
            run: Some(run.name()),
            context: None,
            tokens: tokens.learnt.len() / tokens.width,
        };
        out.files = files(&trained.parameters, &training, &about)?;
        for (key, sentence, value) in told(&trained, &tokens, site, kind, device)? {
            out.say(sentence);
            out.value(&key, value);
        }
        let number = |f: fn(&(usize, f64, f64)) -> f64| Column::Number(trained.curve.iter().map(f).collect());
        out.tables.push(Table {
            name: "curve".into(),
            columns: vec![
                ("step".into(), Column::Count(trained.curve.iter().map(|c| c.0 as i64).collect())),
                ("fvu".into(), number(|c| c.1)),
                ("l0".into(), number(|c| c.2)),
            ],
        });
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<SaeTrain>("sae-train", "Trains an autoencoder on a run's activations", env!("CARGO_PKG_VERSION"))
}
