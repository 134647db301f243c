//! `friction plugins pin`: writes the hashes of libraries and of processes' files into a manifest.
use crate::error::{CliError, Result};
use friction_core::manifest::{External, Issues, Source, external};
use friction_study::manifest::{base, library_file};
use serde_json::{Value, json};
use std::path::Path;
use toml_edit::{DocumentMut, InlineTable, Item, TableLike, value};

/// The text of a manifest. One that cannot be read is an error of usage.
pub(crate) fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| CliError::usage(format!("{}: {e}", path.display())))
}

/// Writes the SHA-256 of each library, and of the files of each process, into the manifest's text; the rest of the text
/// stays as it is.
pub(crate) fn pin(path: &Path, as_json: bool) -> Result<()> {
    let before = text(path)?;
    let source = Source::parse(&path.display().to_string(), &before, &[])?;
    let mut issues = Issues::default();
    let External { libraries, processes } = external(&source, &mut issues);
    if !issues.is_empty() {
        return Err(source.locate(issues).into());
    }
    if libraries.is_empty() && processes.is_empty() {
        let what = "names no library and no process; write `[plugins]`, and below it `load = [{ path = \"libmine.so\" }]` or `process = [{ command = [\"python3\", \"mine.py\"] }]`";
        return Err(CliError::usage(format!("{} {what}", path.display())));
    }
    let mut doc: DocumentMut = before.parse().map_err(|e| CliError::usage(format!("{}: {e}", path.display())))?;
    let base = base(path);
    let mut told = vec![];
    for (i, (_, library)) in libraries.iter().enumerate() {
        let file = library_file(library, &base)?;
        let hash = friction_dylib::digest(&file)?;
        if let Some((t, one_line)) = entry(&mut doc, "load", i) {
            set(t, one_line, "sha256", &hash);
        }
        let changed = library.sha256.as_deref() != Some(hash.as_str());
        told.push(json!({"path": crate::print::path(&file), "sha256": hash, "changed": changed}));
    }
    for (i, (_, process)) in processes.iter().enumerate() {
        let files = friction_dylib::files(process, &base)?;
        if files.is_empty() {
            let command = process.command.join(" ");
            let what = "names no file, and `sha256` pins none: name the program's file in it, or a file in `sha256`";
            return Err(CliError::usage(format!("{}: the command `{command}` {what}", path.display())));
        }
        for (name, hash) in files {
            if let Some((t, one_line)) = entry(&mut doc, "process", i) {
                let pins = t.entry("sha256").or_insert_with(|| Item::Value(InlineTable::new().into()));
                let pins_in_line = pins.is_inline_table();
                if let Some(pins) = pins.as_table_like_mut() {
                    set(pins, pins_in_line, &name, &hash);
                }
                if one_line {
                    t.fmt();
                }
            }
            let changed = process.sha256.get(&name) != Some(&hash);
            told.push(json!({"path": crate::print::path(&base.join(&name)), "sha256": hash, "changed": changed}));
        }
    }
    let after = doc.to_string();
    if after != before {
        friction_store::temp::replace(path, after.as_bytes())?;
    }
    if as_json {
        outln!("{:#}", Value::Array(told));
    } else {
        for t in told {
            let state = if t["changed"] == json!(true) { "pinned" } else { "unchanged" };
            outln!("{state} {} {}", t["sha256"].as_str().unwrap_or(""), t["path"].as_str().unwrap_or(""));
        }
    }
    Ok(())
}

/// Sets a hash. Only a table in one line is laid out anew: doing so would remove the comments of another.
fn set(table: &mut dyn TableLike, one_line: bool, key: &str, hash: &str) {
    table.insert(key, value(hash));
    if one_line {
        table.fmt();
    }
}

/// Table number `i` of the list `key` in `[plugins]`, in either way of writing lists of tables, and whether it is written
/// in one line.
fn entry<'a>(doc: &'a mut DocumentMut, key: &str, i: usize) -> Option<(&'a mut dyn TableLike, bool)> {
    match doc.get_mut("plugins")?.get_mut(key)? {
        Item::Value(v) => Some((v.as_array_mut()?.get_mut(i)?.as_inline_table_mut()?, true)),
        Item::ArrayOfTables(a) => Some((a.get_mut(i)?, false)),
        _ => None,
    }
}
