//! A study as a TOML file: parsed, every plugin table checked against its plugin, all before any
//! model is loaded.
mod issues;
mod schema;
mod sections;
mod source;

pub use issues::{Issue, Issues, Path, Step, deserialize, nearest, suggestion};
pub use schema::schema;
pub use sections::{
    BackendKind, BackendSection, BatchSize, GenerationSection, LibraryEntry, ModelDtype, ModelSection, PluginsSection,
    Quantize, StudySection,
};
pub use source::{Located, ManifestError, Source};

use crate::registry::{Kind, Maker, Origin, Prepare, Prepared, Registry};
use crate::{Analyzer, Condition, Dataset, Factors, Hook, Topics};

/// A plugin chosen by a manifest, its configuration checked.
pub struct Chosen<O: ?Sized> {
    /// The plugin's name.
    pub plugin: String,
    /// The name given in the manifest, else the plugin's.
    pub name: String,
    /// Where in the manifest.
    pub path: Path,
    /// The plugin's crate version.
    pub version: String,
    /// Where the plugin came from.
    pub origin: Origin,
    /// Its table as given, for the lock.
    pub table: toml::Table,
    /// Builds it.
    pub build: Prepared<O>,
}

/// A condition of the design.
pub struct ConditionChoice {
    /// Its factors.
    pub factors: Factors,
    /// The plugin behind it.
    pub chosen: Chosen<dyn Condition>,
}

/// A whole manifest, checked.
pub struct Manifest {
    /// Text and spans.
    pub source: Source,
    /// `[study]`
    pub study: StudySection,
    /// `[model]`
    pub model: ModelSection,
    /// `[backend]`
    pub backend: BackendSection,
    /// `[generation]`
    pub generation: GenerationSection,
    /// `[dataset]`
    pub dataset: Chosen<dyn Dataset>,
    /// `[topics]`
    pub topics: Chosen<dyn Topics>,
    /// `[[condition]]`
    pub conditions: Vec<ConditionChoice>,
    /// `[[hook]]`
    pub hooks: Vec<Chosen<dyn Hook>>,
    /// `[[analyzer]]`
    pub analyzers: Vec<Chosen<dyn Analyzer>>,
}

const SECTIONS: [&str; 10] =
    ["study", "model", "backend", "generation", "plugins", "dataset", "topics", "condition", "hook", "analyzer"];

/// A value of a manifest as JSON; dates become texts.
pub fn to_json(v: &toml::Value) -> serde_json::Value {
    use serde_json::json;
    match v {
        toml::Value::String(s) => json!(s),
        toml::Value::Integer(i) => json!(i),
        toml::Value::Float(f) => json!(f),
        toml::Value::Boolean(b) => json!(b),
        toml::Value::Datetime(d) => json!(d.to_string()),
        toml::Value::Array(a) => a.iter().map(to_json).collect(),
        toml::Value::Table(t) => t.iter().map(|(k, v)| (k.clone(), to_json(v))).collect(),
    }
}

/// The dynamic libraries that a manifest loads, each with its place. What is wrong goes into the issues.
pub fn libraries(source: &Source, issues: &mut Issues) -> Vec<(Path, LibraryEntry)> {
    let found = section::<PluginsSection>(source, "plugins", false, issues).unwrap_or_default();
    let at = Path::default().key("plugins").key("load");
    found.load.into_iter().enumerate().map(|(i, l)| (at.index(i), l)).collect()
}

impl Manifest {
    /// Reads a manifest's text; `settings` are `dotted.key=value`. Plugins are those that are linked; a
    /// manifest that loads libraries is read by `friction_study::manifest`, which may load them.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once, each with line and column.
    pub fn parse(file: &str, text: &str, settings: &[String]) -> Result<Self, Box<ManifestError>> {
        let source = Source::parse(file, text, settings)?;
        let mut issues = Issues::default();
        for (path, _) in libraries(&source, &mut issues) {
            issues.push(path, "this program does not load dynamic libraries", None);
        }
        Self::read(source, &Registry::linked(), issues)
    }

    /// Reads a manifest whose plugins are those of `registry`; `issues` are known already.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once, each with line and column.
    pub fn read(source: Source, registry: &Registry, mut issues: Issues) -> Result<Self, Box<ManifestError>> {
        let root = Path::default();
        for key in source.value.keys() {
            if !SECTIONS.contains(&key.as_str()) {
                issues.push(root.key(key), format!("unknown section `{key}`"), suggestion(key, SECTIONS));
            }
        }
        let study = section::<StudySection>(&source, "study", true, &mut issues);
        let model = section::<ModelSection>(&source, "model", true, &mut issues);
        let backend = section::<BackendSection>(&source, "backend", false, &mut issues);
        let generation = section::<GenerationSection>(&source, "generation", false, &mut issues);
        if let Some(s) = &study {
            s.check(&root.key("study"), &mut issues);
        }
        if let Some(g) = &generation {
            g.check(&root.key("generation"), &mut issues);
        }

        let dataset = single(&source, registry, Kind::Dataset, &mut issues, |m| match m {
            Maker::Dataset(p) => Some(p),
            _ => None,
        });
        let topics = single(&source, registry, Kind::Topics, &mut issues, |m| match m {
            Maker::Topics(p) => Some(p),
            _ => None,
        });
        let hooks = list(&source, registry, Kind::Hook, &mut issues, |m| match m {
            Maker::Hook(p) => Some(p),
            _ => None,
        });
        let analyzers = list(&source, registry, Kind::Analyzer, &mut issues, |m| match m {
            Maker::Analyzer(p) => Some(p),
            _ => None,
        });
        let conditions = conditions(&source, registry, &mut issues);
        match (study, model, backend, generation, dataset, topics) {
            (Some(study), Some(model), Some(backend), Some(generation), Some(dataset), Some(topics))
                if issues.is_empty() =>
            {
                Ok(Self { source, study, model, backend, generation, dataset, topics, conditions, hooks, analyzers })
            }
            _ => Err(source.locate(issues)),
        }
    }

    /// An error about this manifest found later, at `path`.
    pub fn error_at(&self, path: Path, message: impl Into<String>) -> Box<ManifestError> {
        let mut issues = Issues::default();
        issues.push(path, message, None);
        self.source.locate(issues)
    }
}

fn section<T: serde::de::DeserializeOwned>(
    source: &Source,
    key: &str,
    required: bool,
    issues: &mut Issues,
) -> Option<T> {
    let path = Path::default().key(key);
    match source.value.get(key) {
        Some(v @ toml::Value::Table(_)) => deserialize(v.clone(), &path, issues),
        Some(_) => {
            issues.push(path, format!("`{key}` must be a table"), Some(format!("write `[{key}]`")));
            None
        }
        None if required => {
            issues.push(Path::default(), format!("section `[{key}]` is missing"), None);
            None
        }
        None => deserialize(toml::Value::Table(toml::Table::new()), &path, issues),
    }
}

type Select<O> = fn(&Maker) -> Option<&Prepare<O>>;

fn choose<O: ?Sized>(
    mut table: toml::Table,
    path: &Path,
    registry: &Registry,
    kind: Kind,
    issues: &mut Issues,
    select: Select<O>,
) -> Option<Chosen<O>> {
    let all = registry.plugins();
    let word = kind.word();
    let given = table.clone();
    let name = match table.remove("name") {
        None => None,
        Some(toml::Value::String(s)) if is_name(&s) => Some(s),
        Some(_) => {
            issues.push(path.key("name"), "a name is letters, digits, `-` and `_` in quotes", None);
            return None;
        }
    };
    let plugin = match table.remove("plugin") {
        Some(toml::Value::String(s)) => s,
        Some(_) => {
            issues.push(path.key("plugin"), "`plugin` must be a string", None);
            return None;
        }
        None => {
            issues.push(path.clone(), format!("this {word} names no plugin"), Some("add `plugin = \"…\"`".into()));
            return None;
        }
    };
    let Some(entry) = all.iter().find(|p| p.maker.kind() == kind && p.name == plugin) else {
        // A library that was not loaded may have brought it: that one error says what to do.
        if issues.0.iter().any(|i| matches!(i.path.0.first(), Some(Step::Key(k)) if k == "plugins")) {
            return None;
        }
        let help = match all.iter().find(|p| p.name == plugin) {
            Some(other) => Some(format!("`{plugin}` is a plugin of kind {}", other.maker.kind().word())),
            None => suggestion(&plugin, all.iter().filter(|p| p.maker.kind() == kind).map(|p| p.name.as_str())),
        };
        issues.push(path.key("plugin"), format!("no {word} plugin is called `{plugin}`"), help);
        return None;
    };
    let build = select(&entry.maker)?(toml::Value::Table(table), path, issues)?;
    let name = name.unwrap_or_else(|| plugin.clone());
    let (version, origin) = (entry.version.clone(), entry.origin.clone());
    Some(Chosen { name, plugin, path: path.clone(), version, origin, table: given, build })
}

/// Names become file names: keep them to characters that are safe in one.
fn is_name(s: &str) -> bool {
    !s.is_empty() && s.len() <= 80 && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn single<O: ?Sized>(
    source: &Source,
    registry: &Registry,
    kind: Kind,
    issues: &mut Issues,
    select: Select<O>,
) -> Option<Chosen<O>> {
    let key = kind.word();
    let path = Path::default().key(key);
    match source.value.get(key) {
        Some(toml::Value::Table(t)) => choose(t.clone(), &path, registry, kind, issues, select),
        Some(_) => {
            issues.push(path, format!("`{key}` must be one table"), Some(format!("write `[{key}]`")));
            None
        }
        None => {
            issues.push(Path::default(), format!("section `[{key}]` is missing"), None);
            None
        }
    }
}

fn tables<'a>(source: &'a Source, key: &str, issues: &mut Issues) -> Vec<(Path, &'a toml::Table)> {
    let path = Path::default().key(key);
    match source.value.get(key) {
        None => vec![],
        Some(toml::Value::Array(a)) if a.iter().all(toml::Value::is_table) => {
            a.iter().enumerate().filter_map(|(i, v)| v.as_table().map(|t| (path.index(i), t))).collect()
        }
        Some(_) => {
            issues.push(path, format!("`{key}` must be a list of tables"), Some(format!("write `[[{key}]]`")));
            vec![]
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = (&'a str, &'a Path)>, kind: &str, issues: &mut Issues) {
    let mut seen = std::collections::BTreeSet::new();
    for (name, path) in names {
        if !seen.insert(name) {
            issues.push(
                path.clone(),
                format!("two of the {kind}s are called `{name}`"),
                Some("give each a `name`".into()),
            );
        }
    }
}

fn list<O: ?Sized>(
    source: &Source,
    registry: &Registry,
    kind: Kind,
    issues: &mut Issues,
    select: Select<O>,
) -> Vec<Chosen<O>> {
    let key = kind.word();
    let found = tables(source, key, issues);
    let chosen: Vec<_> =
        found.into_iter().filter_map(|(p, t)| choose(t.clone(), &p, registry, kind, issues, select)).collect();
    unique(chosen.iter().map(|c| (c.name.as_str(), &c.path)), key, issues);
    chosen
}

fn conditions(source: &Source, registry: &Registry, issues: &mut Issues) -> Vec<ConditionChoice> {
    let found = tables(source, "condition", issues);
    if found.is_empty() {
        issues.push(Path::default(), "a study needs at least one `[[condition]]`", None);
    }
    let mut out = vec![];
    for (path, table) in found {
        let mut table = table.clone();
        let factors = match table.remove("factors") {
            None => Some(Factors::new()),
            Some(f) => deserialize::<Factors>(f, &path.key("factors"), issues),
        };
        if !table.contains_key("name") {
            issues.push(path.clone(), "this condition has no `name`", Some("add `name = \"…\"`".into()));
        }
        let chosen = choose(table, &path, registry, Kind::Condition, issues, |m| match m {
            Maker::Condition(p) => Some(p),
            _ => None,
        });
        if let (Some(factors), Some(chosen)) = (factors, chosen) {
            out.push(ConditionChoice { factors, chosen });
        }
    }
    unique(out.iter().map(|c| (c.chosen.name.as_str(), &c.chosen.path)), "condition", issues);
    if let Some(first) = out.first() {
        let keys: Vec<&String> = first.factors.keys().collect();
        for c in &out[1..] {
            if c.factors.keys().collect::<Vec<_>>() != keys {
                issues.push(
                    c.chosen.path.key("factors"),
                    format!("condition `{}` carries other factors than `{}`", c.chosen.name, first.chosen.name),
                    Some("give every condition a level of every factor".into()),
                );
            }
        }
    }
    out
}
