//! `friction_plugin.h` in Rust. That header says what each item means; both must say the same, which
//! friction-dylib's tests prove by plugins in C and C++.
use std::ffi::{c_char, c_void};

/// The version that this crate speaks.
pub const VERSION: u32 = 2;
/// The answer was written.
pub const OK: i32 = 0;
/// What was written is a message for people.
pub const ERROR: i32 = 1;
/// Like [`ERROR`], for a defect of the plugin.
pub const PANIC: i32 = 2;
/// No such method, plugin or record.
pub const UNKNOWN: i32 = 3;

/// Borrowed UTF-8.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    /// Its bytes; may be null where `len` is 0.
    pub data: *const c_char,
    /// How many.
    pub len: usize,
}

impl Text {
    /// Borrows a text.
    pub fn of(s: &str) -> Self {
        Self { data: s.as_ptr().cast(), len: s.len() }
    }

    /// The bytes.
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
    /// The first argument of `write`.
    pub to: *mut c_void,
    /// Appends bytes.
    pub write: Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize)>,
}

/// Longest answer that is taken: more is a defect of the other side.
pub const LONGEST: usize = 1 << 30;

/// What was written to an [`Out`].
#[derive(Debug, Default)]
pub struct Answer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Why some were not taken.
    pub refused: Option<String>,
}

impl Answer {
    /// An `Out` that appends to this answer; it must not outlive it.
    pub fn out(&mut self) -> Out {
        Out { to: std::ptr::from_mut(self).cast(), write: Some(append) }
    }

    /// As a message for people.
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
    /// Writes a text.
    pub fn text(&self, s: &str) {
        if let Some(write) = self.write {
            // SAFETY: the side that made this `Out` vouches for `write`; the text lives through the call.
            unsafe { write(self.to, s.as_ptr().cast(), s.len()) }
        }
    }
}

/// Activations at a tap.
#[repr(C)]
pub struct Tap {
    /// JSON.
    pub tap: Text,
    /// Row-major.
    pub data: *const f32,
    /// Positions.
    pub rows: usize,
    /// Floats of a row.
    pub width: usize,
}

/// `decode` of [`Host`].
pub type Decode = unsafe extern "C" fn(*mut c_void, *const u32, usize, *const Out) -> i32;
/// `run` of [`Host`].
pub type Run = unsafe extern "C" fn(*mut c_void, *const Out) -> i32;
/// `tap` of [`Host`].
pub type ReadTap = unsafe extern "C" fn(*mut c_void, Text, *mut *const f32, *mut usize, *const Out) -> i32;
/// `findings` of [`Host`].
pub type Findings = unsafe extern "C" fn(*mut c_void, Text, *const Out) -> i32;

/// What a method may ask of the host.
#[repr(C)]
pub struct Host {
    /// Bytes of this struct as the host knows it.
    pub size: usize,
    /// First argument of the functions.
    pub this: *mut c_void,
    /// The text of ids.
    pub decode: Option<Decode>,
    /// The run's turns.
    pub run: Option<Run>,
    /// A conversation's activations.
    pub tap: Option<ReadTap>,
    /// An earlier analyzer's findings.
    pub findings: Option<Findings>,
}

/// `list` of [`Table`].
pub type List = unsafe extern "C" fn(*const Out) -> i32;
/// `build` of [`Table`].
pub type Build = unsafe extern "C" fn(Text, Text, Text, *mut *mut c_void, *const Out) -> i32;
/// `drop` of [`Table`].
pub type Drop = unsafe extern "C" fn(*mut c_void);
/// `call` of [`Table`].
pub type Call = unsafe extern "C" fn(*mut c_void, Text, Text, *const Host, *const Out) -> i32;
/// `read` of [`Table`].
pub type Read = unsafe extern "C" fn(*mut c_void, Text, *const Tap, usize, *const Out) -> i32;
/// `validate` of [`Table`].
pub type Validate = unsafe extern "C" fn(Text, Text, *const Out) -> i32;

/// What a library exports.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Table {
    /// [`VERSION`] of the header it was compiled with.
    pub version: u32,
    /// Bytes of this struct there.
    pub size: u32,
    /// Its plugins.
    pub list: Option<List>,
    /// Makes an instance.
    pub build: Option<Build>,
    /// Destroys an instance.
    pub drop: Option<Drop>,
    /// Calls a method.
    pub call: Option<Call>,
    /// Reads activations.
    pub read: Option<Read>,
    /// Since 2: checks a configuration.
    pub validate: Option<Validate>,
}
