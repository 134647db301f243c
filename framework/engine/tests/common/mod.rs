//! What small tests of the engine share.
use friction_engine::{EngineOptions, Sampling};

/// Greedy decoding of short replies, with prompts read in several chunks.
pub fn options(slots: usize) -> EngineOptions {
    EngineOptions {
        slots,
        capacity: 400,
        max_new_tokens: 6,
        fork_tokens: 0,
        sampling: Sampling::GREEDY,
        stop: Default::default(),
        chunk: 8,
        step_tokens: 64,
        reuse: true,
    }
}
