//! Gemma 3 on Burn: checkpoint files, tokenizer, chat template, weights and the forward pass.
//!
//! Reading order: [`source`] resolves the model that a manifest names to the files of a checkpoint; [`config`] reads
//! its shape; [`weights`] reads tensors from safetensors or GGUF; [`tokenizer`] and [`template`] turn conversations
//! into token ids; [`model`] is the forward pass over a [`cache`] of keys and values; [`decoder`] records decode
//! steps as graphs on a GPU.
//!
//! On the processor the pass is `model.rs` with `attention.rs`, `norm.rs` and `gate.rs`. On a GPU it is `fused.rs`
//! with the kernels in `gpu`.
mod attention;
mod buffers;
pub mod bundled;
pub mod cache;
pub mod config;
pub mod decoder;
pub mod device;
pub mod error;
#[cfg(feature = "cube")]
pub mod exact;
#[cfg(feature = "cube")]
mod fused;
mod gate;
mod generation;
#[cfg(feature = "cube")]
pub mod gpu;
pub mod hub;
mod identity;
pub mod init;
pub mod model;
pub mod norm;
mod partial;
pub mod quant;
pub mod rope;
pub mod source;
pub mod template;
#[doc(hidden)]
pub mod testing;
pub mod tokenizer;
pub mod unembed;
pub mod weights;

pub use cache::KvCache;
pub use config::Config;
pub use decoder::Decoder;
pub use error::{Error, Result};
pub use friction_core::{ChatMessage, Role};
pub use generation::SamplingDefaults;
pub use model::{Gemma3, Probe, Segment, Step};
pub use source::{Checkpoint, Source};
pub use template::ChatTemplate;
pub use tokenizer::Tokenizer;
pub use unembed::Unembedding;
