//! Gemma 3 on Burn: configuration, weights, tokenizer, chat template and the forward pass.
//!
//! The road: [`source`] resolves what a manifest names, [`weights`] reads tensors, [`config`]
//! describes the shape, [`model`] is the forward pass over [`cache`], [`tokenizer`] and
//! [`template`] turn conversations into ids.
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
pub use model::{Gemma3, Probe, Segment, Step};
pub use source::{Checkpoint, Source};
pub use template::{ChatTemplate, ChatTurn, Role};
pub use tokenizer::Tokenizer;
pub use unembed::Unembedding;
