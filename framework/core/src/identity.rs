//! The identity of a model: the SHA-256 of each part that a run depends on.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A part of a checkpoint that is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelPart {
    /// The weight files, in order. For a GGUF file, the whole file. For a `random:` source, its name and seed.
    Weights,
    /// `config.json`. For a GGUF file, all metadata except the tokenizer's.
    Config,
    /// `generation_config.json`, which lists end ids.
    GenerationConfig,
    /// `tokenizer.json`, or the file that `model.tokenizer` names. For a GGUF file, its `tokenizer.*` metadata.
    Tokenizer,
    /// `tokenizer_config.json`, which lists special tokens.
    TokenizerConfig,
    /// The text of the chat template that renders prompts.
    ChatTemplate,
}

impl ModelPart {
    /// All parts, in the order of the variants.
    pub const ALL: [ModelPart; 6] = [
        ModelPart::Weights,
        ModelPart::Config,
        ModelPart::GenerationConfig,
        ModelPart::Tokenizer,
        ModelPart::TokenizerConfig,
        ModelPart::ChatTemplate,
    ];
}

impl fmt::Display for ModelPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ModelPart::Weights => "weights",
            ModelPart::Config => "config",
            ModelPart::GenerationConfig => "generation_config",
            ModelPart::Tokenizer => "tokenizer",
            ModelPart::TokenizerConfig => "tokenizer_config",
            ModelPart::ChatTemplate => "chat template",
        })
    }
}

/// The SHA-256 of each part, in hexadecimal; `None` (`null` in JSON) if the checkpoint has no such part. A part without
/// an entry is unknown: locks of schema 1 hold only the weights.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelIdentity(pub BTreeMap<ModelPart, Option<String>>);
