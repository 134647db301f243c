//! The options of `logit-lens`.
use friction_core::Site;
use friction_core::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// A direction whose push on the letters is told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// A safetensors file of directions, such as `linear-probe` writes, relative to the manifest.
    pub file: PathBuf,
    /// The direction's name in the file, such as `resid_post.17/mean-difference`.
    pub direction: String,
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
pub struct LogitLens {
    /// Where the residual stream is read: `embed`, `resid_pre.L`, `resid_post.L`, with L a layer from 0. A hook must
    /// tap them at `prompt-end`.
    #[schemars(example = ["resid_post.9"], length(min = 1))]
    pub sites: Vec<Site>,
    /// A factor whose levels are told apart. Default: none; all conditions are taken together.
    #[serde(default)]
    pub factor: Option<String>,
    /// First turn that enters, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub first_turn: u32,
    /// Number of turns, spread over the run, for which the whole vocabulary is computed: probability and rank of the right
    /// letter among all tokens. 0 leaves that out; lower it where the vocabulary makes the analysis slow.
    #[serde(default = "hundred")]
    pub whole: usize,
    /// Directions whose push on the letters is told, each a file and a name in it. Default: none.
    #[serde(default)]
    pub directions: Vec<Named>,
    /// Number of random directions of the same length that the push of each of `directions` is compared with. Default: 1000.
    /// It is refused without `directions`.
    #[serde(default)]
    pub random: Option<usize>,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    pub level: f64,
}
/// Number of random directions, if none is given.
const RANDOM: usize = 1000;

impl LogitLens {
    /// Number of random directions.
    pub fn random(&self) -> usize {
        self.random.unwrap_or(RANDOM)
    }

    /// What options come to that are left out.
    pub fn settled(&self) -> Map<String, Value> {
        let compared = (!self.directions.is_empty()).then(|| ("random".to_string(), json!(RANDOM)));
        compared.into_iter().collect()
    }
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
