//! Checksums of a group's files, in the format of `sha256sum`, which can check them too.
use crate::error::{format, io};
use crate::{Error, Result, temp};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The file that holds the checksums of a group's other files.
pub const FILE: &str = "SHA256SUMS";

/// What to do about a file that was changed or removed.
const HELP: &str = "put the file back, or remove its folder, and the same `friction run` makes the group again";

/// SHA-256 of a file, in hexadecimal.
fn sum(path: &Path) -> Result<String> {
    let mut sha = Sha256::new();
    io::copy(&mut File::open(path).map_err(io(path))?, &mut sha).map_err(io(path))?;
    Ok(format!("{:x}", sha.finalize()))
}

/// Writes the checksums of all files of a folder.
///
/// # Errors
/// If a file cannot be read, or the sums cannot be written.
pub fn write(dir: &Path) -> Result<()> {
    let mut names = vec![];
    for entry in fs::read_dir(dir).map_err(io(dir))? {
        names.extend(entry.map_err(io(dir))?.file_name().into_string());
    }
    names.sort();
    let lines: Vec<String> =
        names.iter().map(|n| Ok(format!("{}  {n}\n", sum(&dir.join(n))?))).collect::<Result<_>>()?;
    temp::write(&dir.join(FILE), lines.concat().as_bytes())
}

/// The sum that a line gives for a file; `None` if it is another file's.
fn of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.strip_suffix(name)?.strip_suffix("  ")
}

/// Puts the file `new`, which lies elsewhere on the same file system, in place of a file of a folder. Whenever the process
/// is killed, a reader finds the old file or the new one: both sums are listed while the files are exchanged.
///
/// # Errors
/// If a file cannot be read or written.
pub fn exchange(dir: &Path, name: &str, new: &Path) -> Result<()> {
    let list = dir.join(FILE);
    let text = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return temp::rename(new, &dir.join(name)),
        Err(e) => return Err(io(&list)(e)),
    };
    let line = format!("{}  {name}\n", sum(new)?);
    temp::replace(&list, format!("{text}{line}").as_bytes())?;
    temp::rename(new, &dir.join(name))?;
    let others = text.lines().filter(|l| of(l, name).is_none()).map(|l| format!("{l}\n"));
    temp::replace(&list, (others.collect::<String>() + &line).as_bytes())
}

/// The checksums of a folder; `None` if it is of an older version, which has none.
fn list(dir: &Path) -> Result<Option<String>> {
    let list = dir.join(FILE);
    match fs::read_to_string(&list) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io(&list)(e)),
    }
}

fn missing(path: PathBuf) -> Error {
    format(path, format!("is missing, though SHA256SUMS lists it; {HELP}"))
}

/// Whether a folder has, or by its checksums should have, a file.
///
/// # Errors
/// If the checksums cannot be read.
pub fn has(dir: &Path, name: &str) -> Result<bool> {
    Ok(dir.join(name).exists() || list(dir)?.is_some_and(|text| text.lines().any(|l| of(l, name).is_some())))
}

/// Checks that all files are there whose checksums a folder lists; what they hold is not read.
///
/// # Errors
/// Names the first file that is missing. If the checksums cannot be read.
pub fn complete(dir: &Path) -> Result<()> {
    let Some(text) = list(dir)? else { return Ok(()) };
    let mut paths = text.lines().filter_map(|l| Some(dir.join(l.split_once("  ")?.1)));
    paths.find(|path| !path.exists()).map_or(Ok(()), |path| Err(missing(path)))
}

/// Checks a file of a folder against its checksum. Folders of older versions have none.
///
/// # Errors
/// If the file was changed, is missing or not listed, or cannot be read.
pub fn check(dir: &Path, name: &str) -> Result<()> {
    let Some(text) = list(dir)? else { return Ok(()) };
    let path = dir.join(name);
    // While a file is exchanged, two sums are listed.
    let stored: Vec<&str> = text.lines().filter_map(|l| of(l, name)).collect();
    match stored.is_empty() {
        false if !path.exists() => Err(missing(path)),
        false if stored.contains(&sum(&path)?.as_str()) => Ok(()),
        false => Err(format(
            &path,
            format!("was changed after the run wrote it: its checksum is not the one in SHA256SUMS; {HELP}"),
        )),
        true => Err(format(dir.join(FILE), format!("does not list {name}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_exchanged_with_its_sum_and_either_is_good_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("0001");
        fs::create_dir(&group).unwrap();
        fs::write(group.join("turns.parquet"), "old").unwrap();
        fs::write(group.join("taps.safetensors"), "taps").unwrap();
        super::write(&group).unwrap();
        let old = fs::read_to_string(group.join(FILE)).unwrap();
        let new = dir.path().join("new");
        fs::write(&new, "new").unwrap();
        exchange(&group, "turns.parquet", &new).unwrap();
        check(&group, "turns.parquet").unwrap();
        check(&group, "taps.safetensors").unwrap();
        assert_eq!(fs::read_to_string(group.join("turns.parquet")).unwrap(), "new");
        let text = fs::read_to_string(group.join(FILE)).unwrap();
        assert!(text.lines().count() == 2 && !new.exists(), "{text}");
        // A process that was killed in between leaves both sums.
        let both = format!("{old}{}\n", text.lines().find(|l| of(l, "turns.parquet").is_some()).unwrap());
        for bytes in ["old", "new"] {
            fs::write(group.join("turns.parquet"), bytes).unwrap();
            fs::write(group.join(FILE), &both).unwrap();
            check(&group, "turns.parquet").unwrap();
        }
        fs::write(group.join("turns.parquet"), "other").unwrap();
        assert!(check(&group, "turns.parquet").unwrap_err().to_string().contains("was changed"));
        fs::write(&new, "newer").unwrap();
        exchange(&group, "turns.parquet", &new).unwrap();
        check(&group, "turns.parquet").unwrap();
        assert_eq!(fs::read_to_string(group.join(FILE)).unwrap().lines().count(), 2);
    }
}
