//! A run's tokens as features.
use crate::Scope;
use crate::features::{Conversation, mean};
use friction_core::{Error, Position, Result, RunReader, TurnRow};
use friction_sae::{Active, Sae};
use friction_stats::{Matrix, Rng, clustered_logit, permutation_p};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// One turn and which of the rows are its tokens.
pub struct Turn<'a> {
    /// The turn.
    pub row: &'a TurnRow,
    /// Its tokens among the rows.
    pub tokens: std::ops::Range<usize>,
}

/// The run's tokens: what is read, what is to be met.
pub struct Tokens<'a> {
    /// Turns in order.
    pub turns: Vec<Turn<'a>>,
    /// Rows read, row-major.
    pub read: Vec<f32>,
    /// Rows to be met, row-major.
    pub target: Vec<f32>,
}

impl Scope {
    /// Every token of the untouched arm from the first turn on.
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
                    run.tap(row.group, &row.condition, "", site, o.position)?
                        .ok_or_else(|| Error::other(format!("the run holds no tap of `{site}` at `{}`", o.position)))
                };
                e.insert((get(self.reads)?, get(self.writes)?));
            }
            let Some((read, written)) = taps.get(&key) else { continue };
            let [_, positions, width] = read.shape;
            let start = out.read.len() / width;
            for p in 0..positions {
                // No autoencoder saw BOS, whose norm is far out.
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
            out.turns.push(Turn { row, tokens: start..out.read.len() / width });
        }
        if out.read.is_empty() {
            return Err(Error::other("the run has no tokens from that turn on"));
        }
        Ok(out)
    }
}

/// A conversation's level and encoded tokens.
type Encoded = (usize, Vec<Vec<Active>>);

/// Conversations' means of features; `second` is level 1 of the factor.
pub fn conversations(turns: &[Turn], features: &[Vec<Active>], factor: &str, second: &str) -> Vec<Conversation> {
    let mut by: BTreeMap<(u32, &str), Encoded> = BTreeMap::new();
    for t in turns {
        let level = usize::from(t.row.factors.get(factor).is_some_and(|l| l == second));
        let c = by.entry((t.row.group, &t.row.condition)).or_insert((level, vec![]));
        c.1.extend_from_slice(&features[t.tokens.clone()]);
    }
    by.into_iter().map(|((group, _), (level, tokens))| Conversation { group, level, mean: mean(&tokens) }).collect()
}

/// Turns' means of the rows themselves.
pub fn means(turns: &[Turn], rows: &[f32], width: usize) -> Matrix {
    let mut out = Matrix { data: vec![], cols: width };
    for t in turns {
        let n = t.tokens.len().max(1) as f64;
        let mut sum = vec![0.0; width];
        for row in rows[t.tokens.start * width..t.tokens.end * width].chunks(width) {
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) / n);
        }
        out.data.extend(sum);
    }
    out
}

/// A feature and the answer to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Log-odds of a right answer per standard deviation of the feature's mean in the turn.
    pub estimate: f64,
    /// Its standard error, clustered by group.
    pub se: f64,
    /// Two-sided p, groups' scores flipped in sign: a Wald test is too sure of itself with few groups.
    pub p: f64,
}

/// How a feature goes with the next answer, beside the turn; `None` where it cannot be told.
pub fn next_answer(turns: &[Turn], features: &[Vec<Active>], feature: u32) -> Option<Answer> {
    let value = |t: &Turn| {
        let of = features[t.tokens.clone()].iter().flatten().filter(|a| a.index == feature);
        of.map(|a| f64::from(a.value)).sum::<f64>() / t.tokens.len().max(1) as f64
    };
    let v: Vec<f64> = turns.iter().map(value).collect();
    let n = v.len() as f64;
    let m = v.iter().sum::<f64>() / n;
    let sd = (v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n).sqrt();
    let data = turns.iter().zip(&v).flat_map(|(t, x)| [1.0, (x - m) / sd, f64::from(t.row.turn)]).collect();
    let y: Vec<bool> = turns.iter().map(|t| t.row.correct).collect();
    let groups: Vec<u32> = turns.iter().map(|t| t.row.group).collect();
    let c = clustered_logit(&Matrix { data, cols: 3 }, &y, &groups).ok()?;
    Some(Answer { estimate: c[1].estimate, se: c[1].se, p: scores_p(turns, &v)? })
}

/// Groups' sums of (value − the turn's mean)·(right − the turn's mean), flipped in sign (the score
/// bootstrap of Kline and Santos 2012 with signs, exact under symmetry).
fn scores_p(turns: &[Turn], v: &[f64]) -> Option<f64> {
    let mut means: BTreeMap<u32, (f64, f64, f64)> = BTreeMap::new();
    let right = |t: &Turn| f64::from(u8::from(t.row.correct));
    for (t, v) in turns.iter().zip(v) {
        let m = means.entry(t.row.turn).or_default();
        *m = (m.0 + 1.0, m.1 + v, m.2 + right(t));
    }
    let mut groups: BTreeMap<u32, f64> = BTreeMap::new();
    for (t, v) in turns.iter().zip(v) {
        let (n, sum, rights) = means[&t.row.turn];
        *groups.entry(t.row.group).or_default() += (v - sum / n) * (right(t) - rights / n);
    }
    let scores: Vec<f64> = groups.into_values().collect();
    let size = |s: &[f64]| s.iter().sum::<f64>().abs();
    let flipped: Vec<f64> = (0..FLIPS)
        .map(|i| {
            let mut rng = Rng::new(i);
            size(&scores.iter().map(|s| if rng.bits() & 1 == 0 { *s } else { -s }).collect::<Vec<_>>())
        })
        .collect();
    (scores.len() > 1).then(|| permutation_p(size(&scores), &flipped))
}

const FLIPS: u64 = 2000;

/// Encodes tokens and tells the quality.
pub fn encode(sae: &Sae, tokens: &Tokens) -> (Vec<Vec<Active>>, friction_sae::Quality) {
    let features = sae.encode(&tokens.read);
    let q = friction_sae::quality(&features, &sae.decode(&features, &tokens.read), &tokens.target, sae.width());
    (features, q)
}
