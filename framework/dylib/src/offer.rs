//! What the host offers to a plugin during a call, in either way across the border.
use crate::before;
use friction_core::{ConversationId, Error, Position, Result, RunReader, Site, TapArray, TextCodec, TurnRow};
use serde::{Deserialize, Serialize};

/// What a plugin may ask the host for during one call.
#[derive(Default)]
pub(crate) struct Offer<'a> {
    pub codec: Option<&'a dyn TextCodec>,
    pub run: Option<&'a dyn RunReader>,
    /// Whether the other side reads the records of versions 1 and 2.
    pub before: bool,
    /// Values of the tap that a library read last. They stay valid until the next one is read.
    pub tap: Vec<f32>,
}

impl<'a> Offer<'a> {
    /// Decoding, for `keep`.
    pub fn codec(codec: &'a dyn TextCodec) -> Self {
        Self { codec: Some(codec), ..Self::default() }
    }

    /// A run, for `analyze`.
    pub fn run(run: &'a dyn RunReader) -> Self {
        Self { run: Some(run), ..Self::default() }
    }
}

/// A run's name, seed and turns as JSON; in the form of versions 1 and 2 if `before`.
pub(crate) fn run_text(run: &dyn RunReader, before: bool) -> Result<String> {
    if before {
        return before::run(run);
    }
    #[derive(Serialize)]
    struct Turns<'a> {
        name: &'a str,
        seed: u64,
        turns: &'a [TurnRow],
    }
    let told = Turns { name: run.name(), seed: run.seed(), turns: run.turns() };
    serde_json::to_string(&told).map_err(Error::other)
}

/// The activations that an analyzer asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    group: u32,
    condition: String,
    #[serde(default)]
    arm: String,
    #[serde(default)]
    sample: u32,
    site: Site,
    position: Position,
}

impl Which {
    /// Reads them; `None` if they were not tapped.
    pub fn read(&self, run: &dyn RunReader) -> Result<Option<TapArray>> {
        let Self { group, condition, arm, sample, site, position } = self;
        let conversation = ConversationId { group: *group, condition, arm, sample: *sample };
        run.tap(conversation, *site, *position)
    }
}
