//! Gradings of a run after it was made. `gradings.jsonl` holds those that are finished, one a line, in order. `grading.json`
//! marks one that is begun: until it is finished, some groups hold the new grades and others the old ones.
use crate::amendments::records;
use crate::dir::groups;
use crate::error::{format, io};
use crate::{Error, Result, RunDir, temp};
use friction_core::{Outcome, plural};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the file of finished gradings in the run directory.
const FILE: &str = "gradings.jsonl";

/// Name of the mark of a begun grading in the run directory.
const MARK: &str = "grading.json";

/// New grades of a run's turns: by parsers, or by a file of scores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grading {
    /// When it was begun, in seconds since 1970-01-01 UTC; 0 if it is known only from the log of an older friction.
    pub time: u64,
    /// What was done, as a sentence says it: `the scores were replaced after the run by those of s.csv (column judge)`.
    pub what: String,
    /// The arguments of `friction grade RUN` that do it, as typed in a shell.
    pub command: String,
    /// What grades: the same task by the same program gives the same grades.
    pub task: Value,
    /// Whether an answer became another.
    pub answers: bool,
    /// Whether a score became another.
    pub scores: bool,
    /// Names of the metrics that became others, or that were joined.
    pub metrics: Vec<String>,
    /// Number of groups that were finished when it was begun.
    pub groups: usize,
    /// Number of groups that were finished after it, with the grades of the run's manifest. Not stored: [`gradings`] counts.
    #[serde(skip)]
    pub later: usize,
}

impl Grading {
    /// A grading that begins now.
    ///
    /// # Errors
    /// If the run's groups cannot be listed.
    pub fn new(run: &Path, what: String, command: String, task: Value) -> Result<Self> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Ok(Self { time, what, command, task, groups: groups(run)?.len(), ..Self::default() })
    }

    /// Whether it replaced values of an outcome. Where an unread answer counts as wrong, the score follows the answer.
    pub fn replaces(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Score | Outcome::Match | Outcome::Answered => self.answers || self.scores,
            Outcome::Metric(name) => self.metrics.contains(name),
            Outcome::LogOdds | Outcome::LogOddsShifted | Outcome::ReplyTokens => false,
            Outcome::Reading(_) | Outcome::Aside(_) => false,
        }
    }

    /// What was done, and whether all groups have these grades.
    pub fn words(&self) -> String {
        let have = if self.later == 1 { "was finished later and has" } else { "were finished later and have" };
        match self.later {
            0 => self.what.clone(),
            n => format!("{}; {} {have} the grades of the run's manifest", self.what, plural(n, "group")),
        }
    }
}

/// The finished gradings of a run, in order; those that an older friction made are read out of its log.
///
/// # Errors
/// If the files cannot be read, or a line of `gradings.jsonl` is none.
pub fn gradings(run: &Path) -> Result<Vec<Grading>> {
    let now = groups(run)?.len();
    let mut all = logged(run, now)?;
    all.extend(recorded(run)?);
    if let Some(last) = all.iter_mut().rev().find(|g| g.answers || g.scores) {
        last.later = now.saturating_sub(last.groups);
    }
    Ok(all)
}

/// The grading of a run that was begun and is not finished.
///
/// # Errors
/// If the mark cannot be read.
pub fn begun(run: &Path) -> Result<Option<Grading>> {
    let at = run.join(MARK);
    if !at.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&at).map_err(io(&at))?;
    serde_json::from_str(&text).map(Some).map_err(|e| format(&at, e))
}

/// Refuses a run with a grading that is begun and not finished.
///
/// # Errors
/// [`Error::Grading`] for such a run, and if the mark cannot be read.
pub fn graded_whole(run: &Path) -> Result<()> {
    match begun(run)? {
        None => Ok(()),
        Some(Grading { what, command, .. }) => {
            let path = run.to_path_buf();
            let command = [word(&run.to_string_lossy()), command].join(" ");
            Err(Error::Grading { path, what, command: command.trim_end().into() })
        }
    }
}

/// A text as one word of a shell's command line, quoted if necessary.
pub fn word(text: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || "_./~+-@:%,=".contains(c);
    if !text.is_empty() && text.chars().all(bare) { text.into() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl RunDir {
    /// Marks a grading as begun. To be called before the first group is rewritten.
    ///
    /// # Errors
    /// If the mark cannot be written.
    pub fn begin_grading(&self, grading: &Grading) -> Result<()> {
        let at = self.path().join(MARK);
        let text = serde_json::to_string(grading).map_err(|e| format(&at, e))?;
        temp::replace(&at, text.as_bytes())
    }

    /// Records a grading as finished and removes its mark. To be called after the last group is rewritten.
    ///
    /// # Errors
    /// If the record cannot be written or the mark not be removed. The mark then stands, and this may be called again.
    pub fn end_grading(&self, grading: &Grading) -> Result<()> {
        let (at, mark) = (self.path().join(FILE), self.path().join(MARK));
        if recorded(self.path())?.last() != Some(grading) {
            let mut text = if at.exists() { fs::read_to_string(&at).map_err(io(&at))? } else { String::new() };
            text.push_str(&serde_json::to_string(grading).map_err(|e| format(&at, e))?);
            text.push('\n');
            temp::replace(&at, text.as_bytes())?;
        }
        temp::unlink(&mark)
    }
}

/// The lines of `gradings.jsonl`.
fn recorded(run: &Path) -> Result<Vec<Grading>> {
    records(&run.join(FILE))
}

/// The gradings that a run's log alone tells of: an older friction did not record them. `groups` is the number of the run's
/// groups, since the log does not say how many there were.
fn logged(run: &Path, groups: usize) -> Result<Vec<Grading>> {
    let at = run.join("log.jsonl");
    if !at.exists() {
        return Ok(vec![]);
    }
    let text = fs::read_to_string(&at).map_err(io(&at))?;
    let events = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let older = events.filter(|e| e["event"] == "grade" && e["recorded"] != true);
    let one = |e: Value| {
        let some = |key: &str| e[key].as_u64().unwrap_or(0) > 0;
        let columns = e["columns"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let by = e["by"].as_str().unwrap_or("an older friction");
        Grading {
            what: format!("turns were given grades after the run by {by}"),
            answers: some("answers"),
            scores: some("scores"),
            metrics: columns.map(String::from).collect(),
            groups,
            ..Grading::default()
        }
    };
    Ok(older.map(one).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_begun_grading_is_refused_until_it_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my run");
        let run = RunDir::open(&path, "", &serde_json::json!({})).unwrap();
        let new = Grading::new(&path, "it".into(), "--scores s.csv".into(), Value::Null).unwrap();
        graded_whole(&path).unwrap();
        run.begin_grading(&new).unwrap();
        let told = graded_whole(&path).unwrap_err().to_string();
        assert!(
            told.contains("(it); `friction grade '") && told.ends_with("my run' --scores s.csv` finishes it"),
            "{told}"
        );
        drop(run);
        let told = RunDir::open(&path, "", &serde_json::json!({})).err().unwrap().to_string();
        assert!(told.contains("finishes it"), "{told}");
        let run = RunDir::reopen(&path).unwrap();
        // Twice, as when a process is killed before the mark is removed.
        for _ in 0..2 {
            run.end_grading(&new).unwrap();
            graded_whole(&path).unwrap();
            assert_eq!(gradings(&path).unwrap(), std::slice::from_ref(&new));
            run.begin_grading(&new).unwrap();
        }
        assert_eq!(begun(&path).unwrap(), Some(new));
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(["runs/a", "it's", ""].map(word), ["runs/a", "'it'\\''s'", "''"]);
    }
}
