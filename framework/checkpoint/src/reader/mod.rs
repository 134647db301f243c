//! Typed access to the keys of a `config.json`, with errors that name the key; and what families say alike.
mod base;
pub(crate) mod layers;
pub(crate) mod rope;

pub(crate) use base::{Defaults, base, ids, within};

use crate::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// Largest accepted size.
const MAX: u64 = 1 << 24;

/// A JSON table of a configuration file.
pub(crate) struct Reader<'a> {
    /// The JSON object that is read.
    pub map: &'a Map<String, Value>,
    /// Path of its file, for error messages.
    pub path: &'a Path,
    /// Prefix of its keys in error messages: empty, or `text_config.`.
    pub prefix: &'static str,
}

impl Reader<'_> {
    pub fn err(&self, m: impl std::fmt::Display) -> Error {
        Error::format(self.path, m)
    }

    /// A key as error messages name it: with its prefix, in backquotes.
    pub fn name(&self, key: &str) -> String {
        format!("`{}{key}`", self.prefix)
    }

    /// The value of a key; `None` where it is absent or null.
    pub fn present(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// An integer from 1 to 2^24; `None` where the key is absent or null.
    pub fn whole(&self, key: &str) -> Result<Option<usize>> {
        let Some(v) = self.present(key) else { return Ok(None) };
        let n = v.as_u64().ok_or_else(|| self.err(format!("{} must be a whole number, not {v}", self.name(key))))?;
        if n == 0 || n > MAX {
            return Err(self.err(format!("{} = {n} is out of range", self.name(key))));
        }
        Ok(Some(n as usize))
    }

    /// A finite number above 0; `None` where the key is absent or null.
    pub fn above(&self, key: &str) -> Result<Option<f64>> {
        self.present(key).map(|v| above(v).map_err(|m| self.err(format!("{} {m}", self.name(key))))).transpose()
    }

    /// An integer from 1 to 2^24, or `default` where the key is absent. Null is an error.
    pub fn size(&self, key: &str, default: usize) -> Result<usize> {
        self.not_null(key)?;
        Ok(self.whole(key)?.unwrap_or(default))
    }

    /// A finite number above 0, or `default` where the key is absent. Null is an error.
    pub fn number(&self, key: &str, default: f64) -> Result<f64> {
        self.not_null(key)?;
        Ok(self.above(key)?.unwrap_or(default))
    }

    /// A boolean; `None` where the key is absent. Null is an error.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(*b)),
            Some(v) => Err(self.err(format!("{} must be true or false, not {v}", self.name(key)))),
        }
    }

    /// A whole number from 0 to 2^24; `None` where the key is absent or null.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.present(key).and_then(Value::as_u64) {
            Some(0) => Ok(Some(0)),
            _ => self.whole(key),
        }
    }

    /// Refuses a text that is none of `known`. Absent and null are as good as the first.
    pub fn one_of(&self, key: &str, known: &[&str]) -> Result<()> {
        match self.present(key) {
            Some(v) if !known.iter().any(|k| v == k) => {
                Err(self.err(format!("{} is {v}, not `{}`", self.name(key), known.join("` or `"))))
            }
            _ => Ok(()),
        }
    }

    /// Refuses anything but false, null and absence.
    pub fn not_set(&self, key: &str) -> Result<()> {
        match self.present(key) {
            Some(v) if *v != Value::Bool(false) => {
                Err(self
                    .err(format!("{} is {v}; this family has no such thing, and it is not computed", self.name(key))))
            }
            _ => Ok(()),
        }
    }

    fn not_null(&self, key: &str) -> Result<()> {
        match self.map.get(key) {
            Some(Value::Null) => Err(self.err(format!("{} is null; give a number, or leave it out", self.name(key)))),
            _ => Ok(()),
        }
    }
}

/// A finite number above 0, or the end of an error message that says what is wrong with it.
fn above(v: &Value) -> Result<f64, String> {
    let n = v.as_f64().ok_or_else(|| format!("must be a number, not {v}"))?;
    if n.is_finite() && n > 0.0 { Ok(n) } else { Err(format!("= {n} must be above 0")) }
}
