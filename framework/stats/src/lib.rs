//! The statistics that analyzers share. Each is tested against numbers from scipy, statsmodels or scikit-learn
//! (`tests/oracle.py` prints them).
pub mod auc;
pub mod calibration;
pub mod cite;
pub mod clustered;
pub mod cross_validation;
pub mod flips;
pub mod interval;
pub mod linear;
pub mod multiple;
pub mod paired;
pub mod power;
pub mod resample;
pub mod rounding;
pub mod slope;
pub mod student;
pub mod words;

pub use auc::{auc, balanced_accuracy, correlation, r2};
pub use clustered::{Coefficient, clustered_logit};
pub use cross_validation::{HeldRows, Scale, cross_validated, jackknife_variance, nadeau_bengio};
pub use flips::{Flips, max_t, ratio_flips, sign_flips};
pub use interval::{Interval, mean_of_numbers, mean_of_units, mean_t, ratio_t, wilson};
pub use linear::{Fit, Link, Matrix, Scaler, fit, fit_to};
pub use multiple::{benjamini_hochberg, holm};
pub use paired::{PairedTest, sign_flip};
pub use resample::{Rng, cluster_bootstrap, permutation_p, quantile};
pub use rounding::{settled, settled_sum};
pub use slope::{centred, slope_sum};
pub use student::{groups_needed, t_critical, t_statistic};
pub use words::{bounds, p_words, percent, signed};

/// Why a statistic cannot be computed. The text is a sentence for the user.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// There are too few groups, rows or classes.
    #[error("{0}")]
    TooLittle(String),
    /// An argument is not usable: not finite, out of range, collinear.
    #[error("{0}")]
    Value(String),
}
