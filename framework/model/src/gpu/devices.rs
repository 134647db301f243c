//! The GPUs of this machine: opening and listing them.
use crate::found::{Found, supported};
use crate::{Error, Result};
use burn::tensor::Device;
use friction_core::manifest::BackendKind;

/// Opens GPU `index` of a backend; `None` where the backend is not one, or was not built in.
pub(crate) fn open(kind: BackendKind, index: usize) -> Option<Result<Device>> {
    match kind {
        #[cfg(feature = "cuda")]
        BackendKind::Cuda => Some(guarded("cuda", index, move || Device::cuda(index))),
        #[cfg(feature = "wgpu")]
        BackendKind::Wgpu => Some(guarded("wgpu", index, move || {
            use burn::tensor::DeviceKind;
            Device::wgpu(if index == 0 { DeviceKind::DefaultDevice } else { DeviceKind::DiscreteGpu(index) })
        })),
        _ => None,
    }
}

/// The GPUs of this machine that this binary can use.
pub(crate) fn found() -> Vec<Found> {
    let mut all = vec![];
    #[cfg(feature = "cuda")]
    all.extend(of_backend(BackendKind::Cuda, "cuda"));
    #[cfg(feature = "wgpu")]
    all.extend(of_backend(BackendKind::Wgpu, "wgpu"));
    all
}

/// Opens a device and computes one sum on it. Backends start lazily and panic where the machine lacks the device;
/// this turns the panic into an error.
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

/// The devices of a backend: indices from 0 until one does not open, at most 16.
fn of_backend(kind: BackendKind, backend: &'static str) -> Vec<Found> {
    (0..16)
        .map_while(|index| open(kind, index)?.ok().map(|d| (index, d)))
        .map(|(index, device)| (index, super::able(&device), device))
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
