//! Makes a run directory of other programs' result files.
//!
//! An [`Importer`] reads the files and says in a manifest what was run. The run is written as any other, so that what reads
//! runs reads it too, with two differences. Its model is `none:<name>`, of which no checkpoint can be loaded: what needs
//! one refuses, and nothing can be run into the directory. Its lock has the key `imported`, with the files and with what
//! is wrong with such data; every analysis tells it.
use crate::manifest::{checked, resolved};
use crate::{Error, Result, lock};
use friction_core::manifest::{Manifest, Source};
use friction_core::{BuildContext, Factors, ImportFile, Imported, Importer, TurnRow, plural};
use friction_store::dir::read_lock;
use friction_store::{GroupData, RunDir, temp};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What was imported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The importer's name.
    pub format: String,
    /// Name of the model that replied; `unknown` if the files do not say.
    pub model: String,
    /// Number of groups.
    pub groups: usize,
    /// Number of conversations.
    pub conversations: usize,
    /// Number of turns.
    pub turns: usize,
    /// What is wrong with such data, as the run stores it.
    pub warnings: Vec<String>,
}

/// Reads files with an importer and writes the run directory `out`, whole or not at all. What killed imports to `out` left
/// beside it is removed.
///
/// # Errors
/// If `out` is there already and not an empty folder, a file is not of the format, or the run cannot be written.
pub fn import(importer: &Importer, files: &[ImportFile], out: &Path) -> Result<Report> {
    free(out)?;
    let imported = (importer.read)(files).map_err(|e| Error::Usage(e.to_string()))?;
    if imported.turns.is_empty() {
        return Err(Error::Usage("the files hold no turn: there is nothing to import".into()));
    }
    temp::sweep_beside(out);
    let tmp = temp::temporary(out);
    // A temporary folder of this name is left over from a process that was killed.
    let _ = fs::remove_dir_all(&tmp);
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::Io { path, source }
    };
    fs::create_dir_all(&tmp).map_err(io(out))?;
    let done =
        write(importer, files, imported, out, &tmp).and_then(|r| fs::rename(&tmp, out).map_err(io(out)).map(|()| r));
    if done.is_err() {
        let _ = fs::remove_dir_all(&tmp);
    }
    done
}

/// Refuses a place that is taken.
fn free(out: &Path) -> Result<()> {
    let taken = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => out.exists(),
    };
    if taken {
        let what =
            "is there already and is not an empty folder; an import makes a run of its own: name another with --out";
        return Err(Error::Usage(format!("{}: {what}", out.display())));
    }
    match out.file_name() {
        Some(_) => Ok(()),
        None => Err(Error::Usage(format!("--out {}: name the folder that is to be made", out.display()))),
    }
}

/// Fills the folder `tmp`, which becomes `out`.
fn write(importer: &Importer, files: &[ImportFile], imported: Imported, out: &Path, tmp: &Path) -> Result<Report> {
    let Imported { model, manifest, files: beside, turns, warnings } = imported;
    for (name, bytes) in beside {
        temp::replace(&tmp.join(name), &bytes)?;
    }
    let model = if model.trim().is_empty() { "unknown".to_string() } else { model };
    let m = study(&manifest, &model, &turns, out, tmp)?;
    let groups = by_group(&m, turns)?;
    let dataset = (m.dataset.build)(&BuildContext::new(&m, tmp))?;
    let from: Vec<Value> = files.iter().map(described).collect();
    let about = json!({"format": importer.name, "files": from, "warnings": warnings});
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    let text = format!(
        "# It was imported from {}, by the importer `{}`: no checkpoint of its model is here, and it cannot be run.\n{}",
        names.join(", ").replace(|c: char| c.is_control(), " "),
        importer.name,
        resolved(&m)?
    );
    let dir = RunDir::open(tmp, &text, &lock::of_import(&m, dataset.as_ref(), about)?)?;
    let all = || groups.values().flatten();
    let report = Report {
        format: importer.name.into(),
        model,
        groups: groups.len(),
        conversations: all().map(TurnRow::conversation).collect::<BTreeSet<_>>().len(),
        turns: all().count(),
        warnings,
    };
    for (group, turns) in groups {
        dir.write_group(group as usize, &GroupData { turns, taps: vec![] })?;
    }
    dir.log(&json!({"event": "import", "files": names, "report": report}))?;
    Ok(report)
}

/// The manifest of the run: what the importer says, with the size that the turns have.
fn study(text: &str, model: &str, turns: &[TurnRow], out: &Path, base: &Path) -> Result<Manifest> {
    let mut source = Source::parse("the manifest of the import", text, &[])?;
    let named = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = out.file_name().and_then(|n| n.to_str()).filter(|n| !n.starts_with('.') && n.chars().all(named));
    let groups = turns.iter().map(|t| t.group).collect::<BTreeSet<_>>().len();
    let study = json!({
        "name": name.unwrap_or("imported"), "groups": groups, "turns": turns.iter().map(|t| t.turn).max().unwrap_or(1),
    });
    for (section, values) in [("study", study), ("model", json!({"source": format!("none:{model}")}))] {
        let table = toml::Value::try_from(values).map_err(friction_core::Error::other)?;
        source.value.insert(section.into(), table);
    }
    checked(source, base, None)
}

/// The turns of each group, in the order of the manifest's conditions, with the factors of these.
fn by_group(m: &Manifest, turns: Vec<TurnRow>) -> Result<BTreeMap<u32, Vec<TurnRow>>> {
    let conditions: BTreeMap<&str, (usize, &Factors)> =
        m.conditions.iter().enumerate().map(|(i, c)| (c.chosen.name.as_str(), (i, &c.factors))).collect();
    let mut groups: BTreeMap<u32, Vec<(usize, TurnRow)>> = BTreeMap::new();
    for turn in turns {
        let Some((place, factors)) = conditions.get(turn.condition.as_str()) else {
            let what = format!("a turn has the condition `{}`, which the importer's manifest lacks", turn.condition);
            return Err(friction_core::Error::other(what).into());
        };
        let factors = (*factors).clone();
        groups.entry(turn.group).or_default().push((*place, TurnRow { factors, ..turn }));
    }
    let sorted = |mut all: Vec<(usize, TurnRow)>| {
        all.sort_by(|(a, x), (b, y)| (a, &x.arm, x.sample, x.turn).cmp(&(b, &y.arm, y.sample, y.turn)));
        all.into_iter().map(|(_, turn)| turn).collect()
    };
    Ok(groups.into_iter().map(|(group, all)| (group, sorted(all))).collect())
}

/// A file as the lock holds it.
fn described(file: &ImportFile) -> Value {
    let sha = lock::hex(Sha256::new_with_prefix(&file.bytes));
    json!({"name": file.name, "bytes": file.bytes.len(), "sha256": sha})
}

/// Whether a lock is that of a run that was imported.
pub(crate) fn is(lock: &Value) -> bool {
    lock.get("imported").is_some()
}

/// What a reader of an imported run must know; nothing of other runs.
pub(crate) fn notes(lock: &Value) -> Vec<String> {
    let Some(imported) = lock.get("imported") else { return vec![] };
    let texts = |key: &str| imported[key].as_array().into_iter().flatten();
    let names: Vec<&str> = texts("files").filter_map(|f| f["name"].as_str()).collect();
    let from = match &names[..] {
        [one] => (*one).to_string(),
        [first, rest @ ..] => format!("{first} and {}", plural(rest.len(), "more file")),
        [] => "files".into(),
    };
    let first = format!("this run was imported from {from}: what these do not say is left empty");
    let warnings = texts("warnings").filter_map(Value::as_str).map(|w| format!("of the imported data: {w}"));
    [first].into_iter().chain(warnings).collect()
}

/// Refuses to run a study into an imported run.
pub(crate) fn refuse(out: &Path) -> Result<()> {
    // Whatever else is wrong with the directory is told when it is opened.
    if read_lock(out).is_ok_and(|lock| is(&lock)) {
        let what = "was imported, so nothing can be run into it; name another directory with --out";
        return Err(Error::Usage(format!("{}: this run {what}", out.display())));
    }
    Ok(())
}
