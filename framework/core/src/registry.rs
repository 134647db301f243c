//! How plugins are found. A crate submits one [`PluginEntry`] to `inventory`; a dynamic library or a process brings
//! [`Plugin`]s when a manifest names it; a [`Registry`] holds them all.
//!
//! ```
//! use friction_core::{schemars, Ask, BuildContext, Condition, JsonSchema, PluginConfig, PluginEntry, Registry, Result};
//! use friction_core::TurnContext;
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
//!     fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
//!         Ok(Some(Ask::new(cx.prompt)))
//!     }
//! }
//! friction_core::inventory::submit! {
//!     PluginEntry::condition::<Bare>("bare", "The prompt and nothing else", env!("CARGO_PKG_VERSION"))
//! }
//! assert!(Registry::linked().plugins().iter().any(|p| p.name == "bare"));
//! ```
use crate::deserialize::deserialize;
use crate::issues::{Issues, Path};
use crate::sections::{BackendSection, GenerationSection, ModelSection, PrimarySection, StudySection};
use crate::{Analyzer, Condition, Dataset, Error, Factors, GradeSection, Hook, ModelIdentity, Result, Topics};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a plugin may use when it is built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildContext {
    /// The folder that holds the manifest. Relative paths in the manifest are relative to it.
    pub base: PathBuf,
    /// The study's seed, `study.seed`.
    pub seed: u64,
    /// The study's model, for plugins that read its weights (such as the unembedding).
    pub model: ModelSection,
    /// The study's device, for plugins that compute on it.
    pub backend: BackendSection,
    /// The `[study]` section, for checks of options against the number of groups and turns. `None` in a dynamic library
    /// whose host is too old to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<StudySection>,
    /// The `[generation]` section, for checks against the length of replies. `None` in the same case as `study`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<GenerationSection>,
    /// The table `[grade]`; `None` if the dataset grades, and in the same case as `study`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<GradeSection>,
    /// The table `[primary]` as the run's lock holds it, or will hold it before the first token; `None` if the study names
    /// no primary contrast, and in the same case as `study`. It is the run's also where another manifest's analyzers read
    /// the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<PrimarySection>,
    /// Why what is found of `primary` is exploratory all the same: the contrast was amended after outcomes could be read,
    /// or its outcome was graded again. `None` if neither was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amended: Option<String>,
    /// The identity of a stored run's model, if such a run is analysed. Opening the model of this context then gives
    /// that model or an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<ModelIdentity>,
    /// The condition that is built; `None` for plugins of other kinds, and in the same case as `study`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Declared>,
}

/// What the table of a condition says beside the plugin's own options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The condition's name.
    pub name: String,
    /// Its level of each factor.
    pub factors: Factors,
}

/// A plugin's configuration: its table in the manifest, without the keys `plugin` and `name` and, of a condition,
/// `factors` and `same_as`. Use `#[serde(deny_unknown_fields)]`. `friction plugins show NAME` and the manifest's JSON
/// Schema show the doc comment of each field. `#[schemars(example = …)]` on a required field is the value that the
/// example table shows.
pub trait PluginConfig: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The trait object that [`Self::build`] returns, such as `dyn Condition`.
    type Output: ?Sized + 'static;
    /// Checks the values. Called before any file is opened. An error made by [`Error::at`] is reported at its key;
    /// [`Faults`](crate::error::Faults) collects several. Default: nothing is wrong.
    ///
    /// # Errors
    /// If a value cannot be used; the message says which, and what would be right.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// Builds the plugin. May read files.
    ///
    /// # Errors
    /// If something could not be read; the message says what, and what to do.
    fn build(&self, cx: &BuildContext) -> Result<Box<Self::Output>>;
}

/// Builds a plugin from a configuration that was checked.
pub type Prepared<O> = Box<dyn Fn(&BuildContext) -> Result<Box<O>> + Send + Sync>;
/// Checks a plugin's table, which lies at a path of the manifest. Faults are added to the issues; the result is `None`
/// if there are any.
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

/// The kinds of plugin, and how a manifest writes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `[[analyzer]]`, a list: implements [`Analyzer`].
    Analyzer,
    /// `[[condition]]`, a list: implements [`Condition`].
    Condition,
    /// `[dataset]`: implements [`Dataset`].
    Dataset,
    /// `[[hook]]`, a list: implements [`Hook`].
    Hook,
    /// `[topics]`: implements [`Topics`].
    Topics,
}

impl Kind {
    /// All kinds, in the order of a manifest.
    pub const ALL: [Kind; 5] = [Kind::Dataset, Kind::Topics, Kind::Condition, Kind::Hook, Kind::Analyzer];

    /// Its key in a manifest, such as `condition`.
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

/// Checks a plugin's table and builds the plugin, one variant per kind.
#[derive(Clone)]
pub enum Maker {
    /// Makes a condition.
    Condition(Prepare<dyn Condition>),
    /// Makes a dataset.
    Dataset(Prepare<dyn Dataset>),
    /// Makes topics.
    Topics(Prepare<dyn Topics>),
    /// Makes a hook.
    Hook(Prepare<dyn Hook>),
    /// Makes an analyzer.
    Analyzer(Prepare<dyn Analyzer>),
}

impl Maker {
    /// Checks a table as if it were at `path` in a manifest. Faults are added to `issues`. Returns whether there are
    /// none.
    pub fn check(&self, table: toml::Value, path: &Path, issues: &mut Issues) -> bool {
        match self {
            Maker::Condition(p) => p(table, path, issues).is_some(),
            Maker::Dataset(p) => p(table, path, issues).is_some(),
            Maker::Topics(p) => p(table, path, issues).is_some(),
            Maker::Hook(p) => p(table, path, issues).is_some(),
            Maker::Analyzer(p) => p(table, path, issues).is_some(),
        }
    }

    /// The kind of plugin that it makes.
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
        /// The library's file.
        path: PathBuf,
        /// The SHA-256 of its bytes, in hexadecimal.
        sha256: String,
    },
    /// A process that the manifest starts.
    Process {
        /// The program and its arguments, as in the manifest.
        command: Vec<String>,
        /// The SHA-256 of its files, in hexadecimal, by name as in the manifest.
        sha256: BTreeMap<String, String>,
    },
}

impl Origin {
    /// The key and value by which a run's lock records where the plugin came from: `library` with the SHA-256, or
    /// `process` with the command and the SHA-256 of each file; `None` for a linked plugin.
    pub fn locked(&self) -> Option<(&'static str, Value)> {
        match self {
            Origin::Linked => None,
            Origin::Library { sha256, .. } => Some(("library", json!(sha256))),
            Origin::Process { command, sha256 } => Some(("process", json!({"command": command, "sha256": sha256}))),
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
    /// Checks its table and builds it.
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
    /// The plugins that are linked into this program, sorted by kind and name.
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

    /// Adds a plugin after those that are there.
    ///
    /// # Errors
    /// If a plugin of the same kind and name is there already.
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

    /// All plugins, in the order in which they were added.
    pub fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }
}
