//! Checksums of a group's files, in the format of `sha256sum`, which can check them too.
use crate::error::{format, io};
use crate::{Result, temp};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The file that holds the checksums of a group's other files.
pub const FILE: &str = "SHA256SUMS";

/// SHA-256 of a file, in hexadecimal.
fn sum(path: &Path) -> Result<String> {
    let mut sha = Sha256::new();
    io::copy(&mut File::open(path).map_err(io(path))?, &mut sha).map_err(io(path))?;
    Ok(sha.finalize().iter().map(|b| format!("{b:02x}")).collect())
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

/// Checks a file of a folder against its checksum. Folders of older versions have none.
///
/// # Errors
/// If the file was changed, is not listed, or cannot be read.
pub fn check(dir: &Path, name: &str) -> Result<()> {
    let list = dir.join(FILE);
    let text = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(&list)(e)),
    };
    let path = dir.join(name);
    let stored = text.lines().find_map(|l| l.strip_suffix(name).and_then(|l| l.strip_suffix("  ")));
    match stored {
        Some(stored) if stored == sum(&path)? => Ok(()),
        Some(_) => Err(format(
            &path,
            "was changed after the run wrote it: its checksum is not the one in SHA256SUMS; put the file back, or remove its folder, and the same `friction run` makes the group again",
        )),
        None => Err(format(&list, format!("does not list {name}"))),
    }
}
