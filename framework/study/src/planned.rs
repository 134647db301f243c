//! The parts of a plan: conditions and hooks, built, and the conversations of a group.
use friction_core::{Condition, Factors, Hook, Tap};

/// A condition of the study, built.
pub struct PlannedCondition {
    /// Name of the condition in the manifest.
    pub name: String,
    /// Its level of each factor.
    pub factors: Factors,
    /// The plugin that implements it.
    pub plugin: Box<dyn Condition>,
}

/// A hook of the study, built.
pub struct PlannedHook {
    /// Name of the hook in the manifest.
    pub name: String,
    /// The taps of its own program: those that are stored, then those that are only read.
    pub taps: Vec<Tap>,
    /// The plugin that implements it.
    pub plugin: Box<dyn Hook>,
}

/// Which conversation of a group: indices into the plan, and the number of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Index of the condition.
    pub condition: usize,
    /// Index of the arm.
    pub arm: usize,
    /// Number of the sample, from 0.
    pub sample: usize,
}
