//! The fixed sections of a manifest.
use super::generation::GenerationSection;
use super::issues::{Issues, Path, Step};
use super::model::ModelSection;
use crate::arms::ArmDesign;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

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
/// Groups × conditions × turns is the number of replies without interventions; each arm of a hook adds the same
/// number again for the conditions that it runs in. `friction check` tells the sum before anything is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"name": "quickstart", "seed": 7, "groups": 40, "turns": 12}))]
pub struct StudySection {
    /// Name of the study and of its run directory, `runs/<name>`: letters, digits, `-`, `_` and `.`, a `.` not first.
    /// Change it to keep an earlier run beside the new one.
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Seed of everything that is drawn: questions, the order of topics, wordings, sampled tokens, random directions,
    /// permutations. The same manifest with the same seed gives the same run; change it to repeat a study with other
    /// draws.
    #[serde(default)]
    #[schemars(range(max = 9_223_372_036_854_775_807_i64))]
    pub seed: u64,
    /// Number of groups, that is of lists of questions. Every condition runs every group, so comparisons are paired
    /// within groups, and groups are the sample size of the analyses. Raise it where intervals are too wide or a verdict
    /// cannot be told.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub groups: usize,
    /// Turns of each conversation; each asks one question. Raise it to study what accumulates; the context that a
    /// conversation needs grows with it.
    #[schemars(range(min = 1, max = 1000))]
    pub turns: usize,
    /// What the arms of several hooks mean together. Needed where more than one hook has arms; otherwise it does
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arms: Option<ArmDesign>,
}

impl StudySection {
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
        for (key, v, max) in [("groups", self.groups, 1_000_000), ("turns", self.turns, 1000)] {
            if v == 0 || v > max {
                issues.push(path.key(key), format!("`{key}` must be from 1 to {max}"), None);
            }
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

/// Dynamic libraries to load, for plugins that are not linked into the program.
///
/// A library is native code in the program's own process: load only what you trust.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"load": [{"path": "libmy_cut.so", "sha256": "…"}]}))]
pub struct PluginsSection {
    /// The libraries, each with its file and the hash that pins it. The other tables of this manifest may name their
    /// plugins.
    #[serde(default)]
    pub load: Vec<LibraryEntry>,
}
