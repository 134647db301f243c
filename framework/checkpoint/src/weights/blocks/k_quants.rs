//! Blocks of 256 numbers, whose sub-blocks of 16 or 32 have quantised scales (and minima).
use super::h;

/// 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum. A byte of codes holds one number of each of four
/// consecutive runs of 32, two bits each.
pub(super) fn q2_k(b: &[u8], y: &mut [f32]) {
    let (scales, q, d, min) = (&b[..16], &b[16..80], h(&b[80..]), h(&b[82..]));
    for (i, y) in y.iter_mut().enumerate() {
        let (s, shift) = (scales[i / 16], 2 * (i / 32 % 4));
        let code = q[i / 128 * 32 + i % 32] >> shift & 3;
        *y = d * f32::from(s & 15) * f32::from(code) - min * f32::from(s >> 4);
    }
}

/// 16 sub-blocks of 16 with 6-bit scales. Codes have two bits as in [`q2_k`], and a third in `high`: byte `l` there has
/// the bits of the numbers `l`, `l + 32`, … A third bit that is not set subtracts 4.
pub(super) fn q3_k(b: &[u8], y: &mut [f32]) {
    let (high, q, scales, d) = (&b[..32], &b[32..96], &b[96..108], h(&b[108..]));
    for (i, y) in y.iter_mut().enumerate() {
        let shift = 2 * (i / 32 % 4);
        let code = q[i / 128 * 32 + i % 32] >> shift & 3 | (high[i % 32] >> (i / 32) & 1) << 2;
        *y = d * scale_of_16(i / 16, scales) * (f32::from(code) - 4.0);
    }
}

/// The 6-bit scale, less 32, of sub-block `j` (0 to 15) of a Q3_K block. The low four bits are halves of the first 8
/// bytes, the high two bits quarters of the last 4.
fn scale_of_16(j: usize, s: &[u8]) -> f32 {
    let low = s[j % 8] >> (4 * (j / 8)) & 15;
    f32::from(low | (s[8 + j % 4] >> (2 * (j / 4)) & 3) << 4) - 32.0
}

pub(super) fn q4_k(b: &[u8], y: &mut [f32]) {
    let (d, min, scales, q) = (h(b), h(&b[2..]), &b[4..16], &b[16..]);
    for g in 0..8 {
        let (s, m) = scale_min(g, scales);
        let (a, c) = (d * f32::from(s), min * f32::from(m));
        let shift = 4 * (g % 2);
        for l in 0..32 {
            y[g * 32 + l] = a * f32::from(q[g / 2 * 32 + l] >> shift & 15) - c;
        }
    }
}

pub(super) fn q5_k(b: &[u8], y: &mut [f32]) {
    let (d, min, scales, high, q) = (h(b), h(&b[2..]), &b[4..16], &b[16..48], &b[48..]);
    for g in 0..8 {
        let (s, m) = scale_min(g, scales);
        let (a, c) = (d * f32::from(s), min * f32::from(m));
        let shift = 4 * (g % 2);
        for l in 0..32 {
            let v = (q[g / 2 * 32 + l] >> shift & 15) | (high[l] >> g & 1) << 4;
            y[g * 32 + l] = a * f32::from(v) - c;
        }
    }
}

pub(super) fn q6_k(b: &[u8], y: &mut [f32]) {
    let (low, high, scales, d) = (&b[..128], &b[128..192], &b[192..208], h(&b[208..]));
    for half in 0..2 {
        for l in 0..32 {
            let hb = high[half * 32 + l];
            for k in 0..4 {
                let byte = low[half * 64 + (k % 2) * 32 + l];
                let nibble = if k < 2 { byte & 15 } else { byte >> 4 };
                let v = f32::from(nibble | (hb >> (2 * k) & 3) << 4) - 32.0;
                let s = f32::from(scales[half * 8 + k * 2 + l / 16] as i8);
                y[half * 128 + k * 32 + l] = d * s * v;
            }
        }
    }
}

/// The 6-bit scale and minimum of sub-block `j` (0 to 7) of a Q4_K or Q5_K block, from its 12 packed bytes.
fn scale_min(j: usize, s: &[u8]) -> (u8, u8) {
    if j < 4 {
        (s[j] & 63, s[j + 4] & 63)
    } else {
        (s[j + 4] & 15 | (s[j - 4] >> 6) << 4, s[j + 4] >> 4 | (s[j] >> 6) << 4)
    }
}
