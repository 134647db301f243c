//! GGUF block formats, dequantised to f32. Layouts: ggml's `ggml-common.h`.
use half::{bf16, f16};

/// A ggml tensor type that is read. The variants are ggml's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BlockType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q5_0,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

/// A little-endian f16 at the start of `b`, as f32.
fn h(b: &[u8]) -> f32 {
    f16::from_le_bytes([b[0], b[1]]).to_f32()
}

impl BlockType {
    /// The type with ggml's number `n` (`enum ggml_type`); `None` where it is not read.
    pub fn from_ggml(n: u32) -> Option<Self> {
        Some(match n {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            6 => Self::Q5_0,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Numbers and bytes of one block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q5_0 => (32, 22),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// Decodes one block. `b` and `y` must have exactly the block's bytes and numbers.
    pub fn decode(self, b: &[u8], y: &mut [f32]) {
        match self {
            Self::F32 => y[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Self::F16 => y[0] = h(b),
            Self::Bf16 => y[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Self::Q8_0 => {
                let d = h(b);
                for (y, q) in y.iter_mut().zip(&b[2..]) {
                    *y = d * f32::from(*q as i8);
                }
            }
            Self::Q4_0 => {
                let d = h(b);
                for (j, q) in b[2..].iter().enumerate() {
                    y[j] = d * (f32::from(q & 15) - 8.0);
                    y[j + 16] = d * (f32::from(q >> 4) - 8.0);
                }
            }
            Self::Q5_0 => {
                let d = h(b);
                let high = u32::from_le_bytes([b[2], b[3], b[4], b[5]]);
                for (j, q) in b[6..].iter().enumerate() {
                    let (lo, hi) = ((high >> j & 1) as u8, (high >> (j + 16) & 1) as u8);
                    y[j] = d * (f32::from(q & 15 | lo << 4) - 16.0);
                    y[j + 16] = d * (f32::from(q >> 4 | hi << 4) - 16.0);
                }
            }
            Self::Q4K => {
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
            Self::Q5K => {
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
            Self::Q6K => {
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
        }
    }
}

/// The 6-bit scale and minimum of sub-block `j` (0 to 7) of a K-quant block, from its 12 packed bytes.
fn scale_min(j: usize, s: &[u8]) -> (u8, u8) {
    if j < 4 {
        (s[j] & 63, s[j + 4] & 63)
    } else {
        (s[j + 4] & 15 | (s[j - 4] >> 6) << 4, s[j + 4] >> 4 | (s[j] >> 6) << 4)
    }
}
