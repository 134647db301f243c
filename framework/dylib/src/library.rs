//! Loads a library by path and SHA-256, within a time limit. It is never unloaded.
use crate::border::{Border, Listed};
use crate::gate::gate;
use crate::heard::Heard;
use crate::plugin::plugin;
use crate::stdout::Taken;
use crate::trial;
use friction_core::{Error, Plugin, Result};
use friction_plugin::abi::{Answer, OK, Table, VERSION};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A library that was loaded, with its function table and list of plugins.
pub struct Library {
    path: PathBuf,
    name: String,
    sha256: String,
    pub(crate) table: Table,
    listed: Vec<Listed>,
    heard: Arc<Heard>,
}

static LOADED: Mutex<BTreeMap<PathBuf, Arc<Library>>> = Mutex::new(BTreeMap::new());

/// The SHA-256 of a file's bytes, in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn digest(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(|e| Error::io(path, e))?;
    Ok(format!("{:x}", hash.finalize()))
}

impl Library {
    /// Loads the library at `path`, whose bytes must have the SHA-256 `sha256` (hexadecimal). A library that is loaded
    /// already is returned as it is.
    ///
    /// # Errors
    /// If there is no such file, `sha256` is missing or another, the library cannot be loaded within the time limit, or
    /// its table or list of plugins is not valid. The message says what to do.
    pub fn open(path: &Path, sha256: Option<&str>) -> Result<Arc<Self>> {
        let path = path.canonicalize().map_err(|e| Error::io(path, e))?;
        let found = digest(&path)?;
        let Some(pinned) = sha256 else {
            return Err(Error::data(
                &path,
                format!(
                    "`sha256` is missing, and nothing is loaded without it. Run `friction plugins pin MANIFEST`, or write sha256 = \"{found}\""
                ),
            ));
        };
        if !pinned.eq_ignore_ascii_case(&found) {
            return Err(Error::data(
                &path,
                format!(
                    "its SHA-256 is {found}, not {pinned} as pinned: the file has changed. If you changed it, run `friction plugins pin MANIFEST`"
                ),
            ));
        }
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = loaded.get(&path) {
            if there.sha256 == found {
                return Ok(there.clone());
            }
            return Err(Error::data(&path, "was loaded with other bytes; a library is never unloaded: start anew"));
        }
        let (table, listed, said) = within(&path)?;
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let heard = Heard::new(format!("{name} wrote to standard output, which is the host's"));
        let library = Arc::new(Self { path: path.clone(), name, sha256: found, table, listed, heard });
        library.heard(&said);
        loaded.insert(path, library.clone());
        Ok(library)
    }

    /// Name of its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its plugins, in a form that a registry takes.
    ///
    /// # Errors
    /// If it lists a plugin whose name is not valid.
    pub fn plugins(self: &Arc<Self>) -> Result<Vec<Plugin>> {
        let border: Arc<dyn Border> = self.clone();
        self.listed.iter().map(|l| plugin(&border, l)).collect()
    }

    /// Path of its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of its bytes, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Keeps what the library printed.
    pub(crate) fn heard(&self, bytes: &[u8]) {
        self.heard.add(bytes);
    }
}

type Opened = (Table, Vec<Listed>, Vec<u8>);

/// Loads a library, after a child process has loaded it without hanging or dying.
fn within(path: &Path) -> Result<Opened> {
    let _gate = gate();
    trial::load(|| drop(open(path))).map_err(|what| Error::data(path, what))?;
    let taken = Taken::begin();
    let opened = open(path);
    let said = taken.end();
    let (table, listed) = opened?;
    Ok((table, listed, said))
}

/// Loads a library and asks for its table and its list of plugins.
fn open(path: &Path) -> Result<(Table, Vec<Listed>)> {
    type Entry = unsafe extern "C" fn(u32) -> *const Table;
    let bad = |what: String| Error::data(path, what);
    // SAFETY: loading runs the library's initialisers, which cannot be checked. The manifest names the file and its
    // SHA-256, and the header says what native code may do.
    let library = unsafe { libloading::Library::new(path) }.map_err(|e| bad(format!("cannot be loaded: {e}")))?;
    // Never unloaded: its plugins and threads may live until the process ends.
    let library = Box::leak(Box::new(library));
    // SAFETY: the header gives this symbol this type.
    let entry: libloading::Symbol<Entry> = unsafe { library.get(b"friction_plugin\0") }
        .map_err(|_| bad("exports no `friction_plugin`: it is no friction plugin (see friction_plugin.h)".into()))?;
    // SAFETY: as the header says.
    let table = unsafe { entry(VERSION) };
    if table.is_null() {
        return Err(bad(format!("refuses this host, which speaks version {VERSION} of friction_plugin.h")));
    }
    if !table.is_aligned() {
        return Err(bad("`friction_plugin` returned a pointer that is not a table".into()));
    }
    // SAFETY: a table begins with its version and size.
    let (version, size) = unsafe { ((*table).version, (*table).size as usize) };
    if version > VERSION {
        return Err(bad(format!(
            "was built for version {version} of friction_plugin.h, and this friction speaks up to {VERSION}: use a newer friction, or build the plugin with this one's header"
        )));
    }
    let first = std::mem::offset_of!(Table, validate);
    if version == 0 || size < first {
        return Err(bad(format!(
            "its table says version {version} and {size} bytes, which no version of friction_plugin.h has"
        )));
    }
    let mut own =
        Table { version, size: 0, list: None, build: None, drop: None, call: None, read: None, validate: None };
    // SAFETY: `size` bytes are the library's table. Functions that an older table lacks stay `None`.
    unsafe {
        let n = size.min(std::mem::size_of::<Table>());
        std::ptr::copy_nonoverlapping(table.cast::<u8>(), std::ptr::from_mut(&mut own).cast::<u8>(), n);
    }
    if own.build.is_none() || own.call.is_none() {
        return Err(bad("its table lacks `build` or `call`".into()));
    }
    let list = own.list.ok_or_else(|| bad("its table lacks `list`".into()))?;
    let mut answer = Answer::default();
    // SAFETY: as the header says; the answer outlives the call.
    let code = unsafe { list(&answer.out()) };
    if code != OK || answer.refused.is_some() {
        return Err(bad(format!("`list` failed (code {code}): {}", answer.message())));
    }
    let listed = serde_json::from_slice(&answer.bytes)
        .map_err(|e| bad(format!("`list` answered with what is no list of plugins: {e}")))?;
    Ok((own, listed))
}
