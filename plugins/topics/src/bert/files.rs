//! The files of a checkpoint, from the hub or from a folder, and the hash of those that were read.
use friction_checkpoint::hub::Repo;
use friction_checkpoint::json;
use friction_checkpoint::weights::TensorSource;
use friction_checkpoint::weights::safetensors::{SafetensorsFiles, map_file};
use friction_core::{Error, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Where files are looked for.
enum Place {
    Folder(PathBuf),
    Hub(Box<Repo>),
}

/// The files of a checkpoint.
pub(super) struct Files {
    place: Place,
    sha: Sha256,
}

impl Files {
    /// Finds the place; a folder is relative to `base`.
    pub fn of(source: &str, revision: Option<&str>, base: &Path) -> Result<Self> {
        let unknown = || {
            let help = "write `hf:owner/name` for a model of the hub, or `path:folder`";
            Error::at("model", format!("`{source}` names no model")).help(help)
        };
        let (kind, rest) = source.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(unknown)?;
        let place = match kind {
            "hf" => {
                let repo = Repo::new(rest, revision, false).map_err(|e| Error::at("model", e.to_string()))?;
                Place::Hub(Box::new(repo))
            }
            "path" => {
                let folder = match (rest.strip_prefix("~/"), std::env::var_os("HOME")) {
                    (Some(rest), Some(home)) => Path::new(&home).join(rest),
                    _ => base.join(rest),
                };
                if !folder.is_dir() {
                    return Err(Error::at("model", format!("there is no folder {}", folder.display())));
                }
                if revision.is_some() {
                    return Err(Error::at(
                        "revision",
                        "`revision` does nothing beside a folder: only the hub has revisions",
                    ));
                }
                Place::Folder(folder)
            }
            _ => return Err(unknown()),
        };
        Ok(Self { place, sha: Sha256::new() })
    }

    /// The path of a file; `None` if the checkpoint has none of this name.
    fn find(&mut self, name: &str) -> Result<Option<PathBuf>> {
        match &mut self.place {
            Place::Folder(folder) => Ok(Some(folder.join(name)).filter(|p| p.exists())),
            Place::Hub(repo) => repo.try_get(name).map_err(told),
        }
    }

    /// The path of a file that must be there.
    fn need(&mut self, name: &str) -> Result<PathBuf> {
        match &mut self.place {
            Place::Folder(folder) => {
                let path = folder.join(name);
                if path.exists() { Ok(path) } else { Err(Error::config(format!("holds no {name}"))) }
            }
            // Unlike `try_get`, it tells a missing file from a missing network.
            Place::Hub(repo) => repo.get(name).map_err(told),
        }
    }

    fn hash(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.sha.update((part.len() as u64).to_le_bytes());
            self.sha.update(part);
        }
    }

    fn text_at(&mut self, name: &str, path: &Path) -> Result<String> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::config(format!("{name}: {e}")))?;
        self.hash(name, text.as_bytes());
        Ok(text)
    }

    /// The text of a file; `None` if there is none.
    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        self.find(name)?.map(|path| self.text_at(name, &path)).transpose()
    }

    /// A file of JSON that must be there.
    pub fn json(&mut self, name: &str) -> Result<Value> {
        let path = self.need(name)?;
        parsed(name, &self.text_at(name, &path)?)
    }

    /// A file of JSON; `Null` if there is none.
    pub fn json_if_any(&mut self, name: &str) -> Result<Value> {
        self.text(name)?.map_or(Ok(Value::Null), |text| parsed(name, &text))
    }

    /// The weights: model.safetensors in a folder of the checkpoint.
    pub fn weights(&mut self, folder: &str) -> Result<Box<dyn TensorSource>> {
        let name = format!("{folder}model.safetensors");
        let path = self.need(&name)?;
        let map = map_file(&path).map_err(told)?;
        self.hash(&name, &map);
        Ok(Box::new(SafetensorsFiles::open_files(vec![path]).map_err(told)?))
    }

    /// SHA-256, in hexadecimal, of the files that were read, with their names.
    pub fn sha256(&self) -> String {
        format!("{:x}", self.sha.clone().finalize())
    }
}

fn parsed(name: &str, text: &str) -> Result<Value> {
    json::value(text).map_err(|e| Error::config(format!("{name}: {e}")))
}

/// An error of the checkpoint's crate as one of the option `model`.
pub(super) fn told(e: friction_checkpoint::Error) -> Error {
    Error::config(e.to_string())
}
