//! `sae-train`: trains an autoencoder on a run's activations, for models that have no published one. It writes SAELens'
//! format, which `gemma-scope` reads. `friction sae train` does the same outside a study.
use crate::scope::begins_with_bos;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Column, Estimate, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader,
    Site, Table,
};
use friction_sae::tokens;
use friction_sae::train::{Kind, Training, told, train};
use friction_sae::write::{About, files};
use serde::Deserialize;

/// Trains a sparse autoencoder on the run's own activations, for a model that has none published. `gemma-scope` and `steer`
/// read it from where it is written, and SAELens too. `friction sae train` does the same outside a study.
///
/// It writes:
/// - the files `sae_weights.safetensors` and `cfg.json`, in SAELens' format;
/// - the table `curve`: fraction of variance unexplained (FVU) and active features (L0) of the training batch, every 50
///   steps;
/// - the values `learnt` and `held_out`: tokens, FVU, L0 and the share of dead features.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SaeTrain {
    /// The site whose activations are reconstructed. A hook must tap it at `position`.
    #[schemars(example = &"resid_post.9")]
    site: Site,
    /// Tokens whose activations are learnt from, each by itself. Take the position at which the autoencoder will be read;
    /// `all` gives the most tokens.
    #[serde(default = "all")]
    position: Position,
    /// Which features are active.
    #[serde(default = "topk")]
    activation: Kind,
    /// Number of features. More features describe the activations better, and need more tokens.
    #[serde(default = "width")]
    #[schemars(range(min = 1, max = 1_048_576))]
    width: usize,
    /// Number of active features for each token, at most `width`. Lower it for features that are easier to tell apart, raise
    /// it where the variance unexplained is large.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1))]
    k: usize,
    /// Number of steps of the optimizer, Adam. Raise it where the curve still falls at its end.
    #[serde(default = "steps")]
    #[schemars(range(min = 1))]
    steps: usize,
    /// Number of tokens in each step.
    #[serde(default = "batch")]
    #[schemars(range(min = 1, max = 1_048_576))]
    batch: usize,
    /// Largest learning rate; it falls to 0 along a cosine. Lower it where training diverges.
    #[serde(default = "rate")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
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
        Ok(Box::new(Trainer { options: self.clone(), cx: cx.clone() }))
    }
}

struct Trainer {
    options: SaeTrain,
    /// The manifest's model and device.
    cx: BuildContext,
}

impl Analyzer for Trainer {
    fn needs(&self) -> Needs {
        Needs { taps: vec![(self.options.site, self.options.position)], ..Needs::default() }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let SaeTrain { site, position, .. } = self.options;
        let (kind, device) = (self.cx.backend.kind, self.cx.backend.device);
        let bos = position == Position::All && begins_with_bos(&self.cx)?;
        let tokens = tokens::of_run(run, site, position, bos)?;
        let training = self.options.training(run.seed());
        let trained = train(&tokens.learnt, tokens.width, &training, kind, device)?;
        let about = About {
            site,
            position,
            model: &self.cx.model.source,
            run: Some(run.name()),
            context: None,
            tokens: tokens.learnt.len() / tokens.width,
        };
        out.ask(format!("How well does a trained autoencoder reconstruct {site} at {position}?"));
        out.files = files(&trained.parameters, &training, &about)?;
        let (activation, source) = match self.options.activation {
            Kind::TopK => ("TopK", "Gao et al. 2024, arXiv 2406.04093"),
            Kind::JumpRelu => ("JumpReLU", "Rajamanoharan et al. 2024, arXiv 2407.14435"),
        };
        let method = format!(
            "{activation} autoencoder, {} steps of Adam; tokens of held-out groups were not learnt from",
            self.options.steps
        );
        for (key, sentence, value) in told(&trained, &tokens, site, kind, device)? {
            out.say(sentence);
            let tokens = value["tokens"].as_u64().unwrap_or(0) as usize;
            for (name, at, digits) in
                [("variance unexplained (FVU)", "fvu", 3), ("active features a token (L0)", "l0", 1)]
            {
                let what = format!("{name}, {}", key.replace('_', " "));
                let e = Estimate::new(what, "", value[at].as_f64().unwrap_or(f64::NAN));
                out.add(e.over(tokens, "token").digits(digits)).method(method.as_str()).citation(source);
            }
            out.value(&key, value);
        }
        out.table(
            Table::new(
                "curve",
                "Fraction of variance unexplained (FVU) and active features (L0) of the training batch",
            )
            .stored()
            .column(Column::count("step", trained.curve.iter().map(|c| c.0 as i64)))
            .column(Column::number("fvu", trained.curve.iter().map(|c| c.1)))
            .column(Column::number("l0", trained.curve.iter().map(|c| c.2))),
        );
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<SaeTrain>("sae-train", "Trains an autoencoder on a run's activations", env!("CARGO_PKG_VERSION"))
}
