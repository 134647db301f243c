//! Safetensors checkpoints, in one file or sharded, with text-only or multimodal tensor names.
use super::TensorSource;
use crate::{Error, Result};
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::Metadata};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A tensor's file, type, shape and byte range.
pub(super) struct Entry {
    /// Its name in the file, for messages.
    pub own: String,
    pub shard: usize,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    range: (usize, usize),
}

/// The bytes of one safetensors file.
pub(super) enum Shard {
    Map(Mmap),
    Static(&'static [u8]),
}

impl std::ops::Deref for Shard {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Shard::Map(m) => m,
            Shard::Static(b) => b,
        }
    }
}

/// The files of a checkpoint, memory-mapped or embedded in the binary, and an index of the text model's tensors.
pub struct SafetensorsFiles {
    pub(super) shards: Vec<(PathBuf, Shard)>,
    pub(super) entries: BTreeMap<String, Entry>,
}

/// Whether a tensor does not belong to the text model: to a multimodal checkpoint's images or sounds, or the RoPE
/// frequencies that old versions of transformers saved, which are recomputed.
fn beside(name: &str) -> bool {
    const PARTS: [&str; 4] = ["vision", "multi_modal", "mm_projector", "audio"];
    name.ends_with("rotary_emb.inv_freq") || PARTS.iter().any(|p| name.contains(p))
}

/// The canonical name of a tensor of the text model: that of transformers without the prefix of the class that wrote it.
fn canonical(name: &str) -> Option<&str> {
    let rest = ["language_model.model.", "model.language_model.", "model.", "language_model."]
        .iter()
        .find_map(|p| name.strip_prefix(p))
        .unwrap_or(name);
    (!beside(name)).then_some(rest)
}

/// Canonical name of an unembedding that is not the embedding. In most files no prefix stands before it.
pub(super) const HEAD: &str = "lm_head.weight";

/// Bytes per number of a dtype, and the function that decodes one.
pub(super) type Decoder = (usize, fn(&[u8]) -> f32);

/// The decoder of a dtype; an error message where the dtype is not read.
pub(super) fn decoder(dtype: Dtype) -> std::result::Result<Decoder, String> {
    let decode: fn(&[u8]) -> f32 = match dtype {
        Dtype::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Dtype::BF16 => |b| bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        Dtype::F16 => |b| f16::from_le_bytes([b[0], b[1]]).to_f32(),
        other => return Err(format!("is {other:?}; f32, bf16 and f16 are read")),
    };
    Ok((if dtype == Dtype::F32 { 4 } else { 2 }, decode))
}

impl SafetensorsFiles {
    /// Opens the checkpoint in folder `dir`: model.safetensors.index.json and its shards, or model.safetensors.
    ///
    /// # Errors
    /// When there is none, the index names missing files, or a header is malformed.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_files(Self::list(dir)?)
    }

    /// The weight files of folder `dir`, by its index or the single file.
    ///
    /// # Errors
    /// When there is neither, or the index is malformed.
    pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
        let index = dir.join("model.safetensors.index.json");
        if index.exists() {
            let text = std::fs::read_to_string(&index).map_err(|e| Error::io(&index, e))?;
            return Ok(shard_names(&index, &text)?.into_iter().map(|n| dir.join(n)).collect());
        }
        let single = dir.join("model.safetensors");
        if single.exists() {
            return Ok(vec![single]);
        }
        Err(Error::format(dir, "no model.safetensors and no model.safetensors.index.json here"))
    }

    /// Memory-maps the given files and parses their headers.
    ///
    /// # Errors
    /// When a file cannot be mapped, its header is malformed, or a tensor occurs twice.
    pub fn open_files(paths: Vec<PathBuf>) -> Result<Self> {
        let mapped = paths.into_iter().map(|path| {
            let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
            let map = map(&path, &file)?;
            Ok((path, Shard::Map(map)))
        });
        Self::parse(mapped.collect::<Result<_>>()?)
    }

    /// Parses a file that is embedded in the binary; `name` is used in error messages.
    ///
    /// # Errors
    /// When its header is malformed.
    pub fn from_static(name: PathBuf, bytes: &'static [u8]) -> Result<Self> {
        Self::parse(vec![(name, Shard::Static(bytes))])
    }

    fn parse(files: Vec<(PathBuf, Shard)>) -> Result<Self> {
        let mut shards = vec![];
        let mut entries = BTreeMap::new();
        for (shard, (path, map)) in files.into_iter().enumerate() {
            let (header, meta) = read_header(&path, &map)?;
            for (own, info) in meta.tensors() {
                if let Some(name) = canonical(&own).map(String::from) {
                    let range = (header + info.data_offsets.0, header + info.data_offsets.1);
                    let told = own.clone();
                    let entry = Entry { own, shard, dtype: info.dtype, shape: info.shape.clone(), range };
                    if let Some(before) = entries.insert(name, entry) {
                        let what = match before.own == told {
                            true => format!("tensor `{told}` occurs twice"),
                            false => format!("tensor `{told}` occurs twice: `{}` is the same", before.own),
                        };
                        return Err(Error::format(&path, what));
                    }
                }
            }
            shards.push((path, map));
        }
        Ok(Self { shards, entries })
    }

    /// The first file, for error messages about the checkpoint as a whole.
    pub(super) fn first(&self) -> &Path {
        self.shards.first().map_or(Path::new(""), |(path, _)| path)
    }

    /// The name that a tensor has in the files, or would have: that of most tensors is behind a prefix.
    fn own(&self, name: &str) -> String {
        let prefix = |(canonical, e): (&String, &Entry)| e.own.strip_suffix(canonical.as_str()).map(String::from);
        let prefixed = self.entries.iter().filter(|(canonical, _)| canonical.starts_with("layers."));
        let prefix = prefixed.filter(|_| name != HEAD).find_map(prefix).unwrap_or_default();
        self.entries.get(name).map_or_else(|| format!("{prefix}{name}"), |e| e.own.clone())
    }

    /// A tensor's bytes; `None` where the file is too short.
    pub(super) fn bytes(&self, e: &Entry) -> Option<&[u8]> {
        self.shards[e.shard].1.get(e.range.0..e.range.1)
    }
}

/// The shard file names of an index. Each must be a plain file name, so that an index cannot point elsewhere.
pub(crate) fn shard_names(path: &Path, text: &str) -> Result<BTreeSet<String>> {
    let index = crate::json::value(text).map_err(|e| Error::format(path, e))?;
    let weights =
        index.get("weight_map").and_then(Value::as_object).ok_or_else(|| Error::format(path, "no `weight_map`"))?;
    if weights.is_empty() {
        return Err(Error::format(path, "`weight_map` names no file"));
    }
    weights
        .values()
        .map(|v| match v.as_str() {
            Some(s) if !s.contains(['/', '\\']) && !s.starts_with('.') => Ok(s.to_string()),
            _ => Err(Error::format(path, format!("{v} is not the name of a file beside it"))),
        })
        .collect()
}

/// Memory-maps a file, read only.
///
/// # Errors
/// When it cannot be opened or mapped.
pub fn map_file(path: &Path) -> Result<Mmap> {
    map(path, &File::open(path).map_err(|e| Error::io(path, e))?)
}

#[allow(unsafe_code)]
pub(crate) fn map(path: &Path, file: &File) -> Result<Mmap> {
    // SAFETY: the map is read only. The remaining hazard, that another process changes the file while it is mapped,
    // is shared with every tool that memory-maps weights.
    unsafe { Mmap::map(file) }.map_err(|e| Error::io(path, e))
}

fn read_header(path: &Path, map: &[u8]) -> Result<(usize, Metadata)> {
    // The safetensors crate checks sizes, offsets, overlaps and shapes against the file's length.
    let (n, meta) =
        SafeTensors::read_metadata(map).map_err(|e| Error::format(path, format!("not a safetensors file: {e}")))?;
    Ok((n + 8, meta))
}

impl SafetensorsFiles {
    /// The entry of a tensor, which must have the shape `shape`.
    pub(super) fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry> {
        let missing = || Error::format(self.first(), format!("tensor `{}` is missing", self.own(name)));
        let e = self.entries.get(name).ok_or_else(missing)?;
        if e.shape == shape {
            return Ok(e);
        }
        let what = format!("tensor `{}` is {:?}, but the config says {shape:?}", e.own, e.shape);
        Err(Error::format(&self.shards[e.shard].0, what))
    }
}

impl TensorSource for SafetensorsFiles {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let e = self.entry(name, shape)?;
        let (path, name) = (&self.shards[e.shard].0, &e.own);
        let bytes = self.bytes(e).ok_or_else(|| Error::format(path, format!("tensor `{name}` is cut off")))?;
        let count: usize = shape.iter().product();
        let (wide, decode) = decoder(e.dtype).map_err(|m| Error::format(path, format!("tensor `{name}` {m}")))?;
        if bytes.len() != count * wide {
            return Err(Error::format(
                path,
                format!("tensor `{name}` has {} bytes, not {}", bytes.len(), count * wide),
            ));
        }
        let mut out = vec![0f32; count];
        out.par_chunks_mut(1 << 16).zip(bytes.par_chunks(wide << 16)).for_each(|(o, b)| {
            for (o, b) in o.iter_mut().zip(b.chunks_exact(wide)) {
                *o = decode(b);
            }
        });
        Ok(out)
    }
    fn parameters(&self) -> u64 {
        self.entries.values().map(|e| e.shape.iter().product::<usize>() as u64).sum()
    }
}
