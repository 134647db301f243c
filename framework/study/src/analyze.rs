//! Runs analyzers over a stored run.
use crate::run::log_printed;
use crate::standing::{demote, replaced};
use crate::stored::{Otherwise, Stored};
use crate::uncut::uncut;
use crate::{Error, Result};
use friction_core::{Analyzer, Block, Body, Findings, GradeSection, RunReader, TurnRow, plural};
use friction_store::{Grading, RunDir, StoredRun, graded_whole, gradings};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The findings of one analyzer.
pub struct Analysis {
    /// The analyzer's name in the manifest.
    pub name: String,
    /// What it found, as it was written to the run directory.
    pub findings: Findings,
}

/// How many replies declare an answer that could be read, in the untouched conversations of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    /// Number of graded replies to items that have a target. Replies to open items declare nothing.
    pub replies: usize,
    /// Number of replies whose answer the primary parser read.
    pub read: usize,
}

/// The findings of a run's analyzers.
pub struct Analyses {
    /// Findings of the analyzers that succeeded, in the manifest's order.
    pub found: Vec<Analysis>,
    /// Notes on the run and its manifest that a reader must know.
    pub notes: Vec<String>,
    /// Errors of the analyzers that could not be built or that failed, in the manifest's order.
    pub failed: Vec<Error>,
    /// Whether the replies' answers could be read.
    pub answers: Answers,
}

/// Runs analyzers in order; each can read the findings of those before it. All are run, even if one fails. What analyzers found
/// before that do not run now, or that fail, stays, and is marked as an earlier analysis's.
///
/// # Errors
/// If the run cannot be read or written, or new grades are begun and not finished. Otherwise, the error of the first analyzer that fails, after the findings of
/// the others are written.
pub fn analyze(path: &Path, analyzers: &[(String, Box<dyn Analyzer>)]) -> Result<Vec<Analysis>> {
    let mut all = Each::open(path, &analyzers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())?;
    for (name, analyzer) in analyzers {
        all.run(name, analyzer.as_ref(), &[])?;
    }
    first(all.end(vec![], false)?).map(|all| all.found)
}

/// Runs the analyzers of a run's own manifest, or others as `otherwise` says. The same run gives the same findings. The
/// second value is notes that a reader must know.
///
/// If an analyzer differs from that of the same name which the run was begun with, by the run's lock, or there was none,
/// its findings replace the earlier ones, and are exploratory. A warning, the key `departs` of `findings.json`, and the log
/// then say how it differs. Verdicts are exploratory too where the outcomes that they rest on were graded again after the
/// run ([`Analyzer::judges`]); findings without verdicts are told to be of other scores.
///
/// # Errors
/// As for [`analyze`], and if the run's manifest or model is not the one that it was made with.
pub fn analyze_stored(path: &Path, otherwise: &Otherwise) -> Result<(Vec<Analysis>, Vec<String>)> {
    first(analyses_stored(path, otherwise, &mut |_, _, _| ())?).map(|all| (all.found, all.notes))
}

/// As [`analyze_stored`], but errors of analyzers are returned beside the findings of the others. Before each analyzer,
/// `begins` is called with its name, its index from 0 and the number of analyzers.
///
/// # Errors
/// If the run's manifest or model is not the one that it was made with, or findings cannot be written.
pub fn analyses_stored(
    path: &Path,
    otherwise: &Otherwise,
    begins: &mut dyn FnMut(&str, usize, usize),
) -> Result<Analyses> {
    let stored = Stored::open(path, otherwise)?;
    let chosen = &stored.manifest.analyzers;
    let mut all = Each::open(path, &chosen.iter().map(|a| a.name.as_str()).collect::<Vec<_>>())?;
    for (i, a) in chosen.iter().enumerate() {
        begins(&a.name, i, chosen.len());
        let built =
            (a.build)(&stored.context).and_then(|analyzer| Ok((stored.departs(&a.name, analyzer.as_ref())?, analyzer)));
        match built {
            Ok((departs, analyzer)) => all.run(&a.name, analyzer.as_ref(), &departs)?,
            Err(source) => all.fail(&a.name, source)?,
        }
    }
    let searches = stored.manifest.grade.as_ref().is_some_and(GradeSection::searches);
    all.end(stored.notes, searches)
}

/// All analyses, or the first error.
fn first(mut all: Analyses) -> Result<Analyses> {
    if all.failed.is_empty() { Ok(all) } else { Err(all.failed.remove(0)) }
}

/// Says in how many turns filler did not make the prompt as long as it should be, by condition.
fn unmatched(turns: &[TurnRow]) -> Option<String> {
    let mut off: BTreeMap<&str, (usize, u32)> = BTreeMap::new();
    for (turn, difference) in turns.iter().filter_map(|t| Some((t, t.length_difference.filter(|d| *d != 0)?))) {
        let (n, most) = off.entry(&turn.condition).or_default();
        (*n, *most) = (*n + 1, difference.unsigned_abs().max(*most));
    }
    let each = off.iter().map(|(name, (n, most))| {
        let of = turns.iter().filter(|t| t.condition == *name && t.length_difference.is_some()).count();
        format!("{n} of {} of `{name}`, by {} at most", plural(of, "turn"), plural(*most as usize, "token"))
    });
    let each = each.collect::<Vec<_>>().join("; ");
    (!off.is_empty())
        .then(|| format!("filler did not make prompts equally long in {each}: see the column `length_difference`"))
}

/// A run whose analyzers are run one by one.
struct Each {
    path: PathBuf,
    dir: RunDir,
    run: StoredRun,
    found: Vec<Analysis>,
    failed: Vec<Error>,
    notes: Vec<String>,
    /// Conditions that hardly did what they ask for; each analyzer's findings warn of them.
    uncut: Vec<String>,
    /// Gradings after the run, which may have replaced what an analyzer's verdicts rest on.
    graded: Vec<Grading>,
}

impl Each {
    /// Opens a run to run these analyzers, by name. What others found before is marked as such.
    fn open(path: &Path, names: &[&str]) -> Result<Self> {
        let dir = RunDir::reopen(path)?;
        graded_whole(path)?;
        let run = StoredRun::open(path)?;
        if run.turns().is_empty() {
            let message = format!("{}: holds no finished group yet; `friction run` goes on with it", path.display());
            return Err(friction_core::Error::other(message).into());
        }
        dir.outdate_findings(&|name| !names.contains(&name))?;
        let uncut = uncut(&run.lock, run.turns());
        let graded = gradings(path)?;
        Ok(Self { path: path.into(), dir, run, found: vec![], failed: vec![], notes: vec![], uncut, graded })
    }

    fn fail(&mut self, name: &str, source: friction_core::Error) -> Result<()> {
        // What it found before stays, and must not be taken for this analysis.
        self.dir.outdate_findings(&|other| other == name)?;
        if self.path.join("analysis").join(name).join("findings.json").exists() {
            self.notes.push(format!("analysis/{name} holds what an earlier analysis found, since `{name}` failed now"));
        }
        self.failed.push(Error::Analyzer { name: name.into(), source });
        Ok(())
    }

    /// Runs one analyzer and writes its findings, or keeps its error.
    fn run(&mut self, name: &str, analyzer: &dyn Analyzer, departs: &[String]) -> Result<()> {
        let mut findings = Findings::default();
        match analyzer.analyze(&self.run, &mut findings) {
            Ok(()) => {
                if let Some(given) = self.run.given() {
                    findings.blocks.insert(0, Block::new(Body::Text(given.into())));
                }
                self.uncut.iter().for_each(|note| findings.warn(note));
                // What an analyzer of the primary contrast departs in, it says itself.
                let own = analyzer.needs().primary;
                let again = if own { vec![] } else { replaced(analyzer, &self.graded) };
                if !again.is_empty() {
                    let judged = demote(&mut findings);
                    let status = if judged { "exploratory" } else { "these scores are not the run's own" };
                    findings.warn(format!("{status}: {}", again.join("; ")));
                }
                if !departs.is_empty() {
                    if !own {
                        demote(&mut findings);
                    }
                    let status = if own { "" } else { "exploratory: " };
                    findings.warn(format!(
                        "{status}this departs from the analyzers that the run was begun with: {}",
                        departs.join("; ")
                    ));
                    self.dir.log(&json!({"event": "analyze", "analyzer": name, "departs": departs}))?;
                }
                stand(&mut findings);
                self.dir.write_findings(name, &findings, departs)?;
                self.found.push(Analysis { name: name.into(), findings });
            }
            Err(source) => self.fail(name, source)?,
        }
        log_printed(&self.dir)
    }

    /// All findings. A grader that `searches` replies for something reads no answer out of them.
    ///
    /// # Errors
    /// If findings of an earlier analysis cannot be listed.
    fn end(self, mut notes: Vec<String>, searches: bool) -> Result<Analyses> {
        let failed =
            |name: &String| self.failed.iter().any(|e| matches!(e, Error::Analyzer { name: own, .. } if own == name));
        let others = self.dir.outdated_findings()?.into_iter().filter(|name| !failed(name));
        notes.extend(others.map(|name| {
            format!("analysis/{name} holds what an earlier analysis found, since this one has no analyzer `{name}`")
        }));
        notes.extend(self.notes);
        notes.extend(self.run.given().map(String::from));
        notes.extend(unmatched(self.run.turns()));
        notes.extend(self.uncut);
        // What a process writes to its standard error is read by a thread of its own, a moment later.
        std::thread::sleep(std::time::Duration::from_millis(50));
        if let Err(e) = log_printed(&self.dir) {
            notes.push(format!("what plugins printed could not be logged: {e}"));
        }
        let graded = |t: &&TurnRow| t.arm.is_empty() && t.target.is_some() && t.score.is_some();
        let untouched = self.run.turns().iter().filter(|t| !searches && graded(t));
        let answers = untouched.fold(Answers::default(), |a, t| Answers {
            replies: a.replies + 1,
            read: a.read + usize::from(t.answer.is_some()),
        });
        Ok(Analyses { found: self.found, notes, failed: self.failed, answers })
    }
}

/// Writes into the value `verdict`, for programs, how the verdict stands to the lock.
fn stand(findings: &mut Findings) {
    let judged = findings.blocks.iter().find(|b| matches!(b.body, Body::Verdict(_)));
    let status = judged.and_then(|b| b.status);
    if let (Some(status), Some(Value::Object(verdict))) = (status, findings.values.get_mut("verdict")) {
        verdict.insert("status".into(), json!(status.to_string()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn turns_of_another_length_are_counted_by_condition() {
        let row = |condition: &str, length_difference: Option<i32>| TurnRow {
            condition: condition.into(),
            length_difference,
            ..TurnRow::default()
        };
        let equal = [row("a", None), row("b", Some(0))];
        assert_eq!(unmatched(&equal), None);
        let some = [row("a", None), row("b", Some(0)), row("b", Some(-3)), row("b", Some(1)), row("c", Some(1))];
        let told = unmatched(&some).unwrap();
        let both = "in 2 of 3 turns of `b`, by 3 tokens at most; 1 of 1 turn of `c`, by 1 token at most: see";
        assert!(told.contains(both), "{told}");
    }
}
