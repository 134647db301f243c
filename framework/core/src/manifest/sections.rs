//! The fixed sections of a manifest.
use super::issues::{Issues, Path, Step};
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
            && items > turns
        {
            let what = format!("`items = {items}` do not fit `turns = {turns}`: an item takes one turn at least");
            issues.push(path.key("items"), what, None);
        }
    }

    /// What is declared here and does nothing, or would repeat conversations, under a temperature.
    pub(super) fn sampled(&self, path: &Path, temperature: f64, issues: &mut Issues, warnings: &mut Issues) {
        if temperature > 0.0 {
            return;
        }
        let help = Some("set `generation.temperature` above 0".to_string());
        if self.samples > 1 {
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

/// The type that matrix products run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelDtype {
    /// 32-bit floating point.
    #[default]
    F32,
    /// bfloat16: the range of `f32`, 8 bits of precision.
    Bf16,
    /// IEEE half precision: 11 bits of precision, numbers up to 65504.
    F16,
}

/// How weights are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quantize {
    /// Weights as they are, in `dtype`.
    #[default]
    None,
    /// 8 bits a weight; 32 weights share a scale, as in GGUF's Q8_0.
    Q8,
    /// 4 bits a weight; 32 weights share a scale, as in GGUF's Q4_0.
    Q4,
}

/// The model: where its weights come from, and the precision that it runs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"source": "hf:google/gemma-3-4b-it", "dtype": "bf16"}))]
pub struct ModelSection {
    /// Where the checkpoint is: `hf:owner/name` on the hub, `path:folder`, `gguf:file`, `bundled:organism` or
    /// `bundled:organism-null` in the program, or `random:gemma-3-270m` (also `1b`, `4b`, `12b`, `27b`) for seeded random
    /// weights of that shape. Folders and files are relative to the manifest; `~/` is the home folder.
    pub source: String,
    /// Branch, tag or commit of an `hf:` source. Default: `main`. The commit that was found is recorded with the run. Set
    /// it to a commit to make sure that another machine runs the same weights.
    #[serde(default)]
    pub revision: Option<String>,
    /// Type that matrix products run in. The residual stream is `f32` in any case. `bf16` or `f16` halve the memory of the
    /// weights; take `f32` to compare numbers with other tools.
    #[serde(default)]
    pub dtype: ModelDtype,
    /// How the weights are held in memory. `q8` and `q4` save memory and round the weights, so the model is not quite the
    /// published one.
    #[serde(default)]
    pub quantize: Quantize,
    /// A `tokenizer.json` to use instead of the checkpoint's own, relative to the manifest. Default: the checkpoint's. Set
    /// it for a checkpoint that comes without one.
    #[serde(default)]
    pub tokenizer: Option<String>,
}

impl ModelSection {
    /// What is declared here and does nothing.
    pub(super) fn idle(&self, path: &Path, warnings: &mut Issues) {
        if let Some(r) = self.revision.as_ref().filter(|_| !self.source.starts_with("hf:")) {
            let what = format!("`revision = {r:?}` does nothing: `{}` is no repository of the hub", self.source);
            warnings.push(path.key("revision"), what, Some("it belongs to a source `hf:owner/name`".into()));
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

/// How replies are generated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"max_new_tokens": 1024, "temperature": 0.0}))]
pub struct GenerationSection {
    /// Longest reply, in tokens. A longer one ends there, in every condition; raise it where the analyzer `behavior` warns
    /// that replies met it.
    #[serde(default = "default_new_tokens")]
    #[schemars(range(min = 1, max = 65536))]
    pub max_new_tokens: usize,
    /// Sampling temperature. 0 is greedy decoding, which takes the most probable token; 1 samples from the model's own
    /// distribution.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub temperature: f64,
    /// Nucleus sampling: only the most probable tokens whose probabilities sum to this are sampled from. The default, 1,
    /// keeps all tokens. It does nothing at `temperature = 0`.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub top_p: f64,
}
fn default_new_tokens() -> usize {
    256
}
fn one() -> f64 {
    1.0
}

impl GenerationSection {
    /// What is declared here and does nothing.
    pub(super) fn idle(&self, path: &Path, warnings: &mut Issues) {
        if self.temperature == 0.0 && self.top_p < 1.0 {
            let help = "set `temperature` above 0 to sample, or leave `top_p` out";
            warnings.push(
                path.key("top_p"),
                "`top_p` does nothing at `temperature = 0`, which is greedy",
                Some(help.into()),
            );
        }
    }

    pub(super) fn check(&self, path: &Path, issues: &mut Issues) {
        if !(1..=65536).contains(&self.max_new_tokens) {
            issues.push(path.key("max_new_tokens"), "`max_new_tokens` must be from 1 to 65536", None);
        }
        if !(0.0..=100.0).contains(&self.temperature) {
            issues.push(path.key("temperature"), "`temperature` must be from 0 (greedy) to 100", None);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            issues.push(path.key("top_p"), "`top_p` must be above 0 and at most 1", None);
        }
    }
}
