//! Loads dynamic libraries and starts pinned processes as plugins.
//!
//! Both hold plugins on the other side of a border that JSON crosses: `border.rs` says what the two have in common, and
//! `remote.rs` and its neighbours `condition.rs` and `dataset.rs` implement the plugin traits by it, `plugin.rs` makes of
//! them what a registry takes. `before.rs` holds the records of versions 1 and 2 of the border.
//!
//! # Libraries
//!
//! [`Library::open`] checks a file's SHA-256, loads it within a time limit and asks which plugins it holds.
//! [`Library::plugins`] returns them in the form that a manifest's registry takes. Every call goes through `call.rs`:
//! one call at a time, printed text is captured, and every answer is checked. A library is never unloaded.
//!
//! The header beside this crate's `Cargo.toml`, [`friction_plugin.h`](HEADER), is the contract;
//! `abi1/` and `abi2/` hold its first versions, against which a test builds an old plugin.
//!
//! # Processes
//!
//! [`Process::start`] compares the SHA-256 of a command's files, starts it and asks which plugins it holds. `lines.rs`
//! is the child and its pipes, `process.rs` what is said over them, `pins.rs` which files must be pinned.
mod before;
mod border;
mod call;
mod condition;
mod dataset;
mod gate;
mod heard;
mod library;
mod lines;
mod native;
mod offer;
mod pins;
mod plugin;
mod process;
mod remote;
mod stdout;
mod trial;

pub use heard::{printed, unlogged};
pub use library::{Library, digest};
pub use lines::kill;
pub use pins::files;
pub use process::{INHERITED, Process};

/// Version of the border that this host speaks, with libraries and with processes.
pub const VERSION: u32 = friction_plugin::abi::VERSION;

/// The header, as text.
pub const HEADER: &str = include_str!("../friction_plugin.h");
