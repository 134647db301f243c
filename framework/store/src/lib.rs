//! Run directories: writing one group after another, resuming, and reading.
//!
//! ```text
//! runs/<name>/
//!   manifest.toml  lock.json  log.jsonl
//!   amendments.jsonl  gradings.jsonl   changes after the run was begun
//!   groups/0007/turns.parquet   one row per turn
//!   groups/0007/taps.safetensors   <condition>[@<arm>][#<sample>]/<site>/<position> → [turn, position, width]
//!   groups/0007/SHA256SUMS      checksums of the two, as `sha256sum` writes them
//!   analysis/<analyzer>/findings.json + *.parquet + *.csv + *.svg + *.png
//! ```
//!
//! Everything is written under a temporary name ([`temp`]) and then renamed. Files that friction did not write are
//! left alone.
//!
//! [`RunDir`] writes, [`StoredRun`] reads; [`table`] and [`turns`] hold the Parquet schema.
mod amendments;
pub mod dir;
mod error;
mod found;
mod gradings;
pub mod read;
mod sums;
pub mod table;
pub mod temp;
pub mod turns;

pub use amendments::{Amendment, Analyzers, amended_lock, amendments, settled_analyzers};
pub use dir::{GroupData, RunDir, TapEntry};
pub use error::{Error, Result};
pub use gradings::{Grading, begun, graded_whole, gradings, word};
pub use read::{StoredGroup, StoredRun};

/// Version of the directory layout and of `lock.json`. Readers refuse newer versions and read older ones. In version 2
/// every turn was a multiple-choice question, and groups had no checksums. In version 1 the lock identified a model only by its weights, and `manifest.toml` was the file as given, without `--set`.
pub const SCHEMA: u64 = 3;
