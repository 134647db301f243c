//! Writing a run directory.
use crate::{Error, Result, SCHEMA, format, io, table};
use friction_core::{Findings, Position, Site, TapArray, TurnRow};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Activations of one conversation at one tap.
#[derive(Debug, Clone, PartialEq)]
pub struct TapEntry {
    /// Condition name.
    pub condition: String,
    /// Arm name; empty for the control.
    pub arm: String,
    /// Where.
    pub site: Site,
    /// At which tokens.
    pub position: Position,
    /// `[turns, positions, width]`.
    pub array: TapArray,
}

/// Everything of one group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupData {
    /// Turns, ordered by condition, arm and turn.
    pub turns: Vec<TurnRow>,
    /// Activations.
    pub taps: Vec<TapEntry>,
}

/// Name of a tap's tensor.
pub fn tap_name(condition: &str, arm: &str, site: Site, position: Position) -> String {
    let at = if arm.is_empty() { String::new() } else { format!("@{arm}") };
    format!("{condition}{at}/{site}/{position}")
}

/// A run directory open for writing, locked against other writers until dropped.
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|d| d.sync_all()).map_err(io(path))
}

/// Writes a file whole: under a temporary name, synced, renamed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let tmp = path.with_extension("tmp");
    let mut f = File::create(&tmp).map_err(io(&tmp))?;
    f.write_all(bytes).and_then(|()| f.sync_all()).map_err(io(&tmp))?;
    fs::rename(&tmp, path).map_err(io(path))
}

/// Keys at which two locks differ, `a` as stored.
fn differences(at: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for k in keys {
                let path = if at.is_empty() { k.clone() } else { format!("{at}.{k}") };
                differences(&path, x.get(k).unwrap_or(&Value::Null), y.get(k).unwrap_or(&Value::Null), out);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                differences(&format!("{at}[{i}]"), x, y, out);
            }
        }
        _ if a == b => {}
        _ => out.push(format!("  {at}: stored {a}, now {b}")),
    }
}

impl RunDir {
    /// Creates a run directory, or opens the one that is there if its lock is equal. Keys under
    /// `machine` may differ: they say where a run began, not what it is.
    ///
    /// # Errors
    /// When it differs, is being written, is of a newer schema, or cannot be written.
    pub fn open(path: &Path, manifest: &str, lock: &Value) -> Result<Self> {
        fs::create_dir_all(path.join("groups")).map_err(io(path))?;
        let guard = path.join(".writer");
        let file = File::create(&guard).map_err(io(&guard))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy { path: path.into() }),
            Err(fs::TryLockError::Error(e)) => return Err(io(guard)(e)),
        }
        let mut lock = lock.clone();
        lock["schema"] = json!(SCHEMA);
        let at = path.join("lock.json");
        if at.exists() {
            let mut stored = read_lock(path)?;
            let machine = |v: &mut Value| v.as_object_mut().and_then(|o| o.remove("machine"));
            let mut now = lock.clone();
            machine(&mut stored);
            machine(&mut now);
            let mut differ = vec![];
            differences("", &stored, &now, &mut differ);
            if !differ.is_empty() {
                return Err(Error::Differs { path: path.into(), differences: differ.join("\n") });
            }
        } else {
            replace(&path.join("manifest.toml"), manifest.as_bytes())?;
            replace(&at, format!("{lock:#}\n").as_bytes())?;
        }
        let run = Self { path: path.into(), _lock: file };
        run.sweep()?;
        Ok(run)
    }

    /// Opens an existing run for new analyses.
    ///
    /// # Errors
    /// When there is none or it is being written.
    pub fn reopen(path: &Path) -> Result<Self> {
        read_lock(path)?;
        let guard = path.join(".writer");
        let file = File::create(&guard).map_err(io(&guard))?;
        file.try_lock().map_err(|_| Error::Busy { path: path.into() })?;
        Ok(Self { path: path.into(), _lock: file })
    }

    /// Removes what a killed writer left half-written.
    fn sweep(&self) -> Result<()> {
        let groups = self.path.join("groups");
        for entry in fs::read_dir(&groups).map_err(io(&groups))? {
            let path = entry.map_err(io(&groups))?.path();
            if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
                fs::remove_dir_all(&path).map_err(io(&path))?;
            }
        }
        Ok(())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Groups that are written.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn done(&self) -> Result<BTreeSet<usize>> {
        Ok(groups(&self.path)?.into_iter().map(|(i, _)| i).collect())
    }

    /// Writes a group: whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; nothing else is lost then.
    pub fn write_group(&self, index: usize, data: &GroupData) -> Result<()> {
        let groups = self.path.join("groups");
        let tmp = groups.join(format!(".{index:04}"));
        let _ = fs::remove_dir_all(&tmp);
        fs::create_dir_all(&tmp).map_err(io(&tmp))?;
        table::write_turns(&tmp.join("turns.parquet"), &data.turns)?;
        if !data.taps.is_empty() {
            write_taps(&tmp.join("taps.safetensors"), &data.taps)?;
        }
        sync_dir(&tmp)?;
        let to = groups.join(format!("{index:04}"));
        fs::rename(&tmp, &to).map_err(io(&to))?;
        sync_dir(&groups)
    }

    /// Writes what an analyzer found, replacing what it found before.
    ///
    /// # Errors
    /// When it cannot be written, or a name in it is no file's.
    pub fn write_findings(&self, analyzer: &str, f: &Findings) -> Result<PathBuf> {
        let names = f.tables.iter().map(|t| &t.name).chain(f.figures.iter().map(|g| &g.name));
        if let Some(bad) = names.chain(f.files.iter().map(|(name, _)| name)).find(|n| !is_file_name(n)) {
            let message = format!("{bad:?} names no file: use letters, digits, `-`, `_` and `.`");
            return Err(format(self.path.join("analysis").join(analyzer), message));
        }
        let all = self.path.join("analysis");
        let (tmp, to) = (all.join(format!(".{analyzer}")), all.join(analyzer));
        let _ = fs::remove_dir_all(&tmp);
        fs::create_dir_all(&tmp).map_err(io(&tmp))?;
        for t in &f.tables {
            table::write_table(&tmp.join(format!("{}.parquet", t.name)), t)?;
        }
        for fig in &f.figures {
            replace(&tmp.join(format!("{}.svg", fig.name)), fig.svg.as_bytes())?;
            replace(&tmp.join(format!("{}.png", fig.name)), &fig.png)?;
        }
        for (name, bytes) in &f.files {
            replace(&tmp.join(name), bytes)?;
        }
        let files: Vec<&String> = f.files.iter().map(|(name, _)| name).collect();
        let figures: Vec<Value> =
            f.figures.iter().map(|g| json!({"file": format!("{}.svg", g.name), "caption": g.caption})).collect();
        let tables: Vec<String> = f.tables.iter().map(|t| format!("{}.parquet", t.name)).collect();
        let doc = json!({"analyzer": analyzer, "summary": f.summary, "warnings": f.warnings, "values": f.values, "tables": tables, "figures": figures, "files": files});
        replace(&tmp.join("findings.json"), format!("{doc:#}\n").as_bytes())?;
        if to.exists() {
            fs::remove_dir_all(&to).map_err(io(&to))?;
        }
        fs::rename(&tmp, &to).map_err(io(&to))?;
        Ok(to)
    }

    /// Appends an event to log.jsonl.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn log(&self, event: &Value) -> Result<()> {
        let path = self.path.join("log.jsonl");
        let mut f = File::options().create(true).append(true).open(&path).map_err(io(&path))?;
        writeln!(f, "{event}").map_err(io(&path))
    }
}

/// Whether a name given by a plugin stays in the folder that it is written to.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 120
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn write_taps(path: &Path, taps: &[TapEntry]) -> Result<()> {
    let mut data: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for t in taps {
        let bytes = t.array.data.iter().flat_map(|x| x.to_le_bytes()).collect();
        data.insert(tap_name(&t.condition, &t.arm, t.site, t.position), (t.array.shape.to_vec(), bytes));
    }
    let views = data
        .iter()
        .map(|(n, (s, b))| Ok((n.clone(), TensorView::new(Dtype::F32, s.clone(), b).map_err(|e| format(path, e))?)))
        .collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, None).map_err(|e| format(path, e))?;
    let mut f = File::create(path).map_err(io(path))?;
    f.write_all(&bytes).and_then(|()| f.sync_all()).map_err(io(path))
}

/// A run's lock, its schema checked.
///
/// # Errors
/// When the folder holds no run, or one of a newer schema.
pub fn read_lock(path: &Path) -> Result<Value> {
    let at = path.join("lock.json");
    if !at.exists() {
        return Err(format(path, "holds no run: there is no lock.json"));
    }
    let text = fs::read_to_string(&at).map_err(io(&at))?;
    let lock: Value = serde_json::from_str(&text).map_err(|e| format(&at, e))?;
    match lock.get("schema").and_then(Value::as_u64) {
        Some(SCHEMA) => Ok(lock),
        Some(n) if n > SCHEMA => Err(format(
            &at,
            format!("was written by a newer friction (schema {n}, this one reads {SCHEMA}); update friction"),
        )),
        _ => Err(format(&at, "has no `schema` that this friction knows")),
    }
}

/// Written groups with their folders, by index.
pub(crate) fn groups(path: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let dir = path.join("groups");
    let mut out = vec![];
    for entry in fs::read_dir(&dir).map_err(io(&dir))? {
        let entry = entry.map_err(io(&dir))?;
        if let Ok(i) = entry.file_name().to_string_lossy().parse() {
            out.push((i, entry.path()));
        }
    }
    out.sort();
    Ok(out)
}
