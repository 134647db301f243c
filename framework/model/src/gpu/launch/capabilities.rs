//! What a tensor's device is capable of, as CubeCL tells.
use crate::gpu::plan::Able;
use burn_cubecl::cubecl::{features::Plane, ir};
use burn_cubecl::tensor::CubeTensor;

/// Plane size, where it is fixed and planes can reduce; else 0.
pub(super) fn plane(x: &CubeTensor) -> usize {
    let hardware = &x.client.properties().hardware;
    let fixed = hardware.plane_size_min == hardware.plane_size_max;
    let adds = x.client.features().plane.contains(Plane::Ops);
    if fixed && adds { hardware.plane_size_max as usize } else { 0 }
}

/// Reads the capabilities of a tensor's device.
pub(super) fn able(x: &CubeTensor) -> Able {
    let (hardware, features) = (&x.client.properties().hardware, x.client.features());
    let takes = |kind| {
        let (elem, sum) = (ir::ElemType::Float(kind), ir::ElemType::Float(ir::FloatKind::F32));
        let found = |c: &ir::features::MmaConfig| {
            (c.a_type, c.b_type, c.cd_type) == (elem, elem, sum) && (c.m, c.n, c.k) == (16, 16, 16)
        };
        features.matmul.cmma.iter().any(found)
    };
    Able {
        plane: plane(x),
        bf16: takes(ir::FloatKind::BF16),
        f16: takes(ir::FloatKind::F16),
        shared: hardware.max_shared_memory_size,
        processors: hardware.num_streaming_multiprocessors.unwrap_or(128) as usize,
        library: library(x),
        deep: on_cuda(x),
        memory: x.client.properties().memory.max_memory(),
        largest: Some(x.client.properties().memory.max_page_size),
    }
}

/// Whether a tensor is on CUDA.
pub(super) fn on_cuda(x: &CubeTensor) -> bool {
    x.client.name() == "cuda"
}

/// Whether cuBLAS is available for a tensor's device.
fn library(x: &CubeTensor) -> bool {
    #[cfg(feature = "cuda")]
    let found = crate::gpu::library::found();
    #[cfg(not(feature = "cuda"))]
    let found = false;
    found && on_cuda(x)
}
