//! Files and folders that are written whole or not at all: under a temporary name, synced, renamed.
//!
//! A temporary name is `.friction-<name>-<process>.tmp`. Nothing else is ever taken for one: other hidden files, and
//! what other programs put into a run, are left alone.
use crate::Result;
use crate::error::io;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const START: &str = ".friction-";
const END: &str = ".tmp";

/// Where `path` is written until it is whole: beside it, under a name that only this process gives.
pub fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{START}{name}-{}{END}", std::process::id()))
}

/// Whether a name is one that [`temporary`] gives.
pub fn is_temporary(name: &OsStr) -> bool {
    let inner = name.to_str().and_then(|n| n.strip_prefix(START)?.strip_suffix(END));
    inner.and_then(|n| n.rsplit_once('-')).is_some_and(|(name, process)| {
        !name.is_empty() && !process.is_empty() && process.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Removes what killed writers left half-written in a folder. Only for who holds the run's lock: nobody else
/// writes there then. What cannot be removed is in nobody's way and stays.
pub(crate) fn sweep(dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io(dir))?,
    };
    for entry in entries {
        let entry = entry.map_err(io(dir))?;
        if is_temporary(&entry.file_name()) {
            remove(&entry.path());
        }
    }
    Ok(())
}

/// Removes a file or a folder of ours, if it is there.
fn remove(path: &Path) {
    let _ = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// A new, empty temporary folder for `path`.
pub(crate) fn folder(path: &Path) -> Result<PathBuf> {
    let tmp = temporary(path);
    remove(&tmp);
    if let Some(parent) = tmp.parent() {
        fs::create_dir_all(parent).map_err(io(parent))?;
    }
    fs::create_dir(&tmp).map_err(io(path))?;
    Ok(tmp)
}

/// Takes a temporary folder back: its content is worth nothing.
pub(crate) fn discard(tmp: &Path) {
    remove(tmp);
}

/// Syncs a folder and gives it its name; fails where something else has it.
pub(crate) fn rename(tmp: &Path, path: &Path) -> Result<()> {
    sync(tmp).and_then(|()| fs::rename(tmp, path)).map_err(io(path))?;
    path.parent().map_or(Ok(()), |parent| sync(parent).map_err(io(parent)))
}

fn sync(dir: &Path) -> std::io::Result<()> {
    // A relative name without folders has an empty parent.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|d| d.sync_all())
}

/// Writes a file and syncs it. For files within a temporary folder.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    File::create(path).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all())).map_err(io(path))
}

/// Writes a new folder of files: whole or not at all.
///
/// # Errors
/// When it cannot be written, or something else has the name.
pub fn write_folder(path: &Path, files: impl IntoIterator<Item = (impl AsRef<Path>, Vec<u8>)>) -> Result<()> {
    let tmp = folder(path)?;
    let done = files.into_iter().try_for_each(|(name, bytes)| write(&tmp.join(name), &bytes));
    done.and_then(|()| rename(&tmp, path)).map_err(|e| {
        discard(&tmp);
        e.at(path)
    })
}

/// Writes a file whole, or leaves the one that is there.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let tmp = temporary(path);
    let done = write(&tmp, bytes).and_then(|()| fs::rename(&tmp, path).map_err(io(path)));
    if let Err(e) = done {
        remove(&tmp);
        return Err(e.at(path));
    }
    path.parent().map_or(Ok(()), |parent| sync(parent).map_err(io(parent)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_our_own_names_are_temporary() {
        for name in ["0007", "findings.json", "a-b.c", "x.tmp"] {
            let tmp = temporary(&Path::new("groups").join(name));
            assert!(is_temporary(tmp.file_name().unwrap()), "{}", tmp.display());
        }
        for name in [
            ".DS_Store",
            "._0000",
            ".nfs000000000123",
            ".0003",
            ".git",
            ".friction",
            ".friction-",
            ".friction-0003.tmp",
            ".friction-0003-x1.tmp",
            ".friction--12.tmp",
            ".friction-0003-12.tmp.bak",
            "friction-0003-12.tmp",
            "notes.txt",
        ] {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_sweep_takes_half_written_things_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let keep = [".DS_Store", "._0000", ".nfs01", ".hidden/deep/x", ".0003/notes.txt", "lost+found/y", "notes.txt"];
        for name in keep {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let half = folder(&dir.path().join("0004")).unwrap();
        fs::write(half.join("turns.parquet"), "half").unwrap();
        fs::write(dir.path().join(".friction-lock.json-99.tmp"), "{").unwrap();
        sweep(dir.path()).unwrap();
        for name in keep {
            assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), name);
        }
        // A folder of somebody else's keeps its name.
        assert!(write_folder(&dir.path().join(".hidden"), [("x", b"mine".to_vec())]).is_err());
        write_folder(&dir.path().join("sae"), [("x", b"whole".to_vec())]).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("sae/x")).unwrap(), "whole");
        assert!(fs::read_dir(dir.path()).unwrap().all(|e| !is_temporary(&e.unwrap().file_name())));
        sweep(&dir.path().join("nowhere")).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_and_its_neighbours_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock.json");
        fs::write(dir.path().join("lock.tmp"), "mine").unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_to_string(dir.path().join("lock.tmp")).unwrap(), "mine");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
