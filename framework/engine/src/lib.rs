//! Many conversations at once: slots, prefix reuse, forks, sampling, hooks applied.
//!
//! The road: a [`Dialogue`] says what is asked next; [`Engine::run`] ([`schedule`]) keeps slots full
//! and steps the model; [`slot`] is one conversation's state; [`hooks`] applies a program to a
//! forward pass; [`sampling`] picks tokens. On a GPU steps are launched before the host has looked at the tokens of the
//! one before (`ahead`).
mod ahead;
pub mod dialogue;
pub mod hooks;
pub mod sampling;
pub mod schedule;
pub mod slot;

pub use dialogue::{Dialogue, Finish, TapRows, TurnOutcome, Unit};
pub use sampling::Sampling;
pub use schedule::{Engine, EngineOptions, Flow, Progress};

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
    /// The user stopped the run.
    #[error("stopped; what was finished is kept")]
    Stopped,
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
