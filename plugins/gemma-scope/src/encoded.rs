//! Reads a run's tapped tokens and encodes them as features.
use crate::features::mean;
use friction_core::{ConversationId, Error, Position, Result, RunReader, Site, TapArray, TurnRow};
use friction_sae::{Active, Sae};
use friction_stats::Matrix;
use std::collections::BTreeMap;

/// A turn, and which rows of [`Tokens`] are its tokens.
pub struct Turn<'a> {
    /// The stored turn.
    pub row: &'a TurnRow,
    /// Indices of its tokens among the rows.
    pub tokens: std::ops::Range<usize>,
}

/// The run's tapped tokens: the autoencoder's input and what its output is compared with.
pub struct Tokens<'a> {
    /// The turns in the order of the run.
    pub turns: Vec<Turn<'a>>,
    /// The activations that the autoencoder reads, `[tokens, input width]`, row-major.
    pub read: Vec<f32>,
    /// The activations that it should reconstruct, `[tokens, output width]`, row-major. A transcoder's differ from
    /// `read`.
    pub target: Vec<f32>,
    /// Number of turns without a token.
    pub empty: usize,
}

/// Where tokens are read.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// The site whose activations the autoencoder reads.
    pub reads: Site,
    /// The site whose activations it reconstructs.
    pub writes: Site,
    /// Tokens that are encoded.
    pub position: Position,
    /// First turn that enters, from 1.
    pub first_turn: u32,
    /// Whether prompts begin with BOS, which is left out: it has an extreme norm, and autoencoders are trained without it.
    pub bos: bool,
}

impl Places {
    /// All tapped tokens of the untouched arm from `first_turn` on. A turn without a token at the position, because its
    /// reply is empty, is left out.
    ///
    /// # Errors
    /// When a tap is missing, a number is not finite, or there is no token.
    pub fn tokens<'a>(&self, run: &'a dyn RunReader) -> Result<Tokens<'a>> {
        let position = self.position;
        let mut out = Tokens { turns: vec![], read: vec![], target: vec![], empty: 0 };
        // A conversation's turns follow each other, and its activations may be large.
        let mut open: Option<(ConversationId, TapArray, Option<TapArray>)> = None;
        for row in run.turns().iter().filter(|t| t.arm.is_empty() && t.turn >= self.first_turn) {
            let of = row.conversation();
            if open.as_ref().is_none_or(|(id, ..)| *id != of) {
                let get = |site| {
                    run.tap(of, site, position)?
                        .ok_or_else(|| Error::other(format!("the run holds no tap of `{site}` at `{}`", position)))
                };
                let written = (self.writes != self.reads).then(|| get(self.writes)).transpose()?;
                open = Some((of, get(self.reads)?, written));
            }
            let Some((_, read, written)) = &open else { continue };
            let place = || {
                format!(
                    "turn {} of group {}, condition `{}`, sample {}",
                    row.turn, row.group, row.condition, row.sample
                )
            };
            let rows = |tap: &'_ TapArray, site: Site| -> Result<Vec<Vec<f32>>> {
                let lacks = || Error::other(format!("the tap of `{site}` does not hold {}", place()));
                let rows = tap.tokens(row.turn).ok_or_else(lacks)?;
                match rows.iter().all(|r| r.iter().all(|v| v.is_finite())) {
                    true => Ok(rows.into_iter().map(<[f32]>::to_vec).collect()),
                    false => Err(Error::other(format!("the activations at `{site}` are not finite in {}", place()))),
                }
            };
            let tokens = rows(read, self.reads)?;
            let targets = written.as_ref().map(|w| rows(w, self.writes)).transpose()?;
            if targets.as_ref().is_some_and(|t| t.len() != tokens.len()) {
                let (a, b) = (self.reads, self.writes);
                return Err(Error::other(format!("the taps of `{a}` and `{b}` hold other tokens in {}", place())));
            }
            let bos = usize::from(self.bos && position == Position::All && row.turn == 1);
            let start = out.turns.last().map_or(0, |t| t.tokens.end);
            let n = tokens.len().saturating_sub(bos);
            out.read.extend(tokens.iter().skip(bos).flatten());
            out.target.extend(targets.as_ref().unwrap_or(&tokens).iter().skip(bos).flatten());
            match n {
                0 => out.empty += 1,
                n => out.turns.push(Turn { row, tokens: start..start + n }),
            }
        }
        if out.read.is_empty() {
            return Err(Error::other("the run has no tapped tokens from turn `first_turn` on"));
        }
        Ok(out)
    }
}

/// For each turn, the mean activation of every feature that is active in one of its tokens.
pub fn feature_means(turns: &[Turn], features: &[Vec<Active>]) -> Vec<BTreeMap<u32, f64>> {
    turns.iter().map(|t| mean(&features[t.tokens.clone()])).collect()
}

/// For each turn, the mean of its tokens' activations: `[turns, width]`.
pub fn means(turns: &[Turn], rows: &[f32], width: usize) -> Matrix {
    let mut out = Matrix { data: vec![], cols: width };
    for t in turns {
        let n = t.tokens.len() as f64;
        let mut sum = vec![0.0; width];
        for row in rows[t.tokens.start * width..t.tokens.end * width].chunks(width) {
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) / n);
        }
        out.data.extend(sum);
    }
    out
}

/// Encodes the tokens; returns each token's active features and the autoencoder's quality on them (FVU, L0, dead
/// features).
pub fn encode(sae: &Sae, tokens: &Tokens) -> (Vec<Vec<Active>>, friction_sae::Quality) {
    let features = sae.encode(&tokens.read);
    let q = friction_sae::quality(&features, &sae.decode(&features, &tokens.read), &tokens.target, sae.width());
    (features, q)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// One group of two samples and two turns, of one token and of two, at two sites. Each number says sample, turn and
    /// token; at the second site it is negative. The second sample's reply is empty in its first turn.
    struct Run(Vec<TurnRow>);

    impl RunReader for Run {
        fn name(&self) -> &str {
            "memory"
        }
        fn seed(&self) -> u64 {
            1
        }
        fn turns(&self) -> &[TurnRow] {
            &self.0
        }
        fn tap(&self, of: ConversationId, site: Site, position: Position) -> Result<Option<TapArray>> {
            let (at, n) = (100.0 * of.sample as f32, f32::NAN);
            let first = if position == Position::ReplyAll && of.sample == 1 { n } else { at + 10.0 };
            let data = vec![first, n, n, at + 20.0, at + 21.0, n];
            let data = match site {
                Site::MlpIn(0) => data,
                Site::MlpOut(0) => data.into_iter().map(|v| -v).collect(),
                _ => return Ok(None),
            };
            Ok(Some(TapArray { shape: [2, 3, 1], data }))
        }
        fn findings(&self, _: &str) -> Option<serde_json::Value> {
            None
        }
    }

    fn run() -> Run {
        let turn = |(sample, turn)| TurnRow { sample, turn, ..TurnRow::default() };
        Run([(0, 1), (0, 2), (1, 1), (1, 2)].map(turn).to_vec())
    }

    fn places(position: Position, first_turn: u32) -> Places {
        Places { reads: Site::MlpIn(0), writes: Site::MlpOut(0), position, first_turn, bos: true }
    }

    #[test]
    fn each_sample_has_its_own_tokens_and_padding_is_none() {
        let run = run();
        let all = places(Position::ReplyAll, 1).tokens(&run).unwrap();
        assert_eq!(all.read, [10.0, 20.0, 21.0, 120.0, 121.0]);
        assert_eq!(all.target, all.read.iter().map(|v| -v).collect::<Vec<_>>());
        let of: Vec<(u32, u32, std::ops::Range<usize>)> =
            all.turns.iter().map(|t| (t.row.sample, t.row.turn, t.tokens.clone())).collect();
        assert_eq!((of, all.empty), (vec![(0, 1, 0..1), (0, 2, 1..3), (1, 2, 3..5)], 1));
        // BOS, the first token of each conversation, is left out where all are read; without BOS nothing is.
        let all = places(Position::All, 1).tokens(&run).unwrap();
        assert_eq!((all.read, all.empty), (vec![20.0, 21.0, 120.0, 121.0], 2));
        let plain = Places { bos: false, ..places(Position::All, 1) }.tokens(&run).unwrap();
        assert_eq!((plain.read, plain.empty), (vec![10.0, 20.0, 21.0, 110.0, 120.0, 121.0], 0));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let mut long = run();
        long.0.push(TurnRow { sample: 1, turn: 3, ..TurnRow::default() });
        let e = |places: Places, run: &Run| places.tokens(run).err().unwrap().to_string();
        assert!(e(places(Position::PromptEnd, 1), &long).contains("does not hold turn 3 of group 0"));
        assert!(e(places(Position::PromptEnd, 4), &long).contains("no tapped tokens"));
        let other = Places { reads: Site::Embed, ..places(Position::PromptEnd, 1) };
        assert!(e(other, &run()).contains("no tap of `embed`"));
    }
}
