//! The types of `friction_plugin.h` in Rust. The header explains each item in full. The two must agree; tests that load
//! plugins written in C and C++ check that they do.
use std::ffi::{c_char, c_void};

/// Version of the header that this crate implements.
pub const VERSION: u32 = 3;
/// Return code: the answer was written.
pub const OK: i32 = 0;
/// Return code: an error message for people was written.
pub const ERROR: i32 = 1;
/// Return code: like [`ERROR`], for a defect of the plugin.
pub const PANIC: i32 = 2;
/// Return code: there is no such method, plugin or record.
pub const UNKNOWN: i32 = 3;

/// Borrowed UTF-8 text, not NUL-terminated.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    /// Its bytes; may be null if `len` is 0.
    pub data: *const c_char,
    /// Number of bytes.
    pub len: usize,
}

impl Text {
    /// Borrows a text. The value must not be used after `s` is gone.
    pub fn of(s: &str) -> Self {
        Self { data: s.as_ptr().cast(), len: s.len() }
    }

    /// The text's bytes.
    ///
    /// # Safety
    /// `data` must point at `len` bytes that live and stay unchanged for `'a`.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: not null, and the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.len) }
    }
}

/// Where a function writes its answer.
#[repr(C)]
pub struct Out {
    /// First argument of `write`.
    pub to: *mut c_void,
    /// Appends bytes to the answer. May be called any number of times.
    pub write: Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize)>,
}

/// Longest answer that is accepted, in bytes. A longer one is a defect of the other side.
pub const LONGEST: usize = 1 << 30;

/// The bytes that were written to an [`Out`].
#[derive(Debug, Default)]
pub struct Answer {
    /// The bytes that were accepted.
    pub bytes: Vec<u8>,
    /// Why some bytes were refused; `None` if all were accepted.
    pub refused: Option<String>,
}

impl Answer {
    /// An [`Out`] that appends to this answer. It must not be used after the answer is gone.
    pub fn out(&mut self) -> Out {
        Out { to: std::ptr::from_mut(self).cast(), write: Some(append) }
    }

    /// The answer as an error message for people.
    pub fn message(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        match (text.trim(), &self.refused) {
            ("", None) => "no reason was given".into(),
            (text, None) => text.into(),
            (_, Some(why)) => why.clone(),
        }
    }
}

unsafe extern "C" fn append(to: *mut c_void, data: *const c_char, len: usize) {
    if to.is_null() {
        return;
    }
    // SAFETY: `to` came from `Answer::out`, whose borrow lasts while the other side may write.
    let answer = unsafe { &mut *to.cast::<Answer>() };
    if data.is_null() && len > 0 {
        answer.refused.get_or_insert_with(|| format!("a null pointer was written as {len} bytes"));
    } else if len > LONGEST - answer.bytes.len() {
        answer.refused.get_or_insert_with(|| format!("an answer of more than {LONGEST} bytes was written"));
    } else if answer.refused.is_none() {
        // SAFETY: the other side vouches that `data` points at `len` bytes.
        answer.bytes.extend_from_slice(unsafe { Text { data, len }.bytes() });
    }
}

impl Out {
    /// Writes a text to the answer. Does nothing if `write` is null.
    pub fn text(&self, s: &str) {
        if let Some(write) = self.write {
            // SAFETY: the side that made this `Out` vouches for `write`; the text lives through the call.
            unsafe { write(self.to, s.as_ptr().cast(), s.len()) }
        }
    }
}

/// Activations of one turn at one tap.
#[repr(C)]
pub struct Tap {
    /// The tap as JSON: `{"site": …, "position": …}`.
    pub tap: Text,
    /// `rows × width` values, row-major; NaN where the turn has no such token.
    pub data: *const f32,
    /// Number of positions.
    pub rows: usize,
    /// Number of values of a position: the width of the site.
    pub width: usize,
}

/// Type of [`Host::decode`].
pub type Decode = unsafe extern "C" fn(*mut c_void, *const u32, usize, *const Out) -> i32;
/// Type of [`Host::run`].
pub type Run = unsafe extern "C" fn(*mut c_void, *const Out) -> i32;
/// Type of [`Host::tap`].
pub type ReadTap = unsafe extern "C" fn(*mut c_void, Text, *mut *const f32, *mut usize, *const Out) -> i32;
/// Type of [`Host::findings`].
pub type Findings = unsafe extern "C" fn(*mut c_void, Text, *const Out) -> i32;

/// Functions of the host that a method may call while it runs.
#[repr(C)]
pub struct Host {
    /// Size of this struct in bytes, as the host knows it.
    pub size: usize,
    /// First argument of each function; called `self` in the header.
    pub this: *mut c_void,
    /// Decodes token ids to text. For `keep` of a condition.
    pub decode: Option<Decode>,
    /// Writes the run's name, seed and turns as JSON. For `analyze`.
    pub run: Option<Run>,
    /// Gives the activations of a conversation at a site and position. For `analyze`.
    pub tap: Option<ReadTap>,
    /// Writes the findings of an analyzer that ran before, as JSON. For `analyze`.
    pub findings: Option<Findings>,
}

/// Type of [`Table::list`].
pub type List = unsafe extern "C" fn(*const Out) -> i32;
/// Type of [`Table::build`].
pub type Build = unsafe extern "C" fn(Text, Text, Text, *mut *mut c_void, *const Out) -> i32;
/// Type of [`Table::drop`].
pub type Drop = unsafe extern "C" fn(*mut c_void);
/// Type of [`Table::call`].
pub type Call = unsafe extern "C" fn(*mut c_void, Text, Text, *const Host, *const Out) -> i32;
/// Type of [`Table::read`].
pub type Read = unsafe extern "C" fn(*mut c_void, Text, *const Tap, usize, *const Out) -> i32;
/// Type of [`Table::validate`].
pub type Validate = unsafe extern "C" fn(Text, Text, *const Out) -> i32;

/// The function table that a library exports.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Table {
    /// [`VERSION`] of the header that the library was compiled with.
    pub version: u32,
    /// Size of this struct in bytes in that header.
    pub size: u32,
    /// Lists the library's plugins as JSON.
    pub list: Option<List>,
    /// Makes an instance of a plugin from its configuration.
    pub build: Option<Build>,
    /// Destroys an instance.
    pub drop: Option<Drop>,
    /// Calls a method of an instance.
    pub call: Option<Call>,
    /// Of a hook: reads the activations of a finished turn.
    pub read: Option<Read>,
    /// Since version 2: checks a configuration before anything is opened.
    pub validate: Option<Validate>,
}
