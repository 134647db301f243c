//! Gathering what is wrong with a study, each thing at its key.
use crate::Result;
use friction_core::Error;
use friction_core::manifest::{Chosen, Issues, Manifest, Path as KeyPath};

/// What is wrong with a study so far: everything is tried before any of it is told.
pub(crate) struct Wrong<'a> {
    pub manifest: &'a Manifest,
    pub issues: Issues,
    pub warnings: Issues,
}

impl Wrong<'_> {
    /// The value, or a note of what is wrong at `path`.
    pub fn keep<T, E: std::fmt::Display>(&mut self, path: &KeyPath, result: std::result::Result<T, E>) -> Option<T> {
        result.map_err(|e| self.issues.push(path.clone(), e.to_string(), None)).ok()
    }

    /// The same of a plugin that is built, at the option that it could not use.
    pub fn built<T, O: ?Sized>(&mut self, chosen: &Chosen<O>, result: friction_core::Result<T>) -> Option<T> {
        result.map_err(|e| chosen.fault(&e, &mut self.issues)).ok()
    }

    /// The same of what a plugin says: it may name the key.
    pub fn plugin<T>(&mut self, path: &KeyPath, result: friction_core::Result<T>) -> Option<T> {
        result.map_err(|e| self.issues.error(path, &e)).ok()
    }

    /// Ends with everything that was noted.
    pub fn end<T>(self) -> Result<T> {
        Err(self.manifest.source.locate(self.issues).into())
    }
}

/// What a condition says of itself, with its name.
pub(crate) fn named<T>(name: &str, result: friction_core::Result<T>) -> friction_core::Result<T> {
    fn tell(name: &str, e: Error) -> Error {
        match e {
            Error::Key { key, message, help } => {
                Error::Key { key, message: format!("condition `{name}`: {message}"), help }
            }
            Error::Several(all) => Error::Several(all.into_iter().map(|e| tell(name, e)).collect()),
            other => other,
        }
    }
    result.map_err(|e| tell(name, e))
}
