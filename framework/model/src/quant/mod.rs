//! Weights in blocks of 32 numbers that share a scale: 8 bits each (q8), or 4 (q4).
//!
//! A block's numbers are whole multiples of its scale, symmetric around 0: q8 as GGUF's Q8_0, −127 to 127 of
//! max |w| / 127; q4 as its Q4_0, −8 to 7 of the number farthest from 0 over −8. Scales are f32. What is computed
//! with them is computed in f32 with the dequantised weights: nothing else is rounded.
mod product;

use crate::{Error, Result};
use friction_core::manifest::Quantize;
use rayon::prelude::*;

/// Numbers that share a scale.
pub const BLOCK: usize = 32;

/// A matrix `[rows, columns]` in blocks along its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    rows: usize,
    columns: usize,
    four: bool,
    /// Of q8 a byte a number; of q4 16 bytes a block, number i in the low and i + 16 in the high half.
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl Blocks {
    /// Rounds a matrix `[rows, columns]`.
    ///
    /// # Errors
    /// When its rows are not whole blocks.
    pub fn of(values: &[f32], columns: usize, quantize: Quantize) -> Result<Self> {
        if !columns.is_multiple_of(BLOCK) {
            return Err(Error::Text(format!(
                "weights of {columns} columns cannot be in blocks of {BLOCK}; set `model.quantize = \"none\"`"
            )));
        }
        let four = quantize == Quantize::Q4;
        let size = if four { BLOCK / 2 } else { BLOCK };
        let blocks = values.len() / BLOCK;
        let (mut codes, mut scales) = (vec![0i8; blocks * size], vec![0f32; blocks]);
        let each = codes.par_chunks_mut(size).zip(scales.par_iter_mut()).zip(values.par_chunks(BLOCK));
        each.with_min_len(256).for_each(|((codes, scale), block)| {
            *scale = if four { round4(block, codes) } else { round8(block, codes) };
        });
        Ok(Self { rows: values.len() / columns, columns, four, codes, scales })
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        (self.codes.len() + 4 * self.scales.len()) as u64
    }

    /// Writes a row as it was rounded.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        let per_row = self.columns / BLOCK;
        for (b, out) in (row * per_row..(row + 1) * per_row).zip(out.chunks_mut(BLOCK)) {
            self.block(b, out);
        }
    }

    /// Writes a block as it was rounded.
    #[inline(always)]
    fn block(&self, block: usize, out: &mut [f32]) {
        let scale = self.scales[block];
        if self.four {
            let codes = &self.codes[block * (BLOCK / 2)..][..BLOCK / 2];
            let (low, high) = out.split_at_mut(BLOCK / 2);
            for ((low, high), code) in low.iter_mut().zip(high).zip(codes) {
                *low = f32::from((*code & 0x0f) - 8) * scale;
                *high = f32::from(((*code >> 4) & 0x0f) - 8) * scale;
            }
        } else {
            let codes = &self.codes[block * BLOCK..][..BLOCK];
            for (out, code) in out.iter_mut().zip(codes) {
                *out = f32::from(*code) * scale;
            }
        }
    }

    /// The matrix as it was rounded.
    pub fn dequantised(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.rows * self.columns];
        out.par_chunks_mut(self.columns).enumerate().for_each(|(r, out)| self.row(r, out));
        out
    }
}

fn round8(block: &[f32], codes: &mut [i8]) -> f32 {
    let scale = block.iter().fold(0f32, |m, w| m.max(w.abs())) / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, w) in codes.iter_mut().zip(block) {
        *code = (w * inverse).round().clamp(-127.0, 127.0) as i8;
    }
    scale
}

fn round4(block: &[f32], codes: &mut [i8]) -> f32 {
    let far = block.iter().fold(0f32, |m, w| if w.abs() > m.abs() { *w } else { m });
    let scale = far / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let code = |w: f32| ((w * inverse).round().clamp(-8.0, 7.0) + 8.0) as u8;
    for (i, c) in codes.iter_mut().enumerate() {
        *c = (code(block[i]) | code(block[i + BLOCK / 2]) << 4) as i8;
    }
    scale
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_rounded_stays_within_half_a_step(w in prop::collection::vec(-3f32..3.0, BLOCK * 6)) {
            for (quantize, steps) in [(Quantize::Q8, 127.0), (Quantize::Q4, 8.0)] {
                let blocks = Blocks::of(&w, BLOCK * 2, quantize).unwrap();
                prop_assert_eq!(blocks.dims(), [3, 64]);
                let back = blocks.dequantised();
                for (w, b) in w.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                    let most = w.iter().fold(0f32, |m, w| m.max(w.abs()));
                    // q4 has 7 steps on one side: what lies beyond is off by up to a whole step.
                    let slack = if quantize == Quantize::Q4 { 1.0 } else { 0.5 };
                    for (w, b) in w.iter().zip(b) {
                        prop_assert!((w - b).abs() <= slack * most / steps * 1.0001, "{w} {b} {most}");
                    }
                }
                // Rounding what is rounded changes nothing.
                let again = Blocks::of(&back, BLOCK * 2, quantize).unwrap().dequantised();
                for (a, b) in again.iter().zip(&back) {
                    prop_assert!((a - b).abs() <= 1e-6 * b.abs().max(1e-3));
                }
            }
        }

        #[test]
        fn products_are_those_of_dequantised_weights(seed in any::<u64>(), rows in 1usize..20, out in 1usize..40) {
            let columns = 96;
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            };
            let w: Vec<f32> = (0..out * columns).map(|_| next()).collect();
            let x: Vec<f32> = (0..rows * columns).map(|_| next()).collect();
            for quantize in [Quantize::Q8, Quantize::Q4] {
                let blocks = Blocks::of(&w, columns, quantize).unwrap();
                let full = blocks.dequantised();
                let got = blocks.product(&x, rows);
                for r in 0..rows {
                    for o in 0..out {
                        let want: f64 = (0..columns)
                            .map(|k| f64::from(x[r * columns + k]) * f64::from(full[o * columns + k]))
                            .sum();
                        prop_assert!((f64::from(got[r * out + o]) - want).abs() < 1e-5);
                    }
                    // A row does not depend on its neighbours, to the bit.
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
