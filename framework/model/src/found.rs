//! A device as a list of this machine's devices tells it.
use burn::tensor::{DType, Device};

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
pub(crate) fn supported(device: &Device) -> Vec<&'static str> {
    let types = [("f32", DType::F32), ("bf16", DType::BF16), ("f16", DType::F16)];
    types.iter().filter(|(_, d)| device.supports_dtype(*d)).map(|(name, _)| *name).collect()
}
