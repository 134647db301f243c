//! Collects what is wrong with a study, each fault at its key.
use crate::Result;
use friction_core::Error;
use friction_core::manifest::{Chosen, Issues, Manifest, Path as KeyPath};

/// The faults of a study found so far. Everything is checked before any fault is reported.
pub(crate) struct Wrong<'a> {
    pub manifest: &'a Manifest,
    pub issues: Issues,
    pub warnings: Issues,
}

impl Wrong<'_> {
    /// Returns the value, or adds the error at `path` and returns `None`.
    pub fn keep<T, E: std::fmt::Display>(&mut self, path: &KeyPath, result: std::result::Result<T, E>) -> Option<T> {
        result.map_err(|e| self.issues.push(path.clone(), e.to_string(), None)).ok()
    }

    /// As [`Self::keep`], for building a plugin: the error is placed at the option that could not be used.
    pub fn built<T, O: ?Sized>(&mut self, chosen: &Chosen<O>, result: friction_core::Result<T>) -> Option<T> {
        result.map_err(|e| chosen.fault(&e, &mut self.issues)).ok()
    }

    /// As [`Self::keep`], for an error of a plugin, which may name the key.
    pub fn plugin<T>(&mut self, path: &KeyPath, result: friction_core::Result<T>) -> Option<T> {
        result.map_err(|e| self.issues.error(path, &e)).ok()
    }

    /// Returns all faults as an error.
    pub fn end<T>(self) -> Result<T> {
        Err(self.manifest.source.locate(self.issues).into())
    }
}

/// Puts a condition's name before the messages of its errors.
pub(crate) fn named<T>(name: &str, result: friction_core::Result<T>) -> friction_core::Result<T> {
    result.map_err(|e| match e {
        e @ (Error::Key { .. } | Error::Several(_)) => e.within(&format!("condition `{name}`")),
        other => other,
    })
}
