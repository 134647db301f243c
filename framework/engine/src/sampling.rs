//! Picking the next token from logits.
use friction_core::seed::derive;

/// How tokens are picked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits before the softmax. 0 means greedy: the likeliest token.
    pub temperature: f64,
    /// Nucleus sampling: keep the smallest set of likeliest tokens whose probabilities sum to this. 1 keeps all.
    pub top_p: f64,
}

impl Sampling {
    /// Always picks the largest logit.
    pub const GREEDY: Self = Self { temperature: 0.0, top_p: 1.0 };

    /// Whether the likeliest token is always picked, so that no draw is needed.
    pub fn greedy(self) -> bool {
        self.temperature == 0.0
    }

    /// Draws a token id from softmax(logits / temperature), limited to `top_p`. The random number depends only on
    /// `seed` and `index`, the token's index in the reply from 0.
    pub fn draw(self, logits: &[f32], seed: u64, index: usize) -> u32 {
        if self.greedy() {
            return argmax(logits);
        }
        let max = f64::from(logits[argmax(logits) as usize]);
        let weight = |l: f32| ((f64::from(l) - max) / self.temperature).exp();
        let u = (derive(&[&seed.to_le_bytes(), &(index as u64).to_le_bytes()]) >> 11) as f64 / (1u64 << 53) as f64;
        let mut order: Vec<(f64, u32)> = logits.iter().enumerate().map(|(i, l)| (weight(*l), i as u32)).collect();
        let mut total: f64 = order.iter().map(|(w, _)| w).sum();
        if self.top_p < 1.0 {
            order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let (mut kept, mut sum) = (0, 0.0);
            while kept < order.len() && sum < self.top_p * total {
                sum += order[kept].0;
                kept += 1;
            }
            order.truncate(kept.max(1));
            total = order.iter().map(|(w, _)| w).sum();
        }
        let mut rest = u * total;
        for (w, i) in &order {
            rest -= w;
            if rest < 0.0 {
                return *i;
            }
        }
        argmax(logits)
    }
}

/// Index of the largest logit; the first of equal ones.
pub fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, l) in logits.iter().enumerate() {
        if *l > logits[best] {
            best = i;
        }
    }
    best as u32
}

/// Log-probabilities (nats) of `ids` under softmax(logits); NaN for an id without a logit.
pub fn log_probs(logits: &[f32], ids: &[u32]) -> Vec<f32> {
    let max = f64::from(logits[argmax(logits) as usize]);
    let sum: f64 = logits.iter().map(|l| (f64::from(*l) - max).exp()).sum();
    let log = max + sum.ln();
    ids.iter().map(|i| logits.get(*i as usize).map_or(f32::NAN, |l| (f64::from(*l) - log) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0, (2f32).ln(), (7f32).ln()];
        let s = Sampling { temperature: 1.0, top_p: 1.0 };
        let n = 20_000;
        let mut counts = [0usize; 3];
        for i in 0..n {
            counts[s.draw(&logits, 5, i) as usize] += 1;
        }
        for (c, p) in counts.iter().zip([0.1, 0.2, 0.7]) {
            let sd = (p * (1.0 - p) / n as f64).sqrt();
            assert!((*c as f64 / n as f64 - p).abs() < 5.0 * sd, "{counts:?}");
        }
        let top = Sampling { temperature: 1.0, top_p: 0.8 };
        assert!((0..2000).all(|i| top.draw(&logits, 9, i) != 0));
        let p = log_probs(&logits, &[0, 2]);
        assert!((p[0] - 0.1f32.ln()).abs() < 1e-6 && (p[1] - 0.7f32.ln()).abs() < 1e-6);
    }
}
