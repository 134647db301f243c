//! The host's functions as traits, for the time of a call: decoding, and the run that is analysed.
use crate::abi::{Answer, Host, OK, Text, UNKNOWN};
use friction_core::{ConversationId, Error, Position, Result, RunReader, Site, TapArray, TextCodec, TurnRow};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Mutex;

fn missing(what: &str) -> Error {
    Error::other(format!("this host does not offer `{what}` here"))
}

/// Decodes token ids with the host's tokenizer.
pub(super) struct HostCodec<'a>(pub Option<&'a Host>);

impl TextCodec for HostCodec<'_> {
    fn decode(&self, ids: &[u32]) -> Result<String> {
        let (host, decode) = self.0.and_then(|h| h.decode.map(|d| (h, d))).ok_or_else(|| missing("decode"))?;
        let mut answer = Answer::default();
        // SAFETY: the host vouches for its functions while its call lasts; ids and answer outlive this one.
        let code = unsafe { decode(host.this, ids.as_ptr(), ids.len(), &answer.out()) };
        if code != OK {
            return Err(Error::other(answer.message()));
        }
        String::from_utf8(answer.bytes).map_err(Error::other)
    }
}

#[derive(Deserialize)]
struct Turns {
    name: String,
    seed: u64,
    turns: Vec<TurnRow>,
}

/// The run that the host analyses. The host's functions are called by one thread at a time.
pub(super) struct HostRun<'a> {
    host: Mutex<&'a Host>,
    told: Turns,
}

// SAFETY: the host lets any thread call `tap` and `findings`, one at a time; the mutex makes sure of that.
unsafe impl Sync for HostRun<'_> {}

impl<'a> HostRun<'a> {
    pub(super) fn open(host: Option<&'a Host>) -> Result<Self> {
        let (host, run) = host.and_then(|h| h.run.map(|r| (h, r))).ok_or_else(|| missing("run"))?;
        let mut answer = Answer::default();
        // SAFETY: as in `decode`.
        let code = unsafe { run(host.this, &answer.out()) };
        if code != OK {
            return Err(Error::other(answer.message()));
        }
        let told = serde_json::from_slice(&answer.bytes).map_err(Error::other)?;
        Ok(Self { host: Mutex::new(host), told })
    }

    fn host(&self) -> std::sync::MutexGuard<'_, &'a Host> {
        self.host.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl RunReader for HostRun<'_> {
    fn name(&self) -> &str {
        &self.told.name
    }
    fn seed(&self) -> u64 {
        self.told.seed
    }
    fn turns(&self) -> &[TurnRow] {
        &self.told.turns
    }
    fn tap(&self, conversation: ConversationId, site: Site, position: Position) -> Result<Option<TapArray>> {
        let ConversationId { group, condition, arm, sample } = conversation;
        let host = self.host();
        let read = host.tap.ok_or_else(|| missing("tap"))?;
        let mut which = json!({"group": group, "condition": condition, "arm": arm, "site": site, "position": position});
        // Hosts of before know no samples.
        if sample > 0 {
            which["sample"] = json!(sample);
        }
        let which = which.to_string();
        let (mut data, mut shape, mut answer) = (std::ptr::null(), [0usize; 3], Answer::default());
        // SAFETY: as in `decode`; the places for data and shape live here.
        let code = unsafe { read(host.this, Text::of(&which), &mut data, shape.as_mut_ptr(), &answer.out()) };
        match code {
            OK if !data.is_null() => {
                // SAFETY: the host's array stays valid until the next call of the host, which the lock prevents.
                let data = unsafe { std::slice::from_raw_parts(data, shape.iter().product()) }.to_vec();
                Ok(Some(TapArray { shape, data }))
            }
            OK => Ok(Some(TapArray { shape, data: vec![] })),
            UNKNOWN => Ok(None),
            _ => Err(Error::other(answer.message())),
        }
    }
    fn findings(&self, analyzer: &str) -> Option<Value> {
        let host = self.host();
        let mut answer = Answer::default();
        // SAFETY: as in `decode`.
        let code = unsafe { (host.findings?)(host.this, Text::of(analyzer), &answer.out()) };
        if code == OK { serde_json::from_slice(&answer.bytes).ok() } else { None }
    }
}
