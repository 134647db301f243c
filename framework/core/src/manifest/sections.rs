//! The fixed sections of a manifest.
use super::generation::GenerationSection;
use super::issues::{Issues, Path, Step};
use super::model::ModelSection;
use crate::arms::ArmDesign;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a key that is unknown at `path` is a key: `max_new_tokens` of `[study]` is one of `[generation]`.
pub(super) fn elsewhere(name: &str, path: &Path) -> Option<String> {
    fn keys<T: JsonSchema>() -> Vec<String> {
        let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
        schema.get("properties").and_then(|p| p.as_object()).map_or(vec![], |p| p.keys().cloned().collect())
    }
    type Keys = fn() -> Vec<String>;
    let here = |section: &str| path.0.first() == Some(&Step::Key(section.into()));
    let sections: [(&str, Keys); 4] = [
        ("study", keys::<StudySection>),
        ("model", keys::<ModelSection>),
        ("backend", keys::<BackendSection>),
        ("generation", keys::<GenerationSection>),
    ];
    let (section, _) = sections.into_iter().find(|(s, keys)| !here(s) && keys().iter().any(|k| k == name))?;
    Some(format!("`{name}` is a key of `[{section}]`"))
}

/// The study itself: its name, its seed and its size.
///
/// Groups × conditions × samples × turns is the number of replies without interventions; each arm of a hook adds the
/// same number again for the conditions that it runs in. `friction check` tells the sum before anything is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"name": "quickstart", "seed": 7, "groups": 40, "turns": 12}))]
pub struct StudySection {
    /// Name of the study and of its run directory, `runs/<name>`: letters, digits, `-`, `_` and `.`, a `.` not first.
    /// Change it to keep an earlier run beside the new one.
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Seed of everything that is drawn: items, the order of topics, wordings, sampled tokens, random directions,
    /// permutations. The same manifest with the same seed gives the same run; change it to repeat a study with other
    /// draws.
    #[serde(default)]
    #[schemars(range(max = 9_223_372_036_854_775_807_i64))]
    pub seed: u64,
    /// Number of groups, that is of lists of items. Every condition runs every group, so comparisons are paired within
    /// groups, and groups are the sample size of the analyses. Raise it where intervals are too wide or a verdict cannot
    /// be told.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub groups: usize,
    /// Turns of each conversation, at most. Where each item takes one turn, this alone says how long conversations are.
    /// Raise it to study what accumulates; the context that a conversation needs grows with it. It may be left out where
    /// `items` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub turns: Option<usize>,
    /// Items of each conversation. Default: `turns`. Set it where an item takes several turns, because it has a script or
    /// a condition asks on about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub items: Option<usize>,
    /// Conversations of each group, condition and arm, which differ in the sampled tokens alone. Above 1 it needs
    /// `generation.temperature` above 0.
    #[serde(default = "single", skip_serializing_if = "is_single")]
    #[schemars(range(min = 1, max = 10_000))]
    pub samples: usize,
    /// Whether the conditions of a group share the random numbers that tokens are sampled with. It does nothing at
    /// `generation.temperature = 0`.
    #[serde(default, skip_serializing_if = "Draws::is_default")]
    pub draws: Draws,
    /// What the arms of several hooks mean together. Needed where more than one hook has arms; otherwise it does
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arms: Option<ArmDesign>,
}
fn single() -> usize {
    1
}
fn is_single(n: &usize) -> bool {
    *n == 1
}

/// Whether conditions share random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Draws {
    /// Each condition has its own random numbers, except in the first turn: equal first prompts get equal replies.
    #[default]
    Independent,
    /// All conditions and arms of a group share the random numbers of each turn.
    Paired,
}

impl Draws {
    fn is_default(&self) -> bool {
        *self == Self::Independent
    }
}

impl StudySection {
    /// Number of items of each conversation: `items`, or else `turns`.
    pub fn items(&self) -> usize {
        self.items.or(self.turns).unwrap_or(1)
    }

    /// Largest number of turns that the manifest allows, if it says so.
    pub fn most_turns(&self) -> usize {
        self.turns.unwrap_or(usize::MAX)
    }

    pub(super) fn check(&self, path: &Path, issues: &mut Issues) {
        let name_ok = !self.name.is_empty()
            && self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !self.name.starts_with('.');
        if !name_ok {
            issues.push(
                path.key("name"),
                "a study's name is letters, digits, `-`, `_` and `.`: it names a folder",
                None,
            );
        }
        let sizes = [
            ("groups", Some(self.groups), 1_000_000),
            ("turns", self.turns, 1000),
            ("items", self.items, 1000),
            ("samples", Some(self.samples), 10_000),
        ];
        for (key, v, max) in sizes {
            if v.is_some_and(|v| v == 0 || v > max) {
                issues.push(path.key(key), format!("`{key}` must be from 1 to {max}"), None);
            }
        }
        if self.turns.is_none() && self.items.is_none() {
            let help = "set `turns`, or `items` where an item takes several turns";
            issues.push(path.clone(), "the length of conversations is missing", Some(help.into()));
        }
        if let (Some(turns), Some(items)) = (self.turns, self.items)
            && (turns + 1..=1000).contains(&items)
        {
            let what = format!("`items = {items}` do not fit `turns = {turns}`: an item takes one turn at least");
            issues.push(path.key("items"), what, None);
        }
    }

    /// What is declared here and does nothing, or would repeat conversations, under a temperature.
    pub fn sampled(&self, path: &Path, temperature: f64, issues: &mut Issues, warnings: &mut Issues) {
        if temperature > 0.0 {
            return;
        }
        let help = Some("set `generation.temperature` above 0".to_string());
        if (2..=10_000).contains(&self.samples) {
            let what = format!(
                "`samples = {}` would repeat each conversation word for word: replies are greedy",
                self.samples
            );
            issues.push(path.key("samples"), what, help.clone());
        }
        if self.draws != Draws::Independent {
            warnings.push(path.key("draws"), "`draws` does nothing at `temperature = 0`: nothing is drawn", help);
        }
    }
}

/// Which of Burn's run-time devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU; needs a build with `--features cuda`.
    Cuda,
    /// Another GPU, through WebGPU; needs a build with `--features wgpu` or `--features vulkan`.
    Wgpu,
}

/// How many conversations share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchSize {
    /// From the device's memory and kind.
    #[default]
    Auto,
    /// So many.
    Fixed(usize),
}

impl JsonSchema for BatchSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BatchSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"const": "auto", "description": "As many as the device has memory for."},
            {"type": "integer", "minimum": 1, "maximum": 4096}
        ]})
    }
}

impl<'de> Deserialize<'de> for BatchSize {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let v = toml::Value::deserialize(d)?;
        match v {
            toml::Value::String(s) if s == "auto" => Ok(Self::Auto),
            toml::Value::Integer(n) if (1..=4096).contains(&n) => Ok(Self::Fixed(n as usize)),
            _ => Err(serde::de::Error::custom("`batch` is \"auto\" or a whole number from 1 to 4096")),
        }
    }
}
impl Serialize for BatchSize {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => s.serialize_str("auto"),
            Self::Fixed(n) => s.serialize_u64(*n as u64),
        }
    }
}

/// The device that computes, and how many conversations share it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"kind": "cuda", "batch": 64}))]
pub struct BackendSection {
    /// What computes. A kind that this build does not have is refused before the run.
    #[serde(default)]
    pub kind: BackendKind,
    /// Index of the device among those of its kind, from 0. Change it on a machine with several GPUs.
    #[serde(default)]
    pub device: usize,
    /// Conversations that are generated at once. Lower it where memory runs out. In `f32` the greedy replies of a
    /// conversation do not depend on it.
    #[serde(default)]
    pub batch: BatchSize,
}

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
    pub(super) fn check(&self, path: &Path, issues: &mut Issues) {
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
