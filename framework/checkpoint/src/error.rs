//! The error type of this crate.
use std::path::PathBuf;

/// An error of a checkpoint or its text processing. Messages name the file or setting and, where there is
/// one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A file was read, but its content is malformed, unsupported or inconsistent with the rest of the checkpoint.
    #[error("{path}: {message}", path = path.display())]
    Format {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong, for the user.
        message: String,
    },
    /// The Hugging Face hub could not serve a file: no network, no access, or no such file.
    #[error("{0}")]
    Hub(String),
    /// A `model.source` that names no model: bad syntax, or a model that does not exist.
    #[error("{0}")]
    Source(String),
    /// A key of the manifest's section `[model]` that cannot be used.
    #[error("`model.{key}`: {message}")]
    Key {
        /// The key, e.g. `chat_template`; a dot separates a key of a table in it.
        key: String,
        /// What is wrong, for the user.
        message: String,
    },
    /// A resumed or analysed run's model differs from the one that the run was made with.
    #[error(
        "{part} of {model} differs from what the run was made with (stored {stored}, now {now}); put the old one back, or run the study anew"
    )]
    Changed {
        /// The model's source string, e.g. `hf:google/gemma-3-4b-it`.
        model: String,
        /// The part that differs: weights, config, tokenizer, …
        part: friction_core::ModelPart,
        /// SHA-256 that the run's lock file holds.
        stored: String,
        /// SHA-256 of what is there now.
        now: String,
    },
    /// Text could not be tokenised or rendered.
    #[error("{0}")]
    Text(String),
}

/// A result whose error is this crate's [`Error`] unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an [`Error::Format`].
    pub fn format(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Self {
        Self::Format { path: path.into(), message: message.to_string() }
    }
    pub(crate) fn key(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Key { key: key.into(), message: message.into() }
    }
    /// Makes an [`Error::Io`].
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
