//! What a hook declares before a run: the activations that it reads (taps), those that it changes (edits), and how
//! strongly (arms).
use crate::{Error, Position, Result, Site};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "tensors")]
pub use crate::edit::EditFn;
pub use crate::edit::{Autoencoder, EditOp, Encoder, Readout};

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
    /// The last N tokens of the prompt, `prompt-end` the last of them. Of an edit that takes vectors, a conversation may
    /// give a row for each of the last tokens, up to N; tokens without a row stay as they are.
    PromptTail(usize),
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
    /// A feature that decides where the edit applies: at tokens at which it reads a number above 0. `None`: at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Readout>,
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
        crate::words::has_levels(factors, &self.only)
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
    /// Activations to read and to store. [`Hook::read`](crate::Hook::read) gets them too.
    pub taps: Vec<Tap>,
    /// Activations that [`Hook::read`](crate::Hook::read) gets, after `taps`, and that are not stored. If several hooks
    /// tap the same and one of them stores it, it is stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unstored: Vec<Tap>,
    /// Names of the numbers that [`Hook::read`](crate::Hook::read) returns: letters, digits, `-` and `_`. Needed if
    /// anything is `unstored`; a manifest that asks for another reading of this hook is then refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<String>,
    /// Changes. If several apply at one site, they are applied in this order.
    pub edits: Vec<Edit>,
    /// Arms to run. Empty means one, the untouched control.
    pub arms: Vec<Arm>,
    /// A text whose log-probability is measured at the end of every conversation, with the last turn's strengths.
    pub neutral: Option<NeutralText>,
}

impl HookProgram {
    /// All taps: those that are stored, then those that are only read. Each is there once.
    pub fn all_taps(&self) -> impl Iterator<Item = &Tap> {
        self.taps.iter().chain(self.unstored.iter().filter(|t| !self.taps.contains(t)))
    }

    /// Checks sites, widths, names and strengths against the model.
    ///
    /// # Errors
    /// If a tap, edit or arm does not fit; the message names the first.
    pub fn validate(&self, model: &ModelSpec) -> Result<()> {
        for tap in self.all_taps() {
            model.width(tap.site)?;
            if tap.site == Site::Logits && !matches!(tap.position, Position::PromptEnd | Position::Reply(_)) {
                return Err(Error::config(
                    "`logits` exist where a token is predicted: tap them at `prompt-end` or `reply:N`",
                ));
            }
        }
        self.check_readings()?;
        for edit in &self.edits {
            let width = model.width(edit.site)?;
            let gate = edit.gate.as_ref().map_or(Ok(()), |g| g.check(width));
            gate.and_then(|()| edit.op.check(width)).map_err(|what| {
                Error::config(format!("the edit `{}` at `{}` of {} {what}", edit.name, edit.site, model.name))
            })?;
        }
        if let Some(fault) = faults(self) {
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

    fn check_readings(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        // In a joined program the hook's name and a dot stand before each name.
        let named = |name: &str| name.split('.').all(is_name) && name.matches('.').count() < 2;
        if let Some(name) = self.readings.iter().find(|n| !named(n) || !seen.insert(n.as_str())) {
            return Err(Error::config(format!(
                "the reading {name:?} is there twice, or its name is not made of letters, digits, `-` and `_`"
            )));
        }
        match self.unstored.iter().find(|t| !self.taps.contains(t)) {
            Some(tap) if self.readings.is_empty() => Err(Error::config(format!(
                "`{}` at `{}` is tapped, and neither stored nor read: put it into `taps`, or name in `readings` what \
                 `read` makes of it",
                tap.site, tap.position
            ))),
            _ => Ok(()),
        }
    }
}

/// What is wrong with the names and strengths of a program's arms, if anything. Edits of one hook may share a name and
/// with it their strength: one push at several sites.
pub(crate) fn faults(program: &HookProgram) -> Option<String> {
    let mut seen = BTreeSet::new();
    if let Some(arm) = program.arms.iter().find(|a| !seen.insert(a.name.as_str())) {
        return Some(format!("two arms are called `{}`: their turns could not be told apart", arm.name));
    }
    for arm in &program.arms {
        if let Some((edit, s)) = arm.strengths.iter().find(|(_, s)| !s.is_finite()) {
            return Some(format!("arm `{}` gives the edit `{edit}` the strength {s}", arm.name));
        }
        if arm.name.is_empty() && arm.strengths.values().any(|s| *s != 0.0) {
            return Some("the arm without a name is the untouched control, and gives strengths: name it".into());
        }
    }
    None
}

/// Whether a text may name what becomes a column or a key, such as a reading, a metric, an aside or a plugin: letters,
/// digits, `-` and `_`, and not empty.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn model() -> ModelSpec {
        ModelSpec { name: "tiny".into(), layers: 2, hidden: 2, attn_width: 4, vocab: 9, parameters: 1 }
    }

    fn parsed(json: &str) -> HookProgram {
        serde_json::from_str(json).unwrap()
    }

    /// What libraries built for versions 1 and 2 of the border send.
    #[test]
    fn programs_of_earlier_libraries_are_read() {
        let ops = [
            r#"{"add": [1.0, 2.0]}"#,
            r#"{"remove": [1.0, 2.0]}"#,
            r#"{"project": {"direction": [1.0, 2.0], "value": 0.5}}"#,
            r#"{"clamp": {"direction": [1.0, 2.0], "min": -1.0, "max": 1.0}}"#,
        ];
        for op in ops {
            let program = parsed(&format!(
                r#"{{"taps": [{{"site": "resid_post.1", "position": "reply:5"}}],
                    "edits": [{{"name": "e", "site": "resid_post.1", "at": "all", "turns": [2, 5], "op": {op}}}],
                    "arms": [{{"name": "x", "strengths": {{"e": 1.0}}}}]}}"#
            ));
            program.validate(&model()).unwrap();
            assert!(op.contains(program.edits[0].op.word()), "{op}");
            assert!(program.edits[0].gate.is_none() && program.unstored.is_empty());
            // An earlier host would read what is sent back.
            let sent = serde_json::to_string(&program).unwrap();
            assert!(!sent.contains("gate") && !sent.contains("unstored") && !sent.contains("readings"), "{sent}");
        }
    }

    #[test]
    fn edits_made_of_data_survive_json() {
        let op = r#"{"push": {"read": {"linear": {"vector": [1.0, 0.0], "bias": -0.5, "threshold": 0.25}},
                     "along": [0.0, 2.0], "max": -1.0}}"#;
        let encoder = r#"{"weights": [1.0, 2.0], "bias": [0.0]}"#;
        let whole =
            format!(r#"{{"encoder": {encoder}, "least": [0.0], "decoder": [1.0, 2.0], "decoder_bias": [0.0, 0.0]}}"#);
        let replace = r#"{"replace": {"width": 2, "digest": "x"}}"#;
        for op in [op, r#"{"given": {"width": 2}}"#, replace, &format!(r#"{{"reconstruct": {whole}}}"#)] {
            let gate = format!(r#"{{"top-k": {{"encoder": {encoder}, "feature": 0, "k": 1}}}}"#);
            let program = parsed(&format!(
                r#"{{"edits": [{{"name": "e", "site": "resid_post.1", "at": "reply", "gate": {gate}, "op": {op}}}]}}"#
            ));
            program.validate(&model()).unwrap();
            let again: HookProgram = serde_json::from_str(&serde_json::to_string(&program).unwrap()).unwrap();
            let numbers = |p: &HookProgram| {
                let mut all = vec![];
                p.edits[0].op.bytes(&mut |b| all.extend_from_slice(b));
                p.edits[0].gate.as_ref().unwrap().bytes(&mut |b| all.extend_from_slice(b));
                all
            };
            assert_eq!(numbers(&program), numbers(&again));
            let x = [0.5, -1.0];
            let on = |p: &HookProgram| p.edits[0].op.on_host(&x, 2.0, Some(&[1.0, 1.0])).unwrap();
            assert_eq!(on(&program), on(&again));
            assert_ne!(on(&program), x);
        }
        let wide = parsed(r#"{"edits": [{"name": "e", "site": "attn_out.1", "at": "all", "op": {"add": [1.0]}}]}"#);
        let e = wide.validate(&model()).unwrap_err().to_string();
        assert!(e.contains("the edit `e` at `attn_out.1` of tiny has a direction of width 1"), "{e}");
    }

    #[test]
    fn taps_that_nobody_uses_are_refused() {
        let mut p = parsed(r#"{"unstored": [{"site": "resid_post.1", "position": "reply-mean"}]}"#);
        assert!(p.validate(&model()).unwrap_err().to_string().contains("neither stored nor read"));
        p.readings = vec!["drift".into()];
        p.validate(&model()).unwrap();
        p.readings.push("drift".into());
        assert!(p.validate(&model()).unwrap_err().to_string().contains("twice"));
        p.readings = vec!["resid_post.9/x y".into()];
        assert!(p.validate(&model()).is_err());
        p.readings = vec![];
        p.taps = p.unstored.clone();
        p.validate(&model()).unwrap();
        assert_eq!(p.all_taps().count(), 1, "stored, and read once");
    }
}
