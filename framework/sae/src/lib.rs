//! Sparse autoencoders and transcoders: what their parameters compute, where they are found, how one is
//! trained.
//!
//! The road: [`name`] is a short name of the Gemma Scope 2 release; [`load`] opens a folder, `release` reads
//! the release's and `lens` SAELens'; [`parameters`] is what they hold, [`sae`] encodes and decodes on a
//! device, at any width; [`clamp`] is one feature as an edit reads it; [`train`] makes one of a run's or a
//! corpus's activations ([`tokens`]), [`mod@write`] puts it down in SAELens' format.
pub mod clamp;
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
