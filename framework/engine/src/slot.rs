//! One conversation in the batch.
use crate::dialogue::{Dialogue, Finish, TapRows, TurnOutcome};
use friction_core::{Position, Site, Tap};
use std::collections::BTreeMap;
use std::time::Instant;

/// A turn in progress.
pub(crate) struct Turn {
    /// Tells it from every other turn of a run.
    pub number: u64,
    /// The whole prompt.
    pub prompt: Vec<u32>,
    /// Tokens of it that were in the cache.
    pub reused: usize,
    /// Where the user's message stands in the prompt.
    pub user: (usize, usize),
    /// First token that this turn added.
    pub added: usize,
    /// The reply so far, the end id left out.
    pub reply: Vec<u32>,
    /// Set when the reply is complete; its last token may still have to be computed.
    pub finish: Option<Finish>,
    /// Watched ids and their log-probabilities.
    pub watched: (Vec<u32>, Vec<f32>),
    /// The reply that it is made to give, and the log-probabilities of its tokens so far.
    pub forced: (Vec<u32>, Vec<f32>),
    /// Seed of its draws.
    pub seed: u64,
    /// Rows read, by site and token position.
    pub rows: BTreeMap<Site, BTreeMap<usize, Vec<f32>>>,
    /// When it began.
    pub began: Instant,
}

impl Turn {
    /// Length of prompt and reply.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.reply.len()
    }
    /// The token at a position.
    pub fn token(&self, at: usize) -> u32 {
        if at < self.prompt.len() { self.prompt[at] } else { self.reply[at - self.prompt.len()] }
    }

    /// Whether a tap reads the token at `at`.
    pub fn reads(&self, position: Position, at: usize) -> bool {
        let end = self.prompt.len() - 1;
        match position {
            Position::PromptEnd => at == end,
            Position::Reply(n) => at >= end && at < end + n,
            Position::ReplyMean | Position::ReplyEnd => at > end,
            Position::UserMean => at >= self.user.0 && at < self.user.1,
            Position::All => at >= self.added,
        }
    }

    /// Whether the whole logits of its reply's token `index`, from 0, are looked at where tokens are the likeliest
    /// ones: of forced and watched tokens, and of a reply's first and last, by which numbers are noticed that are not
    /// finite. They stay in the cache, so that what is not finite once is not finite again; and the likeliest of such
    /// logits is id 0, which ends no reply.
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
        // A reply stopped at its last token holds rows for its tokens only, never for the end id.
        let of: Vec<&Vec<f32>> = rows.iter().filter(|(at, _)| self.reads(tap.position, **at)).map(|(_, r)| r).collect();
        let nan = || vec![f32::NAN; width];
        let rows = match tap.position {
            Position::PromptEnd => vec![of.first().map_or_else(nan, |r| (*r).clone())],
            Position::Reply(n) => (0..n).map(|i| of.get(i).map_or_else(nan, |r| (*r).clone())).collect(),
            Position::ReplyMean | Position::UserMean => vec![Self::mean(&of, width)],
            Position::ReplyEnd => vec![of.last().map_or_else(nan, |r| (*r).clone())],
            Position::All => of.into_iter().cloned().collect(),
        };
        TapRows { tap: tap.clone(), rows }
    }

    /// What the dialogue is told.
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

/// A conversation with its place in the cache.
pub(crate) struct Slot {
    /// The conversation.
    pub dialogue: Box<dyn Dialogue>,
    /// Strength of each edit.
    pub strengths: Vec<f32>,
    /// Ids whose keys and values stand in the cache.
    pub cached: Vec<u32>,
    /// The turn in progress; `None` while it waits for the leader of a fork.
    pub turn: Option<Turn>,
    /// The slot whose first turn is also this one's.
    pub leader: Option<usize>,
    /// The conversation is over.
    pub over: bool,
}

/// Length of the longest common prefix.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
