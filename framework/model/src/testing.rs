//! The device that tests compute on, and tiny models on it. Public but hidden, for the tests of other crates.
use crate::{Model, Result, device};
use burn::tensor::{DType, Device};
use friction_checkpoint::Arch;
use friction_checkpoint::testing::tiny;
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

/// The tiny models of every family, in f32 on [`device()`], each with its name. On a GPU, where kernels are compiled and tuned
/// by shape, the first of each family alone.
///
/// # Errors
/// When there is no such device, or a family names no published shape.
pub fn models() -> Result<Vec<(String, Model)>> {
    let (device, mut archs) = (device()?, tiny::archs()?);
    if device != Device::flex() {
        archs.dedup_by_key(|(_, arch)| arch.family);
    }
    let load = |(name, arch): (String, Arch)| -> Result<(String, Model)> {
        let weights = tiny::Weights::new(&arch, 7);
        Ok((name, Model::load(&arch, &weights, &device, DType::F32, &mut |_| {})?))
    };
    archs.into_iter().map(load).collect()
}
