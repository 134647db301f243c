//! What identifies a model: SHA-256 of each part that a run depends on.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A part of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelPart {
    /// The weights' files in order; of a GGUF the whole file; of a `random:` source its name and seed.
    Weights,
    /// `config.json`; of a GGUF the metadata that are no tokenizer.
    Config,
    /// `generation_config.json`: end ids.
    GenerationConfig,
    /// `tokenizer.json`, or the file that `model.tokenizer` names; of a GGUF its `tokenizer.*` metadata.
    Tokenizer,
    /// `tokenizer_config.json`: special tokens.
    TokenizerConfig,
    /// The text of the chat template that prompts are made with.
    ChatTemplate,
}

impl ModelPart {
    /// All of them.
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

/// SHA-256 in hexadecimal by part; `null` where the checkpoint has no such part. A part that is not listed is
/// not known: locks of schema 1 hold the weights alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelIdentity(pub BTreeMap<ModelPart, Option<String>>);
