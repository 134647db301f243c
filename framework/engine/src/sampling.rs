//! Picking the next token from logits.
use friction_core::manifest::GenerationSection;
use friction_core::seed::derive;

/// How tokens are picked: the logits are divided by the temperature, then `top_k` limits the tokens, then `top_p` those
/// that are left, as transformers orders its warpers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits before the softmax. 0 means greedy: the likeliest token.
    pub temperature: f64,
    /// Nucleus sampling: keep the smallest set of likeliest tokens whose probabilities sum to this. 1 keeps all.
    pub top_p: f64,
    /// Keep so many of the likeliest tokens, and those that are as likely as the last of them. `None` keeps all.
    pub top_k: Option<usize>,
}

impl From<&GenerationSection> for Sampling {
    fn from(g: &GenerationSection) -> Self {
        Self { temperature: g.temperature, top_p: g.top_p, top_k: g.top_k }
    }
}

impl Sampling {
    /// Always picks the largest logit.
    pub const GREEDY: Self = Self { temperature: 0.0, top_p: 1.0, top_k: None };

    /// Whether the likeliest token is always picked, so that no draw is needed.
    pub fn greedy(self) -> bool {
        self.temperature == 0.0
    }

    /// Draws a token id from softmax(logits / temperature), limited to `top_k` and `top_p`. The random number depends
    /// only on `seed` and `index`, the token's index in the reply from 0.
    pub fn draw(self, logits: &[f32], seed: u64, index: usize) -> u32 {
        if self.greedy() {
            return argmax(logits);
        }
        let u = (derive(&[&seed.to_le_bytes(), &(index as u64).to_le_bytes()]) >> 11) as f64 / (1u64 << 53) as f64;
        let kept = self.kept(logits);
        let total: f64 = kept.iter().map(|(w, _)| w).sum();
        let mut rest = u * total;
        for (w, i) in &kept {
            rest -= w;
            if rest < 0.0 {
                return *i;
            }
        }
        argmax(logits)
    }

    /// The tokens that are drawn from, each with a weight in proportion to its probability.
    fn kept(self, logits: &[f32]) -> Vec<(f64, u32)> {
        let max = f64::from(logits[argmax(logits) as usize]);
        let weight = |l: f32| ((f64::from(l) - max) / self.temperature).exp();
        let least = self.top_k.filter(|k| (1..logits.len()).contains(k)).map(|k| {
            let mut sorted = logits.to_vec();
            *sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
        });
        let within = logits.iter().enumerate().filter(|(_, l)| least.is_none_or(|least| **l >= least));
        let mut order: Vec<(f64, u32)> = within.map(|(i, l)| (weight(*l), i as u32)).collect();
        if self.top_p < 1.0 {
            let total: f64 = order.iter().map(|(w, _)| w).sum();
            let reach = self.top_p * total;
            // All tokens below this weight together weigh less than what `top_p` leaves out. Only the others are sorted:
            // of a large vocabulary they are few.
            let least = (total - reach) / order.len() as f64;
            let mut likely: Vec<(f64, u32)> = order.iter().copied().filter(|(w, _)| *w >= least).collect();
            if !nucleus(&mut likely, reach) {
                // Rounding: the likely ones fall short of `reach` by a last bit.
                nucleus(&mut order, reach);
                return order;
            }
            return likely;
        }
        order
    }
}

/// Sorts tokens by weight, largest first, and keeps the fewest whose weights sum to `reach`, at least one. Returns
/// whether they do.
fn nucleus(tokens: &mut Vec<(f64, u32)>, reach: f64) -> bool {
    tokens.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let (mut kept, mut sum) = (0, 0.0);
    while kept < tokens.len() && sum < reach {
        sum += tokens[kept].0;
        kept += 1;
    }
    tokens.truncate(kept.max(1));
    sum >= reach
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.0, (2f32).ln(), (7f32).ln()];
        let s = Sampling { temperature: 1.0, ..Sampling::GREEDY };
        let n = 20_000;
        let mut counts = [0usize; 3];
        for i in 0..n {
            counts[s.draw(&logits, 5, i) as usize] += 1;
        }
        for (c, p) in counts.iter().zip([0.1, 0.2, 0.7]) {
            let sd = (p * (1.0 - p) / n as f64).sqrt();
            assert!((*c as f64 / n as f64 - p).abs() < 5.0 * sd, "{counts:?}");
        }
        for limited in [Sampling { top_p: 0.8, ..s }, Sampling { top_k: Some(2), ..s }] {
            let mut counts = [0usize; 3];
            for i in 0..n {
                counts[limited.draw(&logits, 9, i) as usize] += 1;
            }
            let (share, p) = (counts[1] as f64 / n as f64, 2.0 / 9.0);
            assert!(counts[0] == 0 && (share - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt(), "{counts:?}");
        }
        let p = log_probs(&logits, &[0, 2]);
        assert!((p[0] - 0.1f32.ln()).abs() < 1e-6 && (p[1] - 0.7f32.ln()).abs() < 1e-6);
    }

    /// Leaving unlikely tokens unsorted changes nothing, bit for bit.
    #[test]
    fn the_nucleus_is_that_of_all_tokens() {
        let mut state = 7u64;
        let mut uniform = || {
            state = derive(&[&state.to_le_bytes()]);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        for case in 0..400 {
            let n = 1 + (uniform() * 500.0) as usize;
            let spread = [0.0, 1e-9, 1.0, 8.0, 60.0][case % 5];
            // Rounded logits are often equal.
            let logits: Vec<f32> = (0..n).map(|_| ((uniform() * spread * 4.0).round() / 4.0) as f32).collect();
            let top_p = [0.0, 0.3, 0.9, 0.999_999, 1.0 - 1e-15][case / 5 % 5];
            let s = Sampling { temperature: 0.7, top_p, top_k: None };
            let mut all = Sampling { top_p: 1.0, ..s }.kept(&logits);
            let reach = top_p * all.iter().map(|(w, _)| w).sum::<f64>();
            nucleus(&mut all, reach);
            assert_eq!(s.kept(&logits), all, "{s:?}");
        }
    }

    /// `tests/data/warpers.json` holds which tokens transformers keeps, and with which probabilities;
    /// `tests/data/warpers.py` made it.
    #[test]
    fn limits_keep_what_transformers_keeps() {
        use friction_core::serde_json::{self, Value};
        let all: Value = serde_json::from_str(include_str!("../tests/data/warpers.json")).unwrap();
        let cases = all["cases"].as_array().unwrap();
        let mut limited = [0; 2];
        for case in cases {
            let numbers =
                |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
            let logits: Vec<f32> = numbers(&case["logits"]).into_iter().map(|x| x as f32).collect();
            let s = Sampling {
                temperature: case["temperature"].as_f64().unwrap(),
                top_p: case["top_p"].as_f64().unwrap(),
                top_k: case["top_k"].as_u64().map(|k| k as usize),
            };
            let mut kept = s.kept(&logits);
            kept.sort_by_key(|(_, i)| *i);
            let ids: Vec<f64> = kept.iter().map(|(_, i)| f64::from(*i)).collect();
            assert_eq!(ids, numbers(&case["kept"]), "{s:?} {logits:?}");
            let total: f64 = kept.iter().map(|(w, _)| w).sum();
            for ((w, _), p) in kept.iter().zip(numbers(&case["probabilities"])) {
                assert!((w / total - p).abs() < 1e-5, "{s:?} {logits:?}");
            }
            limited[usize::from(s.top_k.is_some() && s.top_p < 1.0)] += usize::from(ids.len() < logits.len());
        }
        assert!(cases.len() >= 60 && limited.iter().all(|n| *n >= 10), "{} {limited:?}", cases.len());
    }
}
