//! A stored run's study as it was run: its manifest, its folder, and the identity of its model.
use crate::manifest::{self, checked, parse};
use crate::{Error, Result, folder, import, lock};
use friction_core::manifest::{Manifest, Source, primary_as_before, same};
use friction_core::{Analyzer, BuildContext, ModelIdentity, ModelPart};
use friction_store::dir::shown;
use friction_store::{Amendment, Grading, amended_lock, amendments, gradings, settled_analyzers};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// How to analyse a stored run differently from its own manifest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Otherwise<'a> {
    /// The folder of the run's manifest. Needed if that folder is found neither at its old place nor beside the run.
    pub base: Option<&'a Path>,
    /// Another manifest, of which only the `[[analyzer]]` tables are used.
    pub manifest: Option<&'a Path>,
    /// Settings of the form `analyzer.….key=value`. Nothing else can change after a run.
    pub settings: &'a [String],
}

/// Everything that a stored run is analysed with.
pub struct Stored {
    /// The run's own manifest, or the other one whose analyzers are used.
    pub manifest: Manifest,
    /// The context that analyzers are built with: seed, model and device of the run. The model must match the lock.
    pub context: BuildContext,
    /// The analyzers that the run was begun with, as its lock holds them.
    settled: Value,
    /// The analyzers of the manifest, in the same form.
    now: Value,
    /// Notes that a reader must know.
    pub notes: Vec<String>,
}

impl Stored {
    /// Reads a run's study.
    ///
    /// # Errors
    /// If there is no run, its manifest is not the one that it was made with, or a setting is not an analyzer's.
    pub fn open(run: &Path, otherwise: &Otherwise) -> Result<Self> {
        if let Some(other) = otherwise.settings.iter().find(|s| !s.trim_start().starts_with("analyzer.")) {
            return Err(Error::Usage(format!(
                "--set {other}: a run that was made can be analysed otherwise (`--set analyzer.0.…=…`), and nothing else of it can change; `friction run` makes another"
            )));
        }
        let lock = amended_lock(run)?;
        let amended = amendments(run)?;
        let mut notes = import::notes(&lock);
        notes.extend(amended.iter().map(Amendment::words));
        let graded = gradings(run)?;
        notes.extend(graded.iter().map(Grading::words));
        let base = base(run, &lock, otherwise.base, &mut notes);
        let mut source = parse(&run.join("manifest.toml"), &[])?;
        let old = lock["schema"].as_u64() == Some(1);
        if old {
            notes.extend(restored(&mut source, &lock));
        }
        let own = checked(source, &base, None)?;
        let changed = if old { vec![] } else { departures(&lock, &own) };
        if !changed.is_empty() {
            return Err(Error::Usage(format!(
                "{} is not what the run was made of: {}; put it back, or give other analyzers with --manifest or --set",
                run.join("manifest.toml").display(),
                changed.join("; ")
            )));
        }
        let mut context = BuildContext::new(&own, &base);
        context.locked = Some(identity(&lock)?);
        let amended = amended.iter().find(|a| a.outcomes_read && a.contrast()).map(Amendment::words);
        let outcome = context.primary.as_ref().map(|p| &p.outcome);
        let replaced = graded.iter().filter(|g| outcome.is_some_and(|o| g.replaces(o))).map(Grading::words);
        let afterwards: Vec<String> = amended.into_iter().chain(replaced).collect();
        context.amended = (!afterwards.is_empty()).then(|| afterwards.join("; "));
        if let Some(commit) = lock.pointer("/model/commit").and_then(Value::as_str) {
            context.model.revision = Some(commit.to_string());
        }
        let mine = lock::analyzers(&own);
        let manifest = match otherwise.manifest {
            Some(path) => {
                let other = manifest::base(path);
                absolute(&mut context, &base)?;
                context.base.clone_from(&other);
                let m = manifest::read_for(path, &other, otherwise.settings, (&context.model, &base))?;
                let unused = if old { vec![] } else { departures(&lock, &m) };
                if !unused.is_empty() {
                    let file = path.display();
                    notes.push(format!(
                        "of {file} only the analyzers are used; other settings in it differ from the run's: {}",
                        unused.join("; ")
                    ));
                }
                m
            }
            None if otherwise.settings.is_empty() => own,
            // Settings apply to the stored manifest; values restored from an old lock are in the context.
            None => checked(parse(&run.join("manifest.toml"), otherwise.settings)?, &base, None)?,
        };
        let settled = match settled_analyzers(run)? {
            // The manifest of a run whose lock does not name them is the nearest to it.
            Value::Null => mine,
            settled => settled,
        };
        let now = lock::analyzers(&manifest);
        notes.extend(versions(&settled, &now));
        Ok(Self { manifest, context, settled, now, notes })
    }

    /// How an analyzer, by its name and as it was built, differs from that of the same name which the run was begun with.
    ///
    /// # Errors
    /// If a file that it reads cannot be read.
    pub(crate) fn departs(&self, name: &str, analyzer: &dyn Analyzer) -> friction_core::Result<Vec<String>> {
        let mut out = departing(name, self.settled.get(name), &self.now[name], &analyzer.settled());
        out.extend(self.other_files(name, analyzer)?);
        Ok(out)
    }

    /// How the files that an analyzer reads differ from those that it read when the run was begun; `None` if they do not,
    /// or the lock does not say.
    ///
    /// # Errors
    /// If a file cannot be read.
    fn other_files(&self, name: &str, now: &dyn Analyzer) -> friction_core::Result<Option<String>> {
        let Some(then) = self.settled[name]["fingerprint"].as_str() else { return Ok(None) };
        let now = now.fingerprint()?;
        let told = now.as_deref().unwrap_or("none");
        Ok((then != told)
            .then(|| format!("analyzer `{name}`: the files that it reads have changed: stored {then}, now {told}")))
    }
}

/// Notes of linked analyzers that are of another version than those that a run was begun with.
fn versions(settled: &Value, now: &Value) -> Vec<String> {
    let version = |of: &Value| of["version"].as_str().unwrap_or("unknown").to_string();
    let told = |(name, now): (&String, &Value)| {
        let (then, now) = (version(settled.get(name)?), version(now));
        (then != now).then(|| format!("analyzer `{name}` is of version {now}; the run was begun with version {then}"))
    };
    now.as_object().into_iter().flatten().filter_map(told).collect()
}

/// How an analyzer differs from the one that a run was begun with. `settled` is what it decides of options itself.
fn departing(name: &str, stored: Option<&Value>, now: &Value, settled: &Map<String, Value>) -> Vec<String> {
    let (what, mut out) = (format!("analyzer `{name}`"), vec![]);
    let Some(stored) = stored else { return vec![format!("{what} is not one of them")] };
    let [then, today] = options(stored, now, settled);
    differences(&what, &then, &today, &mut out);
    for pins in ["library", "process"] {
        differences(&format!("{what}: {pins}"), &stored[pins], &now[pins], &mut out);
    }
    out
}

/// The options of an analyzer by the lock and as they are now, with defaults where the table leaves them out. A lock of
/// before names no defaults, and an option that is newer than the lock is none that changed.
fn options(stored: &Value, now: &Value, settled: &Map<String, Value>) -> [Value; 2] {
    let table = |of: &Value| of["table"].as_object().cloned().unwrap_or_default();
    let (mut then, mut today) = (table(stored), table(now));
    if let Some(defaults) = stored["defaults"].as_object() {
        then.extend(defaults.clone());
        let known = |(key, _): &(&String, &Value)| then.contains_key(key.as_str());
        let filled = now["defaults"].as_object().into_iter().flatten().filter(known);
        today.extend(filled.map(|(key, value)| (key.clone(), value.clone())));
    }
    // What the analyzer decided of an option itself, where both sides know the option. A lock of before does not say it.
    let decided = stored["settled"].as_object().unwrap_or(settled);
    for (key, value) in decided.iter().filter(|(key, _)| today.contains_key(*key) || settled.contains_key(*key)) {
        then.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in settled.iter().filter(|(key, _)| then.contains_key(*key)) {
        today.entry(key.clone()).or_insert_with(|| value.clone());
    }
    [Value::Object(then), Value::Object(today)]
}

/// The folder that a run's relative paths refer to: `given`, or where it was, or, if the whole tree was moved, where it
/// is now.
fn base(run: &Path, lock: &Value, given: Option<&Path>, notes: &mut Vec<String>) -> PathBuf {
    if let Some(given) = given {
        return given.into();
    }
    let read = |key: &str| lock["machine"].get(key).and_then(folder::read);
    let Some(base) = read("base") else { return run.into() };
    if base.is_dir() {
        return base;
    }
    if let (Some(way), Some(file)) = (read("base_from_run"), read("manifest")) {
        let moved = run.join(way);
        if moved.join(file).is_file() {
            return moved;
        }
    }
    notes.push(format!(
        "the run's manifest was in {}, which does not exist: files that it names cannot be found; --base names another folder",
        base.display()
    ));
    base
}

/// Adds a text to `out` for each key at which two values differ.
fn differences(at: &str, stored: &Value, now: &Value, out: &mut Vec<String>) {
    match (stored, now) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for k in keys {
                let of = |m: &serde_json::Map<String, Value>| m.get(k).cloned().unwrap_or(Value::Null);
                differences(&format!("{at}.{k}"), &of(x), &of(y), out);
            }
        }
        _ if same(stored, now) => {}
        _ => out.push(format!("{at}: stored {}, now {}", shown(stored), shown(now))),
    }
}

/// How a manifest differs from the lock of the run that holds it. Analyzers are compared by [`departing`]. Versions of plugins
/// and what pins libraries and processes are not compared: they matter only when a run is resumed.
fn departures(lock: &Value, m: &Manifest) -> Vec<String> {
    fn compare(at: &str, lock: &Value, now: &Value, out: &mut Vec<String>) {
        match now {
            Value::Object(now) => {
                for (k, v) in now.iter().filter(|(k, _)| !["version", "library", "process"].contains(&k.as_str())) {
                    let at = if at.is_empty() { k.clone() } else { format!("{at}.{k}") };
                    if ["table", "factors", "primary"].contains(&k.as_str()) {
                        differences(&at, &lock[k], v, out);
                    } else {
                        compare(&at, &lock[k], v, out);
                    }
                }
            }
            Value::Array(now) if lock.as_array().is_some_and(|l| l.len() == now.len()) => {
                for (i, v) in now.iter().enumerate() {
                    compare(&format!("{at}[{i}]"), &lock[i], v, out);
                }
            }
            now => differences(at, lock, now, out),
        }
    }
    let mut out = vec![];
    let mut declared = Value::Object(lock::declared(m));
    primary_as_before(lock, &mut declared);
    // A contrast that was locked and is gone.
    if declared.get("primary").is_none() {
        differences("primary", &lock["primary"], &Value::Null, &mut out);
    }
    compare("", lock, &declared, &mut out);
    out
}

/// The identity of a run's model. Locks of schema 1 hold only the weights'.
fn identity(lock: &Value) -> Result<ModelIdentity> {
    match &lock["model"]["sha256"] {
        Value::String(weights) => Ok(ModelIdentity([(ModelPart::Weights, Some(weights.clone()))].into())),
        parts => serde_json::from_value(parts.clone())
            .map_err(|e| friction_core::Error::other(format!("lock.json: model.sha256: {e}")).into()),
    }
}

/// Puts settings from the lock back into the manifest of a run of schema 1, which was stored without them. Returns a
/// note of what was restored and what is lost.
fn restored(source: &mut Source, lock: &Value) -> Option<String> {
    let mut changed = vec![];
    for section in ["study", "model", "backend", "generation"] {
        let stored = lock[section].as_object()?;
        // The lock's `model` has keys that the manifest's has not, and no tokenizer.
        let known = |k: &str| match section {
            "model" => ["source", "dtype", "quantize"].contains(&k),
            "backend" => k == "kind",
            _ => true,
        };
        let table = source.value.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(table) = table.as_table_mut() else { continue };
        for (k, v) in stored.iter().filter(|(k, _)| known(k)) {
            let Ok(now) = toml::Value::try_from(v) else { continue };
            let same = match table.get(k) {
                Some(given) => *given == now || given.as_integer().map(|i| i as f64) == now.as_float(),
                // A default that was filled in.
                None => false,
            };
            if table.contains_key(k) && !same {
                changed.push(format!("{section}.{k}"));
            }
            table.insert(k.clone(), now);
        }
    }
    (!changed.is_empty()).then(|| {
        format!(
            "this run is of an older friction, which did not store its settings: {} are taken from the lock; settings of analyzers are lost, and their tables are those of the file",
            changed.join(", ")
        )
    })
}

/// Makes the paths of a context's model absolute.
fn absolute(cx: &mut BuildContext, base: &Path) -> Result<()> {
    let found = |path: &str| -> Result<String> {
        if path.starts_with("~/") || Path::new(path).is_absolute() {
            return Ok(path.to_string());
        }
        let at = base.join(path);
        let text = at.to_str().ok_or_else(|| {
            Error::Usage(format!("{} is not a UTF-8 path: rename the folder to analyse with --manifest", at.display()))
        })?;
        Ok(text.to_string())
    };
    if let Some(tokenizer) = &cx.model.tokenizer {
        cx.model.tokenizer = Some(found(tokenizer)?);
    }
    if let Some(file) = cx.model.chat_template.as_deref().filter(|t| friction_checkpoint::template::is_file(t)) {
        cx.model.chat_template = Some(found(file)?);
    }
    for kind in ["path", "gguf"] {
        if let Some(path) = cx.model.source.strip_prefix(kind).and_then(|s| s.strip_prefix(':')) {
            cx.model.source = format!("{kind}:{}", found(path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// How the analyzer `a` differs from what a lock holds of it.
    fn told(stored: &Value, now: &Value, settled: &Value) -> Vec<String> {
        departing("a", Some(stored), now, &settled.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_default_that_changed_departs_and_a_new_option_does_not() {
        let now = json!({"table": {"plugin": "p"}, "defaults": {"level": 0.9, "newer": 1}, "version": "1"});
        let told = |stored: Value| told(&stored, &now, &json!({}));
        let plain = json!({"plugin": "p"});
        let lock = |level: f64| json!({"table": plain, "defaults": {"level": level}, "version": "1"});
        assert_eq!(told(lock(0.9)), [""; 0]);
        assert_eq!(told(lock(0.95)), ["analyzer `a`.level: stored 0.95, now 0.9"]);
        // Written out, the default is the same option; a lock of before does not say.
        let written = json!({"table": {"plugin": "p", "level": 0.9}, "defaults": {}, "version": "1"});
        assert_eq!(told(written), [""; 0]);
        assert_eq!(told(json!({"table": plain, "version": "1"})), [""; 0]);
        assert_eq!(departing("a", None, &now, &Map::new()), ["analyzer `a` is not one of them"]);
        let other = versions(&json!({"a": {"version": "0"}}), &json!({"a": now, "b": now}));
        assert_eq!(other, ["analyzer `a` is of version 1; the run was begun with version 0"]);
    }

    #[test]
    fn what_an_analyzer_decides_of_an_option_is_that_option() {
        let of = |table: Value| json!({"table": table, "defaults": {}});
        let locked = |settled: Value| json!({"table": {}, "defaults": {}, "settled": settled});
        let (one, none) = (json!({"smallest": 1.0}), json!({}));
        // Set to what it comes to, whether the lock says that or is of before.
        assert_eq!(told(&locked(one.clone()), &of(json!({"smallest": 1})), &one), [""; 0]);
        assert_eq!(told(&of(json!({})), &of(json!({"smallest": 1})), &one), [""; 0]);
        assert_eq!(told(&of(one.clone()), &of(json!({})), &one), [""; 0]);
        let two = told(&locked(one.clone()), &of(json!({"smallest": 2})), &one);
        assert_eq!(two, ["analyzer `a`.smallest: stored 1.0, now 2"]);
        // It comes to something else by now, or is not decided any more.
        let less = told(&locked(one.clone()), &of(json!({})), &json!({"smallest": 0.5}));
        assert_eq!(less, ["analyzer `a`.smallest: stored 1.0, now 0.5"]);
        assert_eq!(told(&locked(one), &of(json!({})), &none), [""; 0]);
    }
}
