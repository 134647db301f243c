//! Files as a manifest or a checkpoint names them.
use crate::{Error, Result, json};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Replaces a leading `~/` by the home folder.
pub(crate) fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// Reads a file of JSON.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    json::value(&text).map_err(|e| Error::format(path, e))
}
