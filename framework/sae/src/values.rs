//! A parameter's numbers: in memory, or in a mapped file that is read as they are needed. The decoder of
//! a million features stays in its file but for the rows that fire.
use friction_core::{Error, Result};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, tensor::Metadata};
use std::path::Path;
use std::sync::Arc;

/// Numbers, row-major.
#[derive(Clone)]
pub enum Values {
    /// In memory.
    Memory(Vec<f32>),
    /// In a file.
    Mapped(Mapped),
}

/// A tensor of a mapped file.
#[derive(Clone)]
pub struct Mapped {
    map: Arc<Mmap>,
    start: usize,
    len: usize,
    dtype: Dtype,
}

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Memory(v) => v.len(),
            Values::Mapped(m) => m.len,
        }
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those from `at` on, as many as `out` holds; `at + out.len()` must not exceed [`Values::len`].
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
        }
    }

    /// All of them.
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

/// A mapped safetensors file.
pub struct Tensors<'a> {
    path: &'a Path,
    map: Arc<Mmap>,
    header: usize,
    meta: Metadata,
}

impl<'a> Tensors<'a> {
    /// Maps a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be mapped or is no safetensors file.
    pub fn open(path: &'a Path) -> Result<Self> {
        let map = friction_model::weights::safetensors::map_file(path).map_err(|e| Error::config(e.to_string()))?;
        let (n, meta) = safetensors::SafeTensors::read_metadata(&map)
            .map_err(|e| Error::config(format!("{}: is no safetensors file: {e}", path.display())))?;
        Ok(Self { path, map: Arc::new(map), header: n + 8, meta })
    }

    /// Whether it holds a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.meta.info(name).is_some()
    }

    /// A tensor, in its file, with its shape.
    ///
    /// # Errors
    /// When it is missing or of another type than f32, bf16 and f16.
    pub fn get(&self, name: &str) -> Result<(Values, Vec<usize>)> {
        let wrong = |what: String| Error::config(format!("{}: {what}", self.path.display()));
        let info = self.meta.info(name).ok_or_else(|| wrong(format!("lacks the tensor `{name}`")))?;
        if !matches!(info.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16) {
            return Err(wrong(format!("`{name}` is {:?}; f32, bf16 and f16 are read", info.dtype)));
        }
        let mapped = Mapped {
            map: self.map.clone(),
            start: self.header + info.data_offsets.0,
            // The library has checked the product against the offsets.
            len: info.shape.iter().product(),
            dtype: info.dtype,
        };
        Ok((Values::Mapped(mapped), info.shape.clone()))
    }

    /// A small tensor, read whole.
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub fn vector(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.get(name)?.0.all())
    }
}
