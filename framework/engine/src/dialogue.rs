//! The interface between the engine and a conversation.
use crate::hooks::Given;
use friction_core::Tap;
use friction_model::ChatTurn;

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model generated an end id of the checkpoint or the template's end-of-turn marker.
    Stop,
    /// The reply reached the longest length allowed, or the end of the text that was forced.
    Length,
}

impl Finish {
    /// The word that a run stores: `stop` or `length`.
    pub fn word(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
        }
    }
}

/// Activations of one turn at one tap.
#[derive(Debug, Clone, PartialEq)]
pub struct TapRows {
    /// The tap that read them.
    pub tap: Tap,
    /// `[positions][width]`; NaN where the turn has no such token.
    pub rows: Vec<Vec<f32>>,
}

/// A finished turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnOutcome {
    /// Token ids of the reply, without the end id.
    pub ids: Vec<u32>,
    /// The reply's text.
    pub text: String,
    /// Why the reply ended.
    pub finish: Finish,
    /// Number of tokens of the whole prompt.
    pub prompt_tokens: usize,
    /// Number of prompt tokens that were taken from the cache or from a fork.
    pub reused_tokens: usize,
    /// Log-probabilities (nats) of the watched ids as the first reply token, in their order.
    pub watched: Vec<f32>,
    /// Log-probability (nats) of each forced token; empty if the reply was generated.
    pub forced: Vec<f32>,
    /// Activations of each tap of the program, in its order.
    pub taps: Vec<TapRows>,
    /// Wall-clock milliseconds from the start of the turn to its last token.
    pub elapsed_ms: f64,
}

/// One conversation. The engine asks it for messages and hands it replies.
pub trait Dialogue {
    /// All messages so far and the next user message; `None` if the conversation is over.
    ///
    /// # Errors
    /// If a plugin fails.
    fn next(&mut self) -> friction_core::Result<Option<Vec<ChatTurn>>>;
    /// Takes the reply to the message that [`Self::next`] returned.
    ///
    /// # Errors
    /// If a plugin fails.
    fn replied(&mut self, outcome: TurnOutcome) -> friction_core::Result<()>;
    /// Seed for sampling the coming reply.
    fn seed(&self) -> u64;
    /// Token ids whose log-probability as the first reply token is wanted.
    fn watched(&self) -> Vec<u32>;
    /// Token ids of the reply that the coming turn is made to give (teacher forcing); empty if the reply is generated.
    /// Their log-probabilities are returned, and edits apply to them as to generated tokens.
    fn forced(&self) -> Vec<u32> {
        vec![]
    }
    /// Strength of each edit of the program in the coming turn, in the program's order.
    fn strengths(&self) -> Vec<f32>;
    /// For each edit of the kind `EditOp::Given`, by its index in the program, the vector of this conversation in the
    /// coming turn; `None` for other edits, and where this conversation is left as it is. Default: none.
    fn given(&self) -> Vec<Given> {
        vec![]
    }
    /// Names the conversation and the turn in progress, for messages.
    fn place(&self) -> String {
        "in a conversation".into()
    }
}

/// Conversations that start together: those of one group, or some of them if there are few slots. A unit is admitted
/// whole, so its results do not depend on other units.
pub struct Unit {
    /// Index that the caller chose; returned with the finished unit.
    pub index: usize,
    /// The conversations, in the order in which they get slots.
    pub dialogues: Vec<Box<dyn Dialogue>>,
}
