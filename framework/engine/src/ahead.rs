//! Steps that are launched before the tokens of the one before are known: a device that records decode steps
//! takes them from its own answer, so that it never waits for the host. What a reply turns out not to have
//! needed is forgotten: its keys lie behind what the conversation holds, and are written over.
use crate::hooks::TokenRole;
use crate::slot::Slot;
use burn::tensor::Tensor;
use friction_core::Tap;
use friction_model::decoder::Answer;
use friction_model::{Segment, Step};

/// A row that is computed for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The slot.
    pub slot: usize,
    /// The turn's number.
    pub turn: u64,
    /// Position of the token.
    pub at: usize,
}

/// A step, and whose it is.
#[derive(Default)]
pub(crate) struct Asked {
    /// What is computed.
    pub step: Step,
    /// Of each token.
    pub roles: Vec<TokenRole>,
    /// Of each segment.
    pub strengths: Vec<Vec<f32>>,
    /// Whose each segment is, from its first position on.
    pub segments: Vec<Owner>,
    /// Tokens that are read.
    pub reads: Vec<usize>,
    /// Whose they are.
    pub readers: Vec<Owner>,
    /// Whose next token is sampled, as in the step's logits.
    pub sampled: Vec<Owner>,
    /// Whether whole logits are looked at, of each that is sampled.
    pub whole: Vec<bool>,
}

/// A step that was launched.
pub(crate) struct Launched {
    /// What was asked.
    pub asked: Asked,
    /// Its answer, where a token is sampled.
    pub answer: Option<Answer>,
    /// Sums of the logits of each that is sampled, `[sampled, 1]`, where the step was not recorded: what is not a
    /// finite number shows in them.
    pub sums: Option<Tensor<2>>,
}

/// Which turns a step can be launched for ahead, and how long they may become.
pub(crate) struct Rules<'a> {
    /// What is read.
    pub taps: &'a [(Tap, usize)],
    /// Tokens of a reply at most.
    pub max_new_tokens: usize,
}

impl Rules<'_> {
    /// The step after `now`, of the same rows, whose tokens are `now`'s likeliest ones; nothing where other work
    /// waits, or where the host has a say in what follows.
    pub fn after(&self, now: &Asked, slots: &[Option<Slot>]) -> Option<Asked> {
        let busy = slots.iter().flatten().filter(|s| s.turn.is_some()).count();
        if now.sampled.is_empty() || now.sampled.len() != busy || now.whole.contains(&true) {
            return None;
        }
        let mut next = Asked::default();
        for (row, owner) in now.sampled.iter().enumerate() {
            let slot = slots[owner.slot].as_ref()?;
            let turn = slot.turn.as_ref().filter(|t| t.number == owner.turn)?;
            // `now` gives the reply a token, which stands behind all that is known.
            let (at, said) = (turn.len(), turn.reply.len() + 1);
            if turn.finish.is_some() || !turn.forced.0.is_empty() {
                return None;
            }
            let owner = Owner { slot: owner.slot, turn: turn.number, at };
            if self.taps.iter().any(|(t, _)| turn.reads(t.position, at)) {
                next.reads.push(row);
                next.readers.push(owner);
            }
            next.step.ids.push(0);
            next.step.segments.push(Segment { slot: owner.slot, start: at, len: 1 });
            next.roles.push(TokenRole { row, replying: true, prompt: false });
            next.strengths.push(slot.strengths.clone());
            next.segments.push(owner);
            if said < self.max_new_tokens {
                next.step.logits.push(row);
                next.sampled.push(owner);
                next.whole.push(turn.looked_at(said, self.max_new_tokens));
            }
        }
        (!next.sampled.is_empty()).then_some(next)
    }
}

/// The slot of a turn, as long as the turn is open and waits for the token at this position.
pub(crate) fn open<'s>(slots: &'s mut [Option<Slot>], owner: &Owner) -> Option<&'s mut Slot> {
    slots[owner.slot].as_mut().filter(|s| s.turn.as_ref().is_some_and(|t| t.number == owner.turn && owner.at < t.len()))
}
