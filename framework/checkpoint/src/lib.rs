//! Files of models: the hub, safetensors, GGUF, tokenizers, chat templates, and the architecture that a configuration
//! describes. Nothing here computes.
//!
//! Reading order: [`source`] resolves the model that a manifest names to the files of a checkpoint; [`families`] and
//! [`config`] read its configuration into an [`Arch`]; [`weights`] reads tensors from safetensors or GGUF; [`tokenizer`]
//! and [`template`] turn conversations into token ids.
pub mod arch;
pub mod bundled;
mod chat;
pub mod config;
pub mod error;
pub mod families;
mod files;
mod generation;
pub mod hub;
mod identity;
pub mod init;
mod jinja;
pub mod json;
mod partial;
mod reader;
pub mod source;
pub mod template;
#[doc(hidden)]
pub mod testing;
pub mod tokenizer;
pub mod weights;

pub use arch::Arch;
pub use error::{Error, Result};
pub use friction_core::{ChatMessage, Role};
pub use generation::SamplingDefaults;
pub use identity::of_files as sha256_of_files;
pub use source::{Checkpoint, Source};
pub use template::ChatTemplate;
pub use tokenizer::Tokenizer;
