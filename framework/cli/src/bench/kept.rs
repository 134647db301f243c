//! What `friction bench` measured, kept in the user's cache, so that `friction check` can tell how long a run takes.
use friction_checkpoint::Arch;
use friction_core::seed;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Version of the files; other versions are passed over.
const VERSION: u32 = 1;

/// What a measurement depends on, apart from batch and context. The model's weights do not matter, so `random:…` stands
/// for every model of its shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    layers: usize,
    hidden: usize,
    intermediate: usize,
    vocab: usize,
    parameters: u64,
    dtype: String,
    quantize: String,
    backend: String,
    device: String,
}

impl Key {
    /// `dtype`, `quantize` and `backend` are the words of the manifest, `index` is the device's among those of its kind.
    pub fn new(arch: &Arch, [dtype, quantize, backend]: [&str; 3], index: usize) -> Self {
        Self {
            layers: arch.layers(),
            hidden: arch.hidden,
            intermediate: arch.intermediate,
            vocab: arch.vocab,
            parameters: arch.parameters(),
            dtype: dtype.into(),
            quantize: quantize.into(),
            backend: backend.into(),
            device: device_name(backend, index),
        }
    }

    /// Name of the file in the cache.
    fn file(&self) -> String {
        let text = format!("{self:?}");
        format!("{:016x}.json", seed::derive(&[text.as_bytes()]))
    }
}

/// The device by its name. A home folder may be shared by several machines, so a processor is told by its model and the
/// number of its threads.
fn device_name(backend: &str, index: usize) -> String {
    if backend != "cpu" {
        let found = friction_model::device::found().into_iter().find(|f| f.backend == backend && f.index == index);
        return found.map_or_else(|| "a device without a name".into(), |f| f.name);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    format!("{name}, {threads} threads")
}

/// The measurements of one batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Conversations at once.
    pub batch: usize,
    /// Tokens of context before decoding.
    pub context: usize,
    /// Seconds of a decode step of all of them.
    pub step: f64,
    /// Prompt tokens per second.
    pub prefill: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    key: Key,
    rows: Vec<Kept>,
}

/// The folder of measurements: `friction/bench` in `$XDG_CACHE_HOME`, or else in `~/.cache`.
fn folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v: &OsString| Path::new(v).is_absolute()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("friction").join("bench"))
}

/// What was measured for a key, by batch; nothing if nothing was.
///
/// # Errors
/// A sentence, if a file is there and cannot be read.
pub(crate) fn read(key: &Key) -> Result<Vec<Kept>, String> {
    folder().map_or(Ok(vec![]), |dir| read_in(&dir, key))
}

fn read_in(dir: &Path, key: &Key) -> Result<Vec<Kept>, String> {
    let path = dir.join(key.file());
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}; measure again", path.display());
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        text => text.map_err(|e| wrong(&e))?,
    };
    let file: File = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
    Ok(if file.version == VERSION && file.key == *key { file.rows } else { vec![] })
}

/// Keeps measurements; those of the same batch sizes are replaced.
///
/// # Errors
/// A sentence, if they cannot be written.
pub(crate) fn write(key: Key, rows: Vec<Kept>) -> Result<(), String> {
    let dir = folder().ok_or("neither XDG_CACHE_HOME nor HOME names a folder")?;
    write_in(&dir, key, rows)
}

fn write_in(dir: &Path, key: Key, rows: Vec<Kept>) -> Result<(), String> {
    let path = dir.join(key.file());
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    // What cannot be read is replaced.
    let mut all = read_in(dir, &key).unwrap_or_default();
    all.retain(|old| rows.iter().all(|new| new.batch != old.batch));
    all.extend(rows);
    all.sort_by_key(|r| r.batch);
    let text = serde_json::to_string_pretty(&File { version: VERSION, key, rows: all }).map_err(|e| wrong(&e))?;
    std::fs::create_dir_all(dir).map_err(|e| wrong(&e))?;
    // Renamed when whole: another process may read it.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, &path)).map_err(|e| wrong(&e))
}

/// What a run computes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Conversations.
    pub conversations: usize,
    /// Conversations at once, if that is known.
    pub slots: Option<usize>,
    /// Tokens of replies, and of prompts.
    pub replies: f64,
    pub prompts: f64,
}

/// How long a run takes by what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Time {
    /// Seconds of decoding replies.
    pub decode_seconds: f64,
    /// Seconds of reading prompts.
    pub prompt_seconds: f64,
    /// Conversations at once that this is for.
    pub batch: usize,
    /// Context tokens at which steps were timed.
    pub context: usize,
}

impl Time {
    /// The estimate from rows sorted by batch; `None` without rows. Between two batch sizes a step's time is interpolated;
    /// a smaller batch takes as long as the smallest that was measured, and a larger one is as fast per conversation as
    /// the largest.
    pub fn of(rows: &[Kept], work: &Work) -> Option<Self> {
        let (first, last) = (rows.first()?, rows.last()?);
        let batch = work.slots.unwrap_or(last.batch).min(work.conversations).max(1);
        let b = batch as f64;
        let after = rows.iter().position(|r| r.batch >= batch);
        let (step, near) = match after {
            Some(0) => (first.step, first),
            None => (last.step * b / last.batch as f64, last),
            Some(i) => {
                let (low, high) = (&rows[i - 1], &rows[i]);
                let share = (b - low.batch as f64) / (high.batch - low.batch) as f64;
                (low.step + share * (high.step - low.step), high)
            }
        };
        Some(Self {
            decode_seconds: work.replies / b * step,
            prompt_seconds: work.prompts / near.prefill,
            batch,
            context: near.context,
        })
    }
    /// All seconds.
    pub fn seconds(&self) -> f64 {
        self.decode_seconds + self.prompt_seconds
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(layers: usize) -> Key {
        let text = |s: &str| s.to_string();
        let (dtype, quantize, backend, device) = (text("f32"), text("none"), text("cpu"), text("a, 2 threads"));
        Key { layers, hidden: 4, intermediate: 8, vocab: 16, parameters: 99, dtype, quantize, backend, device }
    }

    fn row(batch: usize, step: f64) -> Kept {
        Kept { batch, context: 256, step, prefill: 1000.0 }
    }

    #[test]
    fn measurements_are_found_again_by_their_key() {
        let dir = std::env::temp_dir().join(format!("friction-kept-{}", std::process::id()));
        assert_eq!(read_in(&dir, &key(2)), Ok(vec![]));
        write_in(&dir, key(2), vec![row(16, 0.5), row(1, 0.1)]).unwrap();
        write_in(&dir, key(3), vec![row(1, 9.0)]).unwrap();
        assert_eq!(read_in(&dir, &key(2)), Ok(vec![row(1, 0.1), row(16, 0.5)]));
        // A later measurement replaces that of its batch size and keeps the others.
        write_in(&dir, key(2), vec![row(16, 0.4)]).unwrap();
        assert_eq!(read_in(&dir, &key(2)), Ok(vec![row(1, 0.1), row(16, 0.4)]));
        std::fs::write(dir.join(key(2).file()), "{").unwrap();
        let told = read_in(&dir, &key(2)).unwrap_err();
        assert!(told.contains(&key(2).file()) && told.contains("measure again"), "{told}");
        write_in(&dir, key(2), vec![row(4, 0.2)]).unwrap();
        assert_eq!(read_in(&dir, &key(2)), Ok(vec![row(4, 0.2)]));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "nothing half-written is left");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_run_s_time_is_scaled_by_batch_and_tokens() {
        let rows = [row(1, 0.1), row(16, 0.4), row(32, 0.6)];
        let of = |slots, conversations| {
            let work = Work { conversations, slots, replies: 9600.0, prompts: 5000.0 };
            let t = Time::of(&rows, &work).unwrap();
            (t.batch, t.decode_seconds, t.prompt_seconds)
        };
        let near = |got: (usize, f64, f64), batch, decode: f64| {
            assert!(got.0 == batch && (got.1 - decode).abs() < 1e-9 && got.2 == 5.0, "{got:?}");
        };
        // 9600 tokens are 600 steps of 16 conversations; of 24, halfway between two, 400 steps of 0.5 s.
        near(of(Some(16), 100), 16, 240.0);
        near(of(Some(24), 100), 24, 200.0);
        // 64 at once are as fast per conversation as 32: 150 steps of 1.2 s. As many as memory takes: the largest.
        near(of(Some(64), 100), 64, 180.0);
        near(of(None, 100), 32, 180.0);
        // No more at once than there are.
        near(of(Some(16), 1), 1, 960.0);
        assert_eq!(Time::of(&[], &Work { conversations: 1, slots: None, replies: 1.0, prompts: 1.0 }), None);
    }
}
