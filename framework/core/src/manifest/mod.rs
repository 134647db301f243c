//! A study as a TOML file: parsed, every plugin table checked against its plugin, all before any
//! model is loaded.
mod chosen;
mod issues;
mod schema;
mod sections;
mod source;

pub use chosen::{Chosen, ConditionChoice};
pub use issues::{Issue, Issues, Path, Step, deserialize, nearest, suggestion};
pub use schema::schema;
pub use sections::{
    BackendKind, BackendSection, BatchSize, GenerationSection, LibraryEntry, ModelDtype, ModelSection, PluginsSection,
    Quantize, StudySection,
};
pub use source::{Located, ManifestError, Source};

use crate::registry::{Kind, Maker, Registry};
use crate::{Analyzer, Dataset, Hook, Topics};
use chosen::{conditions, list, single};

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
    /// What is declared and does nothing, where a run goes on.
    pub warnings: Issues,
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
        let mut warnings = Issues::default();
        if let Some(g) = &generation {
            g.check(&root.key("generation"), &mut issues);
            g.idle(&root.key("generation"), &mut warnings);
        }
        if let Some(m) = &model {
            m.idle(&root.key("model"), &mut warnings);
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
        let conditions = conditions(&source, registry, &mut issues, &mut warnings);
        match (study, model, backend, generation, dataset, topics) {
            (Some(study), Some(model), Some(backend), Some(generation), Some(dataset), Some(topics))
                if issues.is_empty() =>
            {
                Ok(Self {
                    source,
                    study,
                    model,
                    backend,
                    generation,
                    dataset,
                    topics,
                    conditions,
                    hooks,
                    analyzers,
                    warnings,
                })
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
