//! The steps from a manifest to findings: [`plan`] assembles and checks a study, [`run()`] runs it by the engine into a
//! run directory, and [`analyze()`] runs its analyzers. [`import()`](import::import) makes a run of other programs' results.
pub mod analyze;
mod aside;
mod batch;
mod comma;
pub mod conversation;
mod decoding;
mod depth;
pub mod design;
mod filler;
pub mod folder;
mod fork;
mod grading;
mod idle;
pub mod import;
pub mod lists;
pub mod lock;
pub mod manifest;
mod messages;
mod needs;
mod options;
mod peers;
pub mod plan;
pub mod planned;
pub mod planner;
mod record;
pub mod regrade;
mod rehearsal;
pub mod run;
pub mod scores;
mod shifts;
mod standing;
pub mod stored;
mod tail;
mod uncut;
mod wordings;
mod wrong;

pub use analyze::{Analyses, Analysis, Answers, analyses_stored, analyze, analyze_stored};
pub use plan::{Cost, Plan};
pub use planner::{MessageLengths, TopicBalance};
pub use run::{Quiet, RunOptions, RunReport, run};
pub use stored::Otherwise;

/// An error between a manifest and its findings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] Box<friction_core::manifest::ManifestError>),
    /// A file could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file that could not be read.
        path: std::path::PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The request is not possible with this run.
    #[error("{0}")]
    Usage(String),
    /// An analyzer could not be built, or failed.
    #[error("analyzer `{name}`: {source}")]
    Analyzer {
        /// The analyzer's name in the manifest.
        name: String,
        /// The plugin's error.
        source: friction_core::Error,
    },
    /// A plugin failed. Errors of analyzers are [`Error::Analyzer`].
    #[error(transparent)]
    Plugin(#[from] friction_core::Error),
    /// The checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] friction_checkpoint::Error),
    /// The device or the model failed.
    #[error(transparent)]
    Model(#[from] friction_model::Error),
    /// A conversation could not go on, or the run was stopped.
    #[error(transparent)]
    Engine(#[from] friction_engine::Error),
    /// The run directory could not be read or written, or holds another run.
    #[error(transparent)]
    Store(#[from] friction_store::Error),
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
