//! Reads a run directory.
use crate::dir::{TAPS, groups, read_lock, tap_name};
use crate::error::{format, io};
use crate::{Result, sums, turns};
use friction_core::{ConversationId, Findings, GivenReplies, Position, RunReader, Site, TapArray, TurnRow};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The turns of a group in its folder, checked against their checksum.
fn read_turns(dir: &Path) -> Result<Vec<TurnRow>> {
    let file = dir.join("turns.parquet");
    sums::check(dir, "turns.parquet")?;
    let of = turns::read_turns(&file)?;
    if of.iter().any(|t| t.turn == 0) {
        return Err(format(file, "holds a turn 0; turns count from 1"));
    }
    Ok(of)
}

/// The turns of one group of a run, for readers that need not hold all groups at once.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredGroup {
    /// Its turns, ordered by condition, arm, sample and turn.
    pub turns: Vec<TurnRow>,
    /// Whether it says what stood before turn 1. Runs of the first versions of schema 3 do not.
    pub openings: bool,
}

impl StoredGroup {
    /// Reads a group; `None` if the run has not finished it.
    ///
    /// # Errors
    /// If the group's file is damaged.
    pub fn open(run: &Path, group: usize) -> Result<Option<Self>> {
        let dir = run.join("groups").join(format!("{group:04}"));
        if !dir.is_dir() {
            return Ok(None);
        }
        Ok(Some(Self { turns: read_turns(&dir)?, openings: turns::has_column(&dir.join("turns.parquet"), "opening")? }))
    }
}

/// A stored run. Its turns are read when it is opened, activations when they are asked for.
pub struct StoredRun {
    path: PathBuf,
    /// Content of `lock.json`.
    pub lock: Value,
    name: String,
    seed: u64,
    turns: Vec<TurnRow>,
    given: Option<String>,
    /// The groups, each with whether its activations were checked against their checksum.
    checked: BTreeMap<u32, Mutex<bool>>,
}

/// Whose replies the model of a run was given to read, by the run's lock.
fn given(lock: &Value) -> Option<String> {
    let model = lock.pointer("/model/source").and_then(Value::as_str).unwrap_or("the model");
    let mut by: BTreeMap<GivenReplies, Vec<String>> = BTreeMap::new();
    for (condition, given) in lock["replies"].as_object()? {
        if let Ok(given) = serde_json::from_value(given.clone()) {
            by.entry(given).or_default().push(format!("`{condition}`"));
        }
    }
    let one = |(given, names): (GivenReplies, Vec<String>)| {
        let mut told =
            format!("Replies of {} ({}) are those of {}, read by {model}", names.join(", "), given.which, given.of);
        if !given.unlike.is_empty() {
            told += &format!("; what was generated here has another `[generation]`: {}", given.unlike.join(", "));
        }
        told
    };
    Some(by.into_iter().map(one).collect::<Vec<_>>().join(". ")).filter(|all| !all.is_empty())
}

impl StoredRun {
    /// Opens a run and reads the turns of its finished groups.
    ///
    /// # Errors
    /// If there is no run, or a file is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = read_lock(path)?;
        let (mut turns, mut checked) = (vec![], BTreeMap::new());
        for (group, dir) in groups(path)? {
            turns.extend(read_turns(&dir)?);
            checked.insert(group as u32, Mutex::new(false));
        }
        let name = lock.pointer("/study/name").and_then(Value::as_str).unwrap_or("run").to_string();
        let seed = lock.pointer("/study/seed").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { path: path.into(), given: given(&lock), lock, name, seed, turns, checked })
    }

    /// The file of a group's activations, checked against its checksum when it is first asked for; `None` if the group has
    /// none.
    fn taps(&self, group: u32) -> Result<Option<PathBuf>> {
        let Some(checked) = self.checked.get(&group) else { return Ok(None) };
        let dir = self.path.join("groups").join(format!("{group:04}"));
        if !sums::has(&dir, TAPS)? {
            return Ok(None);
        }
        let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
        if !*checked {
            sums::check(&dir, TAPS)?;
            *checked = true;
        }
        Ok(Some(dir.join(TAPS)))
    }

    /// The findings of an analyzer, by its name; `None` if there are none. Those of versions before are read as blocks. Those
    /// that the last analysis of the run did not make begin with a warning that says so. The bytes of its files other than
    /// tables and figures are left out.
    ///
    /// # Errors
    /// If `findings.json`, a table or a figure that it names is missing or damaged.
    pub fn found(&self, analyzer: &str) -> Result<Option<Findings>> {
        crate::found::read(&self.path.join("analysis").join(analyzer))
    }
}

impl RunReader for StoredRun {
    fn name(&self) -> &str {
        &self.name
    }
    fn seed(&self) -> u64 {
        self.seed
    }
    fn turns(&self) -> &[TurnRow] {
        &self.turns
    }
    fn tap(
        &self,
        conversation: ConversationId,
        site: Site,
        position: Position,
    ) -> friction_core::Result<Option<TapArray>> {
        let group = conversation.group;
        let Some(path) = self.taps(group)? else { return Ok(None) };
        let name = tap_name(conversation, site, position);
        let Some(tap) = read_tap(&path, &name)? else { return Ok(None) };
        // Callers index the array by turn, so it must hold all turns.
        let of = &self.turns[self.turns.partition_point(|t| t.group < group)..];
        let own = of.iter().take_while(|t| t.group == group).filter(|t| t.conversation() == conversation);
        let turns = own.map(|t| t.turn as usize).max().unwrap_or(0);
        if tap.shape[0] < turns || tap.shape[1] == 0 {
            let [stored, positions, _] = tap.shape;
            let what =
                format!("holds {stored} turns of {positions} tokens of `{name}`; turns.parquet has {turns} turns");
            return Err(format(&path, what).into());
        }
        Ok(Some(tap))
    }
    fn findings(&self, analyzer: &str) -> Option<Value> {
        let text = std::fs::read_to_string(self.path.join("analysis").join(analyzer).join("findings.json")).ok()?;
        serde_json::from_str(&text).ok().filter(|doc| !crate::found::outdated(doc))
    }
    fn given(&self) -> Option<&str> {
        self.given.as_deref()
    }
}

/// Largest header that is read, in bytes. A damaged file may claim any length.
const HEADER: u64 = 16 << 20;

/// Reads one tensor; of the rest of the file, only the header.
fn read_tap(path: &Path, name: &str) -> Result<Option<TapArray>> {
    let mut file = File::open(path).map_err(io(path))?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(io(path))?;
    let header = u64::from_le_bytes(length);
    if header > HEADER {
        return Err(format(path, format!("has a header of {header} bytes")));
    }
    let mut bytes = vec![];
    (&mut file).take(header).read_to_end(&mut bytes).map_err(io(path))?;
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|e| format(path, e))?;
    let Some(info) = metadata.info(name) else { return Ok(None) };
    let shape: [usize; 3] = match (&info.shape[..], info.dtype) {
        ([a, b, c], Dtype::F32) => [*a, *b, *c],
        _ => return Err(format(path, format!("`{name}` is not an f32 tensor of three dimensions"))),
    };
    let (start, end) = info.data_offsets;
    file.seek(SeekFrom::Start(8 + header + start as u64)).map_err(io(path))?;
    let mut data = vec![];
    file.take(end.saturating_sub(start) as u64).read_to_end(&mut data).map_err(io(path))?;
    if data.len() != 4 * shape.iter().product::<usize>() {
        return Err(format(path, format!("ends before `{name}` does")));
    }
    let data = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok(Some(TapArray { shape, data }))
}
