//! A process as a side of the border: it is started with its files pinned, and spoken to in lines of JSON. The page
//! `framework/guide/extend/process.md` is the contract.
use crate::border::{Answer, Border, Instance, Listed, Who};
use crate::heard::{Heard, escaped, start};
use crate::lines::Lines;
use crate::offer::{Offer, Which, run_text};
use crate::pins;
use crate::plugin::plugin;
use friction_core::manifest::ProcessEntry;
use friction_core::{BuildContext, Error, Origin, Plugin, Result, Spoken, TapArray, TapView};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Version of the border that processes speak: that of `friction_plugin.h` with the same records.
const VERSION: u32 = friction_plugin::abi::VERSION;
/// The oldest version that a process may speak.
const OLDEST: u32 = 3;
/// Variables of the environment that a process inherits; all others are taken away.
pub const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"];
/// Longest time for the destruction of an instance.
const PARTING: Duration = Duration::from_secs(5);

/// A process that holds plugins. It is ended when the last of its plugins is dropped.
pub struct Process {
    entry: ProcessEntry,
    base: PathBuf,
    name: String,
    version: u32,
    listed: Vec<Listed>,
    line: Mutex<Line>,
    instances: AtomicU64,
}

/// The connection.
struct Line {
    lines: Lines,
    /// Number of the last request.
    id: u64,
    /// Why the process was ended; `None` while it runs.
    ended: Option<String>,
}

static STARTED: Mutex<Vec<Weak<Process>>> = Mutex::new(vec![]);

impl Process {
    /// Starts the process of a manifest in the folder `base`, after the SHA-256 of its files was compared. A process of
    /// the same entry that runs already is returned as it is.
    ///
    /// # Errors
    /// If a file is not pinned or has another SHA-256, the process cannot be started, or it does not list its plugins
    /// within the entry's time limit. The message says what to do.
    pub fn start(entry: &ProcessEntry, base: &Path) -> Result<Arc<Self>> {
        let base = base.canonicalize().map_err(|e| Error::io(base, e))?;
        pins::check(entry, &base)?;
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        started.retain(|p| p.strong_count() > 0);
        let same = |p: &Arc<Self>| p.entry == *entry && p.base == base && p.line().ended.is_none();
        if let Some(there) = started.iter().filter_map(Weak::upgrade).find(same) {
            return Ok(there);
        }
        let name = pins::name(entry);
        let heard = Heard::new(format!("{name} wrote to standard error"));
        let lines = Lines::start(command(entry, &base), heard).map_err(|e| {
            Error::other(format!("{name} cannot be started: {e}; its program must be on PATH, or given by its path"))
        })?;
        let line = Mutex::new(Line { lines, id: 0, ended: None });
        let mut process = Self {
            entry: entry.clone(),
            base,
            name,
            version: VERSION,
            listed: vec![],
            line,
            instances: AtomicU64::new(0),
        };
        (process.version, process.listed) = process.list()?;
        let process = Arc::new(process);
        started.push(Arc::downgrade(&process));
        Ok(process)
    }

    /// Its plugins, in a form that a registry takes.
    ///
    /// # Errors
    /// If it lists a plugin whose name is not valid.
    pub fn plugins(self: &Arc<Self>) -> Result<Vec<Plugin>> {
        let border: Arc<dyn Border> = self.clone();
        self.listed.iter().map(|l| plugin(&border, l)).collect()
    }

    /// Its command, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.entry.timeout_s)
    }

    /// The version that the process speaks, and its plugins.
    fn list(&self) -> Result<(u32, Vec<Listed>)> {
        let body = format!("\"method\":\"list\",\"version\":{VERSION}");
        let told = self.ask("`list`", &body, &Offer::default(), self.limit())?;
        let bad = |what: String| Error::other(format!("{}: {what}", self.name));
        let told = told.ok_or_else(|| bad("does not know `list`: it is no friction plugin".into()))?;
        let version = told["version"].as_u64().and_then(|v| u32::try_from(v).ok());
        let Some(version) = version.filter(|v| (OLDEST..=VERSION).contains(v)) else {
            return Err(bad(format!(
                "`list` says that it speaks version {} of the border, and this friction speaks {OLDEST} to {VERSION}",
                start(told["version"].to_string().as_bytes())
            )));
        };
        let wrong = |e| bad(format!("`list` answered with what is no list of plugins: {}", escaped(&format!("{e}"))));
        let listed = serde_json::from_value(told["plugins"].clone()).map_err(|e: serde_json::Error| wrong(e))?;
        Ok((version, listed))
    }

    /// Sends a request and returns its answer; `None` if the process does not know what is asked. Questions of the
    /// process are answered meanwhile. `body` is the request's keys beside `id`.
    fn ask(&self, what: &str, body: &str, offer: &Offer, limit: Duration) -> Result<Option<Value>> {
        let mut line = self.line();
        let line = &mut *line;
        let fail = |why: &str| Error::other(format!("{}: {what}: {why}", self.name));
        if let Some(why) = &line.ended {
            return Err(fail(&format!("the process was ended before: {why}")));
        }
        line.id += 1;
        line.lines.send(format!("{{\"id\":{},{body}}}\n", line.id));
        let mut left = limit;
        loop {
            let said = line.lines.next(&mut left, limit).and_then(|bytes| {
                let said = understood(&bytes, line.id);
                said.map_err(|why| line.lines.end(&format!("{why}: {}", start(&bytes))))
            });
            match said {
                Ok(Said::Ok(value)) => return Ok(Some(value)),
                Ok(Said::Unknown) => return Ok(None),
                Ok(Said::Error(why)) => return Err(fail(&escaped(why.trim_end()))),
                Ok(Said::Ask(ask)) => line.lines.send(told(ask, offer)),
                Err(why) => {
                    line.ended = Some(why.clone());
                    return Err(fail(&why));
                }
            }
        }
    }
}

/// The command of an entry, with what the process may see of this one's environment.
fn command(entry: &ProcessEntry, base: &Path) -> Command {
    let (program, arguments) = entry.command.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
    // A path is the manifest's, not this process's; a bare name is looked for on PATH.
    let at = base.join(program);
    let mut command = if at.is_file() { Command::new(at) } else { Command::new(program) };
    command.args(arguments).current_dir(base).env_clear();
    command.envs(INHERITED.iter().filter_map(|k| Some((k, std::env::var_os(k)?))));
    command
}

/// What a line of the process means.
enum Said {
    Ok(Value),
    Error(String),
    Unknown,
    Ask(Map<String, Value>),
}

/// Reads a line that must be a question, or the answer to request `id`.
fn understood(bytes: &[u8], id: u64) -> Result<Said, String> {
    let only = "standard output is for answers alone, so print to standard error";
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|e| format!("wrote a line that is no JSON ({}; {only})", escaped(&e.to_string())))?;
    let Value::Object(mut map) = value else { return Err(format!("wrote a line that is no object ({only})")) };
    if map.contains_key("ask") {
        return Ok(Said::Ask(map));
    }
    if map.get("id").and_then(Value::as_u64) != Some(id) {
        return Err(format!("answered another request than {id}"));
    }
    match (map.remove("ok"), map.remove("error"), map.remove("unknown")) {
        (Some(value), None, None) => Ok(Said::Ok(value)),
        (None, Some(Value::String(why)), None) if why.trim().is_empty() => {
            Ok(Said::Error("no reason was given".into()))
        }
        (None, Some(Value::String(why)), None) => Ok(Said::Error(why)),
        (None, None, Some(Value::Bool(true))) => Ok(Said::Unknown),
        _ => Err("answered with none of `ok`, `error` (a text) and `unknown` (true), or with several".into()),
    }
}

/// The line that answers a question of the process.
fn told(ask: Map<String, Value>, offer: &Offer) -> String {
    match answered(ask, offer) {
        Ok(Some(json)) => format!("{{\"answer\":{json}}}\n"),
        Ok(None) => "{\"unknown\":true}\n".into(),
        Err(e) => format!("{}\n", json!({"error": e.to_string()})),
    }
}

/// The answer as JSON; `None` if it is not offered in this call, or there is no such thing.
fn answered(mut ask: Map<String, Value>, offer: &Offer) -> Result<Option<String>> {
    let what = ask.remove("ask").unwrap_or(Value::Null);
    let rest = Value::Object(ask);
    match what.as_str().unwrap_or("") {
        "decode" => {
            let Some(codec) = offer.codec else { return Ok(None) };
            let ids: Vec<u32> = serde_json::from_value(rest["ids"].clone()).map_err(Error::other)?;
            Ok(Some(json!(codec.decode(&ids)?).to_string()))
        }
        "run" => offer.run.map(|run| run_text(run, false)).transpose(),
        "tap" => {
            let Some(run) = offer.run else { return Ok(None) };
            let which: Which = serde_json::from_value(rest).map_err(Error::other)?;
            which.read(run)?.as_ref().map(array).transpose()
        }
        "findings" => {
            let name = rest["analyzer"].as_str().ok_or_else(|| Error::other("`analyzer` must be a text"))?;
            Ok(offer.run.and_then(|r| r.findings(name)).map(|v| v.to_string()))
        }
        _ => Ok(None),
    }
}

/// Numbers as base64 of little-endian f32.
struct Floats<'a>(&'a [&'a [f32]]);

impl Serialize for Floats<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|row| row.iter().flat_map(|x| x.to_le_bytes())).collect();
        friction_core::json::base64::serialize(&bytes, s)
    }
}

fn array(array: &TapArray) -> Result<String> {
    #[derive(Serialize)]
    struct Told<'a> {
        shape: [usize; 3],
        data: Floats<'a>,
    }
    serde_json::to_string(&Told { shape: array.shape, data: Floats(&[&array.data]) }).map_err(Error::other)
}

impl Border for Process {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn origin(&self) -> Origin {
        Origin::Process { command: self.entry.command.clone(), sha256: self.entry.sha256.clone() }
    }

    fn validate(&self, who: &Who, config: &str, what: &str) -> Result<Option<Answer>> {
        let body = format!("\"method\":\"validate\",\"plugin\":{},\"config\":{config}", who.json());
        Ok(self.ask(what, &body, &Offer::default(), self.limit())?.map(Answer::Value))
    }

    fn build(
        self: Arc<Self>,
        who: &Who,
        config: &str,
        context: &BuildContext,
        what: &str,
    ) -> Result<Option<Box<dyn Instance>>> {
        let id = 1 + self.instances.fetch_add(1, Ordering::Relaxed);
        let context = serde_json::to_string(context).map_err(Error::other)?;
        let body = format!(
            "\"method\":\"build\",\"instance\":{id},\"plugin\":{},\"config\":{config},\"context\":{context}",
            who.json()
        );
        let built = self.ask(what, &body, &Offer::default(), self.limit())?;
        Ok(built.map(|_| -> Box<dyn Instance> { Box::new(Spoke { process: self, id }) }))
    }
}

/// An instance that a process made, by its number.
struct Spoke {
    process: Arc<Process>,
    id: u64,
}

impl Instance for Spoke {
    fn call(&self, method: &str, request: &str, offer: Offer, what: &str) -> Result<Option<Answer>> {
        let id = self.id;
        let body = format!("\"method\":\"call\",\"instance\":{id},\"call\":\"{method}\",\"request\":{request}");
        Ok(self.process.ask(what, &body, &offer, self.process.limit())?.map(Answer::Value))
    }

    fn read(&self, turn: &Spoken, taps: &[TapView], what: &str) -> Result<Option<Answer>> {
        #[derive(Serialize)]
        struct Given<'a> {
            tap: &'a friction_core::Tap,
            rows: usize,
            width: usize,
            data: Floats<'a>,
        }
        let rows: Vec<Vec<&[f32]>> = taps.iter().map(|t| t.rows.iter().map(Vec::as_slice).collect()).collect();
        let given: Vec<Given> = taps
            .iter()
            .zip(&rows)
            .map(|(t, rows)| Given {
                tap: t.tap,
                rows: rows.len(),
                width: rows.first().map_or(0, |row| row.len()),
                data: Floats(rows),
            })
            .collect();
        let turn = serde_json::to_string(turn).map_err(Error::other)?;
        let taps = serde_json::to_string(&given).map_err(Error::other)?;
        let body = format!("\"method\":\"read\",\"instance\":{},\"turn\":{turn},\"taps\":{taps}", self.id);
        Ok(self.process.ask(what, &body, &Offer::default(), self.process.limit())?.map(Answer::Value))
    }
}

impl Drop for Spoke {
    fn drop(&mut self) {
        if self.process.line().ended.is_none() {
            let body = format!("\"method\":\"drop\",\"instance\":{}", self.id);
            // Nothing is lost if it fails: the process is ended with its last instance.
            let _ = self.process.ask("drop", &body, &Offer::default(), PARTING.min(self.process.limit()));
        }
    }
}
