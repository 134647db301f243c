//! `logit-lens`: what would the model answer if it stopped at a layer (nostalgebraist 2020), and how does a direction
//! change each answer letter's logit (direct logit attribution)? The residual stream at the token that predicts the
//! reply goes through the final norm and the unembedding.
//!
//! At the last layer the lens equals the model: its log-probabilities there are compared with the stored ones, and the
//! largest difference is reported.
mod attribution;
mod figure;
mod lens;

use friction_checkpoint::Tokenizer;
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader, Site,
};
use friction_directions::Direction;
use friction_model::Unembedding;
use serde::Deserialize;
use std::path::PathBuf;

/// A direction whose push on the letters is told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// A safetensors file of directions, such as `linear-probe` writes, relative to the manifest.
    file: PathBuf,
    /// The direction's name in the file, such as `resid_post.17/mean-difference`.
    direction: String,
}

/// Tells what the model would answer if it stopped at a layer (logit lens, nostalgebraist 2020), and how much a direction
/// pushes each answer's letter by itself (direct logit attribution). The residual stream at `prompt-end` goes through the
/// final norm and the unembedding. Only turns whose item has choices, one of which is right, are read.
///
/// It writes:
/// - the table `vocabulary`: at each site, probability and rank of the right letter among all tokens;
/// - the table `attribution`, with `directions`: each direction's push on the letters, beside random directions;
/// - the table `sites`: a row for each site and level, with how often the likeliest letter is right, its interval, how often
///   it is the answer given, and the mean log-probability of the right letter among the letters, in nats;
/// - the figure `sites`: the share that is right, by site;
/// - the values `sites`, `off_at_last_site` (largest difference of log-probabilities from those that the run stored) and
///   `attribution` (each direction's push on the letters, beside random directions).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogitLens {
    /// Where the residual stream is read: `embed`, `resid_pre.L`, `resid_post.L`, with L a layer from 0. A hook must
    /// tap them at `prompt-end`.
    #[schemars(example = ["resid_post.9"], length(min = 1))]
    sites: Vec<Site>,
    /// A factor whose levels are told apart. Default: none; all conditions are taken together.
    #[serde(default)]
    factor: Option<String>,
    /// First turn that enters, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    first_turn: u32,
    /// Number of turns, spread over the run, for which the whole vocabulary is computed: probability and rank of the right
    /// letter among all tokens. 0 leaves that out; lower it where the vocabulary makes the analysis slow.
    #[serde(default = "hundred")]
    whole: usize,
    /// Directions whose push on the letters is told, each a file and a name in it. Default: none.
    #[serde(default)]
    directions: Vec<Named>,
    /// Number of random directions of the same length that the push of each of `directions` is compared with. Default: 1000.
    /// It is refused without `directions`.
    #[serde(default)]
    random: Option<usize>,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    level: f64,
}
fn two() -> u32 {
    2
}
fn hundred() -> usize {
    100
}
fn level() -> f64 {
    0.95
}

impl PluginConfig for LogitLens {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(self.sites.is_empty(), "sites", "`sites` must name at least one site");
        for (i, s) in self.sites.iter().enumerate() {
            let key = format!("sites.{i}");
            let stream = matches!(s, Site::Embed | Site::ResidPre(_) | Site::ResidPost(_));
            let what = "is no place in the residual stream; a lens reads embed, resid_pre.L or resid_post.L";
            faults.when(!stream, &key, format!("`{s}` {what}"));
            faults.when(self.sites[..i].contains(s), &key, format!("`{s}` is listed twice"));
        }
        let idle = "`random` does nothing: there are no `directions` to compare with";
        faults.when(self.random.is_some() && self.directions.is_empty(), "random", idle);
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        let read =
            |n: &Named| Ok((n.direction.clone(), friction_directions::read(&cx.base.join(&n.file), &n.direction)?));
        let directions = self.directions.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(Lens { options: self.clone(), directions, cx: cx.clone() }))
    }
}

struct Lens {
    options: LogitLens,
    directions: Vec<(String, Direction)>,
    cx: BuildContext,
}

impl Analyzer for Lens {
    fn needs(&self) -> Needs {
        Needs {
            taps: self.options.sites.iter().map(|s| (*s, Position::PromptEnd)).collect(),
            factors: self.options.factor.iter().cloned().collect(),
            choices: true,
            first_turn: Some(self.options.first_turn),
            ..Needs::default()
        }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let (unembedding, tokenizer) = Unembedding::open(&self.cx).map_err(Error::other)?;
        let rms = lens::tell(&self.options, run, &unembedding, &tokenizer, out)?;
        let push =
            |(name, direction)| attribution::push(name, direction, rms, &self.options, run, &unembedding, &tokenizer);
        let pushes = self.directions.iter().map(|(n, d)| push((n, d))).collect::<Result<Vec<_>>>()?;
        if !pushes.is_empty() {
            attribution::tell(&pushes, out);
        }
        Ok(())
    }
}

/// Token ids of the letters A, B, … of `count` options.
///
/// # Errors
/// When a letter is not one token.
fn letters(tokenizer: &Tokenizer, count: usize) -> Result<Vec<u32>> {
    (0..count)
        .map(|i| {
            let letter = friction_core::Item::letter(i).to_string();
            tokenizer.id(&letter).ok_or_else(|| Error::other(format!("`{letter}` is not one token of this model")))
        })
        .collect()
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<LogitLens>("logit-lens", "What the model would answer at each layer, and what a direction pushes", env!("CARGO_PKG_VERSION"))
}
