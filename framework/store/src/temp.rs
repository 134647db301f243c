//! Writes files and folders whole or not at all: under a temporary name, then synced and renamed.
//!
//! A temporary name is `.friction-<name>-<process id>.tmp`. Only such names are cleaned up: other hidden files, and
//! files that other programs put into a run, are left alone.
use crate::Result;
use crate::dir::WRITER;
use crate::error::io;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const START: &str = ".friction-";
const END: &str = ".tmp";

/// The temporary name for `path`: in the same folder, and used by this process only.
pub fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{START}{name}-{}{END}", std::process::id()))
}

/// Whether a name is one that [`temporary`] gives.
pub fn is_temporary(name: &OsStr) -> bool {
    parts(name).is_some()
}

/// The name and the process of a name that [`temporary`] gives.
fn parts(name: &OsStr) -> Option<(&str, &str)> {
    let (name, process) = name.to_str()?.strip_prefix(START)?.strip_suffix(END)?.rsplit_once('-')?;
    let ours = !name.is_empty() && !process.is_empty() && process.bytes().all(|b| b.is_ascii_digit());
    ours.then_some((name, process))
}

/// Removes files and folders that killed writers left half-written in a folder. The caller must hold the run's lock, so
/// that nobody else writes there. Entries that cannot be removed do no harm and stay.
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

/// Removes the temporary folders for `path` that killed writers left beside it, where no lock is held. A folder stays while
/// a process of its number runs, or somebody holds the lock of a run in it. What cannot be removed does no harm and stays.
pub fn sweep_beside(path: &Path) {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else { return };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let left = parts(&file).is_some_and(|(of, process)| of == name && !lives(process));
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if left && folder && !held(&entry.path()) {
            remove(&entry.path());
        }
    }
}

/// Whether a process of this number runs; unknown, and so no, on systems without `/proc`.
fn lives(process: &str) -> bool {
    Path::new("/proc/self").exists() && Path::new("/proc").join(process).exists()
}

/// Whether somebody holds the lock of a run in this folder, or may.
fn held(run: &Path) -> bool {
    let lock = File::options().write(true).open(run.join(WRITER));
    lock.is_ok_and(|file| file.try_lock().is_err())
}

/// Removes a temporary file or folder, if it is there.
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

/// Removes a temporary folder that is no longer needed.
pub(crate) fn discard(tmp: &Path) {
    remove(tmp);
}

/// Syncs a folder and renames it to `path`. Fails if another folder that is not empty, or a file, has that name.
pub(crate) fn rename(tmp: &Path, path: &Path) -> Result<()> {
    sync(tmp).and_then(|()| fs::rename(tmp, path)).map_err(io(path))?;
    path.parent().map_or(Ok(()), |parent| sync(parent).map_err(io(parent)))
}

/// Removes a file so that it stays removed. It may be gone already.
pub(crate) fn unlink(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(path)(e)),
        _ => {}
    }
    path.parent().map_or(Ok(()), |parent| sync(parent).map_err(io(parent)))
}

fn sync(dir: &Path) -> std::io::Result<()> {
    // A relative name without folders has an empty parent.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|d| d.sync_all())
}

/// Writes a file and syncs it. Meant for files in a temporary folder.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    File::create(path).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all())).map_err(io(path))
}

/// Writes a new folder of files, whole or not at all. What killed writers of it left is removed.
///
/// # Errors
/// If it cannot be written, or its name is taken.
pub fn write_folder(path: &Path, files: impl IntoIterator<Item = (impl AsRef<Path>, Vec<u8>)>) -> Result<()> {
    sweep_beside(path);
    let tmp = folder(path)?;
    let done = files.into_iter().try_for_each(|(name, bytes)| write(&tmp.join(name), &bytes));
    done.and_then(|()| rename(&tmp, path)).map_err(|e| {
        discard(&tmp);
        e.at(path)
    })
}

/// Writes a file whole, or leaves the existing one as it is.
///
/// # Errors
/// If it cannot be written.
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
        // A folder that friction did not write is not replaced.
        assert!(write_folder(&dir.path().join(".hidden"), [("x", b"mine".to_vec())]).is_err());
        write_folder(&dir.path().join("sae"), [("x", b"whole".to_vec())]).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("sae/x")).unwrap(), "whole");
        assert!(fs::read_dir(dir.path()).unwrap().all(|e| !is_temporary(&e.unwrap().file_name())));
        sweep(&dir.path().join("nowhere")).unwrap();
    }

    #[test]
    fn what_a_killed_writer_left_beside_its_target_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        // No process has such a number.
        let of = |name: &str| dir.path().join(format!(".friction-{name}-99999999999.tmp"));
        for name in ["sae", "sae-1", "other", "held"] {
            fs::create_dir(of(name)).unwrap();
            fs::write(of(name).join("x"), "half").unwrap();
        }
        fs::write(of("file"), "mine").unwrap();
        let lock = File::create(of("held").join(WRITER)).unwrap();
        lock.try_lock().unwrap();
        let own = temporary(&dir.path().join("sae"));
        fs::create_dir(&own).unwrap();
        for name in ["sae", "held", "file"] {
            sweep_beside(&dir.path().join(name));
        }
        assert!(!of("sae").exists());
        assert!(["sae-1", "other", "held", "file"].iter().all(|name| of(name).exists()));
        assert!(own.exists() || !Path::new("/proc/self").exists());
        drop(lock);
        sweep_beside(&dir.path().join("held"));
        assert!(!of("held").exists());
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
