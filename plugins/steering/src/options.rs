//! Options of `steer`.
use friction_core::Site;
use friction_core::program::EditAt;
use friction_core::schemars::{self, JsonSchema};
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

impl From<At> for EditAt {
    fn from(at: At) -> Self {
        match at {
            At::All => Self::All,
            At::Prompt => Self::Prompt,
            At::Reply => Self::Reply,
            At::PromptEnd => Self::PromptEnd,
        }
    }
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
    /// Limits the projection on the direction, or the activation of an autoencoder's feature, to the range `clamp`; of a
    /// feature without a range, sets its activation to the dose. The reconstruction error is left as it is.
    Clamp,
}

/// A range of projections or activations. Give one bound or both.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// Lowest value. Default: no lowest.
    #[serde(default)]
    pub(crate) min: Option<f32>,
    /// Highest value. Default: no highest.
    #[serde(default)]
    pub(crate) max: Option<f32>,
}

/// One range, or one for each direction.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`clamp` is a range, { min = …, max = … }, or a list of ranges")]
pub(crate) enum Ranges {
    /// The same range for all.
    One(Range),
    /// A range for each direction, or for each site.
    Each(Vec<Range>),
}

impl Ranges {
    /// The ranges as they stand in the manifest.
    pub(crate) fn listed(&self) -> &[Range] {
        match self {
            Self::One(range) => std::slice::from_ref(range),
            Self::Each(ranges) => ranges,
        }
    }
    /// The range of the direction or site `i`.
    pub(crate) fn of(&self, i: usize) -> Option<Range> {
        match self {
            Self::One(range) => Some(*range),
            Self::Each(ranges) => ranges.get(i).copied(),
        }
    }
}

/// One name, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`direction` is a name in quotes, or a list of names in quotes")]
pub(crate) enum Names {
    /// One direction.
    One(String),
    /// Several directions.
    Several(Vec<String>),
}

impl Names {
    /// All names.
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// One site, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`site` is a site in quotes such as \"resid_post.9\", or a list of sites in quotes")]
pub(crate) enum Sites {
    /// One site.
    One(Site),
    /// Several sites.
    Several(Vec<Site>),
}

impl Sites {
    /// All sites.
    pub(crate) fn all(&self) -> &[Site] {
        match self {
            Self::One(site) => std::slice::from_ref(site),
            Self::Several(sites) => sites,
        }
    }
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
/// Give `file` and `direction`, or `sae` and `feature`. Several directions, or several sites of one direction, are
/// changed together in each arm. `clamp = { max = 4.0 }` caps the projection on the direction. The analyzer `steering`
/// tells what the doses did to the answers.
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
    /// The direction's name in `file`: `<site>/<kind>`, such as `resid_post.17/mean-difference`. With a list, such as one
    /// direction for each of several layers, each arm changes all of them together, each at its own site. Default: none;
    /// needed with `file`.
    #[serde(default)]
    pub(crate) direction: Option<Names>,
    /// An autoencoder instead of a file, named as for the analyzer `gemma-scope`. Default: none.
    #[serde(default)]
    pub(crate) sae: Option<Source>,
    /// Index of the autoencoder's feature, from 0: its decoder is the direction, or its activation is clamped. Default:
    /// none; needed with `sae`.
    #[serde(default)]
    pub(crate) feature: Option<usize>,
    /// Where the change is made. With a list, each arm makes it at all of these sites; that needs a single direction.
    /// Default: the site in the direction's name, or the one that the autoencoder reads. With `sae`, set it only where the
    /// autoencoder's files do not say what it reads.
    #[serde(default)]
    pub(crate) site: Option<Sites>,
    /// The tokens at which the change is made. `prompt-end` changes one token of each turn, `all` every one.
    #[serde(default = "all")]
    pub(crate) at: At,
    /// Whether the change is made only at tokens at which the autoencoder's feature is active. It needs `sae`.
    #[serde(default)]
    pub(crate) if_active: bool,
    /// First and last turn in which the change is made, from 1: `[2, 5]`. Default: all turns.
    #[serde(default)]
    pub(crate) turns: Option<(usize, usize)>,
    /// What a dose does to the activation. Default: `add`, or `clamp` if there is a range `clamp`.
    #[serde(default)]
    pub(crate) op: Option<Op>,
    /// A range that the projection on the direction, or the feature's activation, is limited to: `{ min = -2.0, max = 4.0 }`
    /// or one of them (activation capping). A projection is that on the direction divided by its norm, as the hook
    /// `projection` measures it; set `unit` to count in others. A list gives one range for each direction, or for each
    /// site. Doses are then shares of the way to the range. Default: none.
    #[serde(default)]
    pub(crate) clamp: Option<Ranges>,
    /// How long a dose of 1 is. It is meant for `add` and `set`, and for the bounds of a range `clamp`; a dose of `remove`,
    /// or of a feature's activation, has a unit of its own. Default: `vector`; for a range, projections as they are.
    #[serde(default)]
    pub(crate) unit: Option<Unit>,
    /// Conditions that are steered: levels of factors, such as `{ completion = "interrupt" }`. Default: all. Every
    /// condition is also run untouched. Set it to save time.
    #[serde(default, rename = "where")]
    pub(crate) only: BTreeMap<String, String>,
    /// Doses, one arm each. With `add`, `remove` and a range `clamp` none may be 0: the untouched control is always run.
    /// Give both signs, and several sizes, to see a dose-response. Default: none; with a range `clamp`, `[1]`, which
    /// brings everything beyond the range to its end.
    #[serde(default)]
    #[schemars(example = [-8.0, 8.0])]
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
fn twenty() -> usize {
    20
}

impl Steer {
    /// What a dose does.
    pub(crate) fn op(&self) -> Op {
        self.op.unwrap_or(if self.clamp.is_some() { Op::Clamp } else { Op::Add })
    }

    /// The doses: with a range, 1 if none are given.
    pub(crate) fn doses(&self) -> Vec<f32> {
        if self.doses.is_empty() && self.clamp.is_some() { vec![1.0] } else { self.doses.clone() }
    }

    /// Whether a dose is the strength of one edit, and not the value that an edit of its own sets.
    pub(crate) fn by_strength(&self) -> bool {
        self.clamp.is_some() || matches!(self.op(), Op::Add | Op::Remove)
    }
}
