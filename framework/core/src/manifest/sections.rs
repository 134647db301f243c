//! The fixed sections of a manifest.
use super::issues::{Issues, Path, Step};
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

/// `[study]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StudySection {
    /// Names the run directory, `runs/<name>`.
    pub name: String,
    /// Seeds everything that is drawn. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// Lists of questions; every condition runs each.
    pub groups: usize,
    /// Turns of each conversation.
    pub turns: usize,
    /// What arms of several hooks mean together: `listed` (each hook's arms by themselves, the other hooks' edits
    /// off) or `crossed` (every combination). Needed where more than one hook has arms.
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

/// The type that matrix products run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelDtype {
    /// 32-bit floats.
    #[default]
    F32,
    /// Brain floats.
    Bf16,
    /// Half floats.
    F16,
}

/// How weights are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quantize {
    /// Weights in `dtype`.
    #[default]
    None,
    /// Blocks of 32 weights of 8 bits that share a scale.
    Q8,
    /// The same of 4 bits.
    Q4,
}

/// `[model]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// `hf:owner/name`, `path:folder`, `gguf:file` or `random:gemma-3-{270m,1b,4b,12b,27b}`.
    pub source: String,
    /// Branch, tag or commit of an `hf:` source. Default `main`; the commit found is recorded.
    #[serde(default)]
    pub revision: Option<String>,
    /// Type of the matrix products. Default `f32`.
    #[serde(default)]
    pub dtype: ModelDtype,
    /// Weight quantisation. Default `none`.
    #[serde(default)]
    pub quantize: Quantize,
    /// `tokenizer.json` to use instead of the checkpoint's own.
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
    /// Flex, on the processor.
    #[default]
    Cpu,
    /// CUDA; needs a build with feature `cuda`.
    Cuda,
    /// WGPU (Vulkan, Metal); needs a build with feature `wgpu`.
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
        json_schema!({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 4096}]})
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

/// `[backend]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendSection {
    /// Device kind. Default `cpu`.
    #[serde(default)]
    pub kind: BackendKind,
    /// Device index. Default 0.
    #[serde(default)]
    pub device: usize,
    /// Conversations in flight. Default `"auto"`.
    #[serde(default)]
    pub batch: BatchSize,
}

/// A dynamic library to load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LibraryEntry {
    /// The file (`.so`, `.dylib` or `.dll`), absolute or relative to the manifest.
    pub path: std::path::PathBuf,
    /// SHA-256 of its bytes in hexadecimal: a file with other bytes is not loaded. `friction plugins pin`
    /// writes it.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// `[plugins]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginsSection {
    /// Dynamic libraries whose plugins this manifest may name.
    #[serde(default)]
    pub load: Vec<LibraryEntry>,
}

/// `[generation]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerationSection {
    /// Longest reply in tokens. Default 256.
    #[serde(default = "default_new_tokens")]
    pub max_new_tokens: usize,
    /// 0 is greedy. Default 0.
    #[serde(default)]
    pub temperature: f64,
    /// Keep only the smallest set of tokens whose probability reaches this. Default 1 (all).
    #[serde(default = "one")]
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
