//! `replay`: a stored run's conversations are held again, and their replies are read instead of generated.
//!
//! ```toml
//! [[condition]]
//! name = "interrupt_blunt"
//! plugin = "replay"
//! run = "../runs/quickstart"
//! turns = "earlier"
//! factors = { completion = "interrupt", tone = "blunt" }
//! ```
//!
//! `options` reads the table and checks it against run and study; `transcripts` holds what the run said; `reader` is the
//! condition.
mod options;
mod reader;
mod transcripts;

use friction_core::PluginEntry;
use options::Replay;

friction_core::inventory::submit! {
    PluginEntry::condition::<Replay>("replay", "A stored run's conversations, whose replies are read", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
