//! One call to a library at a time.
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held during every call, so that one library runs at a time and its printed text can be attributed to it.
static GATE: Mutex<()> = Mutex::new(());

pub(crate) fn gate() -> MutexGuard<'static, ()> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}
