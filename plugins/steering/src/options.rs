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
    /// Tokens of prompts, `prompt-end` included.
    Prompt,
    /// `prompt-end` and the reply.
    Reply,
    /// `prompt-end` alone.
    PromptEnd,
}

/// What a dose of 1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// The vector as the file holds it: of a difference of means, the whole difference.
    Vector,
    /// The mean norm of the activations at the site.
    Norm,
}

/// What a dose does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Op {
    /// Adds dose × unit along the direction.
    Add,
    /// Takes dose × the projection on the direction away: 1 removes it.
    Remove,
    /// Sets the projection on the direction to dose × unit.
    Set,
    /// Sets the activation of an autoencoder's feature to the dose; its error stays.
    Clamp,
}

/// A text that every conversation is made to say at its end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Neutral {
    /// What the user asks before it.
    pub(crate) user: String,
    /// What the model is made to say.
    pub(crate) reply: String,
}

/// Options of `steer`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"file": "directions.safetensors", "direction": "resid_post.9/mean-difference", "doses": [-8, 8]}))]
pub(crate) struct Steer {
    /// A safetensors file of directions, relative to the manifest.
    #[serde(default)]
    pub(crate) file: Option<PathBuf>,
    /// The direction's name in it: `<site>/<kind>`, such as `resid_post.17/mean-difference`.
    #[serde(default)]
    pub(crate) direction: Option<String>,
    /// Instead of a file: an autoencoder, as `gemma-scope` names it: `{ source = "hf:…", sae = "…" }`.
    #[serde(default)]
    pub(crate) sae: Option<Source>,
    /// The autoencoder's feature: steered along its decoder, or clamped.
    #[serde(default)]
    pub(crate) feature: Option<usize>,
    /// Where it is applied. Default: the site in the direction's name, or the autoencoder's.
    #[serde(default)]
    pub(crate) site: Option<Site>,
    /// `all`, `prompt`, `reply` (`prompt-end` and what follows) or `prompt-end` alone. Default `all`.
    #[serde(default = "all")]
    pub(crate) at: At,
    /// First and last turn, from 1. Default all.
    #[serde(default)]
    pub(crate) turns: Option<(usize, usize)>,
    /// `add`, `remove`, `set` or, of a feature, `clamp`. Default `add`.
    #[serde(default = "add")]
    pub(crate) op: Op,
    /// What a dose of 1 is: `vector` or `norm`. Default `vector`. To `remove` and `clamp` it says
    /// nothing.
    #[serde(default = "vector")]
    pub(crate) unit: Unit,
    /// Conditions that are steered: levels of factors, such as `{ completion = "interrupt" }`. Default
    /// all. All are run untouched.
    #[serde(default, rename = "where")]
    pub(crate) only: BTreeMap<String, String>,
    /// Doses, one arm each. Give both signs; the untouched control is always there.
    #[schemars(example = [-8.0, 8.0])]
    pub(crate) doses: Vec<f32>,
    /// Doses at which the controls are run, some of `doses`. Default: the first.
    #[serde(default)]
    pub(crate) control_doses: Option<Vec<f32>>,
    /// Random directions of the same length, orthogonal to the direction. They are given the push that the
    /// direction would get. Default 20.
    #[serde(default = "twenty")]
    pub(crate) random: usize,
    /// Directions of shuffled labels from the same file, brought to the same length. Default: all there
    /// are.
    #[serde(default)]
    pub(crate) shuffled: Option<usize>,
    /// A text that every conversation is made to say at its end: its perplexity is told as a side effect.
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
        let idle = "`unit = \"norm\"` does nothing to `remove` and `clamp`: a dose of 1 is the whole projection, or the activation";
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
            faults.when(true, "neutral.reply", "`neutral` needs a `reply` to say");
        }
        faults.end()
    }
}
