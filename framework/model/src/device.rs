//! Burn's run-time devices, by the manifest's word.
use crate::{Error, Result};
use burn::tensor::{DType, Device};
use friction_core::manifest::{BackendKind, ModelDtype};

/// Opens a device.
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

/// Backends start lazily and panic when the machine lacks the device: touch it once, turn a panic
/// into an error.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn guarded(word: &str, index: usize, make: impl FnOnce() -> Device + std::panic::UnwindSafe) -> Result<Device> {
    std::panic::catch_unwind(|| {
        let device = make();
        let probe = burn::tensor::Tensor::<1>::from_data([1.0f32, 2.0], &device).sum().into_data();
        (device, probe.try_to_vec::<f32>().is_ok())
    })
    .ok()
    .and_then(|(d, ok)| ok.then_some(d))
    .ok_or_else(|| Error::Device(format!("backend `{word}` found no usable device {index} on this machine; check the driver, or set `backend.kind = \"cpu\"`")))
}

/// Burn's name of a manifest dtype, checked against the device.
///
/// # Errors
/// When the device lacks the type.
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
