//! Directions in activation space as files: `<site>/<kind>` in safetensors with where they come from in the
//! header's `about` (what `linear-probe` writes and `steer` and `logit-lens` read), and the formats of other
//! tools.
pub mod export;
pub mod read;

pub use export::{ControlVector, control_vector, steered};
pub use read::{Direction, read};
