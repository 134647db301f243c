//! What can go wrong with a checkpoint or a device.
use std::path::PathBuf;

/// An error about a model: what, where, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The hub could not serve a file.
    #[error("{0}")]
    Hub(String),
    /// A source string that names no model.
    #[error("{0}")]
    Source(String),
    /// The device cannot do what was asked.
    #[error("{0}")]
    Device(String),
    /// A part of a model is not what a stored run was made with.
    #[error(
        "{part} of {model} differs from what the run was made with (stored {stored}, now {now}); put the old one back, or run the study anew"
    )]
    Changed {
        /// The source.
        model: String,
        /// Which part.
        part: friction_core::ModelPart,
        /// SHA-256 in the run's lock.
        stored: String,
        /// SHA-256 of what is there.
        now: String,
    },
    /// Text could not be tokenised or rendered.
    #[error("{0}")]
    Text(String),
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn format(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Self {
        Self::Format { path: path.into(), message: message.to_string() }
    }
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
