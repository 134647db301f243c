//! Tiles of 16 × 16 numbers in matrix units: what `tiles`, `many` and `flash` multiply. Pitches are in numbers.
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// A tile to add up in.
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

/// A left side, whose rows begin `pitch` apart.
#[cube]
pub fn left<T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<T> {
    cmma::Matrix::<T>::from_slice(
        cmma::MatrixIdent::A,
        16usize,
        16usize,
        16usize,
        cmma::MatrixLayout::RowMajor,
        from,
        comptime!(pitch as u32),
    )
}

/// A right side, whose columns begin `pitch` apart.
#[cube]
pub fn right<T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<T> {
    cmma::Matrix::<T>::from_slice(
        cmma::MatrixIdent::B,
        16usize,
        16usize,
        16usize,
        cmma::MatrixLayout::ColMajor,
        from,
        comptime!(pitch as u32),
    )
}

/// A right side, whose rows begin `pitch` apart.
#[cube]
pub fn right_of_rows<T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<T> {
    cmma::Matrix::<T>::from_slice(
        cmma::MatrixIdent::B,
        16usize,
        16usize,
        16usize,
        cmma::MatrixLayout::RowMajor,
        from,
        comptime!(pitch as u32),
    )
}
