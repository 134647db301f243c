//! The hook over a stored run whose activations are known, and the analyzer over rows whose effects are known.
mod analysis;
mod foreseen;
mod forks;

use friction_core::{Error, Result, Site};

const SITE: Site = Site::ResidPost(0);
const LAST: Site = Site::ResidPost(1);

/// What is wrong, and what to do about it; nothing if nothing is wrong.
pub fn told<T>(result: Result<T>) -> String {
    fn shown(e: &Error) -> String {
        match e {
            Error::Key { message, help, .. } => format!("{message}; {}", help.as_deref().unwrap_or_default()),
            Error::Several(all) => all.iter().map(shown).collect::<Vec<_>>().join("\n"),
            other => other.to_string(),
        }
    }
    result.err().map(|e| shown(&e)).unwrap_or_default()
}
