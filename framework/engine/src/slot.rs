//! The state of one conversation in the batch.
use crate::dialogue::{Dialogue, Finish, TapRows, TurnOutcome};
use crate::hooks::Doses;
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
    /// Set when the reply is complete; its last token may still have to be computed.
    pub finish: Option<Finish>,
    /// Watched ids and their log-probabilities.
    pub watched: (Vec<u32>, Vec<f32>),
    /// The reply that the turn is made to give, and the log-probabilities of its tokens so far.
    pub forced: (Vec<u32>, Vec<f32>),
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

    /// Whether a tap at `position` reads the token at `at`.
    pub fn reads(&self, position: Position, at: usize) -> bool {
        let end = self.prompt.len() - 1;
        match position {
            Position::PromptEnd => at == end,
            Position::Reply(n) => at >= end && at < end + n,
            Position::ReplyAll | Position::ReplyMean | Position::ReplyEnd => at > end,
            Position::UserMean => at >= self.user.0 && at < self.user.1,
            Position::All => at >= self.added,
        }
    }

    /// Whether the host looks at the whole logits of reply token `index` (from 0) under greedy decoding, where `most`
    /// is the longest reply. It does so for forced and watched tokens, and for the first and last token of a reply. The
    /// last ones show numbers that are not finite: such numbers stay in the cache, so later logits have them too, and
    /// the likeliest of such logits is id 0, which does not end a reply.
    pub fn looked_at(&self, index: usize, most: usize) -> bool {
        !self.forced.0.is_empty() || index == 0 || index + 1 >= most
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
        // There are rows for the reply's tokens only, never for the end id.
        let of: Vec<&Vec<f32>> = rows.iter().filter(|(at, _)| self.reads(tap.position, **at)).map(|(_, r)| r).collect();
        let nan = || vec![f32::NAN; width];
        let rows = match tap.position {
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
            watched: self.watched.1.clone(),
            forced: self.forced.1.clone(),
            taps: taps.iter().map(|(t, w)| self.tapped(t, *w)).collect(),
            elapsed_ms: self.began.elapsed().as_secs_f64() * 1e3,
        }
    }
}

/// A conversation and what the cache holds of it.
pub(crate) struct Slot {
    /// The conversation.
    pub dialogue: Box<dyn Dialogue>,
    /// What edits do to it in the turn in progress.
    pub doses: Doses,
    /// Token ids whose keys and values are in the cache.
    pub cached: Vec<u32>,
    /// The turn in progress; `None` while it waits for the leader of a fork.
    pub turn: Option<Turn>,
    /// The slot whose first turn this one takes over.
    pub leader: Option<usize>,
    /// Whether the conversation is over.
    pub over: bool,
}

/// Length of the longest common prefix.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
