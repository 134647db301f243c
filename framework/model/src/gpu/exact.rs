//! Matrix products on a GPU that keep f32 precision.
//!
//! Burn autotunes matrix products at run time, and its tensor-core candidates for f32 round their inputs to tf32 (10
//! bits of mantissa). Which candidate wins depends on the shape and the machine. A run that asks for f32 must get it,
//! so f32 products go to cubek's register kernel: full precision, and an order of summation per output value that
//! does not depend on the number of rows.
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::{CubeBackend, ops::numeric::empty_device_dtype, tensor::CubeTensor};
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek::matmul::{launch::launch_ref, multi_level, strategy::Strategy};
use cubek::std::InputBinding;

/// `[.., m, k] · [.., k, n]` → `[.., m, n]` without rounding the inputs. The leading dimensions must be equal.
///
/// # Panics
/// When the device runs neither of cubek's kernels for these shapes.
pub fn product<const D: usize>(lhs: Tensor<D>, rhs: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Exact>::exact_product(lhs.into_dispatch(), rhs.into_dispatch()))
}

/// The operation that Burn dispatches to the device's backend.
#[backend_extension(Cube, Fusion)]
pub trait Exact: Backend {
    /// See [`product`].
    #[fusion(dtype = lhs, shape = output(lhs, rhs))]
    fn exact_product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn output(lhs: &Shape, rhs: &Shape) -> Shape {
    let mut shape = lhs.clone();
    let last = shape.num_dims() - 1;
    shape[last] = rhs[last];
    shape
}

impl Exact for CubeBackend {
    fn exact_product(lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
        let shape = output(lhs.meta.shape(), rhs.meta.shape());
        let out = empty_device_dtype(lhs.client.clone(), lhs.device.clone(), shape, lhs.dtype);
        let unit = Strategy::MultiLevel(multi_level::Strategy::SimpleUnit(Default::default()));
        if launch(&unit, &lhs, &rhs, &out).is_err() {
            // The register kernel refuses some shapes; the naive kernel takes every shape.
            let naive = Strategy::MultiLevel(multi_level::Strategy::Naive);
            if let Err(e) = launch(&naive, &lhs, &rhs, &out) {
                panic!("no product of {:?} by {:?} on this device: {e:?}", lhs.meta.shape(), rhs.meta.shape());
            }
        }
        out
    }
}

#[allow(clippy::result_large_err)] // the library's error type
fn launch(strategy: &Strategy, lhs: &CubeTensor, rhs: &CubeTensor, out: &CubeTensor) -> Result<(), MatmulSetupError> {
    let element = dtype_to_storage_type(lhs.dtype);
    let mut elements = MatmulElems::from_globals(&MatmulGlobalElems { lhs: element, rhs: element, out: element });
    let input = |t: &CubeTensor| InputBinding::new(t.clone().binding(), element);
    launch_ref(strategy, &out.client, input(lhs), input(rhs), out.clone().binding(), &mut elements)
}
