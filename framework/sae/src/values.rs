//! Tensors of parameters, in memory or memory-mapped. The decoder of a million features stays in its file except for
//! the rows that are read. Factors that a configuration asks for are applied as numbers are read.
use friction_core::{Error, Result};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, tensor::Metadata};
use std::path::Path;
use std::sync::Arc;

/// A row-major tensor of numbers that are read as f32.
#[derive(Clone)]
pub enum Values {
    /// Numbers in memory.
    Memory(Vec<f32>),
    /// Numbers in a memory-mapped file.
    Mapped(Mapped),
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

/// A tensor in a memory-mapped file, in f32, bf16 or f16.
#[derive(Clone)]
pub struct Mapped {
    map: Arc<Mmap>,
    start: usize,
    len: usize,
    dtype: Dtype,
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::Memory(v) => v.len(),
            Values::Mapped(m) => m.len,
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
    pub fn read(&self, at: usize, out: &mut [f32]) {
        match self {
            Values::Memory(v) => out.copy_from_slice(&v[at..at + out.len()]),
            Values::Mapped(m) => {
                let wide = if m.dtype == Dtype::F32 { 4 } else { 2 };
                let bytes = &m.map[m.start + at * wide..][..out.len() * wide];
                let convert: fn(&[u8]) -> f32 = match m.dtype {
                    Dtype::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
                    Dtype::BF16 => |b| bf16::from_le_bytes([b[0], b[1]]).to_f32(),
                    _ => |b| f16::from_le_bytes([b[0], b[1]]).to_f32(),
                };
                out.iter_mut().zip(bytes.chunks_exact(wide)).for_each(|(o, b)| *o = convert(b));
            }
            Values::Scaled(s) => {
                s.of.read(at, out);
                out.iter_mut().enumerate().for_each(|(i, o)| *o *= s.by[(at + i) / s.run % s.by.len()]);
            }
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
        let mut out = vec![0.0; self.len()];
        self.read(0, &mut out);
        out
    }
}

impl From<Vec<f32>> for Values {
    fn from(v: Vec<f32>) -> Self {
        Values::Memory(v)
    }
}

/// A memory-mapped safetensors file.
pub struct Tensors<'a> {
    path: &'a Path,
    map: Arc<Mmap>,
    header: usize,
    meta: Metadata,
}

impl<'a> Tensors<'a> {
    /// Memory-maps a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be mapped or is not a safetensors file.
    pub fn open(path: &'a Path) -> Result<Self> {
        let map = friction_model::weights::safetensors::map_file(path).map_err(|e| Error::config(e.to_string()))?;
        let (n, meta) = safetensors::SafeTensors::read_metadata(&map)
            .map_err(|e| Error::config(format!("{}: is no safetensors file: {e}", path.display())))?;
        Ok(Self { path, map: Arc::new(map), header: n + 8, meta })
    }

    /// Whether it has a tensor called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.meta.info(name).is_some()
    }

    /// The names of its tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.meta.offset_keys();
        names.sort_unstable();
        names
    }

    /// A tensor, still in its file, with its shape.
    ///
    /// # Errors
    /// When it is missing or of a dtype other than f32, bf16 and f16.
    pub fn get(&self, name: &str) -> Result<(Values, Vec<usize>)> {
        let wrong = |what: String| Error::config(format!("{}: {what}", self.path.display()));
        let info = self.meta.info(name).ok_or_else(|| wrong(format!("lacks the tensor `{name}`")))?;
        if !matches!(info.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16) {
            return Err(wrong(format!("`{name}` is {:?}; f32, bf16 and f16 are read", info.dtype)));
        }
        let mapped = Mapped {
            map: self.map.clone(),
            start: self.header + info.data_offsets.0,
            // The safetensors crate has checked the product against the offsets.
            len: info.shape.iter().product(),
            dtype: info.dtype,
        };
        Ok((Values::Mapped(mapped), info.shape.clone()))
    }

    /// A vector, read into memory.
    ///
    /// # Errors
    /// As [`Tensors::get`], and when it is not one-dimensional or contains NaN.
    pub fn vector(&self, name: &str) -> Result<Vec<f32>> {
        let wrong = |what: String| Error::config(format!("{}: `{name}` {what}", self.path.display()));
        let (values, shape) = self.get(name)?;
        if shape.len() != 1 {
            return Err(wrong(format!("is {shape:?}, not a vector")));
        }
        let values = values.all();
        if values.iter().any(|v| v.is_nan()) {
            return Err(wrong("holds NaN".into()));
        }
        Ok(values)
    }

    /// A matrix `[rows, cols]`, still in its file.
    ///
    /// # Errors
    /// As [`Tensors::get`], and when its shape is another.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Values> {
        let (values, shape) = self.get(name)?;
        if shape != [rows, cols] {
            let path = self.path.display();
            return Err(Error::config(format!("{path}: `{name}` is {shape:?}, not [{rows}, {cols}]")));
        }
        Ok(values)
    }

    /// Size of the first dimension of a tensor; 0 for a scalar.
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn height(&self, name: &str) -> Result<usize> {
        Ok(self.get(name)?.1.first().copied().unwrap_or(0))
    }
}
