//! Where the numbers of a tensor lie in a file: type, first byte, shape and strides. Every layout is checked against the
//! bytes that are there before it is used. Only the standard library is needed here.

/// The type of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit float (IEEE half).
    F16,
    /// 16-bit brain float.
    BF16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// 8-bit integer without sign.
    U8,
    /// A byte that is 0 or 1.
    Bool,
}

impl Dtype {
    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether it is one of the floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    /// Its name, as PyTorch and NumPy write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        }
    }
}

/// Most dimensions of a tensor. Those of autoencoders have two.
pub const MOST_DIMENSIONS: usize = 8;

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Its first byte in the file.
    pub start: usize,
    /// Its dimensions; none for a single number.
    pub shape: Vec<usize>,
    /// For each dimension, how many numbers its index steps over.
    pub strides: Vec<usize>,
}

/// The product of dimensions; `None` where it is too large for this machine.
pub fn product(shape: &[usize]) -> Option<usize> {
    // An empty tensor is empty whatever its other dimensions are.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
}

/// The strides of a tensor whose last index moves fastest (C order).
pub fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].checked_mul(shape[i].max(1))?;
    }
    Some(strides)
}

/// The strides of a tensor whose first index moves fastest (Fortran order).
pub fn column_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1usize; shape.len()];
    for i in 1..shape.len() {
        strides[i] = strides[i - 1].checked_mul(shape[i - 1].max(1))?;
    }
    Some(strides)
}

impl Layout {
    /// A tensor that begins at number `offset` of a run of `available` numbers, whose first byte is at `start`.
    ///
    /// # Errors
    /// When it reaches beyond the run, or has more numbers than the run.
    pub fn new(
        dtype: Dtype,
        start: usize,
        available: usize,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<Self, String> {
        if shape.len() != strides.len() {
            return Err(format!("has {} dimensions but {} strides", shape.len(), strides.len()));
        }
        if shape.len() > MOST_DIMENSIONS {
            return Err(format!("has {} dimensions; up to {MOST_DIMENSIONS} are read", shape.len()));
        }
        let beyond = || format!("of shape {shape:?} reaches beyond the {available} numbers that are there");
        let count = product(&shape).ok_or_else(beyond)?;
        if count > available {
            // PyTorch's `expand` writes such tensors. They would take more memory than the file has bytes.
            let repeated = shape.iter().zip(&strides).any(|(n, by)| *n > 1 && *by == 0);
            return Err(match repeated {
                true => format!(
                    "of shape {shape:?} repeats the {available} numbers that are there: save it again after `.contiguous()`"
                ),
                false => beyond(),
            });
        }
        if count > 0 {
            let last =
                shape.iter().zip(&strides).try_fold(offset, |at, (n, by)| at.checked_add((n - 1).checked_mul(*by)?));
            if last.ok_or_else(beyond)? >= available {
                return Err(beyond());
            }
        }
        let first = if count > 0 { offset } else { 0 };
        let start = first.checked_mul(dtype.size()).and_then(|n| n.checked_add(start)).ok_or_else(beyond)?;
        Ok(Self { dtype, start, shape, strides })
    }

    /// Number of its numbers.
    pub fn len(&self) -> usize {
        // `new` has checked the product.
        product(&self.shape).unwrap_or(0)
    }

    /// Whether its numbers follow each other, the last index fastest.
    pub fn is_contiguous(&self) -> bool {
        let mut by = 1usize;
        self.len() == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(n, stride)| {
                let fits = *n == 1 || *stride == by;
                by = by.saturating_mul(*n);
                fits
            })
    }
}

/// Numbers for tests, read with the standard library alone.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Dtype, Layout};

    fn half(bits: u16) -> f64 {
        let (sign, exponent, fraction) = (bits >> 15, (bits >> 10) & 31, f64::from(bits & 1023));
        let size = match exponent {
            0 => fraction * 2f64.powi(-24),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            e => (1.0 + fraction / 1024.0) * 2f64.powi(i32::from(e) - 15),
        };
        if sign == 1 { -size } else { size }
    }

    /// The numbers of a tensor, the last index fastest.
    pub(crate) fn numbers(of: &Layout, file: &[u8]) -> Vec<f64> {
        let size = of.dtype.size();
        (0..of.len())
            .map(|mut i| {
                let mut at = 0;
                for (n, by) in of.shape.iter().zip(&of.strides).rev() {
                    at += i % n * by;
                    i /= n;
                }
                let b = &file[of.start + at * size..][..size];
                match of.dtype {
                    Dtype::F64 => f64::from_le_bytes(b.try_into().unwrap()),
                    Dtype::F32 => f64::from(f32::from_le_bytes(b.try_into().unwrap())),
                    Dtype::F16 => half(u16::from_le_bytes([b[0], b[1]])),
                    Dtype::BF16 => f64::from(f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16)),
                    Dtype::I64 => i64::from_le_bytes(b.try_into().unwrap()) as f64,
                    Dtype::I32 => f64::from(i32::from_le_bytes(b.try_into().unwrap())),
                    Dtype::I16 => f64::from(i16::from_le_bytes([b[0], b[1]])),
                    Dtype::I8 => f64::from(b[0] as i8),
                    Dtype::U8 | Dtype::Bool => f64::from(b[0]),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(available: usize, offset: usize, shape: &[usize], strides: &[usize]) -> Result<Layout, String> {
        Layout::new(Dtype::F32, 8, available, offset, shape.to_vec(), strides.to_vec())
    }

    #[test]
    fn a_tensor_lies_within_its_numbers() {
        assert_eq!(of(12, 0, &[3, 4], &[4, 1]).unwrap().start, 8);
        assert_eq!(of(12, 4, &[2, 4], &[4, 1]).unwrap().start, 24);
        assert_eq!(of(1, 0, &[], &[]).unwrap().len(), 1);
        assert_eq!(of(0, 5, &[3, 0], &[9, 9]).unwrap().len(), 0);
        for (available, offset, shape, strides, words) in [
            (11, 0, &[3, 4][..], &[4, 1][..], "reaches beyond the 11 numbers"),
            (12, 1, &[3, 4], &[4, 1], "reaches beyond"),
            (12, 0, &[3, 4], &[5, 1], "reaches beyond"),
            (12, usize::MAX, &[3, 4], &[4, 1], "reaches beyond"),
            (12, 0, &[3, 4], &[usize::MAX, 1], "reaches beyond"),
            (12, 0, &[usize::MAX, 4], &[4, 1], "reaches beyond"),
            (0, 0, &[], &[], "reaches beyond the 0 numbers"),
            (2, 0, &[1 << 40, 2], &[0, 1], "repeats the 2 numbers"),
            (12, 0, &[3, 4], &[4], "has 2 dimensions but 1 strides"),
            (12, 0, &[1; 9], &[1; 9], "has 9 dimensions"),
        ] {
            let e = of(available, offset, shape, strides).unwrap_err();
            assert!(e.contains(words), "{shape:?} {strides:?}: {e}");
        }
    }

    #[test]
    fn what_follows_each_other_is_contiguous() {
        let contiguous = |shape: &[usize], strides: &[usize]| of(100, 0, shape, strides).unwrap().is_contiguous();
        assert!(contiguous(&[3, 4], &[4, 1]) && contiguous(&[1, 4], &[77, 1]) && contiguous(&[4, 1], &[1, 50]));
        assert!(contiguous(&[], &[]) && contiguous(&[0, 3], &[1, 1]) && contiguous(&[5], &[1]));
        assert!(!contiguous(&[3, 4], &[1, 3]) && !contiguous(&[5], &[2]) && !contiguous(&[3, 4], &[5, 1]));
    }

    #[test]
    fn strides_of_both_orders() {
        assert_eq!(row_major(&[2, 3, 4]), Some(vec![12, 4, 1]));
        assert_eq!(column_major(&[2, 3, 4]), Some(vec![1, 2, 6]));
        assert_eq!((row_major(&[]), column_major(&[5])), (Some(vec![]), Some(vec![1])));
        assert_eq!(row_major(&[1, usize::MAX, 2]), None);
    }
}
