//! `template`: what the user says, from texts with placeholders; what comes before, what the history keeps, and when the
//! conversation ends.
//!
//! ```toml
//! [[condition]]
//! name = "interrupt_blunt"
//! plugin = "template"
//! user = "nvm. {question}"
//! keep = { tokens = 50, marker = "..." }
//! factors = { completion = "interrupt", tone = "blunt" }
//! ```
mod held;
mod keep;
mod options;
mod past;
mod talker;
mod text;

use friction_core::PluginEntry;
use options::Template;

friction_core::inventory::submit! {
    PluginEntry::condition::<Template>("template", "Messages made from texts; replies cut by tokens", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
