//! What edits do to a conversation, which of its tokens they change, and which of its vectors a token gets.
use crate::ops::{Op, Read};
use friction_core::Site;
use friction_core::program::EditAt;
use std::sync::Arc;

/// Vectors of a conversation's own, `[rows, width]`; `None` where it has none. There is one row, except for edits at
/// [`EditAt::PromptTail`]: the last row belongs to `prompt-end`, and each row before it to the token before.
pub type Given = Option<Arc<[f32]>>;

/// What edits do to one conversation in a turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Doses {
    /// Strength of each edit, in the program's order. Edits beyond its end have strength 0.
    pub strengths: Vec<f32>,
    /// For each edit that takes vectors ([`friction_core::EditOp::takes_vectors`]), by its index in the program, the conversation's own.
    /// Others have `None`. Edits beyond its end have none.
    pub given: Vec<Given>,
}

/// What an edit needs to know about a token.
#[derive(Debug, Clone, Copy)]
pub struct TokenRole {
    /// Index into the step's doses.
    pub row: usize,
    /// Whether it predicts a reply token: `prompt-end` and the reply.
    pub replying: bool,
    /// Number of prompt tokens behind it, which is 0 for `prompt-end`; `None` if it belongs to the reply.
    pub left: Option<usize>,
}

/// An edit whose vectors are on the device.
pub(crate) struct Compiled {
    pub name: String,
    pub site: Site,
    pub at: EditAt,
    pub gate: Option<Read>,
    pub op: Op,
    /// Of an edit that takes vectors: its place among such edits, and the width of its vectors.
    pub given: Option<(usize, usize)>,
}

impl Compiled {
    /// Most rows of vectors that a conversation gives.
    pub fn tokens(&self) -> usize {
        if let EditAt::PromptTail(n) = self.at { n } else { 1 }
    }

    /// Whether a token is among those that the edit changes.
    pub fn reaches(&self, role: TokenRole) -> bool {
        match self.at {
            EditAt::All => true,
            EditAt::Prompt => role.left.is_some(),
            EditAt::Reply => role.replying,
            EditAt::PromptEnd => role.left == Some(0),
            EditAt::PromptTail(n) => role.left.is_some_and(|left| left < n),
        }
    }

    /// Which of a conversation's `rows` vectors a token gets, if it gets one.
    pub fn row(&self, rows: usize, role: TokenRole) -> Option<usize> {
        match self.at {
            EditAt::PromptTail(_) => rows.checked_sub(1 + role.left?),
            _ => Some(0),
        }
    }
}

/// The vectors that a conversation gives to an edit.
pub(crate) fn given(doses: &Doses, edit: usize) -> Option<&Arc<[f32]>> {
    doses.given.get(edit).and_then(Option::as_ref)
}
