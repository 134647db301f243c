//! Reads a manifest with the dynamic libraries and processes that it names, and writes it resolved.
use crate::{Error, Result, depth};
use friction_core::Plugin;
use friction_core::Registry;
use friction_core::manifest::{External, Issues, LibraryEntry, Manifest, ModelSection, Source, external};
use friction_dylib::{Library, Process};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The folder that a manifest's relative paths refer to: the one that holds the file.
pub fn base(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

/// A library's file: absolute, or relative to the manifest's folder. It is not searched for elsewhere.
///
/// # Errors
/// If there is no such file.
pub fn library_file(entry: &LibraryEntry, base: &Path) -> Result<PathBuf> {
    let at = base.join(&entry.path);
    at.canonicalize().map_err(|source| Error::Io { path: at, source })
}

/// The plugins that a manifest may name: those that are linked, and those of its libraries and processes, which are
/// loaded and started here. Their errors are added to `issues`.
pub fn registry(source: &Source, base: &Path, issues: &mut Issues) -> Registry {
    let mut registry = Registry::linked();
    let before = issues.0.len();
    let External { libraries, processes } = external(source, issues);
    if issues.0.len() > before {
        return registry;
    }
    let mut add = |who: &dyn std::fmt::Display, plugins: Vec<Plugin>| -> Result<()> {
        let wrong = |e| friction_core::Error::other(format!("{who}: {e}"));
        Ok(plugins.into_iter().try_for_each(|p| registry.add(p).map_err(wrong))?)
    };
    for (path, entry) in libraries {
        let loaded = library_file(&entry, base).and_then(|file| {
            let library = Library::open(&file, entry.sha256.as_deref())?;
            add(&file.display(), library.plugins()?)
        });
        if let Err(e) = loaded {
            issues.push(path, e.to_string(), None);
        }
    }
    for (path, entry) in processes {
        let started = Process::start(&entry, base).and_then(|p| Ok((p.plugins()?, p)));
        let added = started.map_err(Error::from).and_then(|(plugins, p)| add(&p.name(), plugins));
        if let Err(e) = added {
            issues.push(path, e.to_string(), None);
        }
    }
    registry
}

/// Reads a manifest file; `settings` are `dotted.key=value`. Relative paths in it are relative to `base`.
///
/// # Errors
/// Everything that is wrong with it, at once, each with line and column.
pub fn read(path: &Path, base: &Path, settings: &[String]) -> Result<Manifest> {
    checked(parse(path, settings)?, base, None)
}

/// [`read`] without hooks and analyzers, for what depends on the design alone. The model's configuration, which sites by
/// depth need, is not read.
///
/// # Errors
/// As [`read`].
pub fn read_design(path: &Path, base: &Path, settings: &[String]) -> Result<Manifest> {
    let mut source = parse(path, settings)?;
    for table in ["hook", "analyzer"] {
        source.value.remove(table);
    }
    checked(source, base, None)
}

/// [`read`] of a manifest whose analyzers are used on a run of `model`, which decides what sites by depth are; relative
/// paths of `model` refer to `folder`.
pub(crate) fn read_for(
    path: &Path,
    base: &Path,
    settings: &[String],
    (model, folder): (&ModelSection, &Path),
) -> Result<Manifest> {
    checked(parse(path, settings)?, base, Some((model, folder)))
}

/// A manifest file's text and values with settings applied, not yet checked.
pub(crate) fn parse(path: &Path, settings: &[String]) -> Result<Source> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    Ok(Source::read(&path.display().to_string(), bytes, settings)?)
}

/// Checks a manifest with the plugins that it may name. `of` is the model that sites by depth are of, with the folder of
/// its relative paths, where that is not the manifest's own.
pub(crate) fn checked(mut source: Source, base: &Path, of: Option<(&ModelSection, &Path)>) -> Result<Manifest> {
    let mut issues = Issues::default();
    depth::settle(&mut source, base, of, &mut issues);
    let registry = registry(&source, base, &mut issues);
    Ok(Manifest::read(source, &registry, issues)?)
}

/// A manifest's text as it was run: settings are applied, defaults of the fixed sections are filled in, and conditions
/// stand in the place of the `[[factor]]` tables that they were made of. Relative paths still refer to the original
/// file's folder.
///
/// # Errors
/// If a value cannot be written as TOML.
pub fn resolved(m: &Manifest) -> Result<String> {
    let wrong = |e: toml::ser::Error| friction_core::Error::other(format!("the manifest cannot be written: {e}"));
    let mut out = toml::Table::new();
    let fixed = [section(&m.study), section(&m.model), section(&m.backend), section(&m.generation)];
    for (key, value) in ["study", "model", "backend", "generation"].into_iter().zip(fixed) {
        out.insert(key.into(), value.map_err(wrong)?);
    }
    if let Some(primary) = &m.primary {
        out.insert("primary".into(), section(primary).map_err(wrong)?);
    }
    for (key, value) in &m.source.value {
        out.entry(key.clone()).or_insert_with(|| value.clone());
    }
    Ok(toml::to_string(&out).map_err(wrong)?)
}

fn section(value: &impl Serialize) -> Result<toml::Value, toml::ser::Error> {
    toml::Value::try_from(value)
}
