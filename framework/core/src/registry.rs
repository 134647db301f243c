//! How plugins are found: each submits one [`PluginEntry`] to `inventory`.
//!
//! ```ignore
//! friction_core::inventory::submit! {
//!     PluginEntry::condition::<Template>("template", "A user message made from a template", env!("CARGO_PKG_VERSION"))
//! }
//! ```
use crate::manifest::{BackendSection, Issues, Manifest, ModelSection, Path, deserialize};
use crate::{Analyzer, Condition, Dataset, Hook, Result, Topics};
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// What a plugin may use when it is built.
#[derive(Debug, Clone)]
pub struct BuildContext {
    /// Relative paths in a manifest are relative to this folder (the manifest's).
    pub base: PathBuf,
    /// The study's seed.
    pub seed: u64,
    /// The study's model, for plugins that read its weights (such as the unembedding).
    pub model: ModelSection,
    /// The study's device, for plugins that compute on it.
    pub backend: BackendSection,
}

impl BuildContext {
    /// Of a manifest that lies in the folder `base`.
    pub fn new(manifest: &Manifest, base: &std::path::Path) -> Self {
        Self {
            base: base.to_path_buf(),
            seed: manifest.study.seed,
            model: manifest.model.clone(),
            backend: manifest.backend.clone(),
        }
    }
}

/// A plugin's configuration: the table that a manifest writes, `plugin` (and `name`, `factors` of
/// a condition) left out. Use `#[serde(deny_unknown_fields)]`.
pub trait PluginConfig: DeserializeOwned + Send + Sync + 'static {
    /// The trait object that it builds.
    type Output: ?Sized + 'static;
    /// Checks values against each other; called before anything is opened.
    ///
    /// # Errors
    /// Says which value is wrong and what would be right.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// Builds the plugin; may read files.
    ///
    /// # Errors
    /// Says what could not be read and what to do.
    fn build(&self, cx: &BuildContext) -> Result<Box<Self::Output>>;
}

/// A validated configuration, not yet built.
pub type Prepared<O> = Box<dyn Fn(&BuildContext) -> Result<Box<O>> + Send + Sync>;
type Prepare<O> = fn(toml::Value, &Path, &mut Issues) -> Option<Prepared<O>>;

fn prepare<C: PluginConfig>(table: toml::Value, path: &Path, issues: &mut Issues) -> Option<Prepared<C::Output>> {
    let config: C = deserialize(table, path, issues)?;
    if let Err(e) = config.validate() {
        issues.push(path.clone(), e.to_string(), None);
        return None;
    }
    Some(Box::new(move |cx| config.build(cx)))
}

/// What a plugin is.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum PluginKind {
    /// `[[condition]]`
    Condition(Prepare<dyn Condition>),
    /// `[dataset]`
    Dataset(Prepare<dyn Dataset>),
    /// `[topics]`
    Topics(Prepare<dyn Topics>),
    /// `[[hook]]`
    Hook(Prepare<dyn Hook>),
    /// `[[analyzer]]`
    Analyzer(Prepare<dyn Analyzer>),
}

impl PluginKind {
    /// The manifest's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            PluginKind::Condition(_) => "condition",
            PluginKind::Dataset(_) => "dataset",
            PluginKind::Topics(_) => "topics",
            PluginKind::Hook(_) => "hook",
            PluginKind::Analyzer(_) => "analyzer",
        }
    }
}

/// One registered plugin.
pub struct PluginEntry {
    /// The name that a manifest uses.
    pub name: &'static str,
    /// One line for `friction plugins`.
    pub summary: &'static str,
    /// The version of its crate.
    pub version: &'static str,
    /// What it is, and how it is built.
    pub kind: PluginKind,
}

inventory::collect!(PluginEntry);

macro_rules! entry {
    ($(#[$doc:meta])* $f:ident, $kind:ident, $t:ident) => {
        $(#[$doc])*
        pub const fn $f<C: PluginConfig<Output = dyn $t>>(name: &'static str, summary: &'static str, version: &'static str) -> Self {
            Self { name, summary, version, kind: PluginKind::$kind(prepare::<C>) }
        }
    };
}

impl PluginEntry {
    entry!(/// An entry for a condition.
        condition, Condition, Condition);
    entry!(/// An entry for a dataset.
        dataset, Dataset, Dataset);
    entry!(/// An entry for topics.
        topics, Topics, Topics);
    entry!(/// An entry for a hook.
        hook, Hook, Hook);
    entry!(/// An entry for an analyzer.
        analyzer, Analyzer, Analyzer);

    /// All registered plugins, by kind and name.
    pub fn all() -> Vec<&'static PluginEntry> {
        let mut all: Vec<_> = inventory::iter::<PluginEntry>.into_iter().collect();
        all.sort_by_key(|e| (e.kind.word(), e.name));
        all
    }
}
