//! The one error type of plugins and of the core.
use std::path::PathBuf;

/// What went wrong in a plugin or in the core; each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value that cannot be used.
    #[error("{0}")]
    Config(String),
    /// A data file that is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// An operation on a file failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// A configuration error in words.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }
    /// An error in words.
    pub fn other(message: impl std::fmt::Display) -> Self {
        Self::Other(message.to_string())
    }
    /// A data error about a file.
    pub fn data(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Self {
        Self::Data { path: path.into(), message: message.to_string() }
    }
    /// An input or output error about a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// The result of plugin calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;
