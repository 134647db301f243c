//! Calls functions of a library, one at a time, and checks their answers.
use crate::gate::gate;
use crate::heard::escaped;
use crate::library::Library;
use crate::offer::{Offer, Which, run_text};
use crate::stdout::Taken;
use friction_core::{Error, Result};
use friction_plugin::abi::{Answer, ERROR, Host, OK, Out, PANIC, Text, UNKNOWN};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f` and returns its answer; `None` if the library answers [`UNKNOWN`]. `what` names the call in errors.
pub(crate) fn call(library: &Library, what: &str, f: impl FnOnce(&Out) -> i32) -> Result<Option<Vec<u8>>> {
    let mut answer = Answer::default();
    let code = {
        let _gate = gate();
        let taken = Taken::begin();
        let code = f(&answer.out());
        library.heard(&taken.end());
        code
    };
    let told = |how: &str| Error::other(format!("{}: {what}{how}: {}", library.name(), escaped(&answer.message())));
    match (code, &answer.refused) {
        (OK, None) => Ok(Some(answer.bytes)),
        (OK, Some(why)) => Err(Error::other(format!("{}: {what}: {why}", library.name()))),
        (UNKNOWN, _) => Ok(None),
        (ERROR, _) => Err(told("")),
        (PANIC, _) => Err(told(" panicked; this is a defect of the plugin")),
        (other, _) => Err(Error::other(format!("{}: {what} returned the unknown code {other}", library.name()))),
    }
}

/// The host's functions for one call, during which `offer` must not move.
pub(crate) fn host(offer: &mut Offer) -> Host {
    let codec = offer.codec.is_some();
    let run = offer.run.is_some();
    Host {
        size: std::mem::size_of::<Host>(),
        this: std::ptr::from_mut(offer).cast(),
        decode: codec.then_some(decode),
        run: run.then_some(turns),
        tap: run.then_some(tap),
        findings: run.then_some(findings),
    }
}

/// Runs a host function for a library. Errors and panics become a code and a message; no panic passes through the
/// library.
fn offered(out: *const Out, f: impl FnOnce() -> Result<Option<String>>) -> i32 {
    // SAFETY: the library hands an `Out` that lives through the call, or null.
    let out = unsafe { out.as_ref() };
    let (code, text) = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(Some(text))) => (OK, text),
        Ok(Ok(None)) => (UNKNOWN, String::new()),
        Ok(Err(e)) => (ERROR, e.to_string()),
        Err(_) => (ERROR, "the host failed".into()),
    };
    if let Some(o) = out {
        o.text(&text);
    }
    code
}

/// What `this` of a host function points to.
///
/// # Safety
/// It must be the `this` that the host handed over with the call that is under way.
unsafe fn offer<'a>(this: *mut c_void) -> Result<&'a mut Offer<'a>> {
    // SAFETY: see above; nothing else uses the offer while the library's call lasts.
    unsafe { this.cast::<Offer>().as_mut() }.ok_or_else(|| Error::other("the host was called without its `self`"))
}

unsafe extern "C" fn decode(this: *mut c_void, ids: *const u32, count: usize, out: *const Out) -> i32 {
    offered(out, || {
        // SAFETY: the header asks for `this` as handed over, and for `count` ids.
        let (offer, ids) = unsafe {
            let ids = if ids.is_null() || count == 0 { &[] } else { std::slice::from_raw_parts(ids, count) };
            (offer(this)?, ids)
        };
        offer.codec.map(|c| c.decode(ids)).transpose()
    })
}

unsafe extern "C" fn turns(this: *mut c_void, out: *const Out) -> i32 {
    offered(out, || {
        // SAFETY: as in `decode`.
        let Offer { run, before, .. } = unsafe { offer(this)? };
        run.map(|run| run_text(run, *before)).transpose()
    })
}

unsafe extern "C" fn tap(
    this: *mut c_void,
    which: Text,
    data: *mut *const f32,
    shape: *mut usize,
    error: *const Out,
) -> i32 {
    let mut found = false;
    let code = offered(error, || {
        // SAFETY: as in `decode`; the text is the library's and lives through the call.
        let (offer, which) = unsafe { (offer(this)?, which.bytes()) };
        let Some(run) = offer.run else { return Ok(None) };
        let w: Which = serde_json::from_slice(which).map_err(Error::other)?;
        let Some(array) = w.read(run)? else { return Ok(None) };
        if data.is_null() || shape.is_null() {
            return Err(Error::other("`data` and `shape` must not be NULL"));
        }
        offer.tap = array.data;
        found = true;
        // SAFETY: not null, and the header asks for places of one pointer and of three sizes.
        unsafe {
            *data = offer.tap.as_ptr();
            for (i, n) in array.shape.iter().enumerate() {
                *shape.add(i) = *n;
            }
        }
        Ok(None)
    });
    if found { OK } else { code }
}

unsafe extern "C" fn findings(this: *mut c_void, analyzer: Text, out: *const Out) -> i32 {
    offered(out, || {
        // SAFETY: as in `tap`.
        let (offer, name) = unsafe { (offer(this)?, analyzer.bytes()) };
        let name = std::str::from_utf8(name).map_err(Error::other)?;
        Ok(offer.run.and_then(|r| r.findings(name)).map(|v| v.to_string()))
    })
}
