//! Writes an analyzer's findings.
use crate::error::{format, io};
use crate::{Result, table, temp};
use friction_core::Findings;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the old `findings.json` while its files are being replaced.
const REPLACED: &str = ".friction-replaced.json";

/// Writes findings into the folder `to`. Files are written to a temporary folder and moved in, `findings.json` last: a
/// folder without it holds no findings. Of the files already there, only those that the old `findings.json` lists are
/// replaced or removed.
pub(crate) fn write(to: &Path, analyzer: &str, f: &Findings, departs: &[String]) -> Result<PathBuf> {
    let names = f.tables.iter().map(|t| &t.name).chain(f.figures.iter().map(|g| &g.name));
    if let Some(bad) = names.chain(f.files.iter().map(|(name, _)| name)).find(|n| !is_file_name(n)) {
        let message = format!("{bad:?} names no file: use letters, digits, `-`, `_` and `.`");
        return Err(format(to, message));
    }
    let tmp = temp::folder(to)?;
    let done = fill(&tmp, analyzer, f, departs).and_then(|new| exchange(&tmp, to, &new));
    temp::discard(&tmp);
    done.map_err(|e| e.at(to)).map(|()| to.to_path_buf())
}

/// Writes all files into a folder and returns their names, without `findings.json`.
fn fill(tmp: &Path, analyzer: &str, f: &Findings, departs: &[String]) -> Result<BTreeSet<String>> {
    for t in &f.tables {
        table::write_table(&tmp.join(format!("{}.parquet", t.name)), t)?;
    }
    for fig in &f.figures {
        temp::write(&tmp.join(format!("{}.svg", fig.name)), fig.svg.as_bytes())?;
        temp::write(&tmp.join(format!("{}.png", fig.name)), &fig.png)?;
    }
    for (name, bytes) in &f.files {
        temp::write(&tmp.join(name), bytes)?;
    }
    let files: Vec<&String> = f.files.iter().map(|(name, _)| name).collect();
    let figures: Vec<Value> =
        f.figures.iter().map(|g| json!({"file": format!("{}.svg", g.name), "caption": g.caption})).collect();
    let tables: Vec<String> = f.tables.iter().map(|t| format!("{}.parquet", t.name)).collect();
    let mut doc = json!({"analyzer": analyzer, "question": f.question, "estimates": f.estimates, "summary": f.summary, "warnings": f.warnings, "values": f.values, "tables": tables, "figures": figures, "files": files});
    if !departs.is_empty() {
        doc["departs"] = json!(departs);
    }
    temp::write(&tmp.join("findings.json"), format!("{doc:#}\n").as_bytes())?;
    Ok(listed(&doc))
}

/// The files that a `findings.json` lists, without itself.
fn listed(doc: &Value) -> BTreeSet<String> {
    let texts = |key: &str| doc[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let figures = doc["figures"].as_array().into_iter().flatten().filter_map(|f| f["file"].as_str());
    let images = figures.flat_map(|svg| [svg.to_string(), svg.replace(".svg", ".png")]);
    let all = texts("tables").chain(texts("files")).map(String::from).chain(images);
    all.filter(|name| is_file_name(name) && name != "findings.json").collect()
}

/// Moves new files into a folder and removes the old ones that its findings list.
fn exchange(tmp: &Path, to: &Path, new: &BTreeSet<String>) -> Result<()> {
    fs::create_dir_all(to).map_err(io(to))?;
    let (current, replaced) = (to.join("findings.json"), to.join(REPLACED));
    let mut old = BTreeSet::new();
    // If an earlier exchange was killed, its list of old files is still there.
    for path in [&replaced, &current] {
        let doc = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        old.extend(doc.iter().flat_map(listed));
    }
    if current.exists() {
        fs::rename(&current, &replaced).map_err(io(to))?;
    }
    for name in new.iter().map(String::as_str).chain(["findings.json"]) {
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
