//! Reads a run's tapped tokens and encodes them as features.
use crate::Scope;
use crate::features::mean;
use friction_core::{Error, Position, Result, RunReader, TurnRow};
use friction_sae::{Active, Sae};
use friction_stats::Matrix;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

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
}

impl Scope {
    /// All tapped tokens of the untouched arm from `first_turn` on.
    ///
    /// # Errors
    /// When a tap is missing or there is no token.
    pub fn tokens<'a>(&self, run: &'a dyn RunReader) -> Result<Tokens<'a>> {
        let o = &self.options;
        let mut out = Tokens { turns: vec![], read: vec![], target: vec![] };
        let mut taps = BTreeMap::new();
        for row in run.turns().iter().filter(|t| t.arm.is_empty() && t.turn >= o.first_turn) {
            let key = (row.group, row.condition.as_str());
            if let Entry::Vacant(e) = taps.entry(key) {
                let get = |site| {
                    run.tap(row.conversation(), site, o.position)?
                        .ok_or_else(|| Error::other(format!("the run holds no tap of `{site}` at `{}`", o.position)))
                };
                e.insert((get(self.reads)?, get(self.writes)?));
            }
            let Some((read, written)) = taps.get(&key) else { continue };
            let [_, positions, width] = read.shape;
            let start = out.read.len() / width;
            for p in 0..positions {
                // BOS has an extreme norm, and autoencoders are trained without it.
                if o.position == Position::All && row.turn == 1 && p == 0 {
                    continue;
                }
                let at = (row.turn as usize - 1) * positions + p;
                let token = &read.data[at * width..][..width];
                if token.iter().all(|v| v.is_finite()) {
                    out.read.extend_from_slice(token);
                    out.target.extend_from_slice(&written.data[at * written.shape[2]..][..written.shape[2]]);
                }
            }
            // A turn can lack the token (its reply ended earlier); it is left out.
            if out.read.len() / width > start {
                out.turns.push(Turn { row, tokens: start..out.read.len() / width });
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
