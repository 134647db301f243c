//! Which files of a process must be pinned, and whether they are what was pinned.
use crate::heard::escaped;
use crate::library::digest;
use friction_core::manifest::ProcessEntry;
use friction_core::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The command for messages, shortened where it is long.
pub(crate) fn name(entry: &ProcessEntry) -> String {
    let all = escaped(&entry.command.join(" ")).replace('\n', "\\n");
    if all.chars().count() <= 80 { all } else { format!("{}…", all.chars().take(80).collect::<String>()) }
}

/// The SHA-256 of each file that must be pinned, by name: what the entry pins already, and every part of its command
/// that is a file, by its absolute path or in the manifest's folder `base`.
///
/// # Errors
/// If a file cannot be read.
pub fn files(entry: &ProcessEntry, base: &Path) -> Result<BTreeMap<String, String>> {
    let real = |name: &str| base.join(name).canonicalize().ok();
    let pinned: BTreeSet<PathBuf> = entry.sha256.keys().filter_map(|name| real(name)).collect();
    let open = |part: &&String| base.join(part).is_file() && real(part).is_none_or(|file| !pinned.contains(&file));
    let names = entry.sha256.keys().chain(entry.command.iter().filter(open));
    names.map(|name| Ok((name.clone(), digest(&base.join(name))?))).collect()
}

/// Refuses an entry whose files are not all pinned, or are not what was pinned.
pub(crate) fn check(entry: &ProcessEntry, base: &Path) -> Result<()> {
    if entry.command.is_empty() {
        let help = "write a program and its arguments, such as [\"python3\", \"mine.py\"]";
        return Err(Error::config(format!("`command` is empty: {help}")));
    }
    let files = files(entry, base)?;
    for (file, found) in &files {
        let wrong = match entry.sha256.get(file) {
            Some(pinned) if pinned.eq_ignore_ascii_case(found) => continue,
            Some(pinned) => format!(
                "its SHA-256 is {found}, not {} as pinned: the file has changed. If you changed it, run `friction plugins pin MANIFEST`",
                escaped(pinned)
            ),
            None => format!(
                "is not in `sha256`, and nothing is started that is not pinned. Run `friction plugins pin MANIFEST`, or write sha256 = {{ {file:?} = \"{found}\" }}"
            ),
        };
        return Err(Error::data(base.join(file), wrong));
    }
    if files.is_empty() {
        return Err(Error::config(format!(
            "the command `{}` names no file, and `sha256` pins none: name the program's file in the command, or pin the files that it runs",
            name(entry)
        )));
    }
    Ok(())
}
