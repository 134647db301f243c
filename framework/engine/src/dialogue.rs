//! What the engine asks of a conversation, and what it tells it.
use friction_core::Tap;
use friction_model::ChatTurn;

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// At an end id of the checkpoint.
    Stop,
    /// At the longest reply allowed.
    Length,
}

impl Finish {
    /// The word stored in a run.
    pub fn word(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
        }
    }
}

/// Activations of one turn at one tap: rows `[positions][width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TapRows {
    /// Which.
    pub tap: Tap,
    /// The rows.
    pub rows: Vec<Vec<f32>>,
}

/// One finished turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnOutcome {
    /// Reply ids, the end id left out.
    pub ids: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the whole prompt.
    pub prompt_tokens: usize,
    /// Tokens of it taken from the cache (or from a fork).
    pub reused_tokens: usize,
    /// Log-probabilities (nats) of the watched ids as first reply token.
    pub watched: Vec<f32>,
    /// Log-probability (nats) of each forced token.
    pub forced: Vec<f32>,
    /// Activations.
    pub taps: Vec<TapRows>,
    /// Wall-clock milliseconds.
    pub elapsed_ms: f64,
}

/// One conversation, driven from outside.
pub trait Dialogue {
    /// The whole history and the next user message; `None` when the conversation is over.
    ///
    /// # Errors
    /// When a plugin fails.
    fn next(&mut self) -> friction_core::Result<Option<Vec<ChatTurn>>>;
    /// Takes the reply to what `next` asked.
    ///
    /// # Errors
    /// When a plugin fails.
    fn replied(&mut self, outcome: TurnOutcome) -> friction_core::Result<()>;
    /// Seed of the draws of the coming reply.
    fn seed(&self) -> u64;
    /// Ids whose log-probability is wanted at the first reply token.
    fn watched(&self) -> Vec<u32>;
    /// The reply that the coming turn is made to give, token by token; none where it is free. Its
    /// probabilities are told, and edits reach it as they reach what is generated.
    fn forced(&self) -> Vec<u32> {
        vec![]
    }
    /// Strength of each edit of the program in the coming turn, in order.
    fn strengths(&self) -> Vec<f32>;
    /// Which conversation it is and which turn is under way, in words, for messages.
    fn place(&self) -> String {
        "in a conversation".into()
    }
}

/// Conversations that run together: those of one group, or a part of them where slots are few.
/// A unit is admitted whole, so what it computes does not depend on other units.
pub struct Unit {
    /// Its index; handed back with it.
    pub index: usize,
    /// The conversations.
    pub dialogues: Vec<Box<dyn Dialogue>>,
}
