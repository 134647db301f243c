//! The error type of this crate.

/// An error of a checkpoint, a device or a step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the checkpoint could not be read or is not what it should be.
    #[error(transparent)]
    Checkpoint(#[from] friction_checkpoint::Error),
    /// The backend is not in this binary, or never has the device: another machine would not help.
    #[error("{0}")]
    Backend(String),
    /// The device is missing, too small, or does not support what was asked.
    #[error("{0}")]
    Device(String),
    /// A step holds tokens that the model or cache cannot take, or weights that cannot be held as asked.
    #[error("{0}")]
    Step(String),
}

/// A result whose error is this crate's [`Error`] unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;
