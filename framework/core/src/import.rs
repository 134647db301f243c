//! How result files of other programs become runs. A crate submits one [`Importer`] to `inventory`; `friction import`
//! finds it there, and writes what it read as a run directory.
use crate::{Error, Result, TurnRow, manifest};
use std::collections::BTreeSet;

/// A file to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFile {
    /// Its name as it was given, for messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What an importer read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imported {
    /// Name of the model that replied, as the files have it; empty if they do not say.
    pub model: String,
    /// The study in today's words: a manifest's tables without `[study]` and `[model]`, in TOML. Its paths are relative to
    /// the run directory, where they may name [`Imported::files`]. Its conditions give the turns their factors.
    pub manifest: String,
    /// Files that stand beside the manifest, name and bytes, such as the items.
    pub files: Vec<(String, Vec<u8>)>,
    /// The turns, in any order. Their factors are those of their conditions. What the files do not say is left at its
    /// default; without a [`TurnRow::finish_reason`], token counts and times are not known.
    pub turns: Vec<TurnRow>,
    /// What is wrong with such data, found by rule, each with its counts. A sentence without its full stop. They are
    /// stored with the run and told whenever it is analysed.
    pub warnings: Vec<String>,
}

/// Reads the result files of another program.
pub struct Importer {
    /// Its name, as `friction import --format` takes it.
    pub name: &'static str,
    /// One line that says whose files it reads.
    pub summary: &'static str,
    /// Reads the files, of which there is at least one.
    ///
    /// # Errors
    /// If a file is not of the format; the message says which file, where in it, and what is wrong.
    pub read: fn(&[ImportFile]) -> Result<Imported>,
}

inventory::collect!(Importer);

impl Importer {
    /// All importers that are linked into this program, by name.
    pub fn all() -> Vec<&'static Self> {
        let mut all: Vec<&Self> = inventory::iter::<Self>.into_iter().collect();
        all.sort_by_key(|i| i.name);
        all
    }

    /// The importer of a name, or the only one that is linked.
    ///
    /// # Errors
    /// If there is none of that name, or no name is given and there is not exactly one.
    pub fn find(name: Option<&str>) -> Result<&'static Self> {
        let all = Self::all();
        let names: BTreeSet<&str> = all.iter().map(|i| i.name).collect();
        let known = || names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        match (name, &all[..]) {
            (_, []) => Err(Error::config("this program links no importer")),
            (None, [one]) => Ok(*one),
            (None, _) => Err(Error::config(format!("name the files' format with --format; there are {}", known()))),
            (Some(name), all) => all.iter().find(|i| i.name == name).copied().ok_or_else(|| {
                let help = manifest::suggestion(name, names.iter().copied()).unwrap_or_default();
                Error::config(format!("no importer reads the format `{name}`: {help}"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    inventory::submit! { Importer { name: "nothing", summary: "a test", read: |_| Ok(Imported::default()) } }

    #[test]
    fn an_importer_is_found_by_its_name_or_alone() {
        assert_eq!(Importer::find(None).unwrap().name, "nothing");
        assert_eq!(Importer::find(Some("nothing")).unwrap().summary, "a test");
        let told = Importer::find(Some("nothin")).err().unwrap().to_string();
        assert_eq!(told, "no importer reads the format `nothin`: did you mean `nothing`?");
        let told = Importer::find(Some("csv")).err().unwrap().to_string();
        assert!(told.starts_with("no importer reads the format `csv`: ") && told.contains("`nothing`"), "{told}");
    }
}
