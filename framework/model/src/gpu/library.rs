//! Matrix products of many rows by cuBLAS, where a CUDA machine has it. Its kernels use instructions of the card's
//! tensor cores that CubeCL cannot emit yet, and prefill consists mostly of such products.
//!
//! It runs on Burn's own stream, so nothing waits for it and a recorded graph can contain it.
use burn::tensor::DType;
use burn_cubecl::cubecl::{client::Client, cuda::CudaRuntime, server::BufferBinding, server::ServerStorage};
use burn_cubecl::tensor::CubeTensor;
use cubecl_common::{device::DeviceId, device_handle::DeviceHandle};
use cubecl_environment::stream::StreamId;
use cubecl_runtime::{runtime::Runtime, server::Server as _};
use cubecl_server::storage::{ComputeStorage, ManagedResource};
use cubecl_server::stream::WriteScoped;
use cudarc::cublas::{result, sys};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

type Server = <CudaRuntime as Runtime>::Server;
type Memory = ManagedResource<<<Server as ServerStorage>::Storage as ComputeStorage>::Resource>;

/// Bytes of cuBLAS's workspace: the size that its documentation recommends for Hopper.
const WORKSPACE: usize = 32 << 20;

/// Whether this machine has cuBLAS. Loads it at the first call.
#[allow(unsafe_code)]
pub fn found() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    // SAFETY: loads the library as a program linked to it would.
    *FOUND.get_or_init(|| unsafe { sys::is_culib_present() })
}

/// Free bytes of the memory of a tensor's device; `None` unless it is CUDA's.
pub fn free(x: &CubeTensor) -> Option<u64> {
    if x.client.name() != "cuda" {
        return None;
    }
    let stream = StreamId::current();
    let task = move |server: &mut Server| {
        // Makes the device's context current on this thread.
        server.flush(stream).ok()?;
        cudarc::driver::result::mem_get_info().ok()
    };
    let (free, _) = DeviceHandle::<Server>::new(x.client.service_id().device).submit_blocking(task).ok()??;
    Some(free as u64)
}

/// A cuBLAS handle for one stream of a device, with a workspace of its own, which streams must not share.
struct Open {
    handle: sys::cublasHandle_t,
    workspace: Memory,
}

// SAFETY: the handle refers to a library object that lives as long as the process; one thread at a time uses it,
// under the lock of `OPEN`.
#[allow(unsafe_code)]
unsafe impl Send for Open {}

static OPEN: LazyLock<Mutex<HashMap<(DeviceId, StreamId), Open>>> = LazyLock::new(Mutex::default);

/// Writes x `[rows, inner]` · wᵀ, w `[columns, inner]`, to `out` `[rows, columns]`; all bf16 or all f16, with f32
/// accumulators. x and `out` must be contiguous.
///
/// # Panics
/// When cuBLAS returns an error.
pub fn product(x: &CubeTensor, w: &CubeTensor, out: &CubeTensor) {
    let shape = [x.meta.shape()[0], x.meta.shape()[1], w.meta.shape()[0]];
    if let Err(why) = multiply(x, w, out, shape.map(|n| n as i32)) {
        let [rows, inner, columns] = shape;
        panic!("cuBLAS could not multiply [{rows}, {inner}] by [{inner}, {columns}]: {why}");
    }
}

#[allow(unsafe_code)]
fn multiply(x: &CubeTensor, w: &CubeTensor, out: &CubeTensor, [rows, inner, columns]: [i32; 3]) -> Result<(), String> {
    let dtype = match x.dtype {
        DType::BF16 => sys::cudaDataType::CUDA_R_16BF,
        DType::F16 => sys::cudaDataType::CUDA_R_16F,
        other => return Err(format!("{other:?} is not a type for it")),
    };
    let (client, stream) = (&x.client, StreamId::current());
    let id = client.service_id().device;
    let device = DeviceHandle::<Server>::new(id);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !open.contains_key(&(id, stream)) {
        open.insert((id, stream), Open::new(client, &device, stream)?);
    }
    let Some(open) = open.get(&(id, stream)) else { unreachable!("opened above") };
    let bindings = [x, w, out].map(|t| t.handle.clone().binding());
    let stride = w.meta.strides()[0] as i32;
    // Passed as addresses, because the task may run on the device's own thread.
    let (handle, workspace) = (open.handle as usize, open.workspace.resource().ptr);
    let task = |server: &mut Server| {
        let [x, w, out] = bindings.map(|b| memory(server, b, stream));
        let (x, w, out) = (x?, w?, out?);
        let [x, w, out] = [&x, &w, &out].map(|m| m.resource().ptr as *mut c_void);
        let on = server.write_streams().try_stream_mut(&stream).ok_or("the stream is gone")?.sys;
        let (handle, workspace) = (handle as sys::cublasHandle_t, workspace as *mut c_void);
        let (one, zero) = (1f32, 0f32);
        let [one, zero] = [&raw const one, &raw const zero].map(|p| p.cast::<c_void>());
        let (turned, plain) = (sys::cublasOperation_t::CUBLAS_OP_T, sys::cublasOperation_t::CUBLAS_OP_N);
        let (sums, algorithm) =
            (sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT);
        // SAFETY: the pointers are device memory that the bindings keep allocated, at least as large as the shapes
        // say; the call is enqueued on the stream of everything that writes and reads it, under the device's lock.
        // cuBLAS is column-major: in its terms the result is outᵀ = w · xᵀ.
        unsafe {
            // Setting the stream resets the workspace.
            result::set_stream(handle, on.cast()).map_err(told)?;
            sys::cublasSetWorkspace_v2(handle, workspace, WORKSPACE).result().map_err(told)?;
            let (m, n, k) = (columns, rows, inner);
            result::gemm_ex(
                handle, turned, plain, m, n, k, one, w, dtype, stride, x, dtype, inner, zero, out, dtype, m, sums,
                algorithm,
            )
            .map_err(told)
        }
    };
    device.submit_blocking(task).map_err(|e| format!("{e:?}"))?
}

impl Open {
    #[allow(unsafe_code)]
    fn new(client: &Client, device: &DeviceHandle<Server>, stream: StreamId) -> Result<Self, String> {
        let workspace = client.memory_persistent_allocation((), |()| client.empty(WORKSPACE)).binding();
        let task = |server: &mut Server| {
            // Makes the device's context, which the handle belongs to, current on this thread.
            let workspace = memory(server, workspace, stream)?;
            let handle = result::create_handle().map_err(told)?;
            let exact = sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
            // SAFETY: the handle was created above. The mode keeps split-K reductions in f32.
            unsafe { sys::cublasSetMathMode(handle, exact) }.result().map_err(told)?;
            Ok(Self { handle, workspace })
        };
        device.submit_blocking(task).map_err(|e| format!("{e:?}"))?
    }
}

fn memory(server: &mut Server, binding: BufferBinding, stream: StreamId) -> Result<Memory, String> {
    server.get_resource(binding, stream).map_err(|e| e.to_string())
}

fn told(e: result::CublasError) -> String {
    format!("{e:?}")
}
