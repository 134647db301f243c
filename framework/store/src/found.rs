//! An analyzer's findings on disk: `findings.json`, and beside it tables, figures and other files.
//!
//! `findings.json` is [`Findings::document`] with the analyzer's name, how its settings depart from the run's manifest, and
//! the names of all files beside it. The key `stale` says that the last analysis of the run did not make them, or that grades
//! were replaced since.
use crate::error::{format, io};
use crate::{Result, table, temp};
use friction_core::{Cells, Column, Findings, Table};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod read;

pub(crate) use read::read;

const FINDINGS: &str = "findings.json";
/// Key of a `findings.json` that the last analysis did not make, or that was made of other grades; its value says so in
/// words.
const STALE: &str = "stale";
/// What a reader is told of findings that the last analysis did not make.
pub(crate) const EARLIER: &str =
    "an earlier analysis found this, and the last one of this run did not: it is not among its findings";
/// What a reader is told of findings that were made before grades of the run were replaced.
pub(crate) const GRADED: &str =
    "this was found before grades of the run were replaced: `friction analyze` finds it anew";
/// Name of the old `findings.json` while its files are being replaced.
const REPLACED: &str = ".friction-replaced.json";

/// Writes findings into the folder `to`. Files are written to a temporary folder and moved in, `findings.json` last: a
/// folder without it holds no findings. Of the files already there, only those that the old `findings.json` lists are
/// replaced or removed.
pub(crate) fn write(to: &Path, analyzer: &str, f: &Findings, departs: &[String]) -> Result<PathBuf> {
    let names = names(f).map_err(|e| format(to, e))?;
    let tmp = temp::folder(to)?;
    let done = fill(&tmp, analyzer, f, departs, &names).and_then(|()| exchange(&tmp, to, &names));
    temp::discard(&tmp);
    done.map_err(|e| e.at(to)).map(|()| to.to_path_buf())
}

/// Marks the findings in the folder `at`, if they are those of its analyzer, as out of date, and says why. What is written
/// there next has no mark.
pub(crate) fn outdate(at: &Path, why: &str) -> Result<()> {
    match described(at).filter(|doc| !outdated(doc)) {
        None => Ok(()),
        Some(mut doc) => {
            doc[STALE] = json!(why);
            // Beside the folder, where the next writer of the run removes what a killed one left.
            let (tmp, path) = (temp::temporary(at), at.join(FINDINGS));
            let done = temp::write(&tmp, format!("{doc:#}\n").as_bytes())
                .and_then(|()| fs::rename(&tmp, &path).map_err(io(&path)));
            done.map_err(|e| {
                temp::discard(&tmp);
                e.at(path)
            })
        }
    }
}

/// Whether the folder `at` holds findings that are marked as out of date.
pub(crate) fn is_outdated(at: &Path) -> bool {
    described(at).is_some_and(|doc| outdated(&doc))
}

/// Whether a `findings.json` says that it is out of date.
pub(crate) fn outdated(doc: &Value) -> bool {
    doc.get(STALE).is_some()
}

/// The `findings.json` in the folder of an analyzer, if it is that analyzer's.
fn described(at: &Path) -> Option<Value> {
    let doc: Value = serde_json::from_slice(&fs::read(at.join(FINDINGS)).ok()?).ok()?;
    let own = doc["analyzer"].as_str().is_some_and(|name| at.file_name().is_some_and(|folder| folder == name));
    own.then_some(doc)
}

/// The files of findings, without `findings.json`.
///
/// # Errors
/// If a name given by a plugin is not a plain file name, or two files have the same.
fn names(f: &Findings) -> std::result::Result<BTreeSet<String>, String> {
    let stems = f.tables().map(|t| (&t.name, [".parquet", ".csv"]));
    let stems = stems.chain(f.figures().map(|g| (&g.name, [".svg", ".png"])));
    let all = stems.flat_map(|(stem, ends)| ends.map(|end| (stem, end))).chain(f.files.iter().map(|(n, _)| (n, "")));
    let mut out = BTreeSet::new();
    for (given, end) in all {
        let name = format!("{given}{end}");
        if !is_file_name(given) || name.len() > 120 {
            return Err(format!("{given:?} names no file: use letters, digits, `-`, `_` and `.`"));
        }
        if name == FINDINGS || !out.insert(name.clone()) {
            return Err(format!(
                "there would be two files called {name}: give tables, figures and files names of their own"
            ));
        }
    }
    Ok(out)
}

/// Writes all files into a folder.
fn fill(tmp: &Path, analyzer: &str, f: &Findings, departs: &[String], names: &BTreeSet<String>) -> Result<()> {
    for t in f.tables() {
        table::write_table(&tmp.join(format!("{}.parquet", t.name)), t)?;
        temp::write(&tmp.join(format!("{}.csv", t.name)), csv(t).as_bytes())?;
    }
    for fig in f.figures() {
        temp::write(&tmp.join(format!("{}.svg", fig.name)), fig.svg.as_bytes())?;
        temp::write(&tmp.join(format!("{}.png", fig.name)), &fig.png)?;
    }
    for (name, bytes) in &f.files {
        temp::write(&tmp.join(name), bytes)?;
    }
    let mut doc = json!({"analyzer": analyzer});
    if let (Some(doc), Value::Object(found)) = (doc.as_object_mut(), f.document()) {
        doc.extend(found);
    }
    doc["files"] = json!(names);
    if !departs.is_empty() {
        doc["departs"] = json!(departs);
    }
    temp::write(&tmp.join(FINDINGS), format!("{doc:#}\n").as_bytes())
}

/// A table as comma-separated values (RFC 4180): a header of the columns' names, numbers with all their digits, nothing
/// where a number is missing.
fn csv(t: &Table) -> String {
    let cell = |c: &Column, row: usize| match &c.cells {
        Cells::Text(v) => quoted(&v[row]),
        Cells::Number(v) if v[row].is_nan() => String::new(),
        Cells::Number(v) => v[row].to_string(),
        Cells::Count(v) => v[row].to_string(),
    };
    let mut out = t.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(",");
    for row in 0..t.rows() {
        out.push_str("\r\n");
        out.push_str(&t.columns.iter().map(|c| cell(c, row)).collect::<Vec<_>>().join(","));
    }
    out.push_str("\r\n");
    out
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

/// The files that a `findings.json` lists, without itself. One of a version before lists tables and figures apart.
fn listed(doc: &Value) -> BTreeSet<String> {
    let texts = |key: &str| doc[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let figures = doc["figures"].as_array().into_iter().flatten().filter_map(|f| f["file"].as_str());
    let images = figures.flat_map(|svg| [svg.to_string(), svg.replace(".svg", ".png")]);
    let all = texts("tables").chain(texts("files")).map(String::from).chain(images);
    all.filter(|name| is_file_name(name) && name != FINDINGS).collect()
}

/// Moves new files into a folder and removes the old ones that its findings list.
fn exchange(tmp: &Path, to: &Path, new: &BTreeSet<String>) -> Result<()> {
    fs::create_dir_all(to).map_err(io(to))?;
    let (current, replaced) = (to.join(FINDINGS), to.join(REPLACED));
    let mut old = BTreeSet::new();
    // If an earlier exchange was killed, its list of old files is still there.
    for path in [&replaced, &current] {
        let doc = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        old.extend(doc.iter().flat_map(listed));
    }
    if current.exists() {
        fs::rename(&current, &replaced).map_err(io(to))?;
    }
    for name in new.iter().map(String::as_str).chain([FINDINGS]) {
        fs::rename(tmp.join(name), to.join(name)).map_err(io(to.join(name)))?;
    }
    for name in old.difference(new) {
        let _ = fs::remove_file(to.join(name));
    }
    let _ = fs::remove_file(&replaced);
    fs::File::open(to).and_then(|d| d.sync_all()).map_err(io(to))
}

/// Whether a name given by a plugin is a plain file name, which cannot leave the folder.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 120
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests;
