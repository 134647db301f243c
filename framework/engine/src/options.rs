//! Sizes and rules of a run, and how far it is.
use crate::sampling::Sampling;
use friction_model::cache::CacheShape;

/// Sizes and rules of a run.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Conversations in flight.
    pub slots: usize,
    /// Positions of a conversation.
    pub capacity: usize,
    /// Longest reply.
    pub max_new_tokens: usize,
    /// How tokens are picked.
    pub sampling: Sampling,
    /// Prompt tokens of one conversation computed in one step.
    pub chunk: usize,
    /// Tokens of all conversations in one step.
    pub step_tokens: usize,
    /// Keep common prefixes and share first turns. Off only to prove that it changes nothing.
    pub reuse: bool,
}

impl EngineOptions {
    /// The usual [`Self::chunk`].
    pub const CHUNK: usize = 256;

    /// The usual [`Self::step_tokens`]: a GPU's products want many rows at once, a processor's that they stay near it.
    pub fn step_tokens(on_cpu: bool) -> usize {
        if on_cpu { 512 } else { 8192 }
    }

    /// The cache that it needs.
    pub fn cache(&self, config: &friction_model::Config) -> CacheShape {
        // A roll-back reaches at most over one reply and a few tokens of re-tokenised border.
        CacheShape::new(config, self.slots, self.capacity, self.chunk + self.max_new_tokens + 16)
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Prompt tokens computed.
    pub prefilled: u64,
    /// Prompt tokens taken from the cache or a fork.
    pub reused: u64,
    /// Reply tokens generated.
    pub generated: u64,
    /// Turns finished.
    pub turns: u64,
    /// Turns that were another conversation's first turn, taken over whole.
    pub forked_turns: u64,
    /// Forward passes.
    pub steps: u64,
    /// Seconds.
    pub seconds: f64,
}

impl std::ops::Add for Progress {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            prefilled: self.prefilled + more.prefilled,
            reused: self.reused + more.reused,
            generated: self.generated + more.generated,
            turns: self.turns + more.turns,
            forked_turns: self.forked_turns + more.forked_turns,
            steps: self.steps + more.steps,
            seconds: self.seconds + more.seconds,
        }
    }
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop now; unfinished units are dropped.
    Stop,
}
