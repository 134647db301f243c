//! Errors of a template.
use minijinja::{Error, ErrorKind};

/// An operation that Python refuses.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}
