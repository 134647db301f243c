//! Reading a manifest with the dynamic libraries that it loads.
use crate::{Error, Result};
use friction_core::Registry;
use friction_core::manifest::{Issues, LibraryEntry, Manifest, Source, libraries};
use friction_dylib::Library;
use std::path::{Path, PathBuf};

/// The folder that a manifest's paths are relative to.
pub fn base(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

/// A library's file: absolute, or relative to the manifest's folder. Never searched for elsewhere.
///
/// # Errors
/// When there is no such file.
pub fn library_file(entry: &LibraryEntry, base: &Path) -> Result<PathBuf> {
    let at = base.join(&entry.path);
    at.canonicalize().map_err(|source| Error::Io { path: at, source })
}

/// The plugins that a manifest may name: those linked, and those of its libraries. What is wrong with
/// these goes into the issues.
pub fn registry(source: &Source, base: &Path, issues: &mut Issues) -> Registry {
    let mut registry = Registry::linked();
    for (path, entry) in libraries(source, issues) {
        let loaded = library_file(&entry, base).and_then(|file| {
            let library = Library::open(&file, entry.sha256.as_deref())?;
            for plugin in library.plugins()? {
                registry.add(plugin).map_err(|e| friction_core::Error::data(&file, e))?;
            }
            Ok(())
        });
        if let Err(e) = loaded {
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
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let source = Source::parse(&path.display().to_string(), &text, settings)?;
    let mut issues = Issues::default();
    let registry = registry(&source, base, &mut issues);
    Ok(Manifest::read(source, &registry, issues)?)
}
