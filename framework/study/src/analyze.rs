//! Running analyzers over a stored run.
use crate::Result;
use friction_core::{Analyzer, Findings};
use friction_store::{RunDir, StoredRun};
use std::path::Path;

/// What one analyzer found.
pub struct Analysis {
    /// Its name.
    pub name: String,
    /// Its findings.
    pub findings: Findings,
}

/// Runs analyzers in order; each sees what the ones before it found. All are tried; the first error
/// is told after the others' findings are written.
///
/// # Errors
/// When the run cannot be read or written, or an analyzer fails.
pub fn analyze(path: &Path, analyzers: &[(String, Box<dyn Analyzer>)]) -> Result<Vec<Analysis>> {
    let dir = RunDir::reopen(path)?;
    let run = StoredRun::open(path)?;
    let mut out = vec![];
    let mut failed = None;
    for (name, analyzer) in analyzers {
        let mut findings = Findings::default();
        match analyzer.analyze(&run, &mut findings) {
            Ok(()) => {
                dir.write_findings(name, &findings)?;
                out.push(Analysis { name: name.clone(), findings });
            }
            Err(e) => failed = failed.or(Some(friction_core::Error::other(format!("analyzer `{name}`: {e}")))),
        }
    }
    match failed {
        Some(e) => Err(e.into()),
        None => Ok(out),
    }
}
