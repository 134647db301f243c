//! A number that an analyzer was asked for.
use serde::{Deserialize, Serialize};

/// A number that an analyzer was asked for: one row of the table that a run ends with.
///
/// Numbers that are not finite are stored as absent, so that records survive JSON.
///
/// ```
/// use friction_core::Estimate;
/// let e = Estimate::new("each interruption", "points", -3.64)
///     .interval(-4.41, -2.87, 0.95)
///     .over(40, "group")
///     .truth(-4.0);
/// assert_eq!(e.agrees(), Some(true));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Estimate {
    /// What was estimated, in a few words: `each interruption`.
    pub what: String,
    /// Unit of `value`, `low`, `high`, `null` and `truth`: `points`, `points/turn`, `AUC`; empty for a plain number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The estimate; `None` if it could not be computed.
    pub value: Option<f64>,
    /// Lower bound of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper bound of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Level of the interval, such as 0.95.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// Number of independent units that it is computed from, counted in `of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// What `n` counts, in the singular: `group`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// p-value of the test that there is no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// The value that means no effect: 0 for a difference, 0.5 for an AUC. If it is 0, the number is shown with its
    /// sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<f64>,
    /// The true value, if it is known by construction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<f64>,
    /// The verdict in words: `reached`, `not reached`, `cannot be told`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Digits after the decimal point when it is shown. Default 2.
    pub digits: u8,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            what: String::new(),
            unit: String::new(),
            value: None,
            low: None,
            high: None,
            level: None,
            n: None,
            of: String::new(),
            p: None,
            null: None,
            truth: None,
            says: None,
            digits: 2,
        }
    }
}

fn finite(v: f64) -> Option<f64> {
    v.is_finite().then_some(v)
}

impl Estimate {
    /// An estimate with a unit. A value that is not finite is stored as `None`.
    pub fn new(what: impl Into<String>, unit: impl Into<String>, value: f64) -> Self {
        Self { value: finite(value), ..Self::untold(what, unit) }
    }
    /// An estimate that could not be computed.
    pub fn untold(what: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { what: what.into(), unit: unit.into(), ..Self::default() }
    }
    /// Sets the interval and its level. An infinite bound is stored as `None`.
    pub fn interval(mut self, low: f64, high: f64, level: f64) -> Self {
        (self.low, self.high, self.level) = (finite(low), finite(high), Some(level));
        self
    }
    /// Sets the number of independent units that it is computed from: `over(40, "group")`.
    pub fn over(mut self, n: usize, of: impl Into<String>) -> Self {
        (self.n, self.of) = (Some(n as u64), of.into());
        self
    }
    /// Sets the p-value.
    pub fn p(mut self, p: f64) -> Self {
        self.p = finite(p);
        self
    }
    /// Sets the value that means no effect.
    pub fn null(mut self, value: f64) -> Self {
        self.null = finite(value);
        self
    }
    /// Sets the true value.
    pub fn truth(mut self, value: f64) -> Self {
        self.truth = finite(value);
        self
    }
    /// Sets the verdict's words.
    pub fn says(mut self, words: impl Into<String>) -> Self {
        self.says = Some(words.into());
        self
    }
    /// Sets the digits after the decimal point.
    pub fn digits(mut self, digits: u8) -> Self {
        self.digits = digits;
        self
    }
    /// Whether the interval holds the true value; `None` if either is unknown.
    pub fn agrees(&self) -> Option<bool> {
        Some((self.low?..=self.high?).contains(&self.truth?))
    }
}
