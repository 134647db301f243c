//! What a hook declares before a run: the activations that it reads (taps), those that it changes (edits), and how
//! strongly (arms).
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
    /// The model's source as the manifest gives it, such as `hf:google/gemma-3-1b-it`.
    pub name: String,
    /// Number of transformer blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads × head dimension: the width of `attn_out`.
    pub attn_width: usize,
    /// Number of token ids: the width of `logits`.
    pub vocab: usize,
    /// Number of parameters.
    pub parameters: u64,
}

impl ModelSpec {
    /// The width of a site: the number of values that it has for each token.
    ///
    /// # Errors
    /// If the model has no such layer.
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

/// Reads a site at a position.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tap {
    /// Where in the forward pass.
    pub site: Site,
    /// At which tokens of a turn.
    pub position: Position,
}

/// A pure function of activations `[rows, width]` and the rows' strengths `[rows, 1]`, both f32, that returns the
/// changed activations `[rows, width]`.
#[cfg(feature = "tensors")]
pub type EditFn = Arc<dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<2> + Send + Sync>;

/// How a token's activations `x` at a site are changed. `s` is the edit's strength for that token's conversation. If it
/// is 0, `x` stays the same bit for bit.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EditOp {
    /// x + s·v, where v is the given vector, not normalised.
    Add(Vec<f32>),
    /// x − s·(x·u)u, where u is the given direction divided by its norm. s = 1 removes the component along u.
    Remove(Vec<f32>),
    /// x + s·(value − x·u)u: s = 1 sets the projection on the unit direction u to `value`.
    Project {
        /// The direction. It is divided by its norm to give u.
        direction: Vec<f32>,
        /// The projection x·u that s = 1 sets.
        value: f32,
    },
    /// x + s·(clamp(x·u, min, max) − x·u)u: s = 1 limits the projection to the range from `min` to `max`.
    Clamp {
        /// The direction. It is divided by its norm to give u.
        direction: Vec<f32>,
        /// Lowest projection x·u.
        min: f32,
        /// Highest projection x·u.
        max: f32,
    },
    /// Any pure function of Burn tensors that keeps the shape. A dynamic library cannot declare one, and decode steps
    /// of a program that has one are not recorded as a graph.
    #[cfg(feature = "tensors")]
    #[serde(skip)]
    Custom {
        /// The function, called with the rows of a step and their strengths.
        run: EditFn,
        /// Identifies the function. The run's lock stores a hash of it, and a resume with another digest is refused.
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

/// Which tokens an edit changes.
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

/// Changes a site at some tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Name by which arms give strengths. Edits of one hook that share a name share their strength. If several hooks
    /// have edits or arms, the hook's name is put before it ([`crate::arms`]).
    pub name: String,
    /// Where in the forward pass. Edits at `logits` are applied before a token is sampled.
    pub site: Site,
    /// Which tokens are changed.
    pub at: EditAt,
    /// First and last turn in which the edit applies, from 1, both included; `None` means all turns. The edit changes
    /// every token that such a turn computes, including history that is computed again after a cut.
    #[serde(default)]
    pub turns: Option<(usize, usize)>,
    /// What is computed.
    pub op: EditOp,
}

impl Edit {
    /// Whether the edit applies in `turn`, which counts from 1.
    pub fn in_turn(&self, turn: usize) -> bool {
        self.turns.is_none_or(|(first, last)| (first..=last).contains(&turn))
    }
}

/// One setting of all edits. Each condition that matches `only` is run once for each arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arm {
    /// Name, unique in the program; empty for the untouched control. If several hooks have edits or arms, the hook's
    /// name is put before it ([`crate::arms`]).
    pub name: String,
    /// Strengths by edit name. An edit that is not named has strength 0.
    pub strengths: BTreeMap<String, f32>,
    /// Levels of factors that a condition must have to be run with this arm. Empty means all conditions.
    pub only: BTreeMap<String, String>,
}

impl Arm {
    /// Whether this arm is run with a condition that has these factors.
    pub fn runs_with(&self, factors: &crate::Factors) -> bool {
        crate::run::has_levels(factors, &self.only)
    }
}

/// A text that every conversation is made to say after its last turn (teacher forcing). Its log-probability under an
/// arm shows side effects of that arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeutralText {
    /// The user's message before it.
    pub user: String,
    /// The reply that the model is made to give.
    pub reply: String,
}

/// What a hook, or all hooks of a study together, ask of the engine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookProgram {
    /// Activations to read.
    pub taps: Vec<Tap>,
    /// Changes. If several apply at one site, they are applied in this order.
    pub edits: Vec<Edit>,
    /// Arms to run. Empty means one, the untouched control.
    pub arms: Vec<Arm>,
    /// A text whose log-probability is measured at the end of every conversation, with the last turn's strengths.
    pub neutral: Option<NeutralText>,
}

impl HookProgram {
    /// Checks sites, widths, names and strengths against the model.
    ///
    /// # Errors
    /// If a tap, edit or arm does not fit; the message names the first.
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
