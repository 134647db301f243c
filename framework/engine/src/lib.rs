//! Runs many conversations at once on one model.
//!
//! In reading order: a [`Dialogue`] supplies the messages of one conversation. [`Engine::run`] ([`schedule`]) assigns
//! conversations to slots of the cache and runs the forward passes. `turns` begins and ends turns: it reuses the prefix
//! of a prompt that the cache holds, and forks first turns and openings that conversations share. [`slot`] is the state
//! of one conversation. [`hooks`] applies taps and edits to a forward pass (`ops`: what edits compute; `reach`: which
//! tokens they change). [`sampling`] picks tokens, and [`stop`] ends replies at stop strings. [`finite`] stops a run at
//! numbers that are not finite. `ahead` launches a step on a GPU before the host has read the tokens of the step before
//! it.
mod ahead;
mod border;
pub mod dialogue;
pub mod finite;
pub mod hooks;
mod ops;
pub mod options;
mod reach;
mod rows;
pub mod sampling;
pub mod schedule;
pub mod slot;
pub mod stop;
mod turns;

pub use dialogue::{Dialogue, Finish, Request, TapRows, TurnOutcome, Unit};
pub use finite::NotFinite;
pub use hooks::{Doses, Given};
pub use options::{EngineOptions, Flow, Progress};
pub use sampling::Sampling;
pub use schedule::Engine;
pub use stop::{StopStrings, Stopped};

/// An error while conversations run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tokenizer or the chat template failed.
    #[error(transparent)]
    Checkpoint(#[from] friction_checkpoint::Error),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] friction_model::Error),
    /// A plugin failed while a conversation asked, kept, graded or read. The error names the conversation and its turn.
    #[error(transparent)]
    Plugin(#[from] friction_core::Error),
    /// A conversation does not fit its slot.
    #[error(
        "{place}: a prompt of {prompt} tokens and a reply of up to {reply} do not fit the {capacity} positions planned for a conversation; the messages became longer than those that were planned with: let the condition's `bounds` say `message_tokens`, or take fewer turns (`study.turns`)"
    )]
    TooLong {
        /// The conversation and the turn.
        place: String,
        /// Number of tokens of the prompt.
        prompt: usize,
        /// Longest reply, in tokens.
        reply: usize,
        /// Number of positions of a slot.
        capacity: usize,
    },
    /// A conversation has numbers that are not finite.
    #[error("{0}")]
    NotFinite(Box<NotFinite>),
    /// A conversation gives an edit a vector that does not fit, or a reply of tokens that the model does not have.
    #[error("{place}: {what}")]
    Given {
        /// The conversation and its turn, as [`Dialogue::place`] names them.
        place: String,
        /// The edit and its width, or the token, and what was given.
        what: String,
    },
    /// Conversations wait for others that are not held.
    #[error("{place}: it waits for conversations that are over or not held at once with it")]
    Waits {
        /// A conversation that waits, and its turn.
        place: String,
    },
    /// The user stopped the run.
    #[error("stopped; what was finished is kept")]
    Stopped,
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
