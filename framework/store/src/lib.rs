//! The run directory: written whole groups at a time, resumed, read.
//!
//! ```text
//! runs/<name>/
//!   manifest.toml  lock.json  log.jsonl
//!   groups/0007/turns.parquet   one row per turn
//!   groups/0007/taps.safetensors   <condition>[@<arm>]/<site>/<position> → [turn, position, width]
//!   analysis/<analyzer>/findings.json + *.parquet + *.svg + *.png
//! ```
//!
//! [`RunDir`] writes, [`StoredRun`] reads; [`table`] is the Parquet schema.
pub mod dir;
pub mod read;
pub mod table;

pub use dir::{GroupData, RunDir, TapEntry};
pub use read::StoredRun;

use std::path::PathBuf;

/// Version of the layout. A reader refuses a newer one.
pub const SCHEMA: u64 = 1;

/// What can go wrong with a run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}{hint}", path = path.display(), hint = if source.kind() == std::io::ErrorKind::StorageFull { "; free space and run the same command again: finished groups are kept" } else { "" })]
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
    /// The directory belongs to another study.
    #[error("{path} holds a run that differs from this manifest:\n{differences}\nname another directory with --out, or change the manifest back", path = path.display())]
    Differs {
        /// The directory.
        path: PathBuf,
        /// Each key that differs, with both values.
        differences: String,
    },
    /// Another process writes to it.
    #[error("{path} is being written by another process; wait for it, or name another directory with --out", path = path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.into();
    move |source| Error::Io { path, source }
}
pub(crate) fn format(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Error {
    Error::Format { path: path.into(), message: message.to_string() }
}
