//! Weight quantisation in blocks of 32 numbers that share a scale: 8 bits per number (q8) or 4 (q4). On the
//! processor, f32 weights use the same block order and the same matrix product.
//!
//! Quantisation is symmetric, as in GGUF. q8 is Q8_0: codes −127 to 127, scale max |w| / 127. q4 is Q4_0: codes −8 to
//! 7, scale w / −8 where w is the number of largest magnitude. Scales are f32 here (f16 in GGUF). Products are
//! computed in f32: within a block Σ code · x, then times the scale. Only the weights are rounded, never the
//! activations.
mod ahead;
mod product;

use crate::{Error, Result};
use friction_core::manifest::Quantize;
use rayon::prelude::*;

/// Numbers that share a scale: the block size.
pub const BLOCK: usize = 32;
/// Weight rows that are interleaved, so that one SIMD vector holds the same column of several rows.
pub(crate) const TILE: usize = 32;

/// A weight matrix `[rows, columns]` in blocks of [`BLOCK`] along its rows, the rows interleaved in tiles of 32.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    rows: usize,
    columns: usize,
    codes: Codes,
    /// `[tiles, blocks of a row, TILE]`; empty for f32.
    scales: Vec<f32>,
}

/// The stored numbers. The last tile is padded with zeros.
#[derive(Debug, Clone, PartialEq)]
enum Codes {
    /// f32, not quantised: `[tiles, blocks of a row, 32, TILE]`.
    Whole(Vec<f32>),
    /// q8: `[tiles, blocks of a row, 32, TILE]`.
    Eight(Vec<i8>),
    /// q4: `[tiles, blocks of a row, 4, TILE]`. A word holds 8 codes, the first in the lowest bits, each stored as
    /// code + 8.
    Four(Vec<u32>),
}

/// 32-bit words of a q4 block.
const WORDS: usize = BLOCK / 8;

impl Blocks {
    /// Quantises a row-major matrix of `columns` columns, or only reorders it where `quantize` is `None`.
    ///
    /// # Errors
    /// When `columns` is not a multiple of [`BLOCK`], or a number to be quantised is NaN or infinite: quantised, it
    /// would become an ordinary number and the damage would go unnoticed.
    pub fn of(values: &[f32], columns: usize, quantize: Quantize) -> Result<Self> {
        if !columns.is_multiple_of(BLOCK) {
            return Err(Error::Step(format!(
                "weights of {columns} columns cannot be in blocks of {BLOCK}; set `model.quantize = \"none\"`"
            )));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()).filter(|_| quantize != Quantize::None) {
            return Err(Error::Step(format!(
                "row {}, column {} is {}: damaged weights cannot be held in blocks; fetch the checkpoint again",
                at / columns,
                at % columns,
                values[at]
            )));
        }
        let (rows, per_row) = (values.len() / columns, columns / BLOCK);
        let count = rows.div_ceil(TILE) * per_row;
        let mut scales = vec![0f32; count * TILE];
        let codes = match quantize {
            Quantize::Q4 => {
                let mut codes = vec![0u32; count * WORDS * TILE];
                rounded(values, columns, &mut codes, &mut scales, round4);
                Codes::Four(codes)
            }
            Quantize::Q8 => {
                let mut codes = vec![0i8; count * BLOCK * TILE];
                rounded(values, columns, &mut codes, &mut scales, round8);
                Codes::Eight(codes)
            }
            Quantize::None => {
                let mut numbers = vec![0f32; count * BLOCK * TILE];
                rounded(values, columns, &mut numbers, &mut scales, keep);
                scales = vec![];
                Codes::Whole(numbers)
            }
        };
        Ok(Self { rows, columns, codes, scales })
    }

    /// Dimensions of the matrix, `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Bytes of codes and scales.
    pub fn bytes(&self) -> u64 {
        let codes = match &self.codes {
            Codes::Whole(numbers) => 4 * numbers.len(),
            Codes::Eight(codes) => codes.len(),
            Codes::Four(words) => 4 * words.len(),
        };
        (codes + 4 * self.scales.len()) as u64
    }

    /// Writes row `row`, dequantised, to `out` `[columns]`.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let (tile, lane, per_row) = (row / TILE, row % TILE, self.columns / BLOCK);
        for (b, out) in (tile * per_row..).zip(out.chunks_mut(BLOCK)) {
            let scale = self.scales.get(b * TILE + lane).copied().unwrap_or(1.0);
            match &self.codes {
                Codes::Whole(numbers) => {
                    let numbers = numbers[b * BLOCK * TILE + lane..].iter().step_by(TILE);
                    out.iter_mut().zip(numbers).for_each(|(out, w)| *out = *w);
                }
                Codes::Eight(codes) => {
                    let codes = codes[b * BLOCK * TILE + lane..].iter().step_by(TILE);
                    out.iter_mut().zip(codes).for_each(|(out, code)| *out = f32::from(*code) * scale);
                }
                Codes::Four(words) => {
                    let words = words[b * WORDS * TILE + lane..].iter().step_by(TILE);
                    for (out, word) in out.chunks_mut(8).zip(words) {
                        let code = |i: usize| f32::from((word >> (4 * i) & 15) as u8) - 8.0;
                        out.iter_mut().enumerate().for_each(|(i, out)| *out = code(i) * scale);
                    }
                }
            }
        }
    }

    /// Codes and scales in the layout for a GPU: row by row, without interleaving. Codes are packed in 32-bit words
    /// (4 of q8, 8 of q4), the first in the lowest bits; scales are `[rows, blocks of a row]`.
    pub fn words(&self) -> (Vec<i32>, Vec<f32>) {
        let per_row = self.columns / BLOCK;
        let (mut words, mut scales) = (vec![], Vec::with_capacity(self.rows * per_row));
        for row in 0..self.rows {
            let (tile, lane) = (row / TILE, row % TILE);
            for b in tile * per_row..(tile + 1) * per_row {
                match &self.codes {
                    Codes::Whole(_) => unreachable!("a GPU holds whole weights as a tensor"),
                    Codes::Eight(codes) => {
                        let byte = |i: usize| codes[(b * BLOCK + i) * TILE + lane] as u8;
                        let word = |i: usize| i32::from_le_bytes([0, 1, 2, 3].map(|j| byte(4 * i + j)));
                        words.extend((0..BLOCK / 4).map(word));
                    }
                    Codes::Four(codes) => words.extend((0..WORDS).map(|i| codes[(b * WORDS + i) * TILE + lane] as i32)),
                }
                scales.push(self.scales[b * TILE + lane]);
            }
        }
        (words, scales)
    }

    /// Whether it is q4.
    pub fn four(&self) -> bool {
        matches!(self.codes, Codes::Four(_))
    }

    /// The whole matrix, dequantised, row-major.
    pub fn dequantised(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.rows * self.columns];
        out.par_chunks_mut(self.columns).enumerate().for_each(|(r, out)| self.row(r, out));
        out
    }
}

/// Quantises all blocks into interleaved tiles, in parallel. `round` writes one block, its numbers `TILE` apart, and
/// returns the scale.
fn rounded<C: Send>(
    values: &[f32],
    columns: usize,
    codes: &mut [C],
    scales: &mut [f32],
    round: fn(&[f32], &mut [C]) -> f32,
) {
    let (per_row, size) = (columns / BLOCK, codes.len() / (scales.len() / TILE).max(1));
    let beside = codes.par_chunks_mut(size.max(1)).zip(scales.par_chunks_mut(TILE));
    beside.enumerate().with_min_len(16).for_each(|(i, (codes, scales))| {
        let (tile, block) = (i / per_row, i % per_row);
        let rows = values.chunks(columns).skip(tile * TILE);
        for (lane, (row, scale)) in rows.zip(scales).enumerate() {
            *scale = round(&row[block * BLOCK..][..BLOCK], &mut codes[lane..]);
        }
    });
}

/// Copies a block of f32 unchanged, `TILE` apart.
fn keep(block: &[f32], numbers: &mut [f32]) -> f32 {
    numbers.iter_mut().step_by(TILE).zip(block).for_each(|(to, w)| *to = *w);
    1.0
}

/// Q8_0: writes a block's codes, `TILE` apart, and returns its scale.
fn round8(block: &[f32], codes: &mut [i8]) -> f32 {
    let scale = block.iter().fold(0f32, |m, w| m.max(w.abs())) / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, w) in codes.iter_mut().step_by(TILE).zip(block) {
        *code = (w * inverse).round().clamp(-127.0, 127.0) as i8;
    }
    scale
}

/// Q4_0: writes a block's packed words, `TILE` apart, and returns its scale.
fn round4(block: &[f32], words: &mut [u32]) -> f32 {
    let far = block.iter().fold(0f32, |m, w| if w.abs() > m.abs() { *w } else { m });
    let scale = far / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let code = |w: f32| ((w * inverse).round().clamp(-8.0, 7.0) + 8.0) as u32;
    for (word, block) in words.iter_mut().step_by(TILE).zip(block.chunks(8)) {
        *word = block.iter().rev().fold(0, |word, w| word << 4 | code(*w));
    }
    scale
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_finite_is_not_rounded_away() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut w = vec![1.0; BLOCK * 4];
            w[BLOCK * 2 + 5] = bad;
            for quantize in [Quantize::Q8, Quantize::Q4] {
                let told = Blocks::of(&w, BLOCK * 2, quantize).unwrap_err().to_string();
                assert!(told.contains("row 1, column 5"), "{told}");
            }
            // Unquantised f32 is accepted as it is: a run reports NaN where it appears.
            assert!(Blocks::of(&w, BLOCK * 2, Quantize::None).is_ok());
        }
    }

    proptest! {
        #[test]
        fn what_is_rounded_stays_within_half_a_step(w in prop::collection::vec(-3f32..3.0, BLOCK * 6)) {
            for (quantize, steps) in [(Quantize::Q8, 127.0), (Quantize::Q4, 8.0)] {
                let blocks = Blocks::of(&w, BLOCK * 2, quantize).unwrap();
                prop_assert_eq!(blocks.dims(), [3, 64]);
                let back = blocks.dequantised();
                for (w, b) in w.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                    let most = w.iter().fold(0f32, |m, w| m.max(w.abs()));
                    // q4 has only 7 steps on the positive side: a number beyond them is off by up to a whole step.
                    let slack = if quantize == Quantize::Q4 { 1.0 } else { 0.5 };
                    for (w, b) in w.iter().zip(b) {
                        prop_assert!((w - b).abs() <= slack * most / steps * 1.0001, "{w} {b} {most}");
                    }
                }
                // Quantising a second time changes nothing.
                let again = Blocks::of(&back, BLOCK * 2, quantize).unwrap().dequantised();
                for (a, b) in again.iter().zip(&back) {
                    prop_assert!((a - b).abs() <= 1e-6 * b.abs().max(1e-3));
                }
            }
        }

        #[test]
        fn products_are_those_of_dequantised_weights(
            seed in any::<u64>(),
            // Rows are processed 64 at a time; 65 leaves one over.
            rows in prop_oneof![1usize..20, 63usize..67],
            out in 1usize..40,
        ) {
            let columns = 96;
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            };
            let w: Vec<f32> = (0..out * columns).map(|_| next()).collect();
            let x: Vec<f32> = (0..rows * columns).map(|_| next()).collect();
            for quantize in [Quantize::None, Quantize::Q8, Quantize::Q4] {
                let blocks = Blocks::of(&w, columns, quantize).unwrap();
                let full = blocks.dequantised();
                prop_assert!(quantize != Quantize::None || full == w);
                let got = blocks.product(&x, rows);
                for r in 0..rows {
                    for o in 0..out {
                        let want: f64 = (0..columns)
                            .map(|k| f64::from(x[r * columns + k]) * f64::from(full[o * columns + k]))
                            .sum();
                        prop_assert!((f64::from(got[r * out + o]) - want).abs() < 1e-5);
                    }
                    // A row's result is bit for bit independent of its neighbours.
                    let alone = blocks.product(&x[r * columns..(r + 1) * columns], 1);
                    prop_assert_eq!(&got[r * out..(r + 1) * out], &alone[..]);
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert!(Blocks::of(&[0.0; 40], 40, Quantize::Q8).unwrap_err().to_string().contains("blocks of 32"));
    }
}
