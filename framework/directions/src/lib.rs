//! Files of directions in activation space.
//!
//! friction's own format is a safetensors file with tensors `<site>/<kind>` (such as
//! `resid_post.9/mean-difference`); the header's `about` is JSON that says where they come from. The analyzer
//! `linear-probe` writes such files; `steer`, `projection` and `logit-lens` read them ([`read()`]). [`export`] writes the formats
//! of other tools.
pub mod export;
pub mod read;

pub use export::{ControlVector, control_vector, steered};
pub use read::{Direction, names, read};
