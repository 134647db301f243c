//! The plugins that a manifest chooses: each table beside the plugin that it names.
use super::source::Source;
use crate::deserialize::deserialize;
use crate::issues::{Issues, Path, Step};
use crate::registry::{Kind, Maker, Origin, Prepare, Prepared, Registry};
use crate::sections::OptionsSection;
use crate::suggestion::suggestion;
use crate::{Condition, Error, Factors};
use serde_json::{Map, Value};

/// A plugin that a manifest chooses, with its configuration checked.
pub struct Chosen<O: ?Sized> {
    /// The plugin's name.
    pub plugin: String,
    /// The name given in the manifest, or else the plugin's.
    pub name: String,
    /// Path of its table in the manifest.
    pub path: Path,
    /// The plugin's crate version.
    pub version: String,
    /// Where the plugin came from.
    pub origin: Origin,
    /// Its table as given. The lock stores it.
    pub table: toml::Table,
    /// What the options that the table leaves out are, by the plugin's schema. Those that have no value of their own, or
    /// take it from elsewhere, are not among them.
    pub defaults: Map<String, Value>,
    /// The keys of it that the manifest reads itself and the plugin does not see: of a dataset, those of
    /// [`OptionsSection`].
    pub shared: toml::Table,
    /// Builds the plugin.
    pub build: Prepared<O>,
}

impl<O: ?Sized> Chosen<O> {
    /// The path at which its table mentions `word`: a key or value that equals it, or else a text that contains it, or
    /// else the table itself. Errors about something that an option names are placed there.
    pub fn speaks_of(&self, word: &str) -> Path {
        let whole = toml::Value::Table(self.table.clone());
        let is = |k: Option<&str>, v: &toml::Value| v.as_str() == Some(word) || k == Some(word);
        let holds = |_: Option<&str>, v: &toml::Value| v.as_str().is_some_and(|s| s.contains(word));
        let found = seek(&whole, &self.path, None, &is).or_else(|| seek(&whole, &self.path, None, &holds));
        found.unwrap_or_else(|| self.path.clone())
    }

    /// Adds a plugin's error about its table to `issues`: at the key that the error names, or at the option that names
    /// the file which could not be used.
    pub fn fault(&self, error: &Error, issues: &mut Issues) {
        let told = match error {
            Error::Io { path, .. } | Error::Data { path, .. } => path.display().to_string(),
            Error::Config(m) | Error::Other(m) => m.split(": ").next().unwrap_or_default().to_string(),
            other => return issues.error(&self.path, other),
        };
        let names = |_: Option<&str>, v: &toml::Value| {
            let file = v.as_str().map(|s| s.strip_prefix("path:").unwrap_or(s)).filter(|s| s.len() > 2);
            file.is_some_and(|f| told.ends_with(f) || told.contains(&format!("{f}/")))
        };
        let at = seek(&toml::Value::Table(self.table.clone()), &self.path, None, &names);
        issues.error(&at.unwrap_or_else(|| self.path.clone()), error);
    }

    /// The path of an option. If the option is not set, an error at this path points at the table.
    pub fn key(&self, key: &str) -> Path {
        self.path.below(key)
    }
}

/// The path of the first value, `v` itself or one in it, for which `right` is true.
fn seek(
    v: &toml::Value,
    path: &Path,
    key: Option<&str>,
    right: &dyn Fn(Option<&str>, &toml::Value) -> bool,
) -> Option<Path> {
    if right(key, v) {
        return Some(path.clone());
    }
    match v {
        toml::Value::Table(t) => {
            // `plugin` and `name` are not options of the plugin.
            let options = t.iter().filter(|(k, _)| key.is_some() || !["plugin", "name"].contains(&k.as_str()));
            options.into_iter().find_map(|(k, v)| seek(v, &path.key(k), Some(k), right))
        }
        toml::Value::Array(a) => a.iter().enumerate().find_map(|(i, v)| seek(v, &path.index(i), Some(""), right)),
        _ => None,
    }
}

/// A condition of the design.
pub struct ConditionChoice {
    /// Its level of each factor.
    pub factors: Factors,
    /// Name of another condition that it repeats on purpose (a placebo).
    pub same_as: Option<String>,
    /// The plugin that implements it.
    pub chosen: Chosen<dyn Condition>,
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
        // The plugin may be of a library that failed to load. That error is reported already.
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
    let defaults = defaults(&given, &entry.options);
    let shared = if kind == Kind::Dataset { shared(&mut table, &entry.options) } else { toml::Table::new() };
    let build = select(&entry.maker)?(toml::Value::Table(table), path, issues)?;
    let name = name.unwrap_or_else(|| plugin.clone());
    let (version, origin) = (entry.version.clone(), entry.origin.clone());
    Some(Chosen { name, plugin, path: path.clone(), version, origin, table: given, defaults, shared, build })
}

/// The defaults of a plugin's schema for the options that a table leaves out.
fn defaults(table: &toml::Table, options: &Value) -> Map<String, Value> {
    let all = options.get("properties").and_then(Value::as_object).into_iter().flatten();
    let left = all.filter(|(key, _)| !table.contains_key(key.as_str()));
    let has = |(key, option): (&String, &Value)| Some((key.clone(), option.get("default")?.clone()));
    left.filter_map(has).filter(|(_, default)| !default.is_null()).collect()
}

/// Takes the keys of [`OptionsSection`] out of a dataset's table. A plugin that has an option of such a name, because it
/// is older than the keys, keeps it.
fn shared(table: &mut toml::Table, options: &Value) -> toml::Table {
    let own = |key: &str| options.get("properties").is_some_and(|p| p.get(key).is_some());
    let keys = OptionsSection::KEYS.into_iter().filter(|key| !own(key));
    keys.filter_map(|key| Some((key.to_string(), table.remove(key)?))).collect()
}

/// Whether a name is valid. Names become file names, so they are limited to characters that are safe in one.
fn is_name(s: &str) -> bool {
    !s.is_empty() && s.len() <= 80 && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

pub(super) fn single<O: ?Sized>(
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

pub(super) fn list<O: ?Sized>(
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

pub(super) fn conditions(
    source: &Source,
    registry: &Registry,
    issues: &mut Issues,
    warnings: &mut Issues,
) -> Vec<ConditionChoice> {
    let found = tables(source, "condition", issues);
    if found.is_empty() {
        let help = "list it, or have it made of `[[factor]]` tables";
        issues.push(Path::default(), "a study needs at least one `[[condition]]`", Some(help.into()));
    }
    let mut out = vec![];
    for (path, table) in found {
        let mut table = table.clone();
        let factors = match table.remove("factors") {
            None => Some(Factors::new()),
            Some(f) => deserialize::<Factors>(f, &path.key("factors"), issues),
        };
        let same_as = match table.remove("same_as") {
            None => None,
            Some(toml::Value::String(s)) => Some(s),
            Some(_) => {
                issues.push(path.key("same_as"), "`same_as` is another condition's name, in quotes", None);
                continue;
            }
        };
        if !table.contains_key("name") {
            issues.push(path.clone(), "this condition has no `name`", Some("add `name = \"…\"`".into()));
        }
        let chosen = choose(table, &path, registry, Kind::Condition, issues, |m| match m {
            Maker::Condition(p) => Some(p),
            _ => None,
        });
        if let (Some(factors), Some(chosen)) = (factors, chosen) {
            out.push(ConditionChoice { factors, same_as, chosen });
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
    for c in &out {
        let others = || out.iter().map(|o| o.chosen.name.as_str()).filter(|n| *n != c.chosen.name);
        if let Some(name) = c.same_as.as_deref().filter(|s| others().all(|o| o != *s)) {
            let help = suggestion(name, others().collect::<Vec<_>>());
            issues.push(c.chosen.path.key("same_as"), format!("no other condition is called `{name}`"), help);
        }
    }
    // A factor with a single level distinguishes no conditions.
    for (factor, level) in out.first().filter(|_| out.len() > 1).map(|c| &c.factors).into_iter().flatten() {
        if out.iter().all(|c| c.factors.get(factor) == Some(level)) {
            let what = format!("factor `{factor}` is `{level}` in all {} conditions: it distinguishes none", out.len());
            warnings.push(out[0].chosen.path.key("factors").key(factor), what, None);
        }
    }
    out
}
