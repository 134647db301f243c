//! Loads dynamic libraries as plugins: the host's side of `friction_plugin.h`.
//!
//! [`Library::open`] checks a file's SHA-256, loads it within a time limit and asks which plugins it holds.
//! [`Library::plugins`] returns them in the form that a manifest's registry takes. Every call goes through `call.rs`:
//! one call at a time, printed text is captured, and every answer is checked. A library is never unloaded.
//!
//! The header beside this crate's `Cargo.toml`, [`friction_plugin.h`](HEADER), is the contract;
//! `abi1/` holds the first version of it, against which a test builds an old plugin.
mod call;
mod library;
mod remote;
mod stdout;
mod trial;

pub use library::{Library, digest, printed};

/// The header, as text.
pub const HEADER: &str = include_str!("../friction_plugin.h");
