//! Sparse autoencoders (SAEs) and transcoders: loading, encoding, decoding, edits, training and writing.
//!
//! [`name`] parses the names of autoencoders in a repository; [`load`] says where one is and loads it, `find` looks for its
//! files, and `configuration` reads one's JSON; `model` compares the model that it was trained on with a study's. `release`
//! reads Gemma Scope 2's format, `lens` SAELens', and `suites` those of other suites, one file each. `tensors` opens a file of
//! tensors: safetensors, PyTorch's (`torch_zip`, which executes nothing) or NumPy's (`npz`). [`parameters`] holds weights and
//! activation function; [`sae`] encodes and decodes on a device, at any width; [`edit`] is a feature, or all of it, as data for
//! edits; [`train`] trains on the activations of a run or a corpus ([`tokens`]); [`mod@write`] writes SAELens' format.
mod configuration;
pub mod edit;
mod find;
#[cfg(feature = "cube")]
mod fired;
mod layout;
mod lens;
pub mod load;
mod loaded;
mod model;
pub mod name;
pub mod normalize;
mod npz;
pub mod parameters;
mod release;
pub mod sae;
mod suites;
mod tensors;
pub mod tokens;
mod torch_zip;
pub mod train;
pub mod values;
pub mod write;
mod zip;

pub use load::{Loaded, Source};
pub use name::Name;
pub use normalize::Normalize;
pub use parameters::{Activation, Feature, Parameters};
pub use sae::{Active, Quality, Sae, quality};
pub use values::Values;
