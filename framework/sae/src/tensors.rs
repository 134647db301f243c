//! A file of named tensors: safetensors, a state dict of `torch.save`, or an archive of NumPy.
use crate::layout::{Dtype, Layout, row_major};
use crate::values::Values;
use crate::zip::plain;
use crate::{npz, torch_zip};
use friction_core::{Error, Result};
use memmap2::Mmap;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A memory-mapped file of tensors.
pub struct Tensors<'a> {
    path: &'a Path,
    map: Arc<Mmap>,
    layouts: BTreeMap<String, Layout>,
    /// What the file holds beside tensors that can be read, and what it is: `F8_E4M3`, `a dict`.
    others: BTreeMap<String, String>,
}

impl<'a> Tensors<'a> {
    /// Memory-maps a file and reads where its tensors lie. The name tells the format: `.npz`, `.pt` and `.pth`, or else
    /// safetensors.
    ///
    /// # Errors
    /// When it cannot be mapped or is not of that format.
    pub fn open(path: &'a Path) -> Result<Self> {
        let map =
            friction_checkpoint::weights::safetensors::map_file(path).map_err(|e| Error::config(e.to_string()))?;
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let read = match extension {
            "npz" => npz::read(&map).map(|layouts| (layouts, BTreeMap::new())),
            "pt" | "pth" => torch_zip::read(&map).map(|state| {
                (state.tensors, state.others.into_iter().map(|(name, what)| (name, what.to_string())).collect())
            }),
            _ => safetensors(&map),
        };
        let (layouts, others) = read.map_err(|what| Error::config(format!("{}: {what}", path.display())))?;
        Ok(Self { path, map: Arc::new(map), layouts, others })
    }

    fn wrong(&self, what: &str) -> Error {
        Error::config(format!("{}: {what}", self.path.display()))
    }

    /// Whether it has a tensor called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.layouts.contains_key(name) || self.others.contains_key(name)
    }

    /// The names of its tensors, and of what it holds beside them, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.layouts.keys().chain(self.others.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    fn layout(&self, name: &str) -> Result<&Layout> {
        self.layouts.get(name).ok_or_else(|| match self.others.get(name) {
            Some(what) => self.wrong(&format!("`{name}` is {what}; tensors of f64, f32, bf16 and f16 are read")),
            None => self.wrong(&format!("lacks the tensor `{name}`")),
        })
    }

    /// A tensor, still in its file, with its shape.
    ///
    /// # Errors
    /// When it is missing or of a dtype other than f64, f32, bf16 and f16.
    pub fn get(&self, name: &str) -> Result<(Values, Vec<usize>)> {
        let layout = self.layout(name)?;
        let values = Values::of(layout, &self.map).ok_or_else(|| match layout.dtype.is_float() {
            true => self.wrong(&format!(
                "`{name}` of shape {:?} is not contiguous: save it again after `.contiguous()`",
                layout.shape
            )),
            false => self.wrong(&format!("`{name}` is {}; f64, f32, bf16 and f16 are read", layout.dtype.name())),
        })?;
        Ok((values, layout.shape.clone()))
    }

    /// A vector, read into memory.
    ///
    /// # Errors
    /// As [`Tensors::get`], and when it is not one-dimensional or contains NaN.
    pub fn vector(&self, name: &str) -> Result<Vec<f32>> {
        let (values, shape) = self.get(name)?;
        if shape.len() != 1 {
            return Err(self.wrong(&format!("`{name}` is {shape:?}, not a vector")));
        }
        self.finite(name, values.all())
    }

    fn finite(&self, name: &str, values: Vec<f32>) -> Result<Vec<f32>> {
        if values.iter().any(|v| v.is_nan()) {
            return Err(self.wrong(&format!("`{name}` holds NaN")));
        }
        Ok(values)
    }

    /// A single number.
    ///
    /// # Errors
    /// As [`Tensors::get`], and when it is no single number or NaN.
    pub fn number(&self, name: &str) -> Result<f32> {
        let (values, shape) = self.get(name)?;
        if values.len() != 1 {
            return Err(self.wrong(&format!("`{name}` is {shape:?}, not a single number")));
        }
        Ok(self.finite(name, values.all())?[0])
    }

    /// A single whole number.
    ///
    /// # Errors
    /// When it is missing, or no single integer.
    pub fn whole(&self, name: &str) -> Result<i64> {
        let layout = self.layout(name)?;
        let bytes = self.map.get(layout.start..).unwrap_or_default();
        let value = match layout.dtype {
            _ if layout.len() != 1 => None,
            Dtype::I64 => bytes.first_chunk().map(|b| i64::from_le_bytes(*b)),
            Dtype::I32 => bytes.first_chunk().map(|b| i32::from_le_bytes(*b).into()),
            _ => None,
        };
        value.ok_or_else(|| {
            let (dtype, shape) = (layout.dtype.name(), &layout.shape);
            self.wrong(&format!("`{name}` is {dtype} of shape {shape:?}, not a single whole number"))
        })
    }

    /// A matrix `[rows, cols]`, still in its file.
    ///
    /// # Errors
    /// As [`Tensors::get`], and when its shape is another.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Values> {
        let (values, shape) = self.get(name)?;
        if shape != [rows, cols] {
            return Err(self.wrong(&format!("`{name}` is {shape:?}, not [{rows}, {cols}]")));
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

    /// Refuses whatever the file holds beside `known`.
    ///
    /// # Errors
    /// When there is any; the message names the first.
    pub fn only(&self, known: &[&str], what: &str) -> Result<()> {
        match self.names().iter().find(|n| !known.contains(*n)) {
            Some(other) => {
                Err(self.wrong(&format!("there is a tensor `{}`, which {what} does not have", plain(other))))
            }
            None => Ok(()),
        }
    }
}

/// Layouts of the tensors, and what the file says about itself.
type Listed = (BTreeMap<String, Layout>, BTreeMap<String, String>);

/// The tensors of a safetensors file, and those whose numbers are not read.
fn safetensors(map: &Mmap) -> std::result::Result<Listed, String> {
    let (n, meta) = SafeTensors::read_metadata(map).map_err(|e| format!("is no safetensors file: {e}"))?;
    let (mut layouts, mut others) = (BTreeMap::new(), BTreeMap::new());
    for (name, info) in meta.tensors() {
        let dtype = match info.dtype {
            safetensors::Dtype::F64 => Dtype::F64,
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::F16 => Dtype::F16,
            safetensors::Dtype::BF16 => Dtype::BF16,
            other => {
                others.insert(name, format!("{other:?}"));
                continue;
            }
        };
        // The safetensors crate has checked the shape against the offsets.
        let available = (info.data_offsets.1 - info.data_offsets.0) / dtype.size();
        let strides = row_major(&info.shape).ok_or_else(|| format!("`{name}` is too large for this machine"))?;
        let start = n + 8 + info.data_offsets.0;
        let layout = Layout::new(dtype, start, available, 0, info.shape.clone(), strides);
        layouts.insert(name.clone(), layout.map_err(|what| format!("`{name}` {what}"))?);
    }
    Ok((layouts, others))
}
