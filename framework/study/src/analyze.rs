//! Running analyzers over a stored run.
use crate::stored::{Otherwise, Stored};
use crate::{Error, Result};
use friction_core::{Analyzer, Findings};
use friction_store::{RunDir, StoredRun};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// What one analyzer found.
pub struct Analysis {
    /// Its name.
    pub name: String,
    /// Its findings.
    pub findings: Findings,
}

/// What the analyzers of a run found, all that worked.
pub struct Analyses {
    /// Their findings, in order.
    pub found: Vec<Analysis>,
    /// What a reader must know.
    pub notes: Vec<String>,
    /// The first error of an analyzer that failed: the others' findings stand.
    pub failed: Option<Error>,
}

/// Runs analyzers in order; each sees what the ones before it found. All are tried; the first error
/// is told after the others' findings are written.
///
/// # Errors
/// When the run cannot be read or written, or an analyzer fails.
pub fn analyze(path: &Path, analyzers: &[(String, Box<dyn Analyzer>)]) -> Result<Vec<Analysis>> {
    let (found, failed) = each(path, analyzers, &BTreeMap::new())?;
    failed.map_or(Ok(found), Err)
}

/// Runs the analyzers of a run's own manifest, or others: what a run found once, it finds again. The second value
/// is what a reader must know.
///
/// Findings of an analyzer whose table departs from that of the same name in the run's manifest take the place of
/// the former ones, and say in a warning, in `departs` and in the log how they depart.
///
/// # Errors
/// As [`analyze`], and when the run's manifest or model is not what it was made of.
pub fn analyze_stored(path: &Path, otherwise: &Otherwise) -> Result<(Vec<Analysis>, Vec<String>)> {
    let all = analyses_stored(path, otherwise)?;
    all.failed.map_or(Ok((all.found, all.notes)), Err)
}

/// As [`analyze_stored`], but an analyzer that fails takes nothing from the others.
///
/// # Errors
/// When the run's manifest or model is not what it was made of, or findings cannot be written.
pub fn analyses_stored(path: &Path, otherwise: &Otherwise) -> Result<Analyses> {
    let stored = Stored::open(path, otherwise)?;
    let (found, failed) = each(path, &stored.analyzers()?, &stored.departs)?;
    Ok(Analyses { found, notes: stored.notes, failed })
}

fn each(
    path: &Path,
    analyzers: &[(String, Box<dyn Analyzer>)],
    departs: &BTreeMap<String, Vec<String>>,
) -> Result<(Vec<Analysis>, Option<Error>)> {
    let dir = RunDir::reopen(path)?;
    let run = StoredRun::open(path)?;
    let mut out = vec![];
    let mut failed = None;
    for (name, analyzer) in analyzers {
        let mut findings = Findings::default();
        match analyzer.analyze(&run, &mut findings) {
            Ok(()) => {
                let departs = departs.get(name).map_or(&[][..], Vec::as_slice);
                if !departs.is_empty() {
                    findings.warn(format!("this departs from the run's manifest: {}", departs.join("; ")));
                    dir.log(&json!({"event": "analyze", "analyzer": name, "departs": departs}))?;
                }
                dir.write_findings(name, &findings, departs)?;
                out.push(Analysis { name: name.clone(), findings });
            }
            Err(source) => failed = failed.or(Some(Error::Analyzer { name: name.clone(), source })),
        }
    }
    Ok((out, failed))
}
