//! GGUF block formats, dequantised to f32. Layouts: ggml's `ggml-common.h`.
mod iq;
mod k_quants;
mod legacy;
#[cfg(test)]
mod tests;

use half::{bf16, f16};

/// A ggml tensor type that is read. The variants are ggml's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BlockType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
}

/// A little-endian f16 at the start of `b`, as f32.
fn h(b: &[u8]) -> f32 {
    f16::from_le_bytes([b[0], b[1]]).to_f32()
}

impl BlockType {
    /// Names of the types that are read, for messages.
    pub const NAMES: &str =
        "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL and IQ4_XS";

    /// The type with ggml's number `n` (`enum ggml_type`); `None` where it is not read.
    pub fn from_ggml(n: u32) -> Option<Self> {
        Some(match n {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Numbers and bytes of one block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 | Self::Iq4Nl => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2K => (256, 84),
            Self::Q3K => (256, 110),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
            Self::Iq4Xs => (256, 136),
        }
    }

    /// Decodes one block. `b` and `y` must have exactly the block's bytes and numbers.
    pub fn decode(self, b: &[u8], y: &mut [f32]) {
        match self {
            Self::F32 => y[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Self::F16 => y[0] = h(b),
            Self::Bf16 => y[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Self::Q4_0 => legacy::q4_0(b, y),
            Self::Q4_1 => legacy::q4_1(b, y),
            Self::Q5_0 => legacy::q5_0(b, y),
            Self::Q5_1 => legacy::q5_1(b, y),
            Self::Q8_0 => legacy::q8_0(b, y),
            Self::Q2K => k_quants::q2_k(b, y),
            Self::Q3K => k_quants::q3_k(b, y),
            Self::Q4K => k_quants::q4_k(b, y),
            Self::Q5K => k_quants::q5_k(b, y),
            Self::Q6K => k_quants::q6_k(b, y),
            Self::Iq4Nl => iq::iq4_nl(b, y),
            Self::Iq4Xs => iq::iq4_xs(b, y),
        }
    }
}
