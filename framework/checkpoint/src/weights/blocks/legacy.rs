//! Blocks of 32 numbers. Types `_0` have one f16 scale, types `_1` a scale and a minimum. Of 4-bit codes, the low
//! halves of the bytes are the first 16 numbers, the high halves the last 16.
use super::h;

pub(super) fn q4_0(b: &[u8], y: &mut [f32]) {
    let d = h(b);
    for (j, q) in b[2..].iter().enumerate() {
        y[j] = d * (f32::from(q & 15) - 8.0);
        y[j + 16] = d * (f32::from(q >> 4) - 8.0);
    }
}

pub(super) fn q4_1(b: &[u8], y: &mut [f32]) {
    let (d, min) = (h(b), h(&b[2..]));
    for (j, q) in b[4..].iter().enumerate() {
        y[j] = d * f32::from(q & 15) + min;
        y[j + 16] = d * f32::from(q >> 4) + min;
    }
}

/// The 5-bit codes `j` and `j + 16`: their fifth bits are bits `j` and `j + 16` of `high`.
fn five(q: u8, high: u32, j: usize) -> (f32, f32) {
    let (lo, hi) = ((high >> j & 1) as u8, (high >> (j + 16) & 1) as u8);
    (f32::from(q & 15 | lo << 4), f32::from(q >> 4 | hi << 4))
}

pub(super) fn q5_0(b: &[u8], y: &mut [f32]) {
    let d = h(b);
    let high = u32::from_le_bytes([b[2], b[3], b[4], b[5]]);
    for (j, q) in b[6..].iter().enumerate() {
        let (lo, hi) = five(*q, high, j);
        y[j] = d * (lo - 16.0);
        y[j + 16] = d * (hi - 16.0);
    }
}

pub(super) fn q5_1(b: &[u8], y: &mut [f32]) {
    let (d, min) = (h(b), h(&b[2..]));
    let high = u32::from_le_bytes([b[4], b[5], b[6], b[7]]);
    for (j, q) in b[8..].iter().enumerate() {
        let (lo, hi) = five(*q, high, j);
        y[j] = d * lo + min;
        y[j + 16] = d * hi + min;
    }
}

pub(super) fn q8_0(b: &[u8], y: &mut [f32]) {
    let d = h(b);
    for (y, q) in y.iter_mut().zip(&b[2..]) {
        *y = d * f32::from(*q as i8);
    }
}
