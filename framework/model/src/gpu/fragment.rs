//! Fragments of 16 × 16 numbers for matrix units (tensor cores), which `tiles`, `many` and `flash` multiply. They are
//! loaded from slices of numbers or of vectors; a pitch counts scalar elements of the slice's type.
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// An f32 accumulator fragment of zeros.
#[cube]
pub fn zeros() -> cmma::Matrix<f32> {
    cmma::Matrix::<f32>::from_value(
        cmma::MatrixIdent::Accumulator,
        16usize,
        16usize,
        16usize,
        cmma::MatrixLayout::Undefined,
        0.0,
    )
}

/// An A fragment (left operand) from row-major data whose rows begin `pitch` apart.
#[cube]
pub fn left<F: Float, T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<F> {
    filled::<F, T>(from, cmma::MatrixIdent::A, cmma::MatrixLayout::RowMajor, pitch)
}

/// A B fragment (right operand) from column-major data whose columns begin `pitch` apart.
#[cube]
pub fn right<F: Float, T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<F> {
    filled::<F, T>(from, cmma::MatrixIdent::B, cmma::MatrixLayout::ColMajor, pitch)
}

/// A B fragment (right operand) from row-major data whose rows begin `pitch` apart.
#[cube]
pub fn right_of_rows<F: Float, T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<F> {
    filled::<F, T>(from, cmma::MatrixIdent::B, cmma::MatrixLayout::RowMajor, pitch)
}

/// Loads a fragment of type F. The data may be held as words of another type T.
#[cube]
fn filled<F: Float, T: CubePrimitive>(
    from: &[T],
    #[comptime] side: cmma::MatrixIdent,
    #[comptime] layout: cmma::MatrixLayout,
    #[comptime] pitch: usize,
) -> cmma::Matrix<F> {
    let mut tile = cmma::Matrix::<F>::from_value(side, 16usize, 16usize, 16usize, layout, F::new(0.0));
    cmma::load(&mut tile, from, comptime!(pitch as u32));
    tile
}
