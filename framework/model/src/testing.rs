//! A tiny randomly initialised checkpoint for tests: sliding and global layers, a window of eight, one token per
//! character. Public but hidden, for the tests of other crates.
use crate::{Result, device};
use burn::tensor::Device;
use friction_core::manifest::BackendKind;
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The backend that the environment variable `FRICTION_TEST_BACKEND` names (`cpu`, `cuda` or `wgpu`); `cpu` where it
/// is not set.
///
/// # Errors
/// When it is set to anything else.
pub fn backend() -> Result<BackendKind> {
    let word = std::env::var("FRICTION_TEST_BACKEND").unwrap_or_else(|_| "cpu".into());
    match word.as_str() {
        "cpu" => Ok(BackendKind::Cpu),
        "cuda" => Ok(BackendKind::Cuda),
        "wgpu" => Ok(BackendKind::Wgpu),
        _ => Err(crate::Error::Device(format!("FRICTION_TEST_BACKEND is `{word}`; set cpu, cuda or wgpu"))),
    }
}

/// The first device of [`backend`]. On CUDA a thread that asks for it holds it until the thread ends, so device tests
/// run one at a time: while one thread records a graph, CUDA refuses the calls of the others.
///
/// # Errors
/// When the backend was not compiled in, or this machine has no such device.
pub fn device() -> Result<Device> {
    static ALONE: Mutex<()> = Mutex::new(());
    thread_local!(static TURN: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) });
    let kind = backend()?;
    if kind == BackendKind::Cuda {
        // A poisoned lock is harmless: a failed test leaves no shared state behind.
        let wait = || ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        TURN.with_borrow_mut(|turn| {
            turn.get_or_insert_with(wait);
        });
    }
    device::open(kind, 0)
}
