//! Suites of published autoencoders whose formats are their own: one file each. What is not computed here, and what
//! contradicts itself, is refused by name.
pub mod dictionary_learning;
pub mod gemma_scope;
pub mod goodfire;
pub mod qwen_scope;
pub mod sparsify;

use crate::loaded::Loaded;
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters};
use crate::tensors::Tensors;
use crate::values::Values;
use friction_core::{Error, Result, Site};
use serde_json::Value;
use std::path::{Component, Path};

/// The sites that an autoencoder reads and reconstructs, where its files and their names say so.
pub type Sites = (Option<Site>, Option<Site>);

/// The format of a file of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Gemma Scope 2's or SAELens'; the configuration and the tensors' names tell which.
    Configured,
    /// EleutherAI's sparsify.
    Sparsify,
    /// dictionary_learning.
    DictionaryLearning,
    /// Gemma Scope.
    GemmaScope,
    /// Qwen-Scope.
    QwenScope,
    /// Goodfire's, and others' of the same form.
    Goodfire,
}

impl Format {
    /// The format, by the file's name.
    ///
    /// # Errors
    /// When a file of PyTorch has a name of no format.
    pub fn of(tensors: &Path) -> Result<Self> {
        let name = tensors.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        Ok(match tensors.extension().and_then(|e| e.to_str()) {
            Some("npz") => Self::GemmaScope,
            Some("pt" | "pth") if name == "ae.pt" => Self::DictionaryLearning,
            Some("pt" | "pth") if qwen_scope::layer(name).is_some() => Self::QwenScope,
            Some("pt" | "pth") if goodfire::parts(name).is_some() => Self::Goodfire,
            Some("pt" | "pth") => {
                return Err(Error::config(format!(
                    "{}: the name tells no format of PyTorch files; `ae.pt` (dictionary_learning), `layer12.sae.pt` (Qwen-Scope) and `<model>-SAE-l19.pt` (Goodfire) do: keep the name that it was published with",
                    tensors.display()
                )));
            }
            _ if name == "sae.safetensors" => Self::Sparsify,
            _ => Self::Configured,
        })
    }
}

/// Keys of configurations that name what is read.
const HOOKS: [&str; 4] = ["hook_name", "hook_point", "hf_hook_name", "hf_hook_point_in"];

/// The layer in the name of a hook, of a module or of a folder: `blocks.3.ln2`, `model.layers.3.mlp`, `layer_3`.
fn numbered(name: &str) -> Option<usize> {
    let (_, rest) = ["blocks.", "layers.", "layer_"].into_iter().find_map(|before| name.split_once(before))?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Where an autoencoder is from.
pub struct Origin<'a> {
    /// Path of its configuration, where it has one.
    pub config: Option<&'a Path>,
    /// Path of its weights.
    pub tensors: &'a Path,
    /// The hub repository that it was fetched from.
    pub repository: Option<&'a str>,
}

impl Origin<'_> {
    /// An error about the weights.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::config(format!("{}: {what}", self.tensors.display()))
    }

    /// An error about the configuration.
    pub fn misconfigured(&self, what: impl std::fmt::Display) -> Error {
        Error::config(format!("{}: {what}", self.config.unwrap_or(self.tensors).display()))
    }

    /// The name of the file of weights.
    pub fn file(&self) -> &str {
        self.tensors.file_name().and_then(|n| n.to_str()).unwrap_or_default()
    }

    /// The names of the folders that it lies in, the nearest first.
    pub fn folders(&self) -> Vec<String> {
        let folder = self.tensors.parent().unwrap_or(Path::new(""));
        // The name of a folder given as `.` or `..` is not in its path.
        let whole = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
        let name = |c: Component| match c {
            Component::Normal(name) => name.to_str().map(String::from),
            _ => None,
        };
        whole.components().rev().filter_map(name).collect()
    }

    /// What the repository's name says, as `read` reads it. Of a folder, a part of the path must be called as the
    /// repository is, or as the hub's cache calls it (`models--owner--name`).
    pub fn repository<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let own = self.repository.and_then(|r| read(r.rsplit('/').next().unwrap_or(r)));
        own.or_else(|| self.folders().iter().find_map(|f| read(f.rsplit("--").next().unwrap_or(f))))
    }

    /// The sites, without the weights.
    ///
    /// # Errors
    /// When the configuration cannot be read, or the autoencoder is of a kind that is not read.
    pub fn sites(&self, format: Format) -> Result<Sites> {
        match format {
            Format::Configured => crate::configuration::sites(self.config()?),
            Format::Sparsify => sparsify::sites(self),
            Format::DictionaryLearning => dictionary_learning::sites(self),
            Format::GemmaScope => gemma_scope::sites(self),
            Format::QwenScope => Ok(qwen_scope::sites(self)),
            Format::Goodfire => Ok(goodfire::sites(self)),
        }
    }

    /// The layer that its configuration or its folders name; for what has no site by the name of its module.
    pub fn layer(&self, format: Format) -> Option<usize> {
        let c = self.config.and_then(|path| crate::configuration::read(path).ok()).unwrap_or_default();
        let word = |key: &str| c.get(key).or_else(|| c.get("metadata")?.get(key))?.as_str();
        match format {
            Format::Configured => HOOKS.iter().find_map(|key| numbered(word(key)?)),
            Format::DictionaryLearning => c.pointer("/trainer/layer")?.as_u64()?.try_into().ok(),
            Format::Sparsify | Format::GemmaScope => self.folders().iter().take(3).find_map(|f| numbered(f)),
            Format::QwenScope | Format::Goodfire => None,
        }
    }

    /// The path of the configuration.
    ///
    /// # Errors
    /// When there is none.
    pub fn config(&self) -> Result<&Path> {
        self.config.ok_or_else(|| self.wrong("its configuration is not beside it: fetch the whole folder"))
    }

    /// The configuration.
    ///
    /// # Errors
    /// When there is none, or it is no JSON object.
    pub fn json(&self) -> Result<Value> {
        crate::configuration::read(self.config()?)
    }
}

/// An autoencoder of these parameters.
fn loaded(parameters: Parameters, (reads, writes): Sites, model: Option<String>) -> Loaded {
    Loaded { parameters, reads, writes, model }
}

/// Names of an encoder's and a decoder's tensors.
struct Names {
    w_enc: &'static str,
    b_enc: &'static str,
    w_dec: &'static str,
    b_dec: &'static str,
}

/// Names of a pair of PyTorch's `Linear`, whose weights are `[output, input]`.
const LINEAR: Names =
    Names { w_enc: "encoder.weight", b_enc: "encoder.bias", w_dec: "decoder.weight", b_dec: "decoder.bias" };
/// Names of matrices that stand alone.
const MATRICES: Names = Names { w_enc: "W_enc", b_enc: "b_enc", w_dec: "W_dec", b_dec: "b_dec" };

/// How a file lays out its two matrices.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Transposed {
    /// Whether the encoder is `[width, input]`.
    encoder: bool,
    /// Whether the decoder is `[output, width]`.
    decoder: bool,
}

const BOTH: Transposed = Transposed { encoder: true, decoder: true };
const NEITHER: Transposed = Transposed { encoder: false, decoder: false };

/// Reads encoder and decoder of an autoencoder; they stay in their file.
fn parameters(
    t: &Tensors,
    names: &Names,
    how: Transposed,
    activation: Activation,
    centred: bool,
) -> Result<Parameters> {
    let (b_enc, b_dec) = (t.vector(names.b_enc)?, t.vector(names.b_dec)?);
    let matrix = |name: &str, rows: usize, cols: usize, transposed: bool| -> Result<Values> {
        match transposed {
            true => Ok(t.matrix(name, cols, rows)?.transposed(cols, rows)),
            false => t.matrix(name, rows, cols),
        }
    };
    Ok(Parameters {
        w_enc: matrix(names.w_enc, b_dec.len(), b_enc.len(), how.encoder)?,
        w_dec: matrix(names.w_dec, b_enc.len(), b_dec.len(), how.decoder)?,
        b_enc,
        b_dec,
        skip: None,
        activation,
        centred,
        normalize: Normalize::None,
    })
}

/// Refuses a size that a configuration or a name says and that the tensors do not have.
fn agrees(what: &str, said: Option<&Value>, is: usize) -> std::result::Result<(), String> {
    match said.filter(|v| !v.is_null() && v.as_u64() != Some(is as u64)) {
        Some(said) => Err(format!("`{what}` is {said}, but the tensors say {is}")),
        None => Ok(()),
    }
}

/// A whole number from 1 of a configuration.
fn count(what: &str, said: Option<&Value>) -> std::result::Result<usize, String> {
    let n = said.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    n.ok_or_else(|| match said {
        Some(said) => format!("`{what}` is {said}, not a whole number from 1"),
        None => format!("says no `{what}`"),
    })
}
