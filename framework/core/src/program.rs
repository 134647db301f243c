//! What a hook declares: taps and edits, once, before the run.
use crate::{Error, Position, Result, Site};
#[cfg(feature = "tensors")]
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
#[cfg(feature = "tensors")]
use std::sync::Arc;

/// The shape of a model, known before its weights are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The source as the manifest gave it.
    pub name: String,
    /// Number of blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads × head dimension: the width of `attn_out`.
    pub attn_width: usize,
    /// Vocabulary size.
    pub vocab: usize,
    /// Parameters.
    pub parameters: u64,
}

impl ModelSpec {
    /// The width of a site.
    ///
    /// # Errors
    /// When the model lacks the site.
    pub fn width(&self, site: Site) -> Result<usize> {
        if let Some(l) = site.layer()
            && l >= self.layers
        {
            return Err(Error::config(format!(
                "{} has no site `{site}`: its {} layers are 0 to {}",
                self.name,
                self.layers,
                self.layers - 1
            )));
        }
        Ok(match site {
            Site::AttnOut(_) => self.attn_width,
            Site::Logits => self.vocab,
            _ => self.hidden,
        })
    }
}

/// Read a site at a position.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tap {
    /// Where.
    pub site: Site,
    /// At which tokens.
    pub position: Position,
}

/// A pure function of rows `[rows, width]` and their strengths `[rows, 1]`, both f32.
#[cfg(feature = "tensors")]
pub type EditFn = Arc<dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<2> + Send + Sync>;

/// How a site is changed. `s` is the row's strength; where it is 0 the row is left bit for bit.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EditOp {
    /// x + s·v.
    Add(Vec<f32>),
    /// x − s·(x·u)u, u the unit vector of the given direction: s = 1 removes it.
    Remove(Vec<f32>),
    /// x + s·(value − x·u)u: s = 1 sets the projection on the unit direction to `value`.
    Project {
        /// The direction; normalised here.
        direction: Vec<f32>,
        /// The projection to set.
        value: f32,
    },
    /// x + s·(clamp(x·u, min, max) − x·u)u.
    Clamp {
        /// The direction; normalised here.
        direction: Vec<f32>,
        /// Lowest projection.
        min: f32,
        /// Highest projection.
        max: f32,
    },
    /// Any pure function of Burn tensors that keeps the shape.
    #[cfg(feature = "tensors")]
    #[serde(skip)]
    Custom {
        /// The function.
        run: EditFn,
        /// What tells it from others: stands in the run's lock, so that a resumed run is the same run.
        digest: String,
    },
}

impl std::fmt::Debug for EditOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EditOp::Add(_) => "Add",
            EditOp::Remove(_) => "Remove",
            EditOp::Project { .. } => "Project",
            EditOp::Clamp { .. } => "Clamp",
            #[cfg(feature = "tensors")]
            EditOp::Custom { .. } => "Custom",
        })
    }
}

/// Which tokens an edit reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EditAt {
    /// Every token, of prompts and replies.
    All,
    /// Tokens of prompts only, `prompt-end` included.
    Prompt,
    /// `prompt-end` and the reply: the tokens that predict reply tokens.
    Reply,
    /// `prompt-end` alone: the token that predicts the first reply token.
    PromptEnd,
}

/// Change a site at tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Its name: arms give strengths by it, and edits of one hook that share a name share their strength. Where
    /// several hooks change something, the hook's name stands before it ([`crate::arms`]).
    pub name: String,
    /// Where. Edits at `logits` are applied before sampling.
    pub site: Site,
    /// At which tokens.
    pub at: EditAt,
    /// In which turns, from 1, both ends included; `None` means all. Tokens that a turn computes are
    /// changed, also where they are history that is read again after a cut.
    #[serde(default)]
    pub turns: Option<(usize, usize)>,
    /// How.
    pub op: EditOp,
}

impl Edit {
    /// Whether it applies in a turn, from 1.
    pub fn in_turn(&self, turn: usize) -> bool {
        self.turns.is_none_or(|(first, last)| (first..=last).contains(&turn))
    }
}

/// One level of intervention: the conditions that it names are run once more.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arm {
    /// Its name, its own in the program; the empty name is the untouched control. Where several hooks have arms, the
    /// hook's name stands before it ([`crate::arms`]).
    pub name: String,
    /// Strength by edit name; an edit that is not named has strength 0.
    pub strengths: BTreeMap<String, f32>,
    /// Conditions that it is run with: those whose factors have these levels. Empty means all.
    pub only: BTreeMap<String, String>,
}

impl Arm {
    /// Whether it is run with a condition of these factors.
    pub fn runs_with(&self, factors: &crate::Factors) -> bool {
        crate::run::has_levels(factors, &self.only)
    }
}

/// A text that every conversation is made to say once its turns are over. How probable the model finds it
/// is a side effect of what was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeutralText {
    /// What the user asks before it.
    pub user: String,
    /// What the model is made to say.
    pub reply: String,
}

/// What hooks ask of the engine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookProgram {
    /// Reads.
    pub taps: Vec<Tap>,
    /// Changes, applied in this order where several meet.
    pub edits: Vec<Edit>,
    /// Arms; empty means one, the untouched control.
    pub arms: Vec<Arm>,
    /// A text whose probability is measured at the end of every conversation, under the last turn's
    /// strengths.
    pub neutral: Option<NeutralText>,
}

impl HookProgram {
    /// Checks sites, widths and names against the model.
    ///
    /// # Errors
    /// Names the first tap, edit or arm that does not fit.
    pub fn validate(&self, model: &ModelSpec) -> Result<()> {
        for tap in &self.taps {
            model.width(tap.site)?;
            if tap.site == Site::Logits && !matches!(tap.position, Position::PromptEnd | Position::Reply(_)) {
                return Err(Error::config(
                    "`logits` exist where a token is predicted: tap them at `prompt-end` or `reply:N`",
                ));
            }
        }
        for edit in &self.edits {
            let width = model.width(edit.site)?;
            let got = match &edit.op {
                EditOp::Add(v) | EditOp::Remove(v) => Some(v),
                EditOp::Project { direction, .. } | EditOp::Clamp { direction, .. } => Some(direction),
                #[cfg(feature = "tensors")]
                EditOp::Custom { .. } => None,
            };
            if let Some(v) = got {
                if v.len() != width {
                    return Err(Error::config(format!(
                        "edit `{}` has a direction of width {}, but `{}` of {} is {width} wide",
                        edit.name,
                        v.len(),
                        edit.site,
                        model.name
                    )));
                }
                let norm: f32 = v.iter().map(|x| x * x).sum();
                if !norm.is_finite() || norm == 0.0 {
                    return Err(Error::config(format!(
                        "edit `{}` has a direction that is zero or not finite",
                        edit.name
                    )));
                }
            }
        }
        if let Some(fault) = crate::arms::faults(self) {
            return Err(Error::config(fault));
        }
        for arm in &self.arms {
            for name in arm.strengths.keys() {
                if !self.edits.iter().any(|e| &e.name == name) {
                    return Err(Error::config(format!(
                        "arm `{}` gives a strength to the unknown edit `{name}`",
                        arm.name
                    )));
                }
            }
        }
        Ok(())
    }
}
