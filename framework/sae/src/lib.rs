//! Sparse autoencoders (SAEs) and transcoders: loading, encoding, decoding, edits, training and writing.
//!
//! [`name`] parses short names of the Gemma Scope 2 release; [`load`] finds and opens folders (`release` reads Gemma
//! Scope 2's format, `lens` SAELens'); [`parameters`] holds weights and activation function; [`sae`] encodes and
//! decodes on a device, at any width; [`edit`] is a feature, or all of it, as data for edits; [`train`] trains
//! on the activations of a run or a corpus ([`tokens`]); [`mod@write`] writes SAELens' format.
pub mod edit;
#[cfg(feature = "cube")]
mod fired;
mod lens;
pub mod load;
pub mod name;
pub mod normalize;
pub mod parameters;
mod release;
pub mod sae;
pub mod tokens;
pub mod train;
pub mod values;
pub mod write;

pub use load::{Loaded, Source};
pub use name::Name;
pub use normalize::Normalize;
pub use parameters::{Activation, Feature, Parameters};
pub use sae::{Active, Quality, Sae, quality};
pub use values::Values;
