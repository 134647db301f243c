//! Autoencoders from folders: Gemma Scope 2's and SAELens'.
use crate::name::Name;
use crate::parameters::Parameters;
use crate::values::Tensors;
use crate::{lens, release};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Result, Site};
use friction_model::hub::Repo;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where an autoencoder is found, as a manifest says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `hf:google/gemma-scope-2-4b-it` (the `it` repository for a tuned model), or `path:folder`: a
    /// folder of the release's layout where `sae` is given, else one autoencoder's.
    pub source: String,
    /// Short name: folder/layer/width/l0, such as `resid_post/17/16k/medium`.
    #[serde(default)]
    pub sae: Option<String>,
    /// Commit, tag or branch of the repository. Default `main`.
    #[serde(default)]
    pub revision: Option<String>,
}

/// The files of an autoencoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its short name, where it has one.
    pub name: Option<Name>,
    /// Its configuration.
    pub config: PathBuf,
    /// Its tensors.
    pub tensors: PathBuf,
}

impl Source {
    /// Checks what is written, before anything is opened.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn validate(&self) -> Result<()> {
        let mut faults = friction_core::error::Faults::default();
        if let Some(Err(e)) = self.sae.as_ref().map(|s| s.parse::<Name>()) {
            faults.when(true, "sae", e.to_string());
        }
        let hub = self.source.starts_with("hf:");
        let unnamed = "name an autoencoder of the repository: `sae = \"resid_post/17/16k/medium\"`";
        faults.when(hub && self.sae.is_none(), "source", unnamed);
        faults.when(!hub && !self.source.starts_with("path:"), "source", "`source` begins with `hf:` or `path:`");
        let idle = "`revision` does nothing here: only a source `hf:` has revisions";
        faults.when(!hub && self.revision.is_some(), "revision", idle);
        faults.end()
    }

    /// The repository of the hub, where it is one.
    pub fn repository(&self) -> Option<&str> {
        self.source.strip_prefix("hf:")
    }

    /// Finds the files; fetches them by name where the source is a repository. A folder is relative to
    /// `base`.
    ///
    /// # Errors
    /// Says which file is missing.
    pub fn find(&self, base: &Path) -> Result<Found> {
        self.validate()?;
        let name = self.sae.as_ref().map(|s| s.parse::<Name>()).transpose()?;
        let (config, tensors) = match (self.repository(), &name) {
            (Some(id), Some(name)) => {
                let mut repo = Repo::new(id, self.revision.as_deref(), false).map_err(Error::other)?;
                let mut get = |file: &str| repo.get(&format!("{}/{file}", name.path())).map_err(Error::other);
                (get(FILES[0].0)?, get(FILES[0].1)?)
            }
            (_, name) => {
                let dir = base.join(self.source.strip_prefix("path:").unwrap_or(&self.source));
                find(&name.as_ref().map_or_else(|| dir.clone(), |n| dir.join(n.path())))?
            }
        };
        Ok(Found { name, config, tensors })
    }
}

impl Found {
    /// Opens it.
    ///
    /// # Errors
    /// As [`files`].
    pub fn load(&self) -> Result<Loaded> {
        files(&self.config, &self.tensors)
    }

    /// What it reads and writes. `site` is what it reads instead of what the configuration says, and for an
    /// autoencoder what it writes.
    ///
    /// # Errors
    /// When neither says what it reads, or a transcoder's configuration not what it writes.
    pub fn sites(&self, site: Option<Site>) -> Result<(Site, Site)> {
        let (own, writes) = sites(&self.config)?;
        let reads = site.or(own).ok_or_else(|| {
            Error::config(format!("{} does not say what the autoencoder reads: set `site`", self.config.display()))
        })?;
        // What reconstructs what it reads does so wherever it is put.
        Ok((reads, writes.filter(|w| own != Some(*w)).unwrap_or(reads)))
    }
}

/// Parameters with what the folder says of them.
pub struct Loaded {
    /// The parameters.
    pub parameters: Parameters,
    /// What it reads; `None` where the folder does not say.
    pub reads: Option<Site>,
    /// What it reconstructs: the same site, or another for a transcoder.
    pub writes: Option<Site>,
    /// The model that it was trained on.
    pub model: Option<String>,
}

/// The files of a folder: configuration and tensors, of either kind.
pub const FILES: [(&str, &str); 2] = [("config.json", "params.safetensors"), ("cfg.json", "sae_weights.safetensors")];

/// Configuration and tensors of a folder of either kind.
///
/// # Errors
/// When it holds neither.
pub fn find(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    FILES.iter().map(|(c, t)| (dir.join(c), dir.join(t))).find(|(c, t)| c.exists() && t.exists()).ok_or_else(|| {
        Error::config(format!(
            "{} holds no autoencoder: neither config.json with params.safetensors (Gemma Scope 2) nor cfg.json with sae_weights.safetensors (SAELens)",
            dir.display()
        ))
    })
}

/// Loads a folder of either kind.
///
/// # Errors
/// Says which file is missing or what in it is not understood.
pub fn folder(dir: &Path) -> Result<Loaded> {
    let (config, tensors) = find(dir)?;
    files(&config, &tensors)
}

/// Loads from a configuration and its tensors.
///
/// # Errors
/// As [`folder`].
pub fn files(config: &Path, tensors: &Path) -> Result<Loaded> {
    let c = read(config)?;
    let t = Tensors::open(tensors)?;
    let loaded = if t.has("w_enc") { release::load(config, &c, &t) } else { lens::load(config, &c, &t) }?;
    loaded.parameters.check().map_err(|what| Error::config(format!("{}: {what}", tensors.display())))?;
    Ok(loaded)
}

/// What an autoencoder reads and writes, from its configuration alone.
///
/// # Errors
/// When it cannot be read, or is a transcoder's and names nothing known that it writes.
pub fn sites(config: &Path) -> Result<(Option<Site>, Option<Site>)> {
    let c = read(config)?;
    let sites = if release::is(&c) { release::sites(&c) } else { lens::sites(&c) };
    sites.map_err(|what| Error::config(format!("{}: {what}", config.display())))
}

/// Longest configuration that is read: those of training runs have some hundred keys.
const LONGEST: u64 = 1 << 20;

fn read(config: &Path) -> Result<Value> {
    let wrong = |what: String| Error::config(format!("{}: {what}", config.display()));
    let length = std::fs::metadata(config).map_err(|e| wrong(e.to_string()))?.len();
    if length > LONGEST {
        return Err(wrong(format!("is {length} bytes long: no configuration of an autoencoder")));
    }
    let text = std::fs::read_to_string(config).map_err(|e| wrong(e.to_string()))?;
    let c: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    if c.is_object() { Ok(c) } else { Err(wrong("is no JSON object".into())) }
}
