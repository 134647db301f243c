//! What the report is made from, and the quality of one read-out.
use crate::fit::{Design, HeldOut, first};
use crate::options::LinearProbe;
use crate::rows::{Choice, Rows};
use crate::target::Target;
use friction_core::{RunReader, Site};
use friction_stats::{Interval, Link, Matrix, correlation};

/// Everything that the report is made from.
pub struct Report<'a> {
    /// The manifest's options.
    pub options: &'a LinearProbe,
    /// What is read out.
    pub target: &'a Target,
    /// The rows, with the names of their classes.
    pub rows: &'a Rows,
    /// The target of each row.
    pub y: &'a [f64],
    /// Folds, and the candidates that are chosen among.
    pub design: Design<'a>,
    /// Activations at each site, `[rows, width]`.
    pub layers: &'a [(Site, Matrix)],
    /// The run, for arms and taps.
    pub run: &'a dyn RunReader,
}

/// One row of the table: a site or a baseline.
pub struct Line {
    /// Name of the site or baseline.
    pub name: String,
    /// AUC, balanced accuracy or R², with its interval.
    pub quality: Interval,
    /// The same measure for the difference of means, without an interval.
    pub mean_difference: f64,
    /// The same measure for a random label per topic.
    pub control: f64,
    /// p-value of the difference of means among permuted labels.
    pub p: Option<f64>,
    /// The C that most folds chose.
    pub c: f64,
}

impl Report<'_> {
    pub(crate) fn measure(&self) -> &'static str {
        match self.design.link {
            Link::Logistic => "AUC",
            Link::Softmax(_) => "balanced accuracy",
            Link::Linear => "R²",
        }
    }

    /// Which turns are rows.
    pub(crate) fn choice(&self) -> Choice<'_> {
        self.options.choice(self.target)
    }
}

/// AUC or balanced accuracy averaged over folds, or for numbers the squared correlation with its sign, because a
/// difference of means has no scale.
pub(crate) fn association(link: Link, held: &HeldOut, y: &[f64]) -> f64 {
    if link != Link::Linear {
        return held.quality(link, y, |_| true).unwrap_or(f64::NAN);
    }
    let r = correlation(&first(&held.outputs), &held.y(y));
    r * r.abs()
}
