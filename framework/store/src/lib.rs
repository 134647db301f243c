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
//! Everything is written under a temporary name ([`temp`]) and renamed. What friction did not write is left alone,
//! wherever it lies.
//!
//! [`RunDir`] writes, [`StoredRun`] reads; [`table`] is the Parquet schema.
pub mod dir;
mod error;
mod found;
pub mod read;
pub mod table;
pub mod temp;

pub use dir::{GroupData, RunDir, TapEntry};
pub use error::{Error, Result};
pub use read::StoredRun;

/// Version of the layout and of lock.json. A reader refuses a newer one and reads older ones: 1 identified a model by
/// its weights alone, and its manifest.toml was the file as given, without `--set`.
pub const SCHEMA: u64 = 2;
