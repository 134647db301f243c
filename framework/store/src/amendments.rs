//! `amendments.jsonl`: changes of a run's primary contrast and of its analyzers after its lock was written, one a line, in
//! order. The lock stays as it was written; what an amendment says counts beside it.
use crate::dir::{groups, read_lock};
use crate::error::{format, io};
use crate::{Result, temp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the file in the run directory.
const FILE: &str = "amendments.jsonl";

/// A change of the table `[primary]` or of the analyzers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amendment {
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// Why, as the user said.
    pub reason: String,
    /// Whether outcomes could be read before: a group was finished, or analyzers had written findings.
    pub outcomes_read: bool,
    /// The contrast before; null if there was none.
    pub stored: Value,
    /// The contrast from now on; null if there is none.
    pub now: Value,
    /// The analyzers before and from now on, as the lock holds them; `None` if they did not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analyzers: Option<Analyzers>,
}

/// A change of the analyzers, each side as the lock's key `analyzers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analyzers {
    /// The analyzers before; null of a run whose lock does not name them.
    pub stored: Value,
    /// The analyzers from now on.
    pub now: Value,
}

impl Amendment {
    /// A change that is made now, from one lock to another.
    ///
    /// # Errors
    /// If the run's groups cannot be listed.
    pub(crate) fn new(run: &Path, reason: &str, stored: &Value, now: &Value) -> Result<Self> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let found = fs::read_dir(run.join("analysis")).is_ok_and(|mut all| all.next().is_some());
        let outcomes_read = found || !groups(run)?.is_empty();
        let [a, b] = [stored, now].map(|lock| lock["analyzers"].clone());
        // A lock of before names neither the defaults of options that a table leaves out nor files.
        let mut told = b.clone();
        for (name, of) in told.as_object_mut().into_iter().flatten() {
            for key in ["defaults", "settled", "fingerprint"].into_iter().filter(|key| a[name].get(key).is_none()) {
                of.as_object_mut().and_then(|of| of.shift_remove(key));
            }
        }
        let analyzers = (a != told).then_some(Analyzers { stored: a, now: b });
        let [stored, now] = [stored, now].map(|lock| lock["primary"].clone());
        Ok(Self { time, reason: reason.into(), outcomes_read, stored, now, analyzers })
    }

    /// Whether the primary contrast changed.
    pub fn contrast(&self) -> bool {
        self.stored != self.now
    }

    /// What it changed and when, in one sentence.
    pub fn words(&self) -> String {
        let read = if self.outcomes_read { "after outcomes could be read" } else { "before any outcome could be read" };
        let what = match (self.contrast(), &self.analyzers) {
            (true, Some(_)) => "the primary contrast and the analyzers were",
            (false, Some(_)) => "the analyzers were",
            (_, None) => "the primary contrast was",
        };
        format!("{what} amended {read}: {}", self.reason)
    }
}

/// The amendments of a run, in order.
///
/// # Errors
/// If the file cannot be read, or a line is none.
pub fn amendments(run: &Path) -> Result<Vec<Amendment>> {
    records(&run.join(FILE))
}

/// The records of a file of JSON lines, in order; none if there is no such file.
pub(crate) fn records<T: DeserializeOwned>(at: &Path) -> Result<Vec<T>> {
    if !at.exists() {
        return Ok(vec![]);
    }
    let text = fs::read_to_string(at).map_err(io(at))?;
    let lines = text.lines().filter(|l| !l.trim().is_empty());
    lines.map(|l| serde_json::from_str(l).map_err(|e| format(at, e))).collect()
}

/// A run's lock with its amendments applied, as [`read_lock`] reads it.
///
/// # Errors
/// As [`read_lock`], and if the amendments cannot be read.
pub fn amended_lock(run: &Path) -> Result<Value> {
    let mut lock = read_lock(run)?;
    for amendment in amendments(run)? {
        let Some(lock) = lock.as_object_mut() else { break };
        match amendment.now {
            Value::Null => drop(lock.shift_remove("primary")),
            now => drop(lock.insert("primary".into(), now)),
        }
        if let Some(analyzers) = amendment.analyzers {
            lock.insert("analyzers".into(), analyzers.now);
        }
    }
    Ok(lock)
}

/// The analyzers that a run was begun with, as its lock holds them, with the amendments that were made before any outcome
/// could be read. Null of a run whose lock does not name them.
///
/// # Errors
/// As [`amended_lock`].
pub fn settled_analyzers(run: &Path) -> Result<Value> {
    let mut settled = read_lock(run)?["analyzers"].take();
    for amendment in amendments(run)?.into_iter().filter(|a| !a.outcomes_read) {
        settled = amendment.analyzers.map_or(settled, |a| a.now);
    }
    Ok(settled)
}

/// Adds an amendment.
pub(crate) fn append(run: &Path, amendment: &Amendment) -> Result<()> {
    let at = run.join(FILE);
    let mut text = if at.exists() { fs::read_to_string(&at).map_err(io(&at))? } else { String::new() };
    text.push_str(&serde_json::to_string(amendment).map_err(|e| format(&at, e))?);
    text.push('\n');
    temp::replace(&at, text.as_bytes())
}
