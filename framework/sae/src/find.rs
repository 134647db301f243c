//! Which files an autoencoder is, in a folder or in a repository of the hub.
use crate::suites::{Format, sparsify};
use friction_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Names of configuration and weights, in a folder of an autoencoder: of Gemma Scope 2, SAELens, sparsify and
/// dictionary_learning.
pub const FILES: [(&str, &str); 4] = [
    ("config.json", "params.safetensors"),
    ("cfg.json", "sae_weights.safetensors"),
    ("cfg.json", sparsify::FILES.0),
    ("config.json", "ae.pt"),
];

/// Name of Gemma Scope's weights, which have no configuration.
const SCOPE: &str = "params.npz";

/// Files that tell a format which is not read, and what is said of it.
const OTHERS: [(&str, &str); 2] = [
    (
        "hyperparams.json",
        "is Llama Scope's format, which is not read: how its thresholds and its decoder's norms scale with the activations is not settled by what is published; SAELens can load it and write its own format",
    ),
    (
        "lm_config.json",
        "is a format of Language-Model-SAEs, which is not read; SAELens can load it and write its own format",
    ),
];

/// What a folder may hold, for messages.
pub const KINDS: &str = "config.json with params.safetensors (Gemma Scope 2) or ae.pt (dictionary_learning), cfg.json with sae_weights.safetensors (SAELens) or sae.safetensors (sparsify), params.npz (Gemma Scope), a layer12.sae.pt (Qwen-Scope), or a <model>-SAE-l19.pt (Goodfire)";

/// Path of the configuration, where there is one, and of the weights.
pub type Files = (Option<PathBuf>, PathBuf);

/// `file` in the folder `inside`.
fn join(inside: &str, file: &str) -> String {
    if inside.is_empty() { file.into() } else { format!("{inside}/{file}") }
}

/// The folder that a path lies in; empty at the top.
fn above(inside: &str) -> &str {
    inside.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Looks for an autoencoder at `inside`, the path of a folder or of a file of weights. `get` has a file by its path, and
/// fetches it where that is needed.
///
/// # Errors
/// Those of `get`, and when there is a file of a format that is not read.
pub fn seek(inside: &str, get: &mut dyn FnMut(&str) -> Result<Option<PathBuf>>) -> Result<Option<Files>> {
    let (folder, file) = (above(inside), inside.rsplit('/').next().unwrap_or(inside));
    if ["pt", "pth", "npz", "safetensors"].iter().any(|e| file.rsplit_once('.').is_some_and(|(_, own)| own == *e)) {
        let Some((config, _)) = FILES.iter().find(|(_, weights)| *weights == file) else {
            return Ok(get(inside)?.map(|weights| (None, weights)));
        };
        return pair(folder, config, file, get);
    }
    for (config, weights) in FILES {
        if let Some(found) = pair(inside, config, weights, get)? {
            return Ok(Some(found));
        }
    }
    if let Some(weights) = get(&join(inside, SCOPE))? {
        return Ok(Some((None, weights)));
    }
    for (file, what) in OTHERS {
        if get(&join(inside, file))?.is_some() {
            return Err(Error::config(format!("{}: {what}", join(inside, file))));
        }
    }
    Ok(None)
}

/// A configuration with its weights, where both are there.
fn pair(
    folder: &str,
    config: &str,
    weights: &str,
    get: &mut dyn FnMut(&str) -> Result<Option<PathBuf>>,
) -> Result<Option<Files>> {
    let Some(config) = get(&join(folder, config))? else { return Ok(None) };
    let Some(tensors) = get(&join(folder, weights))? else { return Ok(None) };
    if weights == sparsify::FILES.0 {
        // The run's configuration says the model. It is read from beside the folder.
        get(&join(above(folder), sparsify::FILES.1))?;
    }
    Ok(Some((Some(config), tensors)))
}

/// The files of an autoencoder in a folder, or of a file of weights.
///
/// # Errors
/// When there is none, or there are several.
pub fn local(at: &Path) -> Result<Files> {
    let (folder, inside) = match at.is_file() {
        true => (at.parent().unwrap_or(Path::new("")), at.file_name().and_then(|n| n.to_str()).unwrap_or_default()),
        false => (at, ""),
    };
    let mut get = |file: &str| -> Result<Option<PathBuf>> { Ok(Some(folder.join(file)).filter(|path| path.exists())) };
    if let Some(found) = seek(inside, &mut get)? {
        return Ok(found);
    }
    let none = || Error::config(format!("{} holds no autoencoder: {KINDS}", at.display()));
    if at.is_file() {
        return Err(none());
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(at)
        .map_err(|_| none())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pt" || e == "pth"))
        .collect();
    files.sort();
    let known = files.iter().position(|path| Format::of(path).is_ok());
    match (files.len(), known) {
        (1, Some(_)) => Ok((None, files.remove(0))),
        (n, Some(first)) => Err(Error::config(format!(
            "{} holds {n} files of PyTorch: name the autoencoder, such as `sae = \"{}\"`",
            at.display(),
            files[first].file_name().and_then(|f| f.to_str()).unwrap_or_default()
        ))),
        (_, None) => Err(none()),
    }
}
