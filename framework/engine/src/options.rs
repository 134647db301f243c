//! Sizes and rules of a run, and its progress.
use crate::sampling::Sampling;
use crate::stop::StopStrings;
use friction_model::cache::CacheShape;

/// Sizes and rules of a run.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Number of conversations in flight.
    pub slots: usize,
    /// Number of positions (tokens) that a conversation may have.
    pub capacity: usize,
    /// Longest reply, in tokens.
    pub max_new_tokens: usize,
    /// Longest fork in tokens, its reply included: what an aside adds to a conversation. 0 if there are no forks.
    pub fork_tokens: usize,
    /// How tokens are picked.
    pub sampling: Sampling,
    /// Texts that end a reply, beside the checkpoint's end ids.
    pub stop: StopStrings,
    /// Largest number of tokens of one conversation that one step computes.
    pub chunk: usize,
    /// Largest number of tokens of all conversations that one step computes.
    pub step_tokens: usize,
    /// Whether common prefixes are kept in the cache and equal first turns are computed once. Results do not depend on
    /// it; tests switch it off to prove that.
    pub reuse: bool,
}

impl EngineOptions {
    /// The default of [`Self::chunk`].
    pub const CHUNK: usize = 256;

    /// The default of [`Self::step_tokens`]. A GPU needs many rows at once to be busy; on a processor, few rows stay in
    /// its caches.
    pub fn step_tokens(on_cpu: bool) -> usize {
        if on_cpu { 512 } else { 8192 }
    }

    /// The shape of the cache that these options need.
    pub fn cache(&self, arch: &friction_checkpoint::Arch) -> CacheShape {
        // A roll-back removes one reply and one fork at most, and a few tokens that are tokenised differently at a border.
        CacheShape::new(arch, self.slots, self.capacity, self.chunk + self.max_new_tokens + self.fork_tokens + 16)
    }
}

/// Counts since a run began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Number of prompt tokens computed.
    pub prefilled: u64,
    /// Number of prompt tokens taken from the cache or a fork.
    pub reused: u64,
    /// Number of reply tokens generated.
    pub generated: u64,
    /// Number of turns finished.
    pub turns: u64,
    /// Number of first turns that were taken over whole from another conversation.
    pub forked_turns: u64,
    /// Number of first turns whose opening was taken over from another conversation.
    pub forked_openings: u64,
    /// Number of forward passes.
    pub steps: u64,
    /// Wall-clock seconds.
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
            forked_openings: self.forked_openings + more.forked_openings,
            steps: self.steps + more.steps,
            seconds: self.seconds + more.seconds,
        }
    }
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop now; unfinished units are dropped.
    Stop,
}
