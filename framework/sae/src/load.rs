//! Finding and loading autoencoders from folders or the hub, in Gemma Scope 2's or SAELens' format.
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
    /// Where the autoencoder is: `hf:google/gemma-scope-2-4b-it` (for a tuned model, the `-it` repository) or `path:folder`.
    /// A folder is relative to the manifest; with `sae` it has the repository's layout, without it is one autoencoder's, in
    /// the format of Gemma Scope 2 or of SAELens.
    pub source: String,
    /// Name of the autoencoder in the repository: folder/layer/width/l0, such as `resid_post/17/16k/medium`. Default: none;
    /// needed for `hf:`.
    #[serde(default)]
    pub sae: Option<String>,
    /// Branch, tag or commit of the repository. Default: `main`. Set it to a commit to pin the autoencoder.
    #[serde(default)]
    pub revision: Option<String>,
}

/// Paths of an autoencoder's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its short name, where it has one.
    pub name: Option<Name>,
    /// Path of the configuration (JSON).
    pub config: PathBuf,
    /// Path of the weights (safetensors).
    pub tensors: PathBuf,
}

impl Source {
    /// Checks the fields before anything is opened.
    ///
    /// # Errors
    /// Names every field that is wrong.
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

    /// The hub repository `owner/name`; `None` for a folder.
    pub fn repository(&self) -> Option<&str> {
        self.source.strip_prefix("hf:")
    }

    /// Finds the files, and fetches them where the source is a hub repository. A relative folder is relative to
    /// `base`.
    ///
    /// # Errors
    /// When a field is wrong, or a file is missing or cannot be fetched.
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
    /// Loads the parameters.
    ///
    /// # Errors
    /// As [`files`].
    pub fn load(&self) -> Result<Loaded> {
        files(&self.config, &self.tensors)
    }

    /// The site that it reads and the site that it reconstructs. `site`, where given, replaces the site that the
    /// configuration says is read, and for an autoencoder also the one that it reconstructs.
    ///
    /// # Errors
    /// When neither says what is read, or a transcoder's configuration does not say what it reconstructs.
    pub fn sites(&self, site: Option<Site>) -> Result<(Site, Site)> {
        let (own, writes) = sites(&self.config)?;
        let reads = site.or(own).ok_or_else(|| {
            Error::config(format!("{} does not say what the autoencoder reads: set `site`", self.config.display()))
        })?;
        // An autoencoder reconstructs what it reads, at whichever site it is applied.
        Ok((reads, writes.filter(|w| own != Some(*w)).unwrap_or(reads)))
    }
}

/// Parameters, and what the configuration says about them.
pub struct Loaded {
    /// Weights and settings; their shapes agree.
    pub parameters: Parameters,
    /// Site whose activations it encodes; `None` where the configuration does not say.
    pub reads: Option<Site>,
    /// Site that it reconstructs: the same for an autoencoder, another for a transcoder. `None` where the
    /// configuration does not say.
    pub writes: Option<Site>,
    /// Name of the model that it was trained on, where the configuration says.
    pub model: Option<String>,
}

/// Names of configuration and weights: of Gemma Scope 2, and of SAELens.
pub const FILES: [(&str, &str); 2] = [("config.json", "params.safetensors"), ("cfg.json", "sae_weights.safetensors")];

/// Paths of configuration and weights in a folder of either format.
///
/// # Errors
/// When it holds neither pair of files.
pub fn find(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    FILES.iter().map(|(c, t)| (dir.join(c), dir.join(t))).find(|(c, t)| c.exists() && t.exists()).ok_or_else(|| {
        Error::config(format!(
            "{} holds no autoencoder: neither config.json with params.safetensors (Gemma Scope 2) nor cfg.json with sae_weights.safetensors (SAELens)",
            dir.display()
        ))
    })
}

/// Loads an autoencoder from a folder of either format.
///
/// # Errors
/// When a file is missing or malformed, or asks for something that is not computed; the message names the file.
pub fn folder(dir: &Path) -> Result<Loaded> {
    let (config, tensors) = find(dir)?;
    files(&config, &tensors)
}

/// Loads an autoencoder from its configuration and weights. The format is told by the tensors' names.
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

/// The sites that an autoencoder reads and reconstructs, from its configuration alone.
///
/// # Errors
/// When the configuration cannot be read, or a transcoder's names no known site that it reconstructs.
pub fn sites(config: &Path) -> Result<(Option<Site>, Option<Site>)> {
    let c = read(config)?;
    let sites = if release::is(&c) { release::sites(&c) } else { lens::sites(&c) };
    sites.map_err(|what| Error::config(format!("{}: {what}", config.display())))
}

/// Largest configuration file that is read, in bytes. Those of training runs have some hundred keys.
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
