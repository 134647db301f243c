//! Reads a study from a TOML file and checks each plugin's table with the plugin, before any model is loaded.
mod before;
mod chosen;
mod factorial;
mod primary;
mod schema;
mod source;
mod values;

pub use crate::deserialize::deserialize;
pub use crate::issues::{Issue, Issues, Path, Step};
pub use crate::sections::{
    After, AsideSection, BackendKind, BackendSection, BatchSize, DesignSection, Direction, Draws, FactorSection,
    GenerationSection, LibraryEntry, ModelDtype, ModelSection, NamingOthers, OptionOrder, OptionsSection,
    PluginsSection, PrimarySection, ProcessEntry, Quantize, StudySection, TextOrList, Thinking, Unparsed,
    contrast_unit,
};
pub use crate::suggestion::{nearest, suggestion};
pub use before::primary_as_before;
pub use chosen::{Chosen, ConditionChoice};
pub use schema::{added, schema};
pub use source::{Located, ManifestError, Source};
pub use values::{filled, same};

use crate::grade::GradeSection;
use crate::registry::{Kind, Maker, Registry};
use crate::{Analyzer, BuildContext, Dataset, Hook, Topics};
use chosen::{conditions, list, single};

/// A manifest that was checked.
pub struct Manifest {
    /// Its text and values.
    pub source: Source,
    /// Section `[study]`: the study's name, seed and size.
    pub study: StudySection,
    /// Section `[model]`: source and type of the model.
    pub model: ModelSection,
    /// Section `[backend]`: the device.
    pub backend: BackendSection,
    /// Section `[generation]`: length of replies and sampling.
    pub generation: GenerationSection,
    /// The plugin of `[dataset]`.
    pub dataset: Chosen<dyn Dataset>,
    /// The keys of `[dataset]` that every dataset has: the order in which choices are shown.
    pub options: OptionsSection,
    /// The table `[grade]`; `None` if it is left out, and the dataset grades.
    pub grade: Option<GradeSection>,
    /// The plugin of `[topics]`; `None` if the section is left out, as a dataset of one category allows.
    pub topics: Option<Chosen<dyn Topics>>,
    /// The plugins of `[[condition]]`, in order.
    pub conditions: Vec<ConditionChoice>,
    /// The table `[primary]`, its defaults filled in; `None` if the study names no primary contrast.
    pub primary: Option<PrimarySection>,
    /// The tables `[[aside]]`, in order.
    pub asides: Vec<AsideSection>,
    /// The plugins of `[[hook]]`, in order.
    pub hooks: Vec<Chosen<dyn Hook>>,
    /// The plugins of `[[analyzer]]`, in order.
    pub analyzers: Vec<Chosen<dyn Analyzer>>,
    /// Settings that have no effect. A run goes on all the same.
    pub warnings: Issues,
    /// What a reader must know of the design, such as which effects of a fraction are aliased.
    pub notes: Vec<String>,
}

const SECTIONS: [&str; 15] = [
    "study",
    "model",
    "backend",
    "generation",
    "plugins",
    "dataset",
    "grade",
    "topics",
    "factor",
    "design",
    "condition",
    "primary",
    "aside",
    "hook",
    "analyzer",
];

/// A value of a manifest as JSON. Dates become texts.
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

/// What a manifest's section `[plugins]` names, each with its path in the manifest.
#[derive(Debug, Clone, Default)]
pub struct External {
    /// The dynamic libraries that it loads.
    pub libraries: Vec<(Path, LibraryEntry)>,
    /// The processes that it starts.
    pub processes: Vec<(Path, ProcessEntry)>,
}

/// The dynamic libraries and processes that a manifest names. Faults of the section are added to `issues`.
pub fn external(source: &Source, issues: &mut Issues) -> External {
    fn at<T>(key: &str, all: Vec<T>) -> Vec<(Path, T)> {
        let path = Path::default().key("plugins").key(key);
        all.into_iter().enumerate().map(|(i, entry)| (path.index(i), entry)).collect()
    }
    let found = section::<PluginsSection>(source, "plugins", false, issues).unwrap_or_default();
    let external = External { libraries: at("load", found.load), processes: at("process", found.process) };
    external.processes.iter().for_each(|(path, entry)| entry.check(path, issues));
    external
}

impl Manifest {
    /// Reads a manifest's text. `settings` have the form `dotted.key=value`. It may name the plugins that are linked. A
    /// manifest that loads libraries or starts processes is read by `friction_study::manifest` instead.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once, each with line and column.
    pub fn parse(file: &str, text: &str, settings: &[String]) -> Result<Self, Box<ManifestError>> {
        let source = Source::parse(file, text, settings)?;
        let mut issues = Issues::default();
        let External { libraries, processes } = external(&source, &mut issues);
        for (path, _) in libraries {
            issues.push(path, "this program does not load dynamic libraries", None);
        }
        for (path, _) in processes {
            issues.push(path, "this program does not start processes", None);
        }
        Self::read(source, &Registry::linked(), issues)
    }

    /// Reads a manifest that may name the plugins of `registry`. `issues` are faults that are known already.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once, each with line and column.
    pub fn read(mut source: Source, registry: &Registry, mut issues: Issues) -> Result<Self, Box<ManifestError>> {
        let root = Path::default();
        for key in source.value.keys() {
            if !SECTIONS.contains(&key.as_str()) {
                issues.push(root.key(key), format!("unknown section `{key}`"), suggestion(key, SECTIONS));
            }
        }
        let before = issues.0.len();
        let factorial = factorial::expand(&mut source, &mut issues);
        // Without the conditions that factors make, other faults of conditions would be none.
        let expanded = issues.0.len() == before;
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
        if let (Some(s), Some(g)) = (&study, &generation) {
            // Otherwise the temperature is known once the checkpoint is.
            if !g.defaults {
                s.sampled(&root.key("study"), g.temperature, &mut issues, &mut warnings);
            }
        }
        if let Some(m) = &model {
            m.check(&root.key("model"), &mut issues);
            m.idle(&root.key("model"), &mut warnings);
        }

        let dataset = single(&source, registry, Kind::Dataset, &mut issues, |m| match m {
            Maker::Dataset(p) => Some(p),
            _ => None,
        });
        let shared = dataset.as_ref().map(|d| (d.shared.clone(), d.path.clone())).unwrap_or_default();
        let options = deserialize::<OptionsSection>(toml::Value::Table(shared.0), &shared.1, &mut issues);
        if let Some(o) = &options {
            o.check(&shared.1, &mut issues, &mut warnings);
        }
        let graded = source.value.contains_key("grade");
        let grade = graded.then(|| section::<GradeSection>(&source, "grade", true, &mut issues)).flatten();
        if let Some(g) = &grade {
            g.check(&root.key("grade"), &mut issues);
        }
        let topics = match source.value.contains_key("topics") {
            true => Some(single(&source, registry, Kind::Topics, &mut issues, |m| match m {
                Maker::Topics(p) => Some(p),
                _ => None,
            })),
            false => None,
        };
        let asides = asides(&source, &mut issues);
        let hooks = list(&source, registry, Kind::Hook, &mut issues, |m| match m {
            Maker::Hook(p) => Some(p),
            _ => None,
        });
        let analyzers = list(&source, registry, Kind::Analyzer, &mut issues, |m| match m {
            Maker::Analyzer(p) => Some(p),
            _ => None,
        });
        let conditions = match expanded {
            true => conditions(&source, registry, &mut issues, &mut warnings),
            false => vec![],
        };
        let primary = primary::read(&source, factorial.as_ref(), &conditions, &mut issues);
        match (study, model, backend, generation, dataset.zip(options)) {
            (Some(study), Some(model), Some(backend), Some(generation), Some((dataset, options)))
                if issues.is_empty() =>
            {
                Ok(Self {
                    source,
                    study,
                    model,
                    backend,
                    generation,
                    dataset,
                    options,
                    grade,
                    topics: topics.flatten(),
                    conditions,
                    primary,
                    asides,
                    hooks,
                    analyzers,
                    warnings,
                    notes: factorial.unwrap_or_default().notes,
                })
            }
            _ => Err(source.locate(issues)),
        }
    }

    /// An error at `path` of this manifest, for faults that are found later.
    pub fn error_at(&self, path: Path, message: impl Into<String>) -> Box<ManifestError> {
        let mut issues = Issues::default();
        issues.push(path, message, None);
        self.source.locate(issues)
    }
}

impl BuildContext {
    /// The context of a manifest that lies in the folder `base`.
    pub fn new(manifest: &Manifest, base: &std::path::Path) -> Self {
        Self {
            base: base.to_path_buf(),
            seed: manifest.study.seed,
            model: manifest.model.clone(),
            backend: manifest.backend.clone(),
            study: Some(manifest.study.clone()),
            generation: Some(manifest.generation.clone()),
            grade: manifest.grade.clone(),
            primary: manifest.primary.clone(),
            amended: None,
            locked: None,
            condition: None,
        }
    }
}

fn asides(source: &Source, issues: &mut Issues) -> Vec<AsideSection> {
    let path = Path::default().key("aside");
    let all = match source.value.get("aside") {
        None => return vec![],
        Some(toml::Value::Array(all)) => all,
        Some(_) => {
            issues.push(path, "`aside` must be a list of tables", Some("write `[[aside]]`".into()));
            return vec![];
        }
    };
    let mut out: Vec<AsideSection> = vec![];
    for (i, value) in all.iter().enumerate() {
        let at = path.index(i);
        let Some(aside) = deserialize::<AsideSection>(value.clone(), &at, issues) else { continue };
        aside.check(&at, issues);
        if out.iter().any(|a| a.name == aside.name) {
            issues.push(at.key("name"), format!("two asides are called `{}`", aside.name), None);
        }
        out.push(aside);
    }
    out
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
