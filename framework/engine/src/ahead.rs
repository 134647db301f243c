//! Launches a decode step before the host has read the tokens of the step before it. A device that records decode
//! steps as a graph takes the tokens from its own previous answer, so that it never waits for the host. If a reply
//! turns out to have ended, what the step computed for it is dropped: its keys and values lie past the end of the
//! conversation and are overwritten.
use crate::hooks::{Doses, TokenRole};
use crate::slot::Slot;
use burn::tensor::Tensor;
use friction_core::Tap;
use friction_model::decoder::Answer;
use friction_model::{Segment, Step};

/// What a row of a step is computed for: a token of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Index of the slot.
    pub slot: usize,
    /// Number of the turn, unique in a run.
    pub turn: u64,
    /// Position of the token in the conversation, from 0.
    pub at: usize,
}

/// A step, and the turns that its parts belong to.
#[derive(Default)]
pub(crate) struct Asked {
    /// The tokens to compute.
    pub step: Step,
    /// The role of each token.
    pub roles: Vec<TokenRole>,
    /// What edits do to each segment.
    pub doses: Vec<Doses>,
    /// Owner of each segment, with the position of its first token.
    pub segments: Vec<Owner>,
    /// Indices of the tokens whose activations are read.
    pub reads: Vec<usize>,
    /// Owner of each token of `reads`.
    pub readers: Vec<Owner>,
    /// Owners of the rows whose next token is picked, in the order of the step's logits.
    pub sampled: Vec<Owner>,
    /// For each of `sampled`, whether the host looks at its whole logits.
    pub whole: Vec<bool>,
}

/// A step that was launched.
pub(crate) struct Launched {
    /// The step that was asked for.
    pub asked: Asked,
    /// Its answer; `None` if no token is picked.
    pub answer: Option<Answer>,
    /// Sum of the logits of each of `sampled`, `[sampled, 1]`, if the step was not recorded as a graph. A sum that is
    /// not finite shows that a logit is not.
    pub sums: Option<Tensor<2>>,
}

/// What decides whether a step can be launched ahead.
pub(crate) struct Rules<'a> {
    /// The program's taps, each with the width of its site.
    pub taps: &'a [(Tap, usize)],
}

impl Rules<'_> {
    /// The step after `now`: the same rows, each with the likeliest token of `now` as its input. `None` if other work
    /// is waiting, or if the host must see the logits of `now` first.
    pub fn after(&self, now: &Asked, slots: &[Option<Slot>]) -> Option<Asked> {
        let busy = slots.iter().flatten().filter(|s| s.turn.is_some()).count();
        if now.sampled.is_empty() || now.sampled.len() != busy || now.whole.contains(&true) {
            return None;
        }
        let mut next = Asked::default();
        for (row, owner) in now.sampled.iter().enumerate() {
            let slot = slots[owner.slot].as_ref()?;
            let turn = slot.turn.as_ref().filter(|t| t.number == owner.turn)?;
            // `now` adds one token to the reply, after all tokens that are known.
            let (at, said) = (turn.len(), turn.reply.len() + 1);
            if turn.finish.is_some() || turn.forced.is_some() {
                return None;
            }
            let owner = Owner { slot: owner.slot, turn: turn.number, at };
            if self.taps.iter().any(|(t, _)| turn.reads(t.position, at)) {
                next.reads.push(row);
                next.readers.push(owner);
            }
            next.step.ids.push(0);
            next.step.segments.push(Segment { slot: owner.slot, start: at, len: 1 });
            next.roles.push(TokenRole { row, replying: true, left: None });
            next.doses.push(slot.doses.clone());
            next.segments.push(owner);
            if said < turn.most {
                next.step.logits.push(row);
                next.sampled.push(owner);
                next.whole.push(turn.looked_at(said));
            }
        }
        (!next.sampled.is_empty()).then_some(next)
    }
}

/// The slot of a row's owner; `None` if its turn is over or turned out to end before the row's position.
pub(crate) fn open<'s>(slots: &'s mut [Option<Slot>], owner: &Owner) -> Option<&'s mut Slot> {
    slots[owner.slot].as_mut().filter(|s| s.turn.as_ref().is_some_and(|t| t.number == owner.turn && owner.at < t.len()))
}
