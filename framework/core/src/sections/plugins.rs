//! `[plugins]`: libraries to load and processes to start.
use crate::issues::{Issues, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A dynamic library to load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LibraryEntry {
    /// The library's file (`.so`, `.dylib` or `.dll`), relative to the manifest.
    pub path: std::path::PathBuf,
    /// SHA-256 of the file's bytes, in hexadecimal. Without it, or where the file has other bytes, nothing is loaded.
    /// `friction plugins pin MANIFEST` writes it; run that again after each build of the library.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessEntry {
    /// The program and its arguments. No shell reads them. It runs in the manifest's folder. A program that is no file
    /// there is looked for on `PATH`.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// SHA-256 of the files that it runs, in hexadecimal, by their paths relative to the manifest. Every part of
    /// `command` that is a file must be here; name also what such a file imports from the manifest's folder. Without it,
    /// or where a file has other bytes, nothing is started. `friction plugins pin MANIFEST` writes it; run that again
    /// after each change.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
    /// Longest time that the process may take for one answer, in seconds. Raise it for a plugin that loads a model or
    /// analyses for minutes.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_s: u64,
}
fn default_timeout() -> u64 {
    60
}

impl ProcessEntry {
    pub(crate) fn check(&self, path: &Path, issues: &mut Issues) {
        if !(1..=86400).contains(&self.timeout_s) {
            issues.push(path.key("timeout_s"), "`timeout_s` must be from 1 to 86400", None);
        }
    }
}

/// Dynamic libraries to load and processes to start, for plugins that are not linked into the program.
///
/// A library is native code in the program's own process, and a process may do what you may do: load and start only
/// what you trust.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({
    "load": [{"path": "libmy_cut.so", "sha256": "…"}],
    "process": [{"command": ["python3", "mine.py"], "sha256": {"mine.py": "…"}}],
}))]
pub struct PluginsSection {
    /// The libraries, each with its file and the hash that pins it. The other tables of this manifest may name their
    /// plugins.
    #[serde(default)]
    pub load: Vec<LibraryEntry>,
    /// The processes, each with its command and the hashes that pin its files. They are spoken to in lines of JSON, so
    /// their plugins may be written in any language, such as Python.
    #[serde(default)]
    pub process: Vec<ProcessEntry>,
}
