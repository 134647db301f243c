//! Writes a run directory.
use crate::amendments::{self, Amendment, amended_lock};
use crate::error::{format, io};
use crate::gradings::graded_whole;
use crate::{Error, Result, SCHEMA, sums, table, temp};
use friction_core::manifest::primary_as_before;
use friction_core::{ConversationId, Findings, Position, Site, TapArray, TurnRow};
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
    /// Arm name; empty for the untouched control.
    pub arm: String,
    /// Number of the sample, from 0.
    pub sample: u32,
    /// Where in the forward pass.
    pub site: Site,
    /// At which tokens of each turn.
    pub position: Position,
    /// The values, `[turns, positions, width]`.
    pub array: TapArray,
}

/// Everything that a run stores of one group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupData {
    /// Its turns, ordered by condition, arm, sample and turn.
    pub turns: Vec<TurnRow>,
    /// Its activations, one entry for each conversation and tap.
    pub taps: Vec<TapEntry>,
}

/// First line of a run's manifest.
const HEADER: &str = "# What this run was made of: its manifest with every setting applied. Written by friction.\n";

/// The file whose lock the writer of a run holds.
pub(crate) const WRITER: &str = ".writer";

/// The file of a group's activations.
pub(crate) const TAPS: &str = "taps.safetensors";

/// Name of a tap's tensor in `taps.safetensors`: `<condition>[@<arm>][#<sample>]/<site>/<position>`; the first sample,
/// 0, is not named.
pub fn tap_name(conversation: ConversationId, site: Site, position: Position) -> String {
    let ConversationId { condition, arm, sample, .. } = conversation;
    let at = if arm.is_empty() { String::new() } else { format!("@{arm}") };
    let nth = if sample == 0 { String::new() } else { format!("#{sample}") };
    format!("{condition}{at}{nth}/{site}/{position}")
}

/// A run directory open for writing, locked against other writers until dropped.
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Creates a run directory, or opens an existing one whose lock equals `lock`. Keys under `machine` may differ:
    /// they say where a run began, not what it is. `manifest` is stored; it replaces a stored one that has the same
    /// lock, as when only its analyzers differ.
    ///
    /// # Errors
    /// If the stored lock differs or is of another schema, new grades are begun and not finished, another process writes to
    /// the directory, it holds files that would be overwritten, or it cannot be written. What it holds is untouched then.
    pub fn open(path: &Path, manifest: &str, lock: &Value) -> Result<Self> {
        Self::open_amending(path, manifest, lock, None)
    }

    /// As [`RunDir::open`], but a lock that differs in the primary contrast alone is no other study: the change is appended
    /// to `amendments.jsonl` with this reason, and so is a change of the analyzers, which are not compared.
    ///
    /// # Errors
    /// As [`RunDir::open`], and if there is a reason but nothing to amend.
    pub fn open_amending(path: &Path, manifest: &str, lock: &Value, reason: Option<&str>) -> Result<Self> {
        let (at, text) = (path.join("lock.json"), path.join("manifest.toml"));
        let manifest = format!("{HEADER}{manifest}");
        let stored = fs::read_to_string(&text).ok();
        if !at.exists() && text.exists() && !stored.as_ref().is_some_and(|s| s.starts_with(HEADER)) {
            let message =
                "holds a manifest.toml that is no run's and would be overwritten; name another directory with --out";
            return Err(format(path, message));
        }
        fs::create_dir_all(path.join("groups")).map_err(io(path))?;
        let run = Self { path: path.into(), _lock: guard(path)? };
        let mut lock = lock.clone();
        lock["schema"] = json!(SCHEMA);
        if at.exists() {
            graded_whole(path)?;
            run.compare(&lock, reason)?;
            if stored.as_ref() != Some(&manifest) {
                temp::replace(&text, manifest.as_bytes())?;
                run.log(&json!({"event": "manifest", "why": "its analyzers or its machine differ"}))?;
            }
        } else if reason.is_some() {
            let message = "holds no run whose primary contrast or analyzers could be amended; leave out --amend";
            return Err(format(path, message));
        } else if !groups(path)?.is_empty() {
            let message = "holds groups but no lock.json, which says what they were made with; put it back, or name another directory with --out";
            return Err(format(path, message));
        } else {
            temp::replace(&text, manifest.as_bytes())?;
            temp::replace(&at, format!("{lock:#}\n").as_bytes())?;
        }
        run.sweep()?;
        Ok(run)
    }

    /// Opens an existing run to write new analyses.
    ///
    /// # Errors
    /// If there is no run, or another process writes to it.
    pub fn reopen(path: &Path) -> Result<Self> {
        read_lock(path)?;
        let run = Self { path: path.into(), _lock: guard(path)? };
        run.sweep()?;
        Ok(run)
    }

    /// Fails if the lock differs from the stored one, its amendments included. A difference in the primary contrast alone
    /// becomes an amendment if there is a reason. Analyzers may differ: what others find is exploratory.
    fn compare(&self, now: &Value, reason: Option<&str>) -> Result<()> {
        let (mut stored, mut now) = (amended_lock(&self.path)?, now.clone());
        let schema = stored["schema"].as_u64().unwrap_or(0);
        if schema < SCHEMA {
            return Err(Error::Older { path: self.path.clone(), schema });
        }
        for lock in [&mut stored, &mut now] {
            lock.as_object_mut().and_then(|o| o.shift_remove("machine"));
        }
        primary_as_before(&stored, &mut now);
        let [mut own, mut new] = [stored.clone(), now.clone()];
        for lock in [&mut own, &mut new] {
            for key in ["analyzers", "replies"] {
                lock.as_object_mut().and_then(|o| o.shift_remove(key));
            }
        }
        let mut differ = vec![];
        differences("", &own, &new, &mut differ);
        let contrast = |line: &String| line.trim_start().starts_with("primary");
        match (differ.iter().all(contrast), reason) {
            (true, Some(reason)) => {
                let amendment = Amendment::new(&self.path, reason, &stored, &now)?;
                if !amendment.contrast() && amendment.analyzers.is_none() {
                    let message = "has this primary contrast and these analyzers already; leave out --amend";
                    return Err(format(&self.path, message));
                }
                return amendments::append(&self.path, &amendment);
            }
            _ if differ.is_empty() => return Ok(()),
            (true, None) => {
                differ.push("  --amend \"why\" records the change, and whether outcomes could be read".into())
            }
            (false, _) => {}
        }
        Err(Error::Differs { path: self.path.clone(), differences: differ.join("\n") })
    }

    /// Removes files and folders that a killed writer left half-written, and nothing else.
    fn sweep(&self) -> Result<()> {
        ["", "groups", "analysis"].into_iter().try_for_each(|dir| temp::sweep(&self.path.join(dir)))
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Indices of the groups that are written. What their files hold is not checked here, but when it is read.
    ///
    /// # Errors
    /// If the directory cannot be read, or a file of a group is missing that its checksums list.
    pub fn done(&self) -> Result<BTreeSet<usize>> {
        let of = |(group, dir): (usize, PathBuf)| sums::complete(&dir).map(|()| group);
        groups(&self.path)?.into_iter().map(of).collect()
    }

    /// Writes a group: whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written. Other groups are not affected.
    pub fn write_group(&self, index: usize, data: &GroupData) -> Result<()> {
        let to = self.path.join("groups").join(format!("{index:04}"));
        let tmp = temp::folder(&to)?;
        let fill = || {
            table::write_turns(&tmp.join("turns.parquet"), &data.turns)?;
            if !data.taps.is_empty() {
                write_taps(&tmp.join(TAPS), &data.taps)?;
            }
            sums::write(&tmp)?;
            temp::rename(&tmp, &to)
        };
        fill().map_err(|e| {
            temp::discard(&tmp);
            e.at(&to)
        })
    }

    /// Replaces the turns of a group that is written, and their checksum. Its activations stay.
    ///
    /// # Errors
    /// If they cannot be written. The turns are then the old ones or the new ones.
    pub fn replace_turns(&self, index: usize, rows: &[TurnRow]) -> Result<()> {
        let groups = self.path.join("groups");
        let dir = groups.join(format!("{index:04}"));
        temp::sweep(&dir)?;
        let new = temp::temporary(&groups.join(format!("{index:04}-turns.parquet")));
        let done = table::write_turns(&new, rows).and_then(|()| sums::exchange(&dir, "turns.parquet", &new));
        done.map_err(|e| {
            temp::discard(&new);
            e.at(dir.join("turns.parquet"))
        })
    }

    /// Writes an analyzer's findings into `analysis/<analyzer>/` and returns that folder. They replace its earlier
    /// findings; other files in the folder stay. `departs` lists how its settings differ from the run's manifest.
    ///
    /// # Errors
    /// If they cannot be written, or a name in them is not a valid file name.
    pub fn write_findings(&self, analyzer: &str, f: &Findings, departs: &[String]) -> Result<PathBuf> {
        crate::found::write(&self.path.join("analysis").join(analyzer), analyzer, f, departs)
    }

    /// Marks the findings of these analyzers, by name, as those of an earlier analysis: readers then say so. What
    /// [`RunDir::write_findings`] writes has no mark. Folders that hold no analyzer's findings stay as they are.
    ///
    /// # Errors
    /// If they cannot be listed or written.
    pub fn outdate_findings(&self, of: &dyn Fn(&str) -> bool) -> Result<()> {
        self.outdate(of, crate::found::EARLIER)
    }

    /// Marks the findings of all analyzers as made before grades of the run were replaced, as [`RunDir::outdate_findings`]
    /// does.
    ///
    /// # Errors
    /// If they cannot be listed or written.
    pub fn outdate_graded(&self) -> Result<()> {
        self.outdate(&|_| true, crate::found::GRADED)
    }

    fn outdate(&self, of: &dyn Fn(&str) -> bool, why: &str) -> Result<()> {
        let dir = self.path.join("analysis");
        self.analyses()?.iter().filter(|name| of(name)).try_for_each(|name| crate::found::outdate(&dir.join(name), why))
    }

    /// The analyzers whose findings are out of date, sorted.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn outdated_findings(&self) -> Result<Vec<String>> {
        let dir = self.path.join("analysis");
        Ok(self.analyses()?.into_iter().filter(|name| crate::found::is_outdated(&dir.join(name))).collect())
    }

    /// Names of what lies in the folder of analyses, sorted.
    fn analyses(&self) -> Result<Vec<String>> {
        let dir = self.path.join("analysis");
        if !dir.exists() {
            return Ok(vec![]);
        }
        let entries = fs::read_dir(&dir).and_then(|all| all.collect::<std::io::Result<Vec<_>>>()).map_err(io(&dir))?;
        let mut out: Vec<String> = entries.iter().filter_map(|e| e.file_name().into_string().ok()).collect();
        out.sort();
        Ok(out)
    }

    /// Appends an event to `log.jsonl`, as one line of JSON.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log(&self, event: &Value) -> Result<()> {
        let path = self.path.join("log.jsonl");
        let mut f = File::options().create(true).append(true).open(&path).map_err(io(&path))?;
        // A single write, so that a line is written whole or not at all.
        f.write_all(format!("{event}\n").as_bytes()).map_err(io(&path))
    }
}

/// Takes the lock against other writers. It is held until the file is dropped.
fn guard(path: &Path) -> Result<File> {
    let at = path.join(WRITER);
    let file = File::create(&at).map_err(io(&at))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Busy { path: path.into() }),
        Err(fs::TryLockError::Error(e)) => Err(io(at)(e)),
    }
}

/// Adds a line to `out` for each key at which two locks differ. `a` is the stored one.
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
        _ => match at.strip_prefix("model.sha256.") {
            Some(part) => {
                out.push(format!("  {} differs: stored {}, now {}", part.replace("chat_", "chat "), hash(a), hash(b)))
            }
            None => out.push(format!("  {at}: stored {}, now {}", shown(a), shown(b))),
        },
    }
}

/// A JSON value for a message: on one line, cut after 60 characters.
pub fn shown(v: &Value) -> String {
    const LONGEST: usize = 60;
    let text = v.to_string();
    let what = match v {
        Value::Array(a) => format!(" ({} entries)", a.len()),
        _ => String::new(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…{what}", &text[..end]),
        None => text,
    }
}

/// A hash for a message; `none` if the part is missing.
fn hash(v: &Value) -> &str {
    v.as_str().unwrap_or("none")
}

fn write_taps(path: &Path, taps: &[TapEntry]) -> Result<()> {
    let mut data: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for t in taps {
        let bytes = t.array.data.iter().flat_map(|x| x.to_le_bytes()).collect();
        let conversation = ConversationId { group: 0, condition: &t.condition, arm: &t.arm, sample: t.sample };
        data.insert(tap_name(conversation, t.site, t.position), (t.array.shape.to_vec(), bytes));
    }
    let views = data
        .iter()
        .map(|(n, (s, b))| Ok((n.clone(), TensorView::new(Dtype::F32, s.clone(), b).map_err(|e| format(path, e))?)))
        .collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, None).map_err(|e| format(path, e))?;
    temp::write(path, &bytes)
}

/// Reads a run's `lock.json` and checks that its schema is [`SCHEMA`] or an older one.
///
/// # Errors
/// If the folder holds no run, or one of a newer schema.
pub fn read_lock(path: &Path) -> Result<Value> {
    let at = path.join("lock.json");
    if !at.exists() {
        return Err(format(path, "holds no run: there is no lock.json"));
    }
    let text = fs::read_to_string(&at).map_err(io(&at))?;
    let lock: Value = serde_json::from_str(&text).map_err(|e| format(&at, e))?;
    match lock.get("schema").and_then(Value::as_u64) {
        Some(1..=SCHEMA) => Ok(lock),
        Some(n) if n > SCHEMA => Err(format(
            &at,
            format!("was written by a newer friction (schema {n}, this one reads up to {SCHEMA}); update friction"),
        )),
        _ => Err(format(&at, "has no `schema` that this friction knows")),
    }
}

/// The groups that are written, with their folders, sorted by index. Only folders that are named as
/// [`RunDir::write_group`] names them are groups; anything else in the folder is ignored.
pub(crate) fn groups(path: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let dir = path.join("groups");
    let mut out = vec![];
    for entry in fs::read_dir(&dir).map_err(io(&dir))? {
        let entry = entry.map_err(io(&dir))?;
        let index = entry.file_name().to_str().and_then(|name| name.parse().ok().filter(|i| format!("{i:04}") == name));
        if let Some(i) = index.filter(|_| entry.path().is_dir()) {
            // Groups are written whole, so the file was removed later.
            if !entry.path().join("turns.parquet").is_file() {
                let message = "holds no turns.parquet: its file was taken away; remove the folder, and the same `friction run` makes the group again".into();
                return Err(Error::Format { path: entry.path(), message });
            }
            out.push((i, entry.path()));
        }
    }
    out.sort();
    Ok(out)
}
