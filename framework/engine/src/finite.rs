//! Detects numbers that are not finite where tokens are picked or activations are read, and finds the first site of
//! the forward pass that has one. Undetected, they would become tokens: no logit compares larger than NaN, so `argmax`
//! would give id 0, `<pad>`.
use crate::hooks::{Doses, Pass, Program, TokenRole};
use crate::slot::{Slot, Turn};
use burn::tensor::{DType, Tensor};
use friction_core::{Site, Tap};
use friction_model::cache::CacheShape;
use friction_model::decoder::spare_slots;
use friction_model::model::floats;
use friction_model::{Model, Probe, Segment, Step};
use std::fmt;

/// Whether logits give probabilities: none is NaN or +∞, and at least one is above −∞. An edit may forbid tokens by
/// −∞.
pub fn proper(logits: &[f32]) -> bool {
    logits.iter().all(|l| *l < f32::INFINITY) && logits.iter().any(|l| *l > f32::NEG_INFINITY)
}

/// The first value of a row that is not allowed at this site.
fn wrong(site: Site, row: &[f32]) -> Option<f32> {
    match site {
        Site::Logits if proper(row) => None,
        Site::Logits => Some(row.iter().copied().find(|l| l.is_nan() || *l == f32::INFINITY).unwrap_or(row[0])),
        _ => row.iter().copied().find(|x| !x.is_finite()),
    }
}

/// Where a number that is not finite was noticed.
#[derive(Debug, Clone, PartialEq)]
pub enum Noticed {
    /// In the logits that predict a reply token.
    Logits {
        /// The reply token, from 1.
        token: usize,
    },
    /// In the activations that a tap reads.
    Tap {
        /// The tap that read it.
        tap: Tap,
        /// The value: NaN, inf or -inf.
        value: f32,
    },
}

/// The first site of the forward pass with a number that is not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    /// The site, with its layer.
    pub site: Site,
    /// The value: NaN, inf or -inf.
    pub value: f32,
    /// The token's position in the conversation, from 0.
    pub token: usize,
    /// Edits that made the value, with their strengths: before them, the site's values were finite. Empty if none did.
    pub edits: Vec<(String, f32)>,
}

/// Why a run stopped: a conversation has numbers that are not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct NotFinite {
    /// The conversation and its turn, as [`crate::Dialogue::place`] names them.
    pub place: String,
    /// Where the number was noticed.
    pub noticed: Noticed,
    /// Where such numbers begin; `None` if a second pass finds only finite ones.
    pub first: Option<First>,
    /// Number of tokens of the prompt.
    pub prompt: usize,
    /// The type of the matrix products.
    pub dtype: DType,
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.noticed {
            Noticed::Logits { token } => write!(f, "the logits of reply token {token} are not finite")?,
            Noticed::Tap { tap, value } => write!(f, "{value} at `{}`, `{}`", tap.site, tap.position)?,
        }
        write!(f, ", {}: ", self.place)?;
        let Some(first) = &self.first else {
            write!(f, "a second pass over the same tokens finds finite numbers")?;
            return self.advise(f);
        };
        let part = if first.token < self.prompt { "prompt" } else { "reply" };
        write!(
            f,
            "the first such value is {} at `{}` of token {} (of the {part})",
            first.value, first.site, first.token
        )?;
        if first.edits.is_empty() {
            return self.advise(f);
        }
        let edits: Vec<String> = first.edits.iter().map(|(name, s)| format!("`{name}` of strength {s:e}")).collect();
        write!(f, "; it is made by the edit {}: lower its dose. Finished groups are kept", edits.join(" and "))
    }
}

impl NotFinite {
    fn advise(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.dtype {
            DType::F16 => ". f16 ends at 65504, beyond which this model goes: set `model.dtype` to \"bf16\" or \"f32\"",
            DType::BF16 => {
                ". The model runs in bf16: try `model.dtype = \"f32\"`; if that fails too, its weights are damaged or \
                 hold such values: fetch them again"
            }
            _ => {
                ". The model runs in f32, so its weights are damaged, or hold values that lead there: fetch them \
                 again, or take another checkpoint"
            }
        })?;
        f.write_str(". Finished groups are kept")
    }
}

/// Checks every site of a forward pass before and after its edits.
struct Look<'p> {
    pass: Pass<'p>,
    program: &'p Program,
    doses: &'p Doses,
    /// Position of the step's first token in the conversation.
    start: usize,
    /// Indices in the step of the tokens whose logits are computed.
    logits: &'p [usize],
    first: Option<First>,
}

impl Look<'_> {
    fn at_rows(&self, site: Site, x: &Tensor<2>) -> Option<First> {
        let width = x.dims()[1];
        let values = floats(&x.clone().into_data());
        values.chunks(width).enumerate().find_map(|(row, values)| {
            let value = wrong(site, values)?;
            let row = if site == Site::Logits { self.logits.get(row).copied().unwrap_or(row) } else { row };
            Some(First { site, value, token: self.start + row, edits: vec![] })
        })
    }
}

impl Probe for Look<'_> {
    fn wants(&self, _: Site) -> bool {
        true
    }

    fn changes(&self, site: Site) -> bool {
        self.pass.changes(site)
    }

    fn at(&mut self, site: Site, x: Tensor<2>) -> Tensor<2> {
        if self.first.is_none() {
            self.first = self.at_rows(site, &x);
        }
        if !self.pass.wants(site) {
            return x;
        }
        let x = self.pass.at(site, x);
        if self.first.is_none() {
            let edits = self.program.strong(site, self.doses);
            self.first = self.at_rows(site, &x).map(|first| First { edits, ..first });
        }
        x
    }
}

/// Computes a turn's tokens again, alone, and returns the first value that is not finite. `None` if all are finite, or
/// if the pass fails.
pub(crate) fn first(model: &Model, program: &Program, shape: CacheShape, chunk: usize, slot: &Slot) -> Option<First> {
    let turn = slot.turn.as_ref()?;
    let mut cache = model.cache(CacheShape { slots: 1 + spare_slots(model), ..shape });
    let end = turn.prompt.len() - 1;
    let doses = [slot.doses.clone()];
    for start in (0..turn.len()).step_by(chunk.max(1)) {
        let len = chunk.max(1).min(turn.len() - start);
        let places = start..start + len;
        let step = Step {
            ids: places.clone().map(|at| turn.token(at)).collect(),
            segments: vec![Segment { slot: 0, start, len }],
            logits: if places.end == turn.len() { vec![len - 1] } else { vec![] },
        };
        let roles: Vec<TokenRole> =
            places.map(|at| TokenRole { row: 0, replying: at >= end, left: end.checked_sub(at) }).collect();
        let pass = program.pass(&roles, &doses, &[], &step.logits);
        let mut look = Look { pass, program, doses: &doses[0], start, logits: &step.logits, first: None };
        model.forward(&step, &mut cache, &mut look).ok()?;
        if look.first.is_some() {
            return look.first;
        }
    }
    None
}

/// The first tap that reads a number that is not finite in `row`. Logits are checked where tokens are picked.
pub(crate) fn tapped(turn: &Turn, taps: &[(Tap, usize)], site: Site, at: usize, row: &[f32]) -> Option<Noticed> {
    let value = (site != Site::Logits).then(|| wrong(site, row)).flatten()?;
    let (tap, _) = taps.iter().find(|(t, _)| t.site == site && turn.reads(t.position, at))?;
    Some(Noticed::Tap { tap: tap.clone(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_that_forbid_tokens_are_proper() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert!(proper(&[1.0, -inf, 3.0]));
        for wrong in [&[1.0, nan][..], &[1.0, inf], &[-inf, -inf], &[nan, nan], &[]] {
            assert!(!proper(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn each_type_has_its_advice() {
        let told = |dtype, edits: Vec<(String, f32)>| {
            let first = Some(First { site: Site::ResidPost(9), value: f32::INFINITY, token: 4, edits });
            let noticed = Noticed::Logits { token: 2 };
            NotFinite { place: "turn 3 of group 1".into(), noticed, first, prompt: 9, dtype }.to_string()
        };
        let text = told(DType::F16, vec![]);
        for part in ["reply token 2", "turn 3 of group 1", "inf at `resid_post.9` of token 4", "\"bf16\" or \"f32\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!told(DType::F32, vec![]).contains("bf16"));
        let text = told(DType::F16, vec![("direction".into(), 3e38)]);
        assert!(text.contains("`direction` of strength 3e38") && !text.contains("bf16"), "{text}");
    }
}
