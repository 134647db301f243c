//! Tiles of 16 × 16 numbers in matrix units: what `tiles`, `many` and `flash` multiply. They are filled from slices of
//! numbers, or of vectors; a pitch counts the numbers, or words, that those are made of.
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
pub fn left<F: Float, T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<F> {
    filled::<F, T>(from, cmma::MatrixIdent::A, cmma::MatrixLayout::RowMajor, pitch)
}

/// A right side, whose columns begin `pitch` apart.
#[cube]
pub fn right<F: Float, T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<F> {
    filled::<F, T>(from, cmma::MatrixIdent::B, cmma::MatrixLayout::ColMajor, pitch)
}

/// A right side, whose rows begin `pitch` apart.
#[cube]
pub fn right_of_rows<F: Float, T: CubePrimitive>(from: &[T], #[comptime] pitch: usize) -> cmma::Matrix<F> {
    filled::<F, T>(from, cmma::MatrixIdent::B, cmma::MatrixLayout::RowMajor, pitch)
}

/// A tile of what may lie in other words than its numbers.
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
