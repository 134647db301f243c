//! The state of one conversation in the batch.
use crate::dialogue::{Dialogue, Finish, Request, TapRows, TurnOutcome};
use crate::hooks::Doses;
use crate::{Error, Result};
use friction_core::{Position, Site, Tap};
use std::collections::BTreeMap;
use std::time::Instant;

/// A turn in progress.
pub(crate) struct Turn {
    /// Number of the turn, unique in a run.
    pub number: u64,
    /// Token ids of the whole prompt.
    pub prompt: Vec<u32>,
    /// Number of prompt tokens that were in the cache.
    pub reused: usize,
    /// First position of the user's message in the prompt, and the position after its last.
    pub user: (usize, usize),
    /// Position of the first token that this turn added.
    pub added: usize,
    /// Token ids of the reply so far, without the end id.
    pub reply: Vec<u32>,
    /// The reply's text, if a stop string cut it or it was given with its ids; otherwise the ids spell it.
    pub cut: Option<String>,
    /// Set when the reply is complete; its last token may still have to be computed.
    pub finish: Option<Finish>,
    /// Ids of the choices and their log-probabilities.
    pub choices: (Vec<u32>, Vec<f32>),
    /// If the reply is given: the log-probability (nats) of each token that was read so far. `reply` holds it whole then.
    pub forced: Option<Vec<f32>>,
    /// Whether the model once ended the reply that is given: the logits behind its last token were then computed.
    pub stopped: bool,
    /// Whether a reply that is given is read one token a step.
    pub stepwise: bool,
    /// Longest reply, in tokens.
    pub most: usize,
    /// If the turn is a fork: number of tokens of the cache that later turns may use.
    pub fork: Option<usize>,
    /// Seed for sampling its tokens.
    pub seed: u64,
    /// Activations that were read, by site and token position.
    pub rows: BTreeMap<Site, BTreeMap<usize, Vec<f32>>>,
    /// When it began.
    pub began: Instant,
}

impl Turn {
    /// Number of tokens of prompt and reply.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.reply.len()
    }
    /// The token at a position.
    pub fn token(&self, at: usize) -> u32 {
        if at < self.prompt.len() { self.prompt[at] } else { self.reply[at - self.prompt.len()] }
    }

    /// Whether a tap at `position` reads the token at `at`. Taps do not read forks.
    pub fn reads(&self, position: Position, at: usize) -> bool {
        let end = self.prompt.len() - 1;
        if self.fork.is_some() {
            return false;
        }
        match position {
            Position::PromptEnd => at == end,
            Position::PromptTail(n) => at <= end && at + n > end,
            Position::Reply(n) => at >= end && at < end + n,
            Position::ReplyAll | Position::ReplyMean | Position::ReplyEnd => at > end,
            Position::UserMean => at >= self.user.0 && at < self.user.1,
            Position::All => at >= self.added,
        }
    }

    /// Whether the host looks at the whole logits of reply token `index` (from 0) under greedy decoding. It does so for
    /// tokens of a given reply, and for the first and last token of a reply. The last ones show numbers that are not
    /// finite: such numbers stay in the cache, so later logits have them too, and the likeliest of such logits is id 0,
    /// which does not end a reply.
    pub fn looked_at(&self, index: usize) -> bool {
        self.forced.is_some() || index == 0 || index + 1 >= self.most
    }

    /// Whether the turn is over: its reply is complete, and its tokens are computed, so that later turns and taps find
    /// them. No later turn needs the tokens that a fork generates.
    pub fn over(&self, computed: usize) -> bool {
        self.finish.is_some() && (self.fork.is_some() && self.forced.is_none() || computed >= self.len())
    }

    /// Largest number of tokens from `start` on that one step may compute of a given reply; `scored` is the largest number
    /// whose log-probabilities a step computes.
    pub fn readable(&self, start: usize, scored: usize) -> usize {
        let end = self.prompt.len() - 1;
        match (&self.forced, self.stepwise) {
            (None, _) => usize::MAX,
            (Some(_), false) => start.max(end) + scored - start,
            // As it was generated: the prompt, then one token after the other.
            (Some(_), true) => (end + 1).saturating_sub(start).max(1),
        }
    }

    /// Positions among the `len` from `start` on whose logits are wanted: the last known token, or every token that
    /// predicts one of a given reply; also its last, if the model ended the reply there.
    pub fn scored(&self, start: usize, len: usize) -> std::ops::Range<usize> {
        let end = self.prompt.len() - 1;
        let (first, after) = match (&self.forced, self.finish) {
            (Some(_), _) if self.stopped => (end, self.len()),
            (Some(_), _) => (end, (self.len() - 1).max(end + 1)),
            (None, None) => (self.len() - 1, self.len()),
            (None, Some(_)) => (start, start),
        };
        let after = after.min(start + len);
        first.max(start).min(after)..after
    }

    fn mean(rows: &[&Vec<f32>], width: usize) -> Vec<f32> {
        let mut sum = vec![0f64; width];
        for r in rows {
            for (s, x) in sum.iter_mut().zip(r.iter()) {
                *s += f64::from(*x);
            }
        }
        sum.iter().map(|s| if rows.is_empty() { f32::NAN } else { (s / rows.len() as f64) as f32 }).collect()
    }

    /// The rows of a tap once the turn is over.
    pub fn tapped(&self, tap: &Tap, width: usize) -> TapRows {
        let empty = BTreeMap::new();
        let rows = self.rows.get(&tap.site).unwrap_or(&empty);
        // There are rows for the reply's tokens, never for the end id. The tokens of a stop string were read and are no
        // part of the reply.
        let of = rows.range(..self.len()).filter(|(at, _)| self.reads(tap.position, **at));
        let of: Vec<&Vec<f32>> = of.map(|(_, r)| r).collect();
        let nan = || vec![f32::NAN; width];
        let rows = match tap.position {
            Position::PromptTail(n) => {
                let missing = n.saturating_sub(of.len());
                (0..missing).map(|_| nan()).chain(of.into_iter().cloned()).collect()
            }
            Position::PromptEnd => vec![of.first().map_or_else(nan, |r| (*r).clone())],
            Position::Reply(n) => (0..n).map(|i| of.get(i).map_or_else(nan, |r| (*r).clone())).collect(),
            Position::ReplyMean | Position::UserMean => vec![Self::mean(&of, width)],
            Position::ReplyEnd => vec![of.last().map_or_else(nan, |r| (*r).clone())],
            // An empty reply has one row, so that its width is known.
            Position::ReplyAll if of.is_empty() => vec![nan()],
            Position::ReplyAll | Position::All => of.into_iter().cloned().collect(),
        };
        TapRows { tap: tap.clone(), rows }
    }

    /// What the dialogue gets when the turn is over.
    pub fn outcome(&self, text: String, taps: &[(Tap, usize)]) -> TurnOutcome {
        TurnOutcome {
            ids: self.reply.clone(),
            text,
            finish: self.finish.unwrap_or(Finish::Length),
            prompt_tokens: self.prompt.len(),
            reused_tokens: self.reused,
            choices: self.choices.1.clone(),
            forced: self.forced.clone().unwrap_or_default(),
            taps: if self.fork.is_some() { vec![] } else { taps.iter().map(|(t, w)| self.tapped(t, *w)).collect() },
            elapsed_ms: self.began.elapsed().as_secs_f64() * 1e3,
        }
    }
}

/// What a waiting slot takes over from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// The whole first turn, once it is over.
    Turn,
    /// So many tokens of the prompt, once they are computed.
    Opening(usize),
}

/// A conversation and what the cache holds of it.
pub(crate) struct Slot {
    /// The conversation.
    pub dialogue: Box<dyn Dialogue>,
    /// What edits do to it in the turn in progress.
    pub doses: Doses,
    /// Token ids whose keys and values are in the cache.
    pub cached: Vec<u32>,
    /// Token ids of the last turn that was no fork, prompt and reply. What a turn adds does not depend on forks before it.
    pub told: Vec<u32>,
    /// Number of positions of the cache that were written since the last roll-back; at least the length of `cached`.
    pub written: usize,
    /// The turn in progress; `None` while the conversation waits for another.
    pub turn: Option<Turn>,
    /// The slot that this one takes its beginning from, and what it takes.
    pub leader: Option<(usize, Share)>,
    /// The prompt of the last turn that was no fork, for a fork that reads it again.
    pub asked: Option<Prompt>,
    /// The first request and its prompt, while it waits for the opening of another conversation.
    pub waiting: Option<(Request, Prompt)>,
    /// Whether it waits until its dialogue is ready.
    pub unready: bool,
    /// Whether the conversation is over.
    pub over: bool,
}

impl Slot {
    /// The next request. Errors name the conversation and its turn.
    pub fn next(&mut self) -> Result<Option<Request>> {
        let asked = self.dialogue.next();
        asked.map_err(|e| self.failed(e))
    }

    /// Hands the dialogue a reply. Errors name the conversation and its turn.
    pub fn replied(&mut self, outcome: TurnOutcome) -> Result<()> {
        let taken = self.dialogue.replied(outcome);
        taken.map_err(|e| self.failed(e))
    }

    fn failed(&self, e: friction_core::Error) -> Error {
        Error::Plugin(e.within(&self.dialogue.place()))
    }
}

/// A rendered and tokenised prompt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompt {
    /// The rendered text, prefill included.
    pub text: String,
    /// Its token ids.
    pub ids: Vec<u32>,
    /// First position of the user's last message, and the position after its last. The whole prompt, if no tap reads the
    /// user's tokens.
    pub user: (usize, usize),
}

/// Length of the longest common prefix.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
