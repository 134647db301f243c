//! The interface between the engine and a conversation.
use crate::hooks::Doses;
use friction_core::{ChatMessage, ReplayTokens, Tap};

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model generated an end id of the checkpoint, the template's end-of-turn marker or a stop string.
    Stop,
    /// The reply reached the longest length allowed.
    Length,
    /// The reply was given, and was read to its end.
    Replay,
}

impl Finish {
    /// The word that a run stores: `stop`, `length` or `replay`.
    pub fn word(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Replay => "replay",
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
    /// Log-probabilities (nats) of the request's choices as the first reply token, in their order; empty if one of them
    /// is not a single token there.
    pub choices: Vec<f32>,
    /// Log-probability (nats) of each token of a reply that was given; empty if the reply was generated.
    pub forced: Vec<f32>,
    /// Activations of each tap of the program, in its order.
    pub taps: Vec<TapRows>,
    /// Wall-clock milliseconds from the start of the turn to its last token.
    pub elapsed_ms: f64,
}

/// What a conversation asks of the model next.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// All messages so far and the next user message. Not read where `again` is set.
    pub messages: Vec<ChatMessage>,
    /// Text that opens the reply: the model goes on from it. It counts as part of the prompt. Not read where `again` is set.
    pub prefill: String,
    /// The reply, if it is given (teacher forcing). Its log-probabilities are returned, and taps and edits apply to its
    /// tokens as to generated ones.
    pub forced: Option<String>,
    /// The tokens of `forced`, if they are known; otherwise the text is tokenised where it follows the prompt.
    pub forced_tokens: Option<ReplayTokens>,
    /// Texts whose log-probability as the first reply token is wanted.
    pub choices: Vec<String>,
    /// Longest reply in tokens. 0 generates nothing: only `choices` are measured.
    pub max_new_tokens: usize,
    /// Whether the turn is a fork: nothing of it is left in the cache for later turns, and taps do not read it. Later
    /// turns are computed as if it had not been.
    pub fork: bool,
    /// Whether the prompt is that of the conversation's last turn that was no fork, which is neither rendered nor
    /// tokenised again. The turn must be a fork.
    pub again: bool,
    /// Seed for sampling the reply.
    pub seed: u64,
    /// What the program's edits do in the turn.
    pub doses: Doses,
}

/// One conversation. The engine asks it for requests and hands it replies.
pub trait Dialogue {
    /// What is wanted next; `None` if the conversation is over. The same request is not asked for twice.
    ///
    /// # Errors
    /// If a plugin fails.
    fn next(&mut self) -> friction_core::Result<Option<Request>>;
    /// Whether [`Self::next`] can be asked. A conversation that is not ready keeps its place, and is asked once what others
    /// of its unit were told makes it ready. Default: yes.
    fn ready(&self) -> bool {
        true
    }
    /// Takes the reply to the request that [`Self::next`] returned.
    ///
    /// # Errors
    /// If a plugin fails.
    fn replied(&mut self, outcome: TurnOutcome) -> friction_core::Result<()>;
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
