//! Many conversations at once: slots, prefix reuse, forks, sampling, hooks applied.
//!
//! The road: a [`Dialogue`] says what is asked next; [`Engine::run`] ([`schedule`]) keeps slots full
//! and steps the model; `turns` begins and ends turns; [`slot`] is one conversation's state; [`hooks`] applies a
//! program to a forward pass; [`sampling`] picks tokens; [`finite`] stops what is not a number. On a GPU steps are launched before the host has looked at the tokens of the
//! one before (`ahead`).
mod ahead;
pub mod dialogue;
pub mod finite;
pub mod hooks;
pub mod options;
pub mod sampling;
pub mod schedule;
pub mod slot;
mod turns;

pub use dialogue::{Dialogue, Finish, TapRows, TurnOutcome, Unit};
pub use finite::NotFinite;
pub use options::{EngineOptions, Flow, Progress};
pub use sampling::Sampling;
pub use schedule::Engine;

/// What can go wrong while conversations run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model, its tokenizer or its template failed.
    #[error(transparent)]
    Model(#[from] friction_model::Error),
    /// A plugin failed.
    #[error(transparent)]
    Plugin(#[from] friction_core::Error),
    /// A conversation does not fit its slot.
    #[error(
        "a prompt of {prompt} tokens and a reply of up to {reply} do not fit the {capacity} positions planned for a conversation"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Longest reply.
        reply: usize,
        /// Positions of a slot.
        capacity: usize,
    },
    /// Numbers of a conversation are not finite.
    #[error("{0}")]
    NotFinite(Box<NotFinite>),
    /// The user stopped the run.
    #[error("stopped; what was finished is kept")]
    Stopped,
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
