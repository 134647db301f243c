//! Options of `steer`.
use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Result, Site};
use friction_sae::Source;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Tokens that are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum At {
    /// Every token.
    All,
    /// The tokens of the prompt, `prompt-end` included.
    Prompt,
    /// `prompt-end` and the tokens of the reply.
    Reply,
    /// `prompt-end` alone: the token that predicts the first token of the reply.
    PromptEnd,
}

/// What a dose of 1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// The length of the vector in the file: of a difference of means, the whole difference.
    Vector,
    /// The mean norm of the activations at the site, which the file must tell.
    Norm,
}

/// What a dose does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Op {
    /// Adds dose × unit along the direction.
    Add,
    /// Subtracts dose × the projection on the direction; a dose of 1 removes the projection.
    Remove,
    /// Sets the projection on the direction to dose × unit.
    Set,
    /// Sets the activation of an autoencoder's feature to the dose; the reconstruction error is left as it is.
    Clamp,
}

/// A text that every conversation is made to say at its end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Neutral {
    /// The user's message before the text.
    pub(crate) user: String,
    /// The text, as the model's reply. It must not be empty.
    pub(crate) reply: String,
}

/// Changes activations along a direction, or a feature of a sparse autoencoder, while the model reads and replies. Each
/// dose is an arm: the same conversations again, steered. Random directions, and directions of shuffled labels, are run
/// as controls.
///
/// Give `file` and `direction`, or `sae` and `feature`. The analyzer `steering` tells what the doses did to the
/// answers.
///
/// It writes the turns of each arm beside those of the untouched control. Arms are called `direction@-8`,
/// `random-03@-8`, `shuffled-0@-8`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"file": "directions.safetensors", "direction": "resid_post.9/mean-difference", "doses": [-8, 8]}))]
pub(crate) struct Steer {
    /// A safetensors file of directions, such as `linear-probe` writes, relative to the manifest. Default: none; then
    /// give `sae`.
    #[serde(default)]
    pub(crate) file: Option<PathBuf>,
    /// The direction's name in `file`: `<site>/<kind>`, such as `resid_post.17/mean-difference`. Default: none; needed
    /// with `file`.
    #[serde(default)]
    pub(crate) direction: Option<String>,
    /// An autoencoder instead of a file, named as for the analyzer `gemma-scope`. Default: none.
    #[serde(default)]
    pub(crate) sae: Option<Source>,
    /// Index of the autoencoder's feature, from 0: its decoder is the direction, or its activation is clamped. Default:
    /// none; needed with `sae`.
    #[serde(default)]
    pub(crate) feature: Option<usize>,
    /// Where the change is made. Default: the site in the direction's name, or the one that the autoencoder reads.
    #[serde(default)]
    pub(crate) site: Option<Site>,
    /// The tokens at which the change is made. `prompt-end` changes one token of each turn, `all` every one.
    #[serde(default = "all")]
    pub(crate) at: At,
    /// First and last turn in which the change is made, from 1: `[2, 5]`. Default: all turns.
    #[serde(default)]
    pub(crate) turns: Option<(usize, usize)>,
    /// What a dose does to the activation.
    #[serde(default = "add")]
    pub(crate) op: Op,
    /// How long a dose of 1 is. It is meant for `add` and `set`; `remove` and `clamp` have units of their own.
    #[serde(default = "vector")]
    pub(crate) unit: Unit,
    /// Conditions that are steered: levels of factors, such as `{ completion = "interrupt" }`. Default: all. Every
    /// condition is also run untouched. Set it to save time.
    #[serde(default, rename = "where")]
    pub(crate) only: BTreeMap<String, String>,
    /// Doses, one arm each. With `add` and `remove` none may be 0: the untouched control is always run. Give both
    /// signs, and several sizes, to see a dose-response.
    #[schemars(example = [-8.0, 8.0], length(min = 1))]
    pub(crate) doses: Vec<f32>,
    /// Doses at which the controls are run, each one of `doses`. Default: the first of `doses`. The verdict of the
    /// analyzer `steering` is over these doses.
    #[serde(default)]
    pub(crate) control_doses: Option<Vec<f32>>,
    /// Number of random directions as controls. Each is orthogonal to the direction and gets the push that the
    /// direction would get. At least 19 are needed for p ≤ 0.05 by rank; each is another arm, so fewer save time.
    #[serde(default = "twenty")]
    #[schemars(range(max = 1000))]
    pub(crate) random: usize,
    /// Number of directions of shuffled labels as controls, from the same file and brought to the same length. Default:
    /// all that the file has; 0 for none.
    #[serde(default)]
    pub(crate) shuffled: Option<usize>,
    /// A text that every conversation is made to say at its end. Its perplexity is told as a side effect of steering.
    /// Default: none.
    #[serde(default)]
    pub(crate) neutral: Option<Neutral>,
}
fn all() -> At {
    At::All
}
fn add() -> Op {
    Op::Add
}
fn vector() -> Unit {
    Unit::Vector
}
fn twenty() -> usize {
    20
}

impl Steer {
    /// Checks options against each other; nothing is opened.
    pub(crate) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        let moves = matches!(self.op, Op::Add | Op::Remove);
        let wrong = |d: &f32| moves && *d == 0.0 || !d.is_finite();
        faults.when(
            self.doses.is_empty() || self.doses.iter().any(wrong),
            "doses",
            "`doses` must list numbers other than 0; the untouched control is always there",
        );
        if let Some(d) = twice(&self.doses) {
            faults.when(true, "doses", format!("`doses` lists {d} twice"));
        }
        if let Some(controls) = &self.control_doses {
            if let Some(d) = controls.iter().find(|d| !self.doses.contains(d)) {
                let what =
                    format!("`control_doses` names {d}, which is none of `doses`: nothing could be compared there");
                faults.when(true, "control_doses", what);
            }
            if let Some(d) = twice(controls) {
                faults.when(true, "control_doses", format!("`control_doses` lists {d} twice"));
            }
            let idle = "`control_doses` does nothing: with `random = 0` and no shuffled labels there is no control";
            let none = self.random == 0 && (self.shuffled == Some(0) || self.sae.is_some());
            faults.when(none, "control_doses", idle);
        }
        if self.turns.is_some_and(|(first, last)| first == 0 || last < first) {
            faults.when(true, "turns", "`turns` is [first, last], from 1");
        }
        let idle = "`unit = \"norm\"` does nothing with `remove` and `clamp`: their dose is a share of the projection, or an activation";
        faults.when(self.unit == Unit::Norm && matches!(self.op, Op::Remove | Op::Clamp), "unit", idle);
        match (&self.file, &self.direction, &self.sae, self.feature) {
            (Some(_), Some(name), None, None) => {
                let clamp = "`clamp` sets a feature of an autoencoder: give `sae` and `feature`";
                faults.when(self.op == Op::Clamp, "op", clamp);
                let nowhere = self.site.is_none() && name.split('/').next().is_none_or(|s| s.parse::<Site>().is_err());
                let what = format!("`direction` = {name:?} names no site before its `/`: set `site`");
                faults.when(nowhere, "direction", what);
            }
            (None, None, Some(sae), Some(_)) => {
                faults.take(sae.validate().map_err(|e| e.under("sae")));
                let norm = "an autoencoder does not say the norm of the activations: use `unit = \"vector\"`";
                faults.when(self.unit == Unit::Norm && self.op != Op::Clamp, "unit", norm);
                let shuffled = "`shuffled` does nothing: an autoencoder has no directions of shuffled labels";
                faults.when(self.shuffled.is_some_and(|n| n > 0), "shuffled", shuffled);
            }
            _ => faults
                .add(Error::config("give `file` and `direction`, or `sae` and `feature`, and nothing of the other")),
        }
        faults.when(self.random > 1000, "random", "`random` is at most 1000 directions");
        if self.neutral.as_ref().is_some_and(|n| n.reply.trim().is_empty()) {
            faults.when(true, "neutral.reply", "`neutral` needs a `reply` that is not empty");
        }
        faults.end()
    }
}
