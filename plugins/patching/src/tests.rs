//! The hook over a stored run whose activations are known, and the analyzer over rows whose effects are known.
mod analysis;
mod forks;

use friction_core::Site;

const SITE: Site = Site::ResidPost(0);
const LAST: Site = Site::ResidPost(1);
