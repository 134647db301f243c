//! Matrix products with weights in blocks, on the processor. A tile of weights is dequantised to f32 once per block
//! (f32 weights need no conversion) and multiplied by several rows of x while it is in cache. Each output adds its
//! products in the order of the columns whatever the number of rows, so a row's result does not depend on its
//! neighbours.
use super::ahead::Ahead;
use super::{BLOCK, Blocks, Codes, TILE, WORDS};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows of x that are processed together: their sums over one tile stay in the L1 cache.
const CHUNK: usize = 64;
/// Parallel tasks of a product, where it has as many tiles.
const TASKS: usize = 16;

impl Blocks {
    /// x `[rows, columns]` · wᵀ → `[rows, self.rows]`, row-major, in f32.
    pub fn product(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut out = vec![0f32; self.rows * rows];
        let share = TILE * self.rows.div_ceil(TILE).div_ceil(TASKS);
        // Each task gets some tiles: a slice of every output row.
        let mut shares: Vec<Vec<&mut [f32]>> = (0..self.rows.div_ceil(share)).map(|_| Vec::new()).collect();
        for row in out.chunks_mut(self.rows) {
            shares.iter_mut().zip(row.chunks_mut(share)).for_each(|(s, part)| s.push(part));
        }
        // For a single row of q4, codes are used without shifting them down: code m of a half-word is then too large
        // by 16^m (1, 16, 256 or 4096). Scaling x by the inverse power compensates, and both scalings are exact in
        // f32.
        let down = [1.0, 1.0 / 16.0, 1.0 / 256.0, 1.0 / 4096.0];
        let alone = rows == 1 && matches!(self.codes, Codes::Four(_));
        let x: Cow<[f32]> = match alone {
            true => x.iter().zip(down.iter().cycle()).map(|(x, down)| x * down).collect(),
            false => x.into(),
        };
        let arch = Arch::new();
        shares.into_par_iter().enumerate().for_each(|(i, out)| {
            arch.dispatch(Share { blocks: self, x: &x, alone, first: i * share / TILE, out });
        });
        out
    }
}

/// One task: the tiles from index `first` on, as many as `out` covers. `out` holds that slice of each output row.
struct Share<'a> {
    blocks: &'a Blocks,
    x: &'a [f32],
    /// Whether x is a single row that was prescaled for q4 codes (see [`Blocks::product`]).
    alone: bool,
    first: usize,
    out: Vec<&'a mut [f32]>,
}

impl WithSimd for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.out.first().map_or(0, |part| part.len());
        let (columns, alone) = (self.blocks.columns, self.alone);
        for (rows, x) in self.out.chunks_mut(CHUNK).zip(self.x.chunks(CHUNK * columns)) {
            for t in 0..width.div_ceil(TILE) {
                let mut sums = [0f32; CHUNK * TILE];
                let sums = &mut sums[..rows.len() * TILE];
                let tile = self.first + t;
                // V: SIMD vectors per tile. R: rows at a time, few enough to leave registers for the weights.
                match S::F32_LANES {
                    16 => many::<S, 2, 8>(simd, self.blocks, tile, x, alone, sums),
                    8 => many::<S, 4, 2>(simd, self.blocks, tile, x, alone, sums),
                    4 => many::<S, 8, 2>(simd, self.blocks, tile, x, alone, sums),
                    _ => many::<S, TILE, 1>(simd, self.blocks, tile, x, alone, sums),
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

/// Computes `sums` `[rows, TILE]` of one tile, which is `V` SIMD vectors wide, `R` rows at a time.
#[inline(always)]
fn many<S: Simd, const V: usize, const R: usize>(
    simd: S,
    w: &Blocks,
    tile: usize,
    x: &[f32],
    alone: bool,
    sums: &mut [f32],
) {
    let (columns, rows, per_row) = (w.columns, sums.len() / TILE, w.columns / BLOCK);
    let scales = w.scales.get(tile * per_row * TILE..).unwrap_or_default();
    let ahead = Ahead::new();
    // For a single row of q4, dequantised weights would be used only once, so they are not written to memory.
    if let (true, Codes::Four(words)) = (alone, &w.codes) {
        return alone4s::<S, V>(simd, ahead, &words[tile * per_row * WORDS * TILE..], scales, x, sums);
    }
    let mut wide = [[0f32; TILE]; BLOCK];
    for b in 0..per_row {
        let at = tile * per_row + b;
        let scales = vectors::<S, V>(scales.get(b * TILE..).and_then(<[f32]>::first_chunk).unwrap_or(&[1.0; TILE]));
        let x = &x[b * BLOCK..];
        let held = match &w.codes {
            Codes::Whole(numbers) => {
                let numbers = &numbers[at * BLOCK * TILE..];
                // A single row of f32 already runs at memory speed; prefetching made it slower (KERNELS.md).
                if rows > 1 {
                    ahead.ask(numbers, BLOCK * TILE);
                }
                as_held(numbers)
            }
            Codes::Four(words) => {
                let words = &words[at * WORDS * TILE..];
                ahead.ask(words, WORDS * TILE);
                widen4::<S, V>(simd, words, &mut wide);
                &wide
            }
            Codes::Eight(codes) => {
                let codes = &codes[at * BLOCK * TILE..];
                ahead.ask(codes, BLOCK * TILE);
                if rows == 1 {
                    alone8::<S, V>(simd, codes, scales, x, sums);
                    continue;
                }
                wide.iter_mut().zip(codes.chunks(TILE)).for_each(|(wide, codes)| widen8(codes, wide));
                &wide
            }
        };
        let mut row = 0;
        while row < rows {
            let (x, sums) = (&x[row * columns..], &mut sums[row * TILE..]);
            row += match rows - row {
                left if left >= R => add::<S, V, R>(simd, held, scales, x, columns, sums),
                left if left >= 4 && R > 4 => add::<S, V, 4>(simd, held, scales, x, columns, sums),
                left if left >= 2 && R > 2 => add::<S, V, 2>(simd, held, scales, x, columns, sums),
                _ => add::<S, V, 1>(simd, held, scales, x, columns, sums),
            };
        }
    }
}

/// Adds the products of one block with `R` rows of x, which begin `columns` apart, to their sums. Returns `R`.
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

/// Computes the sums of one row and one q4 tile. Takes two blocks at a time, so that two independent chains of
/// additions overlap.
#[inline(always)]
fn alone4s<S: Simd, const V: usize>(simd: S, ahead: Ahead, words: &[u32], scales: &[f32], x: &[f32], sums: &mut [f32]) {
    for (i, x) in x.chunks(2 * BLOCK).enumerate() {
        let (words, scales) = (&words[2 * i * WORDS * TILE..], &scales[2 * i * TILE..]);
        ahead.ask(words, 2 * WORDS * TILE);
        ahead.ask(scales, 2 * TILE);
        match x.len() / BLOCK {
            2 => alone4::<S, V, 2>(simd, words, scales, x, sums),
            _ => alone4::<S, V, 1>(simd, words, scales, x, sums),
        }
    }
}

/// Adds the products of one prescaled row and `B` q4 blocks, without dequantising them to memory.
#[inline(always)]
fn alone4<S: Simd, const V: usize, const B: usize>(
    simd: S,
    words: &[u32],
    scales: &[f32],
    x: &[f32],
    sums: &mut [f32],
) {
    let mut block = [[simd.splat_f32s(0.0); V]; B];
    for j in 0..WORDS {
        let mut w: [[S::u32s; V]; B] = std::array::from_fn(|b| *words_of::<S, V>(&words[(b * WORDS + j) * TILE..]));
        for half in 0..2 {
            for m in 0..4 {
                for b in 0..B {
                    let x = simd.splat_f32s(x[b * BLOCK + 8 * j + 4 * half + m]);
                    for (sum, w) in block[b].iter_mut().zip(&w[b]) {
                        *sum = simd.mul_add_f32s(x, raised(simd, *w, m), *sum);
                    }
                }
            }
            w.as_flattened_mut().iter_mut().for_each(|w| *w = simd.wrapping_dyn_shr_u32s(*w, simd.splat_u32s(16)));
        }
    }
    for (block, scales) in block.iter().zip(scales.chunks(TILE)) {
        scaled(simd, block, vectors::<S, V>(scales), sums);
    }
}

/// Code m (0 to 3) of the lower half of each q4 word, as f32 times 16^m. The code's bits are placed in the mantissa
/// of 2²³, whose last place is worth 1; subtracting 2²³ and the offset 8 · 16^m leaves the value.
#[inline(always)]
fn raised<S: Simd>(simd: S, words: S::u32s, m: usize) -> S::f32s {
    let bits = simd.and_u32s(words, simd.splat_u32s(15 << (4 * m)));
    let above = simd.transmute_f32s_u32s(simd.or_u32s(bits, simd.splat_u32s(0x4B00_0000)));
    simd.sub_f32s(above, simd.splat_f32s((8_388_608 + (8 << (4 * m))) as f32))
}

/// Dequantises one q4 block of a tile to `wide` `[BLOCK, TILE]`, without scales.
#[inline(always)]
fn widen4<S: Simd, const V: usize>(simd: S, words: &[u32], wide: &mut [[f32; TILE]; BLOCK]) {
    for (j, wide) in wide.chunks_mut(8).enumerate() {
        let mut w = *words_of::<S, V>(&words[j * TILE..]);
        for wide in wide.chunks_mut(4) {
            for (m, wide) in wide.iter_mut().enumerate() {
                let down = simd.splat_f32s(1.0 / (1 << (4 * m)) as f32);
                let (wide, _) = S::as_mut_simd_f32s(wide);
                for (wide, w) in wide.iter_mut().zip(w) {
                    *wide = simd.mul_f32s(raised(simd, w, m), down);
                }
            }
            w.iter_mut().for_each(|w| *w = simd.wrapping_dyn_shr_u32s(*w, simd.splat_u32s(16)));
        }
    }
}

/// Adds the products of one row and one q8 block, without keeping the dequantised block.
#[inline(always)]
fn alone8<S: Simd, const V: usize>(simd: S, codes: &[i8], scales: &[S::f32s; V], x: &[f32], sums: &mut [f32]) {
    let mut block = [simd.splat_f32s(0.0); V];
    for (x, codes) in x[..BLOCK].iter().zip(codes.chunks(TILE)) {
        let mut wide = [0f32; TILE];
        widen8(codes, &mut wide);
        let x = simd.splat_f32s(*x);
        let w = vectors::<S, V>(&wide);
        block.iter_mut().zip(w).for_each(|(sum, w)| *sum = simd.mul_add_f32s(x, *w, *sum));
    }
    scaled(simd, &block, scales, sums);
}

/// Adds block sums times the blocks' scales to `sums` `[TILE]`.
#[inline(always)]
fn scaled<S: Simd, const V: usize>(simd: S, block: &[S::f32s; V], scales: &[S::f32s; V], sums: &mut [f32]) {
    let (sums, _) = S::as_mut_simd_f32s(&mut sums[..TILE]);
    for ((sum, block), scale) in sums.iter_mut().zip(block).zip(scales) {
        *sum = simd.mul_add_f32s(*block, *scale, *sum);
    }
}

/// Converts one column of a q8 tile to f32. Written so that the compiler vectorises the loop.
#[inline(always)]
fn widen8(codes: &[i8], wide: &mut [f32; TILE]) {
    let mut whole = [0i8; TILE];
    whole.copy_from_slice(&codes[..TILE]);
    for (wide, whole) in wide.iter_mut().zip(whole) {
        *wide = f32::from(whole);
    }
}

/// The first `TILE` words as `V` SIMD vectors.
#[inline(always)]
fn words_of<S: Simd, const V: usize>(words: &[u32]) -> &[S::u32s; V] {
    let (vectors, _) = S::as_simd_u32s(&words[..TILE]);
    let Ok(vectors) = vectors.try_into() else { unreachable!("a tile is V vectors") };
    vectors
}

/// The first block of f32 weights, `[BLOCK, TILE]`.
#[inline(always)]
fn as_held(numbers: &[f32]) -> &[[f32; TILE]; BLOCK] {
    let Some(block) = numbers.as_chunks().0.first_chunk() else { unreachable!("whole blocks are held") };
    block
}

/// `TILE` numbers as `V` SIMD vectors.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(tile: &[f32]) -> &[S::f32s; V] {
    let (vectors, _) = S::as_simd_f32s(tile);
    let Ok(vectors) = vectors.try_into() else { unreachable!("a tile is V vectors") };
    vectors
}
