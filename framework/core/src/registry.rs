//! How plugins are found. A crate submits one [`PluginEntry`] to `inventory`; a dynamic library brings
//! [`Plugin`]s when a manifest loads it; a [`Registry`] holds both.
//!
//! ```
//! use friction_core::{schemars, BuildContext, Condition, JsonSchema, Kept, Message, PluginConfig, PluginEntry};
//! use friction_core::{Registry, Reply, Result, TurnContext};
//!
//! /// Options of `bare`.
//! #[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Bare {}
//!
//! impl PluginConfig for Bare {
//!     type Output = dyn Condition;
//!     fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> {
//!         Ok(Box::new(self.clone()))
//!     }
//! }
//! impl Condition for Bare {
//!     fn ask(&self, cx: &TurnContext) -> Result<Message> {
//!         Ok(Message { text: cx.question.to_string(), phrase: None })
//!     }
//!     fn keep(&self, reply: &Reply, _: &TurnContext) -> Result<Kept> {
//!         Ok(Kept::whole(reply))
//!     }
//! }
//! friction_core::inventory::submit! {
//!     PluginEntry::condition::<Bare>("bare", "The question and nothing else", env!("CARGO_PKG_VERSION"))
//! }
//! assert!(Registry::linked().plugins().iter().any(|p| p.name == "bare"));
//! ```
use crate::manifest::{
    BackendSection, GenerationSection, Issues, Manifest, ModelSection, Path, StudySection, deserialize,
};
use crate::{Analyzer, Condition, Dataset, Error, Hook, ModelIdentity, Result, Topics};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// What a plugin may use when it is built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildContext {
    /// Relative paths in a manifest are relative to this folder (the manifest's).
    pub base: PathBuf,
    /// The study's seed.
    pub seed: u64,
    /// The study's model, for plugins that read its weights (such as the unembedding).
    pub model: ModelSection,
    /// The study's device, for plugins that compute on it.
    pub backend: BackendSection,
    /// The study's size, for options that a study of fewer turns gives nothing to do. A host of an earlier
    /// version does not tell it to a library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<StudySection>,
    /// How long replies become; as `study`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<GenerationSection>,
    /// What the model of a stored run was: whoever opens the model of this context gets that one or an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<ModelIdentity>,
}

impl BuildContext {
    /// Of a manifest that lies in the folder `base`.
    pub fn new(manifest: &Manifest, base: &std::path::Path) -> Self {
        Self {
            base: base.to_path_buf(),
            seed: manifest.study.seed,
            model: manifest.model.clone(),
            backend: manifest.backend.clone(),
            study: Some(manifest.study.clone()),
            generation: Some(manifest.generation.clone()),
            locked: None,
        }
    }
}

/// A plugin's configuration: the table that a manifest writes, `plugin` (and `name`, `factors` of
/// a condition) left out. Use `#[serde(deny_unknown_fields)]`. Its doc comments are what `friction plugins
/// show NAME` and the manifest's JSON Schema say of each option; `#[schemars(example = …)]` on an option that
/// must be given is what the example table shows.
pub trait PluginConfig: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The trait object that it builds.
    type Output: ?Sized + 'static;
    /// Checks values against each other; called before anything is opened. An [`Error::at`] a key is shown
    /// there; [`Faults`](crate::error::Faults) gathers several.
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
/// Checks a plugin's table at a path of the manifest: what is wrong goes into the issues.
pub type Prepare<O> = Arc<dyn Fn(toml::Value, &Path, &mut Issues) -> Option<Prepared<O>> + Send + Sync>;

fn prepare<C: PluginConfig>() -> Prepare<C::Output> {
    Arc::new(|table, path, issues| {
        let config: C = deserialize(table, path, issues)?;
        if let Err(e) = config.validate() {
            issues.error(path, &e);
            return None;
        }
        Some(Box::new(move |cx| config.build(cx)))
    })
}

/// The JSON Schema (draft 7) of a configuration.
fn options<C: JsonSchema>() -> Value {
    schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<C>().to_value()
}

/// What a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `[[analyzer]]`
    Analyzer,
    /// `[[condition]]`
    Condition,
    /// `[dataset]`
    Dataset,
    /// `[[hook]]`
    Hook,
    /// `[topics]`
    Topics,
}

impl Kind {
    /// All kinds, in the order of a manifest.
    pub const ALL: [Kind; 5] = [Kind::Dataset, Kind::Topics, Kind::Condition, Kind::Hook, Kind::Analyzer];

    /// The manifest's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Condition => "condition",
            Kind::Dataset => "dataset",
            Kind::Topics => "topics",
            Kind::Hook => "hook",
            Kind::Analyzer => "analyzer",
        }
    }
}

/// How a plugin is made from its table.
#[derive(Clone)]
pub enum Maker {
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

impl Maker {
    /// Checks a table as a manifest's is checked: whether it is right.
    pub fn check(&self, table: toml::Value, path: &Path, issues: &mut Issues) -> bool {
        match self {
            Maker::Condition(p) => p(table, path, issues).is_some(),
            Maker::Dataset(p) => p(table, path, issues).is_some(),
            Maker::Topics(p) => p(table, path, issues).is_some(),
            Maker::Hook(p) => p(table, path, issues).is_some(),
            Maker::Analyzer(p) => p(table, path, issues).is_some(),
        }
    }

    /// The kind of what it makes.
    pub fn kind(&self) -> Kind {
        match self {
            Maker::Condition(_) => Kind::Condition,
            Maker::Dataset(_) => Kind::Dataset,
            Maker::Topics(_) => Kind::Topics,
            Maker::Hook(_) => Kind::Hook,
            Maker::Analyzer(_) => Kind::Analyzer,
        }
    }
}

/// Where a plugin came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Linked into this program.
    Linked,
    /// A dynamic library that the manifest loads.
    Library {
        /// The file.
        path: PathBuf,
        /// Its bytes' SHA-256, in hexadecimal.
        sha256: String,
    },
}

impl Origin {
    /// The library's SHA-256; nothing for what is linked.
    pub fn sha256(&self) -> Option<&str> {
        match self {
            Origin::Linked => None,
            Origin::Library { sha256, .. } => Some(sha256),
        }
    }
}

/// A plugin that a manifest may name.
#[derive(Clone)]
pub struct Plugin {
    /// The name that a manifest uses.
    pub name: String,
    /// One line for `friction plugins`.
    pub summary: String,
    /// The version of its crate.
    pub version: String,
    /// Where it came from.
    pub origin: Origin,
    /// JSON Schema (draft 7) of its options.
    pub options: Value,
    /// How it is made.
    pub maker: Maker,
}

/// One plugin of a crate, as it is submitted to `inventory`.
pub struct PluginEntry {
    /// The name that a manifest uses.
    pub name: &'static str,
    /// One line for `friction plugins`.
    pub summary: &'static str,
    /// The version of its crate.
    pub version: &'static str,
    options: fn() -> Value,
    maker: fn() -> Maker,
}

inventory::collect!(PluginEntry);

macro_rules! entry {
    ($(#[$doc:meta])* $f:ident, $kind:ident, $t:ident) => {
        $(#[$doc])*
        pub const fn $f<C: PluginConfig<Output = dyn $t>>(name: &'static str, summary: &'static str, version: &'static str) -> Self {
            Self { name, summary, version, options: options::<C>, maker: || Maker::$kind(prepare::<C>()) }
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
}

/// The plugins that a manifest may name.
#[derive(Clone, Default)]
pub struct Registry {
    plugins: Vec<Plugin>,
}

impl Registry {
    /// Those that are linked into this program, by kind and name.
    pub fn linked() -> Self {
        let of = |e: &PluginEntry| Plugin {
            name: e.name.into(),
            summary: e.summary.into(),
            version: e.version.into(),
            origin: Origin::Linked,
            options: (e.options)(),
            maker: (e.maker)(),
        };
        let mut plugins: Vec<Plugin> = inventory::iter::<PluginEntry>.into_iter().map(of).collect();
        plugins.sort_by(|a, b| (a.maker.kind(), &a.name).cmp(&(b.maker.kind(), &b.name)));
        Self { plugins }
    }

    /// Adds a plugin.
    ///
    /// # Errors
    /// When one of its kind and name is there already.
    pub fn add(&mut self, plugin: Plugin) -> Result<()> {
        let kind = plugin.maker.kind();
        if self.plugins.iter().any(|p| p.maker.kind() == kind && p.name == plugin.name) {
            return Err(Error::config(format!(
                "brings a second {} plugin called `{}`; one of them needs another name",
                kind.word(),
                plugin.name
            )));
        }
        self.plugins.push(plugin);
        Ok(())
    }

    /// All of them.
    pub fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }
}
