//! The options of `gemma-scope`.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Outcome, Position, Site};
use friction_sae::Source;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Asks which features of a sparse autoencoder follow a condition, and whether they go with worse answers, or with another
/// outcome of the turns. It reads autoencoders and transcoders of any model: of Gemma Scope 2 by their short names, those of
/// other suites by the path of their folder or file. It first tells how well the autoencoder reconstructs this run's
/// activations, and interprets nothing where that is bad.
///
/// Features are compared at the same question. For the verdict they are picked on one half of the groups and tested on the
/// other; at least 15 groups are needed for one.
///
/// It writes:
/// - the table `features`: a row for each feature that fires often enough, with rate, difference, effect, AUC, p, q, whether
///   both halves of the groups agree, and the cosine with its nearest in each of `also`;
/// - the tables `strongest` (the features with the smallest p), `elsewhere` (the same in each of `also`), `sparse` (probes on
///   few features) and `confirmation` (the picked features on the other half of the groups);
/// - the values `quality` (FVU, L0, dead features), `interpreted`, `found`, `features`, `next_answer`, `elsewhere`, `sparse`,
///   `confirmation`, `verdict` and `good`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"source": "hf:google/gemma-scope-2-4b-it", "sae": "resid_post/17/16k/medium", "factor": "completion"}))]
pub struct GemmaScope {
    /// Where the autoencoder is: `hf:google/gemma-scope-2-4b-it` (for a tuned model, the `-it` repository) or `path:folder`.
    /// A folder is relative to the manifest; with `sae` it has the repository's layout, without it is one autoencoder's. The
    /// formats of Gemma Scope 2, Gemma Scope, Qwen-Scope, SAELens, dictionary_learning, sparsify and Goodfire are read.
    #[schemars(example = &"hf:google/gemma-scope-2-4b-it")]
    pub source: String,
    /// Name of the autoencoder in the repository: of Gemma Scope 2 folder/layer/width/l0, such as
    /// `resid_post/17/16k/medium`; of others the path of its folder or file, such as `layer_20/width_16k/average_l0_71` or
    /// `layer12.sae.pt`. Default: none; needed for `hf:`.
    #[serde(default)]
    pub sae: Option<String>,
    /// Other autoencoders of the same site, in which the features that were found are looked for again: names in the same
    /// `source` (another l0 or width), or `path:folder`. Default: none.
    #[serde(default)]
    pub also: Vec<String>,
    /// Branch, tag or commit of the repository. Default: `main`. Set it to a commit to pin the autoencoder.
    #[serde(default)]
    pub revision: Option<String>,
    /// The site that the autoencoder reads. Default: what its files say. Set it where they do not say; one that contradicts
    /// them is refused.
    #[serde(default)]
    pub site: Option<Site>,
    /// The factor whose two levels are compared.
    #[schemars(example = &"completion")]
    pub factor: String,
    /// The level that is compared with all other levels of `factor` together. Default: the second of two levels, in
    /// alphabetical order; needed where there are more than two.
    #[serde(default)]
    pub level: Option<String>,
    /// A number of the turn that features are linked with, at the same question: `score`, `log_odds`, `answered`,
    /// `reply_tokens`, `reading.<hook>.<name>`, `aside.<name>` or `metric.<name>`. Turns without it are left out of that
    /// link. Default: `score`; where replies are not graded, features are compared all the same and the verdict cannot be
    /// told.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Tokens that are encoded, each by itself. A hook must tap the site there.
    #[serde(default = "prompt_end")]
    pub position: Position,
    /// First turn that enters, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub first_turn: u32,
    /// Share of conversations in which a feature must fire; others are left out. Raise it to test fewer features.
    #[serde(default = "rate")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_rate: f64,
    /// Number of sign flips of groups, for p of all features at once. p cannot be below one over this number plus one, so
    /// raise it for small p.
    #[serde(default = "thousand")]
    #[schemars(range(min = 20, max = 1_000_000))]
    pub permutations: usize,
    /// False discovery rate that is accepted among the features that are called found (Benjamini and Hochberg 1995).
    #[serde(default = "rate")]
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub fdr: f64,
    /// Most features that the discovery half of the groups may pick for the verdict. Fewer leave more power for each.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    pub discover: usize,
    /// Smallest difference between the levels that a confirmed feature may have, in standard deviations across groups (d_z of
    /// paired values).
    #[serde(default = "half")]
    #[schemars(range(min = 0.0))]
    pub min_effect: f64,
    /// Smallest link with the answers that a confirmed feature may have, in points of accuracy per standard deviation of the
    /// feature within questions; with another `outcome` than a share, in its unit (nats, tokens). Default: 1 for shares;
    /// needed for other outcomes.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub min_points: Option<f64>,
    /// Largest fraction of variance unexplained (FVU) at which features are interpreted. 0 is a perfect reconstruction; at 1
    /// the autoencoder explains no more than the mean does.
    #[serde(default = "half")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_fvu: f64,
    /// Number of features that the summary tells; the table holds all.
    #[serde(default = "ten")]
    pub top: usize,
    /// Numbers of features that k-sparse probes may use (Gurnee et al. 2023), from 1, beside a probe of the whole activation.
    /// `[]` leaves the probes out.
    #[serde(default = "ks")]
    pub sparse: Vec<usize>,
    /// Whether the features that are told get a label: Neuronpedia's where it has some for this autoencoder, else the tokens
    /// that the feature makes more likely. Labels are fetched once and cached. Set it to `false` to ask Neuronpedia nothing.
    #[serde(default = "yes")]
    pub labels: bool,
}
/// Smallest link with a share, in points, if none is given.
const POINTS: f64 = 1.0;

fn prompt_end() -> Position {
    Position::PromptEnd
}
fn two() -> u32 {
    2
}
fn rate() -> f64 {
    0.05
}
fn thousand() -> usize {
    1000
}
fn twenty() -> usize {
    20
}
fn half() -> f64 {
    0.5
}
fn ten() -> usize {
    10
}
fn ks() -> Vec<usize> {
    vec![1, 2, 5, 10, 20]
}
fn yes() -> bool {
    true
}

impl GemmaScope {
    /// The autoencoder that the options name.
    pub(crate) fn source(&self) -> Source {
        Source { source: self.source.clone(), sae: self.sae.clone(), revision: self.revision.clone() }
    }

    /// What features are linked with.
    pub fn outcome(&self) -> Outcome {
        self.outcome.clone().unwrap_or_default()
    }

    /// The smallest link with the outcome, shares in points.
    pub fn min_points(&self) -> f64 {
        self.min_points.unwrap_or(POINTS)
    }

    /// What options come to that are left out. Of an outcome that is no share there is no smallest link then.
    pub fn settled(&self) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("outcome".into(), json!(Outcome::default().to_string()));
        if self.outcome().is_share() {
            out.insert("min_points".into(), json!(POINTS));
        }
        out
    }

    /// Another autoencoder, from an entry of `also`.
    pub(crate) fn other(&self, name: &str) -> Source {
        match name.split_once(':') {
            Some(("path" | "hf", _)) => Source { source: name.into(), sae: None, revision: None },
            _ => Source { sae: Some(name.into()), ..self.source() },
        }
    }
}
