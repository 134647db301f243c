//! Tensors of parameters, in memory or memory-mapped. The decoder of a million features stays in its file except for
//! the rows that are read. Factors that a configuration asks for are applied as numbers are read.
use crate::layout::{Dtype, Layout};
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use std::sync::Arc;

/// A row-major tensor of numbers that are read as f32.
#[derive(Clone)]
pub enum Values {
    /// Numbers in memory.
    Memory(Vec<f32>),
    /// Numbers in a memory-mapped file.
    Mapped(Mapped),
    /// A matrix in a memory-mapped file, whose rows do not follow each other there: a transposed one.
    Strided(Strided),
    /// Another tensor, multiplied by factors as it is read.
    Scaled(Scaled),
}

/// A tensor with factors.
#[derive(Clone)]
pub struct Scaled {
    of: Box<Values>,
    by: Arc<[f32]>,
    /// Consecutive numbers that share a factor.
    run: usize,
}

impl Scaled {
    /// Multiplies the elements from index `at` on by their factors.
    fn scale(&self, at: usize, elements: &mut [f32]) {
        elements.iter_mut().enumerate().for_each(|(i, v)| *v *= self.by[(at + i) / self.run % self.by.len()]);
    }
}

/// A tensor in a memory-mapped file, in f64, f32, bf16 or f16.
#[derive(Clone)]
pub struct Mapped {
    file: Numbers,
    len: usize,
}

/// A matrix in a memory-mapped file, of which each row and each column is a number of steps away from the one before.
#[derive(Clone)]
pub struct Strided {
    file: Numbers,
    rows: usize,
    cols: usize,
    /// Numbers from a row to the next, and from a column to the next.
    by: [usize; 2],
}

/// Floats in a memory-mapped file, from a first byte on.
#[derive(Clone)]
struct Numbers {
    map: Arc<Mmap>,
    start: usize,
    dtype: Dtype,
}

impl Numbers {
    /// How one number is read from its bytes.
    fn convert(&self) -> fn(&[u8]) -> f32 {
        match self.dtype {
            Dtype::F64 => |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
            Dtype::BF16 => |b| bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Dtype::F16 => |b| f16::from_le_bytes([b[0], b[1]]).to_f32(),
            // `Values::of` lets no integers through.
            _ => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        }
    }

    /// Reads numbers from number `at` on, each `by` after the one before.
    fn read(&self, at: usize, by: usize, out: &mut [f32]) {
        let (size, convert) = (self.dtype.size(), self.convert());
        if by == 1 {
            let bytes = &self.map[self.start + at * size..][..out.len() * size];
            out.iter_mut().zip(bytes.chunks_exact(size)).for_each(|(o, b)| *o = convert(b));
        } else {
            let of = |i: usize| &self.map[self.start + (at + i * by) * size..][..size];
            out.iter_mut().enumerate().for_each(|(i, o)| *o = convert(of(i)));
        }
    }
}

/// Rows of a transposed matrix that are read together: as many as lie in a line of the processor's cache.
const TILE: usize = 16;

impl Strided {
    /// Reads columns `first..first + cols` of all rows. Rows are read in tiles, because those of a transposed matrix lie
    /// beside each other.
    fn block(&self, first: usize, cols: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * cols];
        let size = self.file.dtype.size();
        let convert = self.file.convert();
        let tiles = out.par_chunks_mut(TILE * cols.max(1)).enumerate();
        tiles.for_each(|(n, tile)| {
            for c in 0..cols {
                let at = n * TILE * self.by[0] + (first + c) * self.by[1];
                for (i, row) in tile.chunks_mut(cols).enumerate() {
                    row[c] = convert(&self.file.map[self.file.start + (at + i * self.by[0]) * size..][..size]);
                }
            }
        });
        out
    }
}

impl Values {
    /// A tensor in a mapped file; `None` where it holds no floats, or is neither contiguous nor a matrix or vector.
    pub(crate) fn of(layout: &Layout, map: &Arc<Mmap>) -> Option<Self> {
        let file = Numbers { map: map.clone(), start: layout.start, dtype: layout.dtype };
        match (&layout.shape[..], &layout.strides[..]) {
            _ if !layout.dtype.is_float() => None,
            _ if layout.is_contiguous() => Some(Self::Mapped(Mapped { file, len: layout.len() })),
            (&[rows], &[by]) => Some(Self::Strided(Strided { file, rows, cols: 1, by: [by, 1] })),
            (&[rows, cols], &[row, col]) => Some(Self::Strided(Strided { file, rows, cols, by: [row, col] })),
            _ => None,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::Memory(v) => v.len(),
            Values::Mapped(m) => m.len,
            Values::Strided(s) => s.rows * s.cols,
            Values::Scaled(s) => s.of.len(),
        }
    }
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads elements from index `at` on into `out`.
    ///
    /// # Panics
    /// When `at + out.len()` exceeds [`Values::len`].
    pub fn read(&self, mut at: usize, mut out: &mut [f32]) {
        match self {
            Values::Memory(v) => out.copy_from_slice(&v[at..at + out.len()]),
            Values::Mapped(m) => m.file.read(at, 1, out),
            Values::Strided(s) => {
                assert!(at + out.len() <= self.len(), "{at} + {} of {}", out.len(), self.len());
                while !out.is_empty() {
                    let (row, col) = (at / s.cols, at % s.cols);
                    let (now, rest) = out.split_at_mut(out.len().min(s.cols - col));
                    s.file.read(row * s.by[0] + col * s.by[1], s.by[1], now);
                    at += now.len();
                    out = rest;
                }
            }
            Values::Scaled(s) => {
                s.of.read(at, out);
                s.scale(at, out);
            }
        }
    }

    /// Reads columns `first..first + cols` of a matrix of `width` columns, all rows of it, row-major.
    ///
    /// # Panics
    /// When `first + cols` exceeds `width`, or `width` is not the matrix'.
    pub fn block(&self, width: usize, first: usize, cols: usize) -> Vec<f32> {
        match self {
            Values::Strided(s) => {
                assert!(s.cols == width && first + cols <= width, "columns {first} and {cols} more of {width}");
                s.block(first, cols)
            }
            Values::Scaled(s) => {
                let mut out = s.of.block(width, first, cols);
                out.par_chunks_mut(cols.max(1)).enumerate().for_each(|(r, row)| s.scale(r * width + first, row));
                out
            }
            Values::Memory(_) | Values::Mapped(_) => {
                let rows = self.len().checked_div(width).unwrap_or(0);
                let mut out = vec![0.0; rows * cols];
                let read = |(r, out): (usize, &mut [f32])| self.read(r * width + first, out);
                out.par_chunks_mut(cols.max(1)).enumerate().for_each(read);
                out
            }
        }
    }

    /// Transposes a matrix of `rows` rows and `cols` columns. One in a file stays there.
    #[must_use]
    pub fn transposed(self, rows: usize, cols: usize) -> Self {
        match self {
            Values::Mapped(m) => Values::Strided(Strided { file: m.file, rows: cols, cols: rows, by: [1, cols] }),
            Values::Strided(s) if s.by == [1, s.rows] => Values::Mapped(Mapped { len: s.rows * s.cols, file: s.file }),
            Values::Strided(Strided { file, rows, cols, by: [row, col] }) => {
                Values::Strided(Strided { file, rows: cols, cols: rows, by: [col, row] })
            }
            other => {
                let all = other.all();
                Values::Memory(
                    (0..cols).flat_map(|c| all.iter().skip(c).step_by(cols.max(1)).take(rows).copied()).collect(),
                )
            }
        }
    }

    /// The same, with each row in one piece: in memory, where rows would have to be gathered number by number.
    #[must_use]
    pub fn gathered(self) -> Self {
        match self {
            Values::Strided(s) => Values::Memory(s.block(0, s.cols)),
            Values::Scaled(s) => Values::Scaled(Scaled { of: Box::new(s.of.gathered()), ..s }),
            other => other,
        }
    }

    /// Multiplies each column of a matrix by its factor; a single factor applies to all columns.
    #[must_use]
    pub fn columns(self, by: Vec<f32>) -> Self {
        Values::Scaled(Scaled { of: Box::new(self), by: by.into(), run: 1 })
    }

    /// Multiplies each row of a matrix of `cols` columns by its factor.
    #[must_use]
    pub fn rows(self, by: Vec<f32>, cols: usize) -> Self {
        Values::Scaled(Scaled { of: Box::new(self), by: by.into(), run: cols })
    }

    /// Reads all elements.
    pub fn all(&self) -> Vec<f32> {
        match self {
            Values::Memory(v) => v.clone(),
            Values::Strided(s) => s.block(0, s.cols),
            Values::Scaled(s) => {
                let mut out = s.of.all();
                s.scale(0, &mut out);
                out
            }
            Values::Mapped(m) => {
                let mut out = vec![0.0; m.len];
                m.file.read(0, 1, &mut out);
                out
            }
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(v: Vec<f32>) -> Self {
        Values::Memory(v)
    }
}
