//! Products with weights in blocks, on the processor: a panel of weights is widened to f32 once and multiplied by
//! a few rows while it is in registers. Each sum is kept in vector lanes in one order, whatever rows stand beside
//! it, so a row's result does not depend on its neighbours.
use super::{BLOCK, Blocks};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of x that share a widened block.
const ROWS: usize = 4;
/// Columns of the result that a task computes at least.
const TASK: usize = 64;

impl Blocks {
    /// x `[rows, columns]` · wᵀ: `[rows, self.rows]`.
    pub fn product(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let outs = self.rows;
        // Column after column, so that tasks write apart from each other; turned at the end.
        let mut turned = vec![0f32; outs * rows];
        let arch = Arch::new();
        turned.par_chunks_mut(TASK * rows).enumerate().for_each(|(task, out)| {
            arch.dispatch(Columns { blocks: self, x, rows, first: task * TASK, out });
        });
        if rows == 1 {
            return turned;
        }
        let mut out = vec![0f32; outs * rows];
        out.par_chunks_mut(outs).enumerate().for_each(|(r, out)| {
            out.iter_mut().zip(turned.chunks(rows)).for_each(|(o, column)| *o = column[r]);
        });
        out
    }
}

/// Columns of a product, from `first` on; `out` holds the rows of each, one column after the other.
struct Columns<'a> {
    blocks: &'a Blocks,
    x: &'a [f32],
    rows: usize,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A few rows stay in the nearest memory while all columns of the task pass by.
        let columns = self.out.len() / self.rows;
        let mut row = 0;
        while row < self.rows {
            let most = self.rows - row;
            for i in 0..columns {
                let out = &mut self.out[i * self.rows + row..(i + 1) * self.rows];
                let column = self.first + i;
                if most >= ROWS {
                    sums::<S, ROWS>(simd, self.blocks, column, self.x, row, out);
                } else {
                    sums::<S, 1>(simd, self.blocks, column, self.x, row, out);
                }
            }
            row += if most >= ROWS { ROWS } else { 1 };
        }
    }
}

/// One column of `R` rows.
#[inline(always)]
fn sums<S: Simd, const R: usize>(simd: S, w: &Blocks, column: usize, x: &[f32], row: usize, out: &mut [f32]) {
    let width = w.columns;
    let per_row = width / BLOCK;
    // Two sums a row: neighbouring vectors do not wait for each other. A block is an even number of vectors up to
    // 16 numbers wide.
    let mut sums = [[simd.splat_f32s(0.0); 2]; R];
    let mut wide = [0f32; BLOCK];
    for b in 0..per_row {
        w.block(column * per_row + b, &mut wide);
        let (wide, _) = S::as_simd_f32s(&wide);
        for (r, sums) in sums.iter_mut().enumerate() {
            let from = (row + r) * width + b * BLOCK;
            let (x, _) = S::as_simd_f32s(&x[from..from + BLOCK]);
            for (w, x) in wide.chunks_exact(2).zip(x.chunks_exact(2)) {
                sums[0] = simd.mul_add_f32s(w[0], x[0], sums[0]);
                sums[1] = simd.mul_add_f32s(w[1], x[1], sums[1]);
            }
        }
    }
    for (out, [a, b]) in out.iter_mut().zip(sums) {
        *out = simd.reduce_sum_f32s(simd.add_f32s(a, b));
    }
}
