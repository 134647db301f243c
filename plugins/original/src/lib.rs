//! `original`: reads the result files of the original friction study, so that they can be analysed and graded as a run.
//!
//! A file is a JSON list of conversations ([`file`]). The conversations of an index become a group, their conditions and
//! factors are those of `import.toml`, and the questions become the items that stand beside the run (`items`). What the
//! files do not say stays empty: how replies ended, and all numbers of tokens. `rules` says what is wrong with such data.
mod file;
mod items;
mod rows;
mod rules;

use friction_core::{ImportFile, Imported, Importer, Result};

/// The run's manifest, without `[study]` and `[model]`.
const MANIFEST: &str = include_str!("import.toml");

/// The conditions, each with what stands before the question from turn 2 on. A test compares them with the manifest.
const CONDITIONS: [(&str, &str); 4] = [
    ("complete_grateful", "Great, that's helpful. Now let's discuss "),
    ("complete_neutral", "Okay. Now: "),
    ("interrupt_polite", "Actually, sorry but let's switch to "),
    ("interrupt_blunt", "nvm. "),
];

fn read(files: &[ImportFile]) -> Result<Imported> {
    let talks = file::all(files)?;
    let items = items::of(&talks)?;
    Ok(Imported {
        model: talks.first().map(|t| t.model.clone()).unwrap_or_default(),
        manifest: MANIFEST.into(),
        files: vec![("items.jsonl".into(), items::lines(&items))],
        turns: talks.iter().flat_map(|talk| rows::of(talk, &items)).collect(),
        warnings: rules::all(&talks, &items),
    })
}

friction_core::inventory::submit! {
    Importer { name: "original", summary: "Result files (JSON) of the original friction study", read }
}

#[cfg(test)]
mod tests;
