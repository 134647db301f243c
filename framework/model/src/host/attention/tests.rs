//! Attention equals its definition.
#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

const HEADS: usize = 6;
const KV: usize = 2;

struct World {
    d: usize,
    keys: usize,
    window: usize,
    norms: [Vec<f32>; 2],
}

fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn angles(w: &World, positions: impl Iterator<Item = usize> + Clone) -> (Vec<f32>, Vec<f32>) {
    let all = |f: fn(f32) -> f32| -> Vec<f32> {
        positions.clone().flat_map(|p| (0..w.d / 2).map(move |i| f(p as f32 / (1.0 + i as f32)))).collect()
    };
    (all(f32::cos), all(f32::sin))
}

impl World {
    fn run(&self, kept: &mut LayerCache, qkv: &[f32], segments: &[Segment]) -> Vec<f32> {
        let (cos, sin) = angles(self, segments.iter().flat_map(|s| s.start..s.start + s.len));
        let [q_norm, k_norm] = &self.norms;
        let angles = (&cos[..], &sin[..]);
        let (scale, eps) = (0.3, 1e-6);
        let norms = Norm::Head(q_norm, k_norm);
        let layer = Layer { segments, heads: HEADS, norms, eps, scale, softcap: None, angles, window: self.window };
        kept.attention(qkv.to_vec(), &layer)
    }

    /// Reference: attention by its definition, in f64, for one conversation from its first token on.
    fn defined(&self, qkv: &[f32]) -> Vec<f64> {
        let (d, wide) = (self.d, (HEADS + 2 * KV) * self.d);
        let n = qkv.len() / wide;
        let (cos, sin) = angles(self, 0..n);
        let head = |t: usize, h: usize| -> Vec<f64> {
            let x: Vec<f64> = qkv[t * wide + h * d..][..d].iter().map(|x| f64::from(*x)).collect();
            if h >= HEADS + KV {
                return x;
            }
            let w = &self.norms[usize::from(h >= HEADS)];
            let by = (x.iter().map(|x| x * x).sum::<f64>() / d as f64 + 1e-6).sqrt();
            let x: Vec<f64> = x.iter().zip(w).map(|(x, w)| x / by * f64::from(*w)).collect();
            let of = |i: usize| (f64::from(cos[t * d / 2 + i]), f64::from(sin[t * d / 2 + i]));
            let left = (0..d / 2).map(|i| x[i] * of(i).0 - x[i + d / 2] * of(i).1);
            let right = (0..d / 2).map(|i| x[i + d / 2] * of(i).0 + x[i] * of(i).1);
            left.chain(right).collect()
        };
        let mut out = vec![];
        for t in 0..n {
            for h in 0..HEADS {
                let (q, kv) = (head(t, h), h / (HEADS / KV));
                let seen = (t + 1).saturating_sub(self.window)..t + 1;
                let dot = |k: Vec<f64>| q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() * 0.3;
                let e: Vec<f64> = seen.clone().map(|p| dot(head(p, HEADS + kv)).exp()).collect();
                let sum: f64 = e.iter().sum();
                let mut row = vec![0f64; d];
                for (p, e) in seen.zip(e) {
                    row.iter_mut().zip(head(p, HEADS + KV + kv)).for_each(|(r, v)| *r += e / sum * v);
                }
                out.extend(row);
            }
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_is_the_definition_however_a_prompt_is_cut_and_whatever_runs_beside_it(
        seed in any::<u64>(),
        cuts in prop::collection::vec(1usize..17, 2..8),
        d in prop::sample::select(vec![8usize, 20, 64]),
        sliding in any::<bool>(),
    ) {
        let n: usize = cuts.iter().sum();
        // Sliding: a ring that wraps. Global: all keys.
        let (keys, window) = if sliding { (32, 16) } else { (n.next_multiple_of(16), usize::MAX) };
        let norms = [1, 2].map(|s| numbers(seed ^ s, d).iter().map(|w| w + 1.5).collect());
        let w = World { d, keys, window, norms };
        let wide = (HEADS + 2 * KV) * d;
        let (qkv, other) = (numbers(seed, n * wide), numbers(!seed, n * wide));
        let (mut alone, mut beside) = (LayerCache::new(1, KV, w.keys, d), LayerCache::new(3, KV, w.keys, d));
        let (mut got, mut at) = (vec![], 0);
        for len in cuts {
            let part = at * wide..(at + len) * wide;
            let segment = |slot| Segment { slot, start: at, len };
            let both = [&other[part.clone()], &qkv[part.clone()]].concat();
            let both = w.run(&mut beside, &both, &[segment(2), segment(1)]);
            let both = &both[len * HEADS * d..];
            // Compare with one token at a time in a batch of one.
            for (t, both) in (at..).zip(both.chunks(HEADS * d)) {
                let one = &qkv[t * wide..(t + 1) * wide];
                let one = w.run(&mut alone, one, &[Segment { slot: 0, start: t, len: 1 }]);
                prop_assert_eq!(&one[..], both, "token {}", t);
            }
            got.extend_from_slice(both);
            at += len;
        }
        for (g, want) in got.iter().zip(w.defined(&qkv)) {
            prop_assert!((f64::from(*g) - want).abs() < 1e-5, "{} {}", g, want);
        }
        // A forked slot continues exactly as its source does.
        beside.fork(1, 0, n);
        let next = numbers(seed ^ 3, wide);
        if sliding {
            let of = |kept: &mut LayerCache, slot| w.run(kept, &next, &[Segment { slot, start: n, len: 1 }]);
            prop_assert_eq!(of(&mut beside, 1), of(&mut beside, 0));
        }
    }
}
