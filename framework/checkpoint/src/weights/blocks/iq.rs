//! Blocks of 4-bit codes that stand for the entries of a table: its steps are finer near zero.
use super::h;

/// The numbers that the codes stand for (ggml's `kvalues_iq4nl`).
const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// 32 numbers with the scale `d`, from 16 bytes. The low halves of the bytes are the first 16 numbers.
fn values(d: f32, b: &[u8], y: &mut [f32]) {
    for (j, q) in b.iter().enumerate() {
        y[j] = d * f32::from(VALUES[usize::from(q & 15)]);
        y[j + 16] = d * f32::from(VALUES[usize::from(q >> 4)]);
    }
}

pub(super) fn iq4_nl(b: &[u8], y: &mut [f32]) {
    values(h(b), &b[2..], y);
}

/// 8 sub-blocks of 32 with 6-bit scales: two high bits each in a u16, four low bits each in 4 bytes.
pub(super) fn iq4_xs(b: &[u8], y: &mut [f32]) {
    let (d, high, low, q) = (h(b), u16::from_le_bytes([b[2], b[3]]), &b[4..8], &b[8..]);
    for (g, (y, q)) in y.chunks_exact_mut(32).zip(q.chunks_exact(16)).enumerate() {
        let s = low[g / 2] >> (4 * (g % 2)) & 15 | ((high >> (2 * g) & 3) as u8) << 4;
        values(d * (f32::from(s) - 32.0), q, y);
    }
}
