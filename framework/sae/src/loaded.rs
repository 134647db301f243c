//! An autoencoder that was loaded.
use crate::parameters::Parameters;
use friction_core::Site;

/// Parameters, and what the configuration says about them.
pub struct Loaded {
    /// Weights and settings; their shapes agree.
    pub parameters: Parameters,
    /// Site whose activations it encodes; `None` where the configuration does not say.
    pub reads: Option<Site>,
    /// Site that it reconstructs: the same for an autoencoder, another for a transcoder. `None` where the
    /// configuration does not say.
    pub writes: Option<Site>,
    /// Name of the model that it was trained on, where the configuration or the suite's own names say.
    pub model: Option<String>,
}
