//! `[backend]`: the device.
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

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
