//! Devices: opening them by the manifest's names, their memory and their failures.
use crate::{Error, Result};
use burn::tensor::{DType, Device};
use friction_core::manifest::{BackendKind, ModelDtype};

/// Opens device `index` of a backend. On WGPU, index 0 is the default adapter, and index n > 0 is discrete GPU n,
/// counted from 0.
///
/// # Errors
/// When this binary was built without the backend, or the machine lacks the device.
pub fn open(kind: BackendKind, index: usize) -> Result<Device> {
    match kind {
        BackendKind::Cpu if index == 0 => Ok(Device::flex()),
        BackendKind::Cpu => Err(Error::Device(format!("backend `cpu` has only device 0, not {index}"))),
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => guarded("cuda", index, move || Device::cuda(index)),
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => guarded("wgpu", index, move || {
            use burn::tensor::DeviceKind;
            Device::wgpu(if index == 0 { DeviceKind::DefaultDevice } else { DeviceKind::DiscreteGpu(index) })
        }),
        #[allow(unreachable_patterns)]
        other => {
            let word = format!("{other:?}").to_lowercase();
            Err(Error::Device(format!(
                "this binary was built without backend `{word}`; build it with `cargo build --release --features {word}`, or set `backend.kind = \"cpu\"`"
            )))
        }
    }
}

/// Opens a device and computes one sum on it. Backends start lazily and panic where the machine lacks the device;
/// this turns the panic into an error.
#[cfg(feature = "cube")]
fn guarded(word: &str, index: usize, make: impl FnOnce() -> Device + std::panic::UnwindSafe) -> Result<Device> {
    let touched = quietly(|| {
        let device = make();
        #[cfg(feature = "vulkan")]
        if let Some(why) = device.identity().and_then(|d| crashes(&d.name)) {
            return Err(why);
        }
        let probe = burn::tensor::Tensor::<1>::from_data([1.0f32, 2.0], &device).sum().into_data();
        probe.try_to_vec::<f32>().map(|_| device).map_err(|e| e.to_string())
    });
    touched.flatten().map_err(|why| {
        // cudarc's message lists every file name under which it looked for the driver.
        let why = why.lines().next().unwrap_or_default();
        let cut: String = why.chars().take(160).collect();
        let rest = if cut.len() < why.len() { " …" } else { "" };
        Error::Device(format!(
            "backend `{word}` found no usable device {index} on this machine: {cut}{rest}; check the driver, or set `backend.kind = \"cpu\"`"
        ))
    })
}

/// An error message for devices that SPIR-V must not be used on. The compiler of Mesa's software Vulkan (llvmpipe,
/// 22.3) crashes the whole process on CubeCL's SPIR-V, which cannot be caught.
#[cfg(feature = "vulkan")]
fn crashes(name: &str) -> Option<String> {
    let why = || format!("{name} crashes on SPIR-V; for it, build with `--features wgpu` and not `vulkan`");
    name.starts_with("llvmpipe").then(why)
}

/// Runs `f` with panic output suppressed. If it panics, the error is the message of the first panic, which may have
/// happened on another thread.
#[cfg(feature = "cube")]
fn quietly<T>(f: impl FnOnce() -> T + std::panic::UnwindSafe) -> std::result::Result<T, String> {
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};
    // The panic hook is global: two calls at a time would restore each other's hook.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let first = Arc::new(OnceLock::new());
    let (usual, said) = (std::panic::take_hook(), first.clone());
    std::panic::set_hook(Box::new(move |info| {
        let _ = said.set(info.payload_as_str().unwrap_or("a panic without words").to_owned());
    }));
    let done = std::panic::catch_unwind(f);
    std::panic::set_hook(usual);
    done.map_err(|_| first.get().cloned().unwrap_or_default())
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
    #[cfg(feature = "cuda")]
    if let Some(free) = crate::gpu::free(device) {
        let kept = device.memory_pool_usage().map_or(0, |m| m.bytes_reserved.saturating_sub(m.bytes_in_use));
        return Some(free + kept);
    }
    let _ = device;
    None
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

/// A device of this machine that this binary can use.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Found {
    /// The value of `backend.kind` that selects it.
    pub backend: &'static str,
    /// The value of `backend.device` that selects it.
    pub index: usize,
    /// Its name, from its driver.
    pub name: String,
    /// The values of `model.dtype` that it supports.
    pub dtypes: Vec<&'static str>,
    /// Bytes of its memory, where the driver says.
    pub memory: Option<u64>,
    /// CUDA only: whether cuBLAS was found, which prefill uses.
    pub cublas: Option<bool>,
}

/// The values of `model.dtype` that a device computes in.
fn supported(device: &Device) -> Vec<&'static str> {
    let types = [("f32", DType::F32), ("bf16", DType::BF16), ("f16", DType::F16)];
    types.iter().filter(|(_, d)| device.supports_dtype(*d)).map(|(name, _)| *name).collect()
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
    let all = std::iter::once(cpu);
    #[cfg(feature = "cuda")]
    let all = all.chain(of_backend(BackendKind::Cuda, "cuda"));
    #[cfg(feature = "wgpu")]
    let all = all.chain(of_backend(BackendKind::Wgpu, "wgpu"));
    all.collect()
}

/// The devices of a backend: indices from 0 until one does not open, at most 16.
#[cfg(feature = "cube")]
fn of_backend(kind: BackendKind, backend: &'static str) -> Vec<Found> {
    (0..16)
        .map_while(|index| open(kind, index).ok().map(|d| (index, d)))
        .map(|(index, device)| (index, crate::gpu::able(&device), device))
        .map(|(index, able, device)| Found {
            backend,
            index,
            name: device.identity().map_or_else(|| "a device without a name".into(), |i| i.name),
            dtypes: supported(&device),
            memory: able.memory,
            cublas: (kind == BackendKind::Cuda).then_some(able.library),
        })
        .collect()
}
