//! Finding and loading autoencoders from folders or the hub, in the formats of the suites that are published.
use crate::find::{self, KINDS};
use crate::name::{Inside, Name};
use crate::suites::{Format, Origin, dictionary_learning, gemma_scope, goodfire, qwen_scope, sparsify};
use crate::tensors::Tensors;
use crate::{lens, name, release};
use friction_checkpoint::hub::Repo;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Result, Site};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub use crate::configuration::sites;
pub use crate::find::FILES;
pub use crate::loaded::Loaded;

/// Where an autoencoder is found, as a manifest says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Where the autoencoder is: `hf:google/gemma-scope-2-4b-it` (for a tuned model, the `-it` repository) or `path:folder`.
    /// A folder is relative to the manifest; with `sae` it has the repository's layout, without it is one autoencoder's. The
    /// formats of Gemma Scope 2, Gemma Scope, Qwen-Scope, SAELens, dictionary_learning, sparsify and Goodfire are read.
    pub source: String,
    /// Name of the autoencoder in the repository: of Gemma Scope 2 folder/layer/width/l0, such as `resid_post/17/16k/medium`;
    /// of others the path of its folder or file, such as `layer_20/width_16k/average_l0_71` or `layer12.sae.pt`. Default:
    /// none; needed for `hf:`.
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
    /// Path of the configuration (JSON), where it has one.
    pub config: Option<PathBuf>,
    /// Path of the weights.
    pub tensors: PathBuf,
    /// The hub repository that it is from, `owner/name`. Where a suite has no configurations, its name says the model.
    pub repository: Option<String>,
}

impl Source {
    /// Checks the fields before anything is opened.
    ///
    /// # Errors
    /// Names every field that is wrong.
    pub fn validate(&self) -> Result<()> {
        let mut faults = friction_core::error::Faults::default();
        if let Err(e) = self.inside() {
            faults.when(true, "sae", e.to_string());
        }
        let hub = self.source.starts_with("hf:");
        let unnamed = "name an autoencoder of the repository: `sae = \"resid_post/17/16k/medium\"`, or the path of its folder or file";
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

    /// What `sae` names.
    fn inside(&self) -> Result<Option<Inside>> {
        self.sae.as_ref().map(|sae| Inside::of(self.repository(), sae)).transpose()
    }

    /// Finds the files, and fetches them where the source is a hub repository. A relative folder is relative to
    /// `base`.
    ///
    /// # Errors
    /// When a field is wrong, or a file is missing or cannot be fetched.
    pub fn find(&self, base: &Path) -> Result<Found> {
        self.validate()?;
        let inside = self.inside()?;
        let (config, tensors) = match (self.repository(), &inside) {
            (Some(id), Some(inside)) => self.fetch(id, inside)?,
            (_, inside) => {
                let dir = base.join(self.source.strip_prefix("path:").unwrap_or(&self.source));
                find::local(&inside.as_ref().map_or_else(|| dir.clone(), |i| dir.join(i.path())))?
            }
        };
        let repository = self.repository().map(String::from);
        Ok(Found { name: inside.and_then(Inside::short), config, tensors, repository })
    }

    /// Fetches an autoencoder from the hub.
    fn fetch(&self, id: &str, inside: &Inside) -> Result<find::Files> {
        let mut repo = Repo::new(id, self.revision.as_deref(), false).map_err(Error::other)?;
        if let Inside::Short(name) = inside {
            let mut get = |file: &str| repo.get(&format!("{}/{file}", name.path())).map_err(Error::other);
            return Ok((Some(get(FILES[0].0)?), get(FILES[0].1)?));
        }
        let path = inside.path();
        let mut last = path.clone();
        let mut get = |file: &str| {
            last = file.into();
            repo.try_get(file).map_err(Error::other)
        };
        if let Some(found) = find::seek(&path, &mut get)? {
            return Ok(found);
        }
        // Whether the hub does not answer, or lacks the files, is told by asking for one of them.
        let why = repo.get(&last).err().map(|e| format!(" ({e})")).unwrap_or_default();
        Err(Error::config(format!("{id} holds no autoencoder at `{path}`{why}: {KINDS}")))
    }
}

impl Found {
    /// All its files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.config.iter().map(PathBuf::as_path).chain([self.tensors.as_path()])
    }

    fn origin(&self) -> Origin<'_> {
        Origin { config: self.config.as_deref(), tensors: &self.tensors, repository: self.repository.as_deref() }
    }

    /// Loads the parameters.
    ///
    /// # Errors
    /// When a file is missing or malformed, or asks for something that is not computed; the message names the file.
    pub fn load(&self) -> Result<Loaded> {
        let (o, format) = (self.origin(), Format::of(&self.tensors)?);
        let config = if format == Format::Configured { o.json()? } else { Value::Null };
        let t = Tensors::open(&self.tensors)?;
        let loaded = match format {
            Format::Configured if t.has("w_enc") => release::load(o.config()?, &config, &t),
            Format::Configured => lens::load(o.config()?, &config, &t),
            Format::Sparsify => sparsify::load(&o, &t),
            Format::DictionaryLearning => dictionary_learning::load(&o, &t),
            Format::GemmaScope => gemma_scope::load(&o, &t),
            Format::QwenScope => qwen_scope::load(&o, &t),
            Format::Goodfire => goodfire::load(&o, &t),
        }?;
        loaded.parameters.check().map_err(|what| o.wrong(what))?;
        // The name of a release's repository is the hub's own.
        let model = self.repository.as_deref().and_then(name::model).or(loaded.model);
        Ok(Loaded { model, ..loaded })
    }

    /// The site that it reads and the site that it reconstructs. `site` is what the manifest says is read, for files that
    /// do not say.
    ///
    /// # Errors
    /// When neither says what is read, `site` contradicts what the files say, or a transcoder's configuration does not say
    /// what it reconstructs.
    pub fn sites(&self, site: Option<Site>) -> Result<(Site, Site)> {
        let (origin, format) = (self.origin(), Format::of(&self.tensors)?);
        let (own, writes) = origin.sites(format)?;
        let says = || self.config.as_deref().unwrap_or(&self.tensors).display();
        if let Some(site) = site {
            let other = match own {
                Some(own) => (stream(own) != stream(site)).then(|| format!("`{own}`")),
                None => {
                    let here = [site.layer(), stream(site).layer()];
                    origin.layer(format).filter(|l| !here.contains(&Some(*l))).map(|l| format!("layer {l}"))
                }
            };
            if let Some(other) = other {
                return Err(Error::at(
                    "site",
                    format!(
                        "`site` is `{site}`, but {} is of {other}: leave `site` out, or name the autoencoder of `{site}`",
                        says()
                    ),
                ));
            }
        }
        let reads = site
            .or(own)
            .ok_or_else(|| Error::config(format!("{} does not say what the autoencoder reads: set `site`", says())))?;
        // An autoencoder reconstructs what it reads.
        Ok((reads, writes.filter(|w| own != Some(*w)).unwrap_or(reads)))
    }
}

/// A site by the one name of its activations: a block's input is the output of the block before it.
fn stream(site: Site) -> Site {
    match site {
        Site::ResidPre(0) => Site::Embed,
        Site::ResidPre(l) => Site::ResidPost(l - 1),
        other => other,
    }
}

/// Finds an autoencoder in a folder, or by its file of weights.
///
/// # Errors
/// When there is none in a format that is read, or there are several.
pub fn find(at: &Path) -> Result<Found> {
    let (config, tensors) = find::local(at)?;
    Ok(Found { name: None, config, tensors, repository: None })
}

/// Loads an autoencoder from a folder, or by its file of weights.
///
/// # Errors
/// As [`find`] and [`Found::load`].
pub fn folder(at: &Path) -> Result<Loaded> {
    find(at)?.load()
}
