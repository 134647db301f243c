//! What every launch takes: the Rust type of a dtype, the size of the grid, and a buffer for the result.
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};

/// Numbers that elementwise kernels load at once.
pub(super) const FOUR: usize = 4;

/// Evaluates an expression with `$f` as the Rust type of a float dtype.
macro_rules! of_type {
    ($dtype:expr, $f:ident => $launch:expr) => {
        match $dtype {
            DType::F32 => {
                type $f = f32;
                $launch
            }
            DType::BF16 => {
                type $f = half::bf16;
                $launch
            }
            DType::F16 => {
                type $f = half::f16;
                $launch
            }
            other => panic!("a model of {other:?} cannot be"),
        }
    };
}
pub(super) use of_type;

/// Evaluates an expression with `$y` as the type that a kernel reads and `$f` as the type it writes: split-K products
/// are f32, other products are in the model's dtype.
macro_rules! of_types {
    ($from:expr, $to:expr, $y:ident, $f:ident => $launch:expr) => {
        of_type!($to, $f => if $from == DType::F32 {
            type $y = f32;
            $launch
        } else {
            assert_eq!($from, $to, "a product is in f32 or in the model's type");
            type $y = $f;
            $launch
        })
    };
}
pub(super) use of_types;

/// An uninitialised contiguous tensor on the device of `x`.
pub(super) fn like(x: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, dtype)
}

/// A grid of x × y cubes.
pub(super) fn cubes(x: usize, y: usize) -> CubeCount {
    CubeCount::Static(x as u32, y as u32, 1)
}

/// A cube of `n` units.
pub(super) fn units(n: usize) -> CubeDim {
    CubeDim::new_1d(n as u32)
}

/// Number of parts of a product, and the distances between parts and between rows, in numbers.
pub(super) fn parts(y: &CubeTensor) -> (usize, usize, usize) {
    let (shape, strides) = (y.meta.shape(), y.meta.strides());
    assert!(strides[2] == 1 || shape[2] == 1, "the numbers of a row must follow each other");
    (shape[0], strides[0], strides[1])
}
