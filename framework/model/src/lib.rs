//! Decoders on Burn: weights, the forward pass, the KV cache, and decode steps recorded as graphs on a GPU.
//!
//! Reading order: `network` is the forward pass, written once over `kernels`; `host` and `gpu` are the kernels of the
//! processor and of GPUs; [`model`] loads a network on a device; [`cache`] holds keys and values; [`decoder`] records
//! decode steps. What a model's files say is in `friction-checkpoint`.
mod buffers;
pub mod cache;
pub mod decoder;
pub mod device;
pub mod error;
mod floats;
mod found;
#[cfg(feature = "cube")]
pub mod gpu;
// Without a GPU's features, the same names stand for what cannot be.
#[cfg(not(feature = "cube"))]
#[path = "gpu/absent.rs"]
mod gpu;
mod host;
mod kernels;
pub mod model;
mod network;
pub mod norm;
pub mod quant;
pub mod rope;
pub mod step;
#[doc(hidden)]
pub mod testing;
pub mod unembed;

pub use cache::KvCache;
pub use decoder::Decoder;
pub use error::{Error, Result};
pub use model::Model;
pub use step::{NoProbe, Probe, Segment, Step};
pub use unembed::Unembedding;
