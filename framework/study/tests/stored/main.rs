//! A run directory identifies its run and is read back as it was run; other files in it are not touched.
#![allow(missing_docs, clippy::unwrap_used)]
mod analysis;
mod folder;
mod identity;
mod primary;
mod world;
use friction_behavior as _;
use friction_conditions as _;
use friction_questions as _;
use friction_residual as _;
use friction_topics as _;
