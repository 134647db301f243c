//! Devices: opening them by the manifest's names, their memory and their failures.
use crate::found::supported;
use crate::{Error, Result};
use burn::tensor::{DType, Device};
use friction_core::manifest::{BackendKind, ModelDtype};

pub use crate::found::Found;

/// Opens device `index` of a backend. On WGPU, index 0 is the default adapter, and index n > 0 is discrete GPU n,
/// counted from 0.
///
/// # Errors
/// [`Error::Backend`] when this binary was built without the backend, or the backend never has the device;
/// [`Error::Device`] when the machine lacks it.
pub fn open(kind: BackendKind, index: usize) -> Result<Device> {
    match kind {
        BackendKind::Cpu if index == 0 => Ok(Device::flex()),
        BackendKind::Cpu => Err(Error::Backend(format!(
            "backend `cpu` has only device 0, not {index}: leave `backend.device` out"
        ))),
        other => crate::gpu::open(other, index).unwrap_or_else(|| {
            let word = format!("{other:?}").to_lowercase();
            Err(Error::Backend(format!(
                "this binary was built without backend `{word}`; build it with `cargo build --release --features {word}`, or set `backend.kind = \"cpu\"`"
            )))
        }),
    }
}

/// Burn's dtype for a manifest's `model.dtype`, checked against the device.
///
/// # Errors
/// When the device does not support it.
pub fn dtype(device: &Device, dtype: ModelDtype) -> Result<DType> {
    let (d, word) = match dtype {
        ModelDtype::F32 => (DType::F32, "f32"),
        ModelDtype::Bf16 => (DType::BF16, "bf16"),
        ModelDtype::F16 => (DType::F16, "f16"),
    };
    if device.supports_dtype(d) {
        Ok(d)
    } else {
        Err(Error::Device(format!("the device does not support `{word}`; set `model.dtype = \"f32\"`")))
    }
}

/// Bytes that Burn's allocator has reserved on a device; `None` on the processor.
pub fn memory(device: &Device) -> Option<u64> {
    if *device == Device::flex() { None } else { device.memory_pool_usage().map(|m| m.bytes_reserved) }
}

/// Bytes of a device's memory that are free: neither used by other programs nor by this one. Memory that this
/// program's allocator has reserved and does not use counts as free. `None` except on CUDA.
pub fn free(device: &Device) -> Option<u64> {
    let free = crate::gpu::free(device)?;
    let kept = device.memory_pool_usage().map_or(0, |m| m.bytes_reserved.saturating_sub(m.bytes_in_use));
    Some(free + kept)
}

/// Runs `f`. A panic that a device failure caused becomes an error with the message of [`failure`]; other panics
/// continue.
///
/// # Errors
/// When a device failed, e.g. ran out of memory.
pub fn caught<T>(f: impl FnOnce() -> T) -> std::result::Result<T, String> {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| failure(panic.as_ref()).unwrap_or_else(|| resume_unwind(panic)))
}

/// The cause of a panic, if a device failure caused it. GPUs compute asynchronously and Burn panics where a result is
/// read, so the first line often says no more than that; the last cause in the message is the original error.
pub fn failure(panic: &(dyn std::any::Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())?;
    let signs = ["out of device memory", "OutOfMemory", "Error while reading data", "could not be read"];
    signs.iter().any(|s| text.contains(s)).then(|| {
        let cause = text.rsplit("Caused by:").next().unwrap_or(text);
        cause.trim().lines().next().unwrap_or_default().to_owned()
    })
}

/// All devices of this machine that this binary can use.
pub fn found() -> Vec<Found> {
    let cpu = Found {
        backend: "cpu",
        index: 0,
        name: "this processor".into(),
        dtypes: supported(&Device::flex()),
        memory: None,
        cublas: None,
    };
    std::iter::once(cpu).chain(crate::gpu::found()).collect()
}
