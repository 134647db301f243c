//! GGUF files: header, metadata and tensors (versions 2 and 3). Every length is checked against the file before
//! anything is allocated, so malformed files give an error and never a panic.
mod arch;
mod keys;

pub(crate) use keys::Keys;

use super::{TensorSource, blocks::BlockType};
use crate::arch::{Arch, Norms};
use crate::{Error, Result};
use memmap2::Mmap;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A metadata value. Integers of any width are i64, floats f64; arrays keep one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Meta {
    /// An integer of any width.
    Int(i64),
    /// A float of 32 or 64 bits.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A UTF-8 string.
    Text(String),
    /// An array of integers or booleans (as 0 and 1).
    Ints(Vec<i64>),
    /// An array of floats.
    Floats(Vec<f32>),
    /// An array of strings.
    Texts(Vec<String>),
}

struct Info {
    kind: BlockType,
    shape: Vec<usize>,
    start: usize,
    bytes: usize,
}

/// A memory-mapped GGUF file whose header is parsed.
pub struct Gguf {
    path: PathBuf,
    map: Mmap,
    meta: BTreeMap<String, Meta>,
    tensors: BTreeMap<String, Info>,
    /// What the metadata describe, once it is asked for.
    arch: OnceLock<Arch>,
}

struct Cursor<'a> {
    b: &'a [u8],
    at: usize,
}

type Parse<T> = std::result::Result<T, String>;

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Parse<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|e| *e <= self.b.len()).ok_or("the file ends too early")?;
        let s = &self.b[self.at..end];
        self.at = end;
        Ok(s)
    }
    fn u32(&mut self) -> Parse<u32> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
    fn u64(&mut self) -> Parse<u64> {
        let b = self.take(8)?;
        Ok(u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
    }
    /// Reads a count of items of at least `each` bytes; an error where the rest of the file cannot hold them.
    fn count(&mut self, each: usize) -> Parse<usize> {
        let n = usize::try_from(self.u64()?).map_err(|_| "a count is out of range")?;
        if n > (self.b.len() - self.at) / each {
            return Err(format!("a count of {n} is more than the file holds"));
        }
        Ok(n)
    }
    fn text(&mut self) -> Parse<String> {
        let n = self.count(1)?;
        String::from_utf8(self.take(n)?.to_vec()).map_err(|_| "a string is not UTF-8".into())
    }
    fn scalar(&mut self, kind: u32) -> Parse<Meta> {
        let int = |b: &[u8], signed: bool| {
            let mut w = [if signed && b[b.len() - 1] & 128 != 0 { 255 } else { 0 }; 8];
            w[..b.len()].copy_from_slice(b);
            Meta::Int(i64::from_le_bytes(w))
        };
        Ok(match kind {
            0 => int(self.take(1)?, false),
            1 => int(self.take(1)?, true),
            2 => int(self.take(2)?, false),
            3 => int(self.take(2)?, true),
            4 => int(self.take(4)?, false),
            5 => int(self.take(4)?, true),
            10 | 11 => int(self.take(8)?, true),
            6 => Meta::Float(f64::from(f32::from_bits(self.u32()?))),
            12 => Meta::Float(f64::from_bits(self.u64()?)),
            7 => Meta::Bool(self.take(1)?[0] != 0),
            8 => Meta::Text(self.text()?),
            k => return Err(format!("unknown metadata type {k}")),
        })
    }
    fn value(&mut self) -> Parse<Meta> {
        let kind = self.u32()?;
        if kind != 9 {
            return self.scalar(kind);
        }
        let item = self.u32()?;
        let each = match item {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            k => return Err(format!("unknown array type {k}")),
        };
        let n = self.count(each)?;
        match item {
            8 => (0..n).map(|_| self.text()).collect::<Parse<_>>().map(Meta::Texts),
            6 | 12 => (0..n)
                .map(|_| match self.scalar(item)? {
                    Meta::Float(v) => Ok(v as f32),
                    _ => Err("not a float".to_string()),
                })
                .collect::<Parse<_>>()
                .map(Meta::Floats),
            _ => (0..n)
                .map(|_| match self.scalar(item)? {
                    Meta::Int(v) => Ok(v),
                    Meta::Bool(v) => Ok(i64::from(v)),
                    _ => Err("not a number".to_string()),
                })
                .collect::<Parse<_>>()
                .map(Meta::Ints),
        }
    }
}

fn parse(b: &[u8]) -> Parse<(BTreeMap<String, Meta>, BTreeMap<String, Info>)> {
    let mut c = Cursor { b, at: 0 };
    if c.take(4)? != b"GGUF" {
        return Err("not a GGUF file".into());
    }
    let version = c.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("GGUF version {version} is not 2 or 3"));
    }
    let tensors = c.count(24)?;
    let metas = c.count(12)?;
    let mut meta = BTreeMap::new();
    for _ in 0..metas {
        let key = c.text()?;
        let value = c.value().map_err(|e| format!("metadata `{key}`: {e}"))?;
        meta.insert(key, value);
    }
    let align = match meta.get("general.alignment") {
        None => 32,
        Some(Meta::Int(n)) if *n > 0 && *n <= 65536 && (*n as u64).is_power_of_two() => *n as usize,
        Some(_) => return Err("`general.alignment` is not a power of two".into()),
    };
    let mut raw = vec![];
    for _ in 0..tensors {
        let name = c.text()?;
        let dims = c.u32()?;
        if dims > 4 {
            return Err(format!("tensor `{name}` has {dims} dimensions"));
        }
        let mut shape = vec![];
        for _ in 0..dims {
            shape.push(usize::try_from(c.u64()?).map_err(|_| format!("tensor `{name}`: a size is out of range"))?);
        }
        shape.reverse();
        let (kind, offset) = (c.u32()?, c.u64()?);
        raw.push((name, shape, kind, offset));
    }
    let base = c.at.next_multiple_of(align);
    let mut out = BTreeMap::new();
    for (name, shape, kind, offset) in raw {
        let kind = BlockType::from_ggml(kind)
            .ok_or_else(|| format!("tensor `{name}` has ggml type {kind}; {} are read", BlockType::NAMES))?;
        let (values, size) = kind.block();
        let range = || {
            let count = shape.iter().try_fold(1usize, |a, d| a.checked_mul(*d))?;
            if !shape.last()?.is_multiple_of(values) {
                return None;
            }
            let bytes = (count / values).checked_mul(size)?;
            let start = base.checked_add(usize::try_from(offset).ok()?)?;
            (start.checked_add(bytes)? <= b.len()).then_some((start, bytes))
        };
        let (start, bytes) = range().ok_or_else(|| format!("tensor `{name}` {shape:?} does not fit the file"))?;
        if out.insert(name.clone(), Info { kind, shape, start, bytes }).is_some() {
            return Err(format!("tensor `{name}` occurs twice"));
        }
    }
    Ok((meta, out))
}

/// Whether the bytes parse as a GGUF header; for fuzzing.
#[doc(hidden)]
pub fn parses(b: &[u8]) -> bool {
    parse(b).is_ok()
}

impl Gguf {
    /// Memory-maps a file and parses its header.
    ///
    /// # Errors
    /// When it cannot be mapped, is malformed, or holds a tensor type or version that is not read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let map = super::safetensors::map(path, &file)?;
        let (meta, tensors) = parse(&map).map_err(|m| Error::format(path, m))?;
        Ok(Self { path: path.to_path_buf(), map, meta, tensors, arch: OnceLock::new() })
    }

    /// The metadata value of a key.
    pub fn meta(&self, key: &str) -> Option<&Meta> {
        self.meta.get(key)
    }

    /// All metadata, by key.
    pub(crate) fn metadata(&self) -> &BTreeMap<String, Meta> {
        &self.meta
    }

    /// A tensor's numbers, dequantised, row by row.
    fn numbers(&self, t: &Info) -> Vec<f32> {
        let (values, size) = t.kind.block();
        let mut out = vec![0f32; t.shape.iter().product()];
        let bytes = &self.map[t.start..t.start + t.bytes];
        let chunk = 4096 / values;
        out.par_chunks_mut(chunk * values).zip(bytes.par_chunks(chunk * size)).for_each(|(o, b)| {
            for (o, b) in o.chunks_exact_mut(values).zip(b.chunks_exact(size)) {
                t.kind.decode(b, o);
            }
        });
        out
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The GGUF name of a canonical tensor name; `None` where there is none. What transformers calls
/// `post_attention_layernorm` stands before the MLP where a block has norms before alone.
fn gguf_name(name: &str, norms: Norms) -> Option<String> {
    match name {
        "embed_tokens.weight" => return Some("token_embd.weight".into()),
        "norm.weight" => return Some("output_norm.weight".into()),
        "lm_head.weight" => return Some("output.weight".into()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("layers.")?.split_once('.')?;
    let (part, end) = rest.rsplit_once('.')?;
    let part = match part {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "self_attn.o_proj" => "attn_output",
        "post_attention_layernorm" if norms == Norms::Pre => "ffn_norm",
        "post_attention_layernorm" => "post_attention_norm",
        "pre_feedforward_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "post_feedforward_layernorm" => "post_ffw_norm",
        _ => return None,
    };
    Some(format!("blk.{layer}.{part}.{end}"))
}

impl Gguf {
    /// Where a tensor lies, which must have the shape `shape`; `name` is its canonical name.
    fn info(&self, name: &str, shape: &[usize]) -> Result<&Info> {
        let err = |m: String| Error::format(&self.path, m);
        let there = gguf_name(name, self.arch()?.norms).ok_or_else(|| err(format!("no GGUF name for `{name}`")))?;
        let t = self.tensors.get(&there).ok_or_else(|| err(format!("tensor `{there}` is missing")))?;
        if t.shape != shape {
            return Err(err(format!("tensor `{there}` is {:?}, but the header says {shape:?}", t.shape)));
        }
        Ok(t)
    }

    /// Checks that every tensor of its architecture is there, in its shape.
    ///
    /// # Errors
    /// Names the first that is not.
    pub(crate) fn whole(&self) -> Result<()> {
        self.arch()?.tensors().iter().try_for_each(|(name, shape)| self.info(name, shape).map(|_| ()))
    }
}

impl TensorSource for Gguf {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (arch, t) = (self.arch()?, self.info(name, shape)?);
        let mut out = self.numbers(t);
        // llama.cpp's converter stores Gemma's norm weights as 1 + γ; canonical weights are γ.
        if name.contains("norm") {
            out.iter_mut().for_each(|w| *w -= arch.norm_offset);
        }
        let rotated = ["q_proj", "k_proj"].iter().any(|p| name.contains(p));
        if rotated && arch.family.interleaved { Ok(arch::halves(&out, arch.head_dim, shape)) } else { Ok(out) }
    }
    fn parameters(&self) -> u64 {
        self.tensors.values().map(|t| t.shape.iter().product::<usize>() as u64).sum()
    }
}
