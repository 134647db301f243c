//! Sparse autoencoders and transcoders: what their parameters compute, where they are found, how one is
//! trained.
//!
//! The road: [`name`] is a short name of the Gemma Scope 2 release; [`load`] reads its folders and
//! SAELens'; [`parameters`] is what they hold, [`sae`] encodes and decodes on a device, at any width; [`clamp`] is one feature as an edit
//! reads it; [`train`] makes one of a run's or a corpus's activations ([`tokens`]).
pub mod clamp;
#[cfg(feature = "cube")]
mod fired;
pub mod load;
pub mod name;
pub mod parameters;
pub mod sae;
pub mod tokens;
pub mod train;
pub mod values;

pub use load::{Loaded, Source};
pub use name::Name;
pub use parameters::{Activation, Feature, Parameters};
pub use sae::{Active, Quality, Sae, quality};
pub use values::Values;
