//! Launches of matrix products, as planned.
use super::capabilities::{on_cuda, plane};
use super::grid::{FOUR, cubes, like, of_type, units};
use crate::gpu::plan::{How, Plan, VECTOR};
use crate::gpu::{few, many};
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::prelude::{Float, Numeric};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

/// Launches the product that `plan` chose; see [`crate::gpu::Ops::product`].
pub(super) fn product(x: CubeTensor, w: CubeTensor, plan: Plan) -> CubeTensor {
    let ([rows, inner], columns) = ([0, 1].map(|d| x.meta.shape()[d]), w.meta.shape()[0]);
    let out = like(&x, Shape::new([plan.splits, plan.padded, columns]), plan.result(x.dtype));
    let stride = w.meta.strides()[0] / VECTOR;
    let plane = plane(&x);
    of_type!(x.dtype, F => match plan.how {
        How::Dots => few::dots::launch::<F>(
            &out.client,
            cubes(columns.div_ceil(few::DOT_UNITS / plane), plan.splits),
            units(few::DOT_UNITS),
            VECTOR,
            into_contiguous(x).into_buffer_arg(),
            w.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            stride,
            columns,
            inner / VECTOR,
            plan.splits,
            rows,
            plane,
        ),
        // SPIR-V vectors hold at most four elements: of 16-bit numbers, half of what CUDA loads at once. 32-bit
        // words make up for it.
        How::Tiles { tall, depth } if on_cuda(&out) => tiles::<F, F>(x, w, &out, VECTOR, plan.splits, tall, depth),
        How::Tiles { tall, depth } => tiles::<F, u32>(x, w, &out, FOUR, plan.splits, tall, depth),
        How::Many => many::many::launch::<F>(
            &out.client,
            cubes(rows.div_ceil(many::ROWS), columns.div_ceil(many::COLUMNS)),
            units(many::UNITS),
            VECTOR,
            into_contiguous(x).into_buffer_arg(),
            w.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows,
            columns,
            inner / VECTOR,
            stride,
            inner,
        ),
        How::Library => {
            #[cfg(feature = "cuda")]
            crate::gpu::library::product(&into_contiguous(x), &w, &out);
            #[cfg(not(feature = "cuda"))]
            unreachable!("planned only where it was found");
        }
    });
    out
}

/// Launches `few::tiles` over vectors of `words` elements of type W.
fn tiles<F: Float, W: Numeric>(
    x: CubeTensor,
    w: CubeTensor,
    out: &CubeTensor,
    words: usize,
    splits: usize,
    tall: usize,
    depth: usize,
) {
    let ([rows, inner], columns) = ([0, 1].map(|d| x.meta.shape()[d]), w.meta.shape()[0]);
    let stride = w.meta.strides()[0] / VECTOR;
    few::tiles::launch::<F, W>(
        &out.client,
        cubes(columns.div_ceil(few::TILE_COLUMNS), splits),
        units(few::TILE_UNITS),
        words,
        into_contiguous(x).into_buffer_arg(),
        w.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        rows,
        stride,
        columns,
        inner,
        splits,
        tall,
        depth,
        VECTOR,
    );
}
