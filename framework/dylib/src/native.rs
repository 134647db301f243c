//! A library as a side of the border: its functions, called with plain C data.
use crate::before;
use crate::border::{Answer, Border, Instance, Who};
use crate::call::{call, host};
use crate::library::Library;
use crate::offer::Offer;
use friction_core::{BuildContext, Error, Origin, Result, Spoken, TapView};
use friction_plugin::abi::{OK, Tap, Text};
use serde_json::json;
use std::ffi::c_void;
use std::sync::Arc;

impl Border for Library {
    fn name(&self) -> &str {
        self.name()
    }

    fn version(&self) -> u32 {
        self.table.version
    }

    fn origin(&self) -> Origin {
        Origin::Library { path: self.path().into(), sha256: self.sha256().into() }
    }

    fn validate(&self, who: &Who, config: &str, what: &str) -> Result<Option<Answer>> {
        // Tables of version 1 have no `validate`: `build` reports what is wrong, also before any token is generated.
        let Some(validate) = self.table.validate else { return Ok(None) };
        let who = who.json();
        // SAFETY: the table's functions live as long as the process; the texts through the call.
        let answer = call(self, what, |out| unsafe { validate(Text::of(&who), Text::of(config), out) })?;
        Ok(answer.map(Answer::Text))
    }

    fn build(
        self: Arc<Self>,
        who: &Who,
        config: &str,
        context: &BuildContext,
        what: &str,
    ) -> Result<Option<Box<dyn Instance>>> {
        let build = self.table.build.ok_or_else(|| Error::other("the table lacks `build`"))?;
        let who = who.json();
        let before = self.version() <= before::LAST;
        let context =
            if before { before::context(context) } else { serde_json::to_string(context).map_err(Error::other) };
        let context = context?;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: as in `validate`; the place for the instance lives here.
        let code = call(&self, what, |out| unsafe {
            build(Text::of(&who), Text::of(config), Text::of(&context), &mut pointer, out)
        })?;
        Ok(code.map(|_| -> Box<dyn Instance> { Box::new(Native { library: self, pointer }) }))
    }
}

/// An instance that a library made.
struct Native {
    library: Arc<Library>,
    pointer: *mut c_void,
}

// SAFETY: the header lets any thread call, one at a time: `call` holds a gate.
unsafe impl Send for Native {}
// SAFETY: as above.
unsafe impl Sync for Native {}

impl Instance for Native {
    fn call(&self, method: &str, request: &str, mut offer: Offer, what: &str) -> Result<Option<Answer>> {
        let function = self.library.table.call.ok_or_else(|| Error::other("the table lacks `call`"))?;
        offer.before = self.library.version() <= before::LAST;
        let host = host(&mut offer);
        // SAFETY: as in `validate`; the instance was built by this library and is not dropped; host and
        // offer live through the call.
        let answer = call(&self.library, what, |out| unsafe {
            function(self.pointer, Text::of(method), Text::of(request), &host, out)
        })?;
        Ok(answer.map(Answer::Text))
    }

    fn read(&self, turn: &Spoken, taps: &[TapView], what: &str) -> Result<Option<Answer>> {
        let Some(read) = self.library.table.read else { return Ok(None) };
        let before = self.library.version() <= before::LAST;
        let turn = if before { Ok(before::spoken(turn).to_string()) } else { serde_json::to_string(turn) };
        let turn = turn.map_err(Error::other)?;
        let names: Vec<String> = taps.iter().map(|t| json!(t.tap).to_string()).collect();
        let flat: Vec<Vec<f32>> = taps.iter().map(|t| t.rows.concat()).collect();
        let given: Vec<Tap> = taps
            .iter()
            .zip(names.iter().zip(&flat))
            .map(|(t, (name, data))| Tap {
                tap: Text::of(name),
                data: data.as_ptr(),
                rows: t.rows.len(),
                width: t.rows.first().map_or(0, Vec::len),
            })
            .collect();
        // SAFETY: as in `call`; taps and their data live through the call.
        let answer = call(&self.library, what, |out| unsafe {
            read(self.pointer, Text::of(&turn), given.as_ptr(), given.len(), out)
        })?;
        Ok(answer.map(Answer::Text))
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Some(drop) = self.library.table.drop {
            // SAFETY: built by this library, given back once.
            let _ = call(&self.library, "drop", |_| unsafe {
                drop(self.pointer);
                OK
            });
        }
    }
}
