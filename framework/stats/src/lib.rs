//! The statistics that analyzers share. Each is tested against scipy or statsmodels
//! (`tests/oracle.py` makes the numbers).
pub mod interval;
pub mod paired;
pub mod slope;

pub use interval::{Interval, mean_t, wilson};
pub use paired::{PairedTest, sign_flip};
pub use slope::{centred, slope_sum};

/// Why a statistic cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Too little data.
    #[error("{0}")]
    TooLittle(String),
}
