//! Products with weights in blocks, on the processor: blocks of a tile of weights are widened to f32 once and
//! multiplied by a few rows while they are in registers. A sum runs over a row's numbers in their order, whatever
//! rows stand beside it, so a row's result does not depend on its neighbours.
use super::{BLOCK, Blocks, TILE, halves, size};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of x whose sums of a tile stay in the nearest memory.
const CHUNK: usize = 64;
/// Tasks that a product is dealt out in, where it has as many tiles.
const TASKS: usize = 16;

impl Blocks {
    /// x `[rows, columns]` · wᵀ: `[rows, self.rows]`.
    pub fn product(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut out = vec![0f32; self.rows * rows];
        let share = TILE * self.rows.div_ceil(TILE).div_ceil(TASKS);
        // Some tiles' part of every row.
        let mut shares: Vec<Vec<&mut [f32]>> = (0..self.rows.div_ceil(share)).map(|_| Vec::new()).collect();
        for row in out.chunks_mut(self.rows) {
            shares.iter_mut().zip(row.chunks_mut(share)).for_each(|(s, part)| s.push(part));
        }
        let arch = Arch::new();
        shares.into_par_iter().enumerate().for_each(|(i, out)| {
            arch.dispatch(Share { blocks: self, x, first: i * share / TILE, out });
        });
        out
    }
}

/// Tiles of a product, from `first` on; `out` is their part of each row.
struct Share<'a> {
    blocks: &'a Blocks,
    x: &'a [f32],
    first: usize,
    out: Vec<&'a mut [f32]>,
}

impl WithSimd for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.out.first().map_or(0, |part| part.len());
        let columns = self.blocks.columns;
        for (rows, x) in self.out.chunks_mut(CHUNK).zip(self.x.chunks(CHUNK * columns)) {
            for t in 0..width.div_ceil(TILE) {
                let mut sums = [0f32; CHUNK * TILE];
                let sums = &mut sums[..rows.len() * TILE];
                let tile = self.first + t;
                // As many vectors as a tile has, by rows that leave registers for the weights.
                match S::F32_LANES {
                    16 => many::<S, 2, 8>(simd, self.blocks, tile, x, sums),
                    8 => many::<S, 4, 2>(simd, self.blocks, tile, x, sums),
                    4 => many::<S, 8, 2>(simd, self.blocks, tile, x, sums),
                    _ => many::<S, TILE, 1>(simd, self.blocks, tile, x, sums),
                }
                let from = t * TILE;
                let most = (width - from).min(TILE);
                for (row, sums) in rows.iter_mut().zip(sums.chunks(TILE)) {
                    row[from..from + most].copy_from_slice(&sums[..most]);
                }
            }
        }
    }
}

/// Sums `[rows, TILE]` of a tile of `V` vectors, `R` rows at a time.
#[inline(always)]
fn many<S: Simd, const V: usize, const R: usize>(simd: S, w: &Blocks, tile: usize, x: &[f32], sums: &mut [f32]) {
    let (columns, rows, per_row) = (w.columns, sums.len() / TILE, w.columns / BLOCK);
    let mut wide = [[0f32; TILE]; BLOCK];
    for b in 0..per_row {
        let at = tile * per_row + b;
        let codes = &w.codes[at * size(w.four)..][..size(w.four)];
        let scales = vectors::<S, V>(&w.scales[at * TILE..][..TILE]);
        let x = &x[b * BLOCK..];
        if rows == 1 {
            // Nobody to share what is widened with: it need not be written down.
            match w.four {
                true => alone::<S, V, true>(simd, codes, scales, x, sums),
                false => alone::<S, V, false>(simd, codes, scales, x, sums),
            }
            continue;
        }
        match w.four {
            true => wide.iter_mut().enumerate().for_each(|(k, wide)| widen::<true>(codes, k, wide)),
            false => wide.iter_mut().enumerate().for_each(|(k, wide)| widen::<false>(codes, k, wide)),
        }
        let mut row = 0;
        while row < rows {
            let (x, sums) = (&x[row * columns..], &mut sums[row * TILE..]);
            row += match rows - row {
                left if left >= R => add::<S, V, R>(simd, &wide, scales, x, columns, sums),
                left if left >= 4 && R > 4 => add::<S, V, 4>(simd, &wide, scales, x, columns, sums),
                left if left >= 2 && R > 2 => add::<S, V, 2>(simd, &wide, scales, x, columns, sums),
                _ => add::<S, V, 1>(simd, &wide, scales, x, columns, sums),
            };
        }
    }
}

/// Adds a block's products of `R` rows, whose numbers begin `columns` apart, to their sums. Tells `R`.
#[inline(always)]
fn add<S: Simd, const V: usize, const R: usize>(
    simd: S,
    wide: &[[f32; TILE]; BLOCK],
    scales: &[S::f32s; V],
    x: &[f32],
    columns: usize,
    sums: &mut [f32],
) -> usize {
    let mut block = [[simd.splat_f32s(0.0); V]; R];
    let x: [&[f32]; R] = std::array::from_fn(|r| &x[r * columns..][..BLOCK]);
    for (k, wide) in wide.iter().enumerate() {
        let w = vectors::<S, V>(wide);
        for (block, x) in block.iter_mut().zip(x) {
            let x = simd.splat_f32s(x[k]);
            block.iter_mut().zip(w).for_each(|(sum, w)| *sum = simd.mul_add_f32s(x, *w, *sum));
        }
    }
    for (block, sums) in block.iter().zip(sums.chunks_mut(TILE)) {
        scaled(simd, block, scales, sums);
    }
    R
}

/// The same of one row, with weights as they are held.
#[inline(always)]
fn alone<S: Simd, const V: usize, const FOUR: bool>(
    simd: S,
    codes: &[i8],
    scales: &[S::f32s; V],
    x: &[f32],
    sums: &mut [f32],
) {
    let mut block = [simd.splat_f32s(0.0); V];
    for (k, x) in x[..BLOCK].iter().enumerate() {
        let mut wide = [0f32; TILE];
        widen::<FOUR>(codes, k, &mut wide);
        let x = simd.splat_f32s(*x);
        let w = vectors::<S, V>(&wide);
        block.iter_mut().zip(w).for_each(|(sum, w)| *sum = simd.mul_add_f32s(x, *w, *sum));
    }
    scaled(simd, &block, scales, sums);
}

#[inline(always)]
fn scaled<S: Simd, const V: usize>(simd: S, block: &[S::f32s; V], scales: &[S::f32s; V], sums: &mut [f32]) {
    let (sums, _) = S::as_mut_simd_f32s(&mut sums[..TILE]);
    for ((sum, block), scale) in sums.iter_mut().zip(block).zip(scales) {
        *sum = simd.mul_add_f32s(*block, *scale, *sum);
    }
}

/// Number `k` of each block of a tile. The loops are such that the compiler makes vectors of them.
#[inline(always)]
fn widen<const FOUR: bool>(codes: &[i8], k: usize, wide: &mut [f32; TILE]) {
    let half = BLOCK / 2;
    let codes = &codes[if FOUR { k % half } else { k } * TILE..][..TILE];
    let mut whole = [0i8; TILE];
    match (FOUR, k < half) {
        (true, true) => whole.iter_mut().zip(codes).for_each(|(whole, code)| *whole = halves(*code)[0]),
        (true, false) => whole.iter_mut().zip(codes).for_each(|(whole, code)| *whole = halves(*code)[1]),
        _ => whole.copy_from_slice(codes),
    }
    for (wide, whole) in wide.iter_mut().zip(whole) {
        *wide = f32::from(whole);
    }
}

/// The `V` vectors of a tile.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(tile: &[f32]) -> &[S::f32s; V] {
    let (vectors, _) = S::as_simd_f32s(tile);
    let Ok(vectors) = vectors.try_into() else { unreachable!("a tile is V vectors") };
    vectors
}
