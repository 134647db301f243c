//! Attention on the processor, in f32. One call per layer normalises and rotates queries and keys, writes keys and
//! values to the cache, and attends.
//!
//! The cache is on the host. Keys are interleaved in groups of 16: `[head_dim, 16]` per group, so that one SIMD
//! vector holds the same dimension of several keys. Values are stored row by row. A query's result depends only on
//! its own keys, added up in the order of their positions: neither on other rows of the batch, nor on how a prompt
//! was split into steps.
use crate::norm::rms_row;
use crate::step::Segment;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Keys that are interleaved in one group.
const BESIDE: usize = 16;
/// Queries of one task. Their accumulators stay in registers.
const ROWS: usize = 8;
/// Values that are added for all queries of a task before moving on, so that they are read from the L1 cache.
const NEAR: usize = 64;

/// The cache of one layer: keys and values of all slots.
#[derive(Debug, Clone)]
pub(crate) struct LayerCache {
    kv_heads: usize,
    head_dim: usize,
    /// Positions per slot, a multiple of 16. Position p is stored at index p mod `keys`.
    keys: usize,
    /// Keys, `[slots, kv_heads, keys / 16, head_dim, 16]`.
    k: Vec<f32>,
    /// Values, `[slots, kv_heads, keys, head_dim]`.
    v: Vec<f32>,
}

/// Inputs of one layer's attention, beside q, k and v.
pub(crate) struct Layer<'a> {
    pub segments: &'a [Segment],
    pub heads: usize,
    /// Weights of the norms of queries and of keys; see [`Norm`].
    pub norms: Norm<'a>,
    pub eps: f32,
    /// Factor of the attention scores: query_pre_attn_scalar^−½. Applied to the queries.
    pub scale: f32,
    /// Soft cap of the scores.
    pub softcap: Option<f32>,
    /// cos and sin of the tokens' positions, `[tokens, head_dim / 2]`.
    pub angles: (&'a [f32], &'a [f32]),
    /// Keys that a query attends to, its own included; `usize::MAX` where there is no window.
    pub window: usize,
}

/// How queries and keys are normalised: weights of queries, then of keys.
pub(crate) enum Norm<'a> {
    /// Not at all.
    None,
    /// Head by head, `[head_dim]` each.
    Head(&'a [f32], &'a [f32]),
    /// All heads of a token together, `[heads × head_dim]` and `[kv_heads × head_dim]`.
    Projection(&'a [f32], &'a [f32]),
}

impl LayerCache {
    pub fn new(slots: usize, kv_heads: usize, keys: usize, head_dim: usize) -> Self {
        let size = slots * kv_heads * keys * head_dim;
        Self { kv_heads, head_dim, keys, k: vec![0.0; size], v: vec![0.0; size] }
    }

    /// Copies positions `0..len` of slot `from` to slot `to`.
    pub fn fork(&mut self, from: usize, to: usize, len: usize) {
        let one = self.keys * self.head_dim;
        let count = len.next_multiple_of(BESIDE).min(self.keys) * self.head_dim;
        for head in 0..self.kv_heads {
            let [from, to] = [from, to].map(|slot| (slot * self.kv_heads + head) * one);
            self.k.copy_within(from..from + count, to);
            self.v.copy_within(from..from + count, to);
        }
    }

    /// Takes the qkv product `[tokens, (heads + 2 kv_heads) × head_dim]`, row-major; writes keys and values to the
    /// cache; returns attention outputs `[tokens, heads × head_dim]`, before the output projection.
    pub fn attention(&mut self, mut qkv: Vec<f32>, layer: &Layer) -> Vec<f32> {
        let (d, heads, kv) = (self.head_dim, layer.heads, self.kv_heads);
        let wide = (heads + 2 * kv) * d;
        qkv.par_chunks_mut(wide).with_min_len(8).enumerate().for_each(|(t, row)| {
            let own = t * d / 2..(t + 1) * d / 2;
            let (cos, sin) = (&layer.angles.0[own.clone()], &layer.angles.1[own]);
            if let Norm::Projection(q, k) = layer.norms {
                let (queries, keys) = row.split_at_mut(heads * d);
                rms_row(queries, q, layer.eps);
                rms_row(&mut keys[..kv * d], k, layer.eps);
            }
            for (h, x) in row.chunks_mut(d).take(heads + kv).enumerate() {
                if let Norm::Head(q, k) = layer.norms {
                    rms_row(x, if h < heads { q } else { k }, layer.eps);
                }
                rotate(x, cos, sin, if h < heads { layer.scale } else { 1.0 });
            }
        });
        // Each segment with the index of its first token in the step.
        let (mut segments, mut tokens) = (vec![], 0);
        for s in layer.segments {
            segments.push((tokens, *s));
            tokens += s.len;
        }
        for (at, s) in &segments {
            for (i, row) in qkv[at * wide..(at + s.len) * wide].chunks(wide).enumerate() {
                self.keep(s.slot, s.start + i, &row[heads * d..]);
            }
        }
        let (kept, qkv, groups) = (&*self, &qkv[..], heads / kv);
        let mut tasks = vec![];
        for (at, segment) in segments {
            let queries = groups * segment.len;
            let task = |head, from| Task { kept, qkv, layer, segment, at, head, from, rows: ROWS.min(queries - from) };
            tasks.extend((0..kv).flat_map(|head| (0..queries).step_by(ROWS).map(move |from| task(head, from))));
        }
        let arch = Arch::new();
        let done: Vec<Vec<f32>> = tasks.par_iter().map(|task| arch.dispatch(*task)).collect();
        let mut out = vec![0f32; tokens * heads * d];
        for (task, done) in tasks.iter().zip(&done) {
            for (row, done) in done.chunks(d).enumerate() {
                let (token, head) = task.place(row);
                out[(token * heads + head) * d..][..d].copy_from_slice(done);
            }
        }
        out
    }

    /// Writes the keys and values of one position, `[2, kv_heads, head_dim]`, to the cache.
    fn keep(&mut self, slot: usize, position: usize, kv: &[f32]) {
        let (d, at) = (self.head_dim, position % self.keys);
        let (keys, values) = kv.split_at(self.kv_heads * d);
        for (head, (key, value)) in keys.chunks(d).zip(values.chunks(d)).enumerate() {
            let first = (slot * self.kv_heads + head) * self.keys * d;
            self.v[first + at * d..][..d].copy_from_slice(value);
            let beside = &mut self.k[first + at / BESIDE * BESIDE * d..][..BESIDE * d];
            beside.iter_mut().skip(at % BESIDE).step_by(BESIDE).zip(key).for_each(|(to, k)| *to = *k);
        }
    }
}

/// Rotates one head in place (see [`crate::rope`]) and multiplies it by `scale`.
fn rotate(x: &mut [f32], cos: &[f32], sin: &[f32], scale: f32) {
    let (left, right) = x.split_at_mut(cos.len());
    for (((a, b), cos), sin) in left.iter_mut().zip(right).zip(cos).zip(sin) {
        (*a, *b) = ((*a * cos - *b * sin) * scale, (*b * cos + *a * sin) * scale);
    }
}

/// A unit of parallel work: up to `ROWS` queries of one segment that share a key head. Query r of the segment and key
/// head is token r / groups, head r mod groups, where groups = heads / kv_heads.
#[derive(Clone, Copy)]
struct Task<'a> {
    kept: &'a LayerCache,
    qkv: &'a [f32],
    layer: &'a Layer<'a>,
    segment: Segment,
    /// Index of the segment's first token in the step.
    at: usize,
    head: usize,
    from: usize,
    rows: usize,
}

impl WithSimd for Task<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        match self.rows {
            4 => self.rows::<S, 4>(simd),
            2 => self.rows::<S, 2>(simd),
            1 => self.rows::<S, 1>(simd),
            // Other counts (3, 5, 6, 7) run as eight; the results of the surplus rows are discarded.
            _ => self.rows::<S, ROWS>(simd),
        }
    }
}

impl Task<'_> {
    /// The token (index in the step) and query head of row `row` of this task.
    #[inline(always)]
    fn place(&self, row: usize) -> (usize, usize) {
        let groups = self.layer.heads / self.kept.kv_heads;
        let query = self.from + row;
        (self.at + query / groups, self.head * groups + query % groups)
    }

    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&self, simd: S) -> Vec<f32> {
        match S::F32_LANES {
            16 => self.compute::<S, R, 1, 2>(simd),
            8 => self.compute::<S, R, 2, 1>(simd),
            4 => self.compute::<S, R, 4, 1>(simd),
            _ => self.compute::<S, R, BESIDE, 1>(simd),
        }
    }

    /// Softmax attention of this task's queries. `R` is the number of rows computed, `V` the SIMD vectors that hold
    /// 16 keys, `W` the SIMD vectors of a value that are accumulated at a time. Returns `[rows, head_dim]`.
    #[inline(always)]
    fn compute<S: Simd, const R: usize, const V: usize, const W: usize>(&self, simd: S) -> Vec<f32> {
        let (kept, d) = (self.kept, self.kept.head_dim);
        let groups = self.layer.heads / kept.kv_heads;
        let wide = (self.layer.heads + 2 * kept.kv_heads) * d;
        let position = |r: usize| self.segment.start + (self.from + r.min(self.rows - 1)) / groups;
        let seen = |r: usize| (position(r) + 1).saturating_sub(self.layer.window)..position(r) + 1;
        let (lo, hi) = (seen(0).start, seen(self.rows - 1).end);

        // Queries transposed: `[head_dim, R]`.
        let mut q = vec![[0f32; R]; d];
        for r in 0..self.rows {
            let (token, head) = self.place(r);
            let at = token * wide + head * d;
            q.iter_mut().zip(&self.qkv[at..at + d]).for_each(|(q, x)| q[r] = *x);
        }

        // Scores of all keys in range, `[keys, R]`; the softmax then turns them into weights in place.
        let first = (self.segment.slot * kept.kv_heads + self.head) * kept.keys * d;
        let (k, v) = (&kept.k[first..][..kept.keys * d], &kept.v[first..][..kept.keys * d]);
        let begin = lo / BESIDE;
        let tiles = begin..hi.div_ceil(BESIDE);
        let mut weights = vec![[0f32; R]; tiles.len() * BESIDE];
        for (tile, weights) in tiles.zip(weights.chunks_mut(BESIDE)) {
            let at = tile % (kept.keys / BESIDE) * BESIDE * d;
            scores::<S, R, V>(simd, &q, &k[at..at + BESIDE * d], weights);
            if let Some(cap) = self.layer.softcap {
                weights.iter_mut().flatten().for_each(|score| *score = cap * (*score / cap).tanh());
            }
        }
        let mut sums = [1f32; R];
        for (r, sum) in sums.iter_mut().enumerate().take(self.rows) {
            let seen = seen(r);
            let own = seen.start - begin * BESIDE..seen.end - begin * BESIDE;
            let most = weights[own.clone()].iter().fold(f32::NEG_INFINITY, |m, w| m.max(w[r]));
            let mut total = 0f64;
            for (j, w) in weights.iter_mut().enumerate() {
                w[r] = if own.contains(&j) { (w[r] - most).exp() } else { 0.0 };
                total += f64::from(w[r]);
            }
            *sum = total as f32;
        }

        let mut out = vec![0f32; R * d];
        let mut p = lo;
        while p < hi {
            // Takes keys that are contiguous in the ring.
            let at = p % kept.keys;
            let n = (hi - p).min(kept.keys - at).min(NEAR);
            let weights = &weights[p - begin * BESIDE..][..n];
            add::<S, R, W>(simd, weights, &v[at * d..(at + n) * d], &mut out, d);
            p += n;
        }
        for (out, sum) in out.chunks_mut(d).zip(sums) {
            out.iter_mut().for_each(|x| *x /= sum);
        }
        out.truncate(self.rows * d);
        out
    }
}

/// Dot products of `R` queries with one group of 16 keys: `q` is `[head_dim, R]`, `keys` `[head_dim, 16]`, `out`
/// `[16, R]`.
#[inline(always)]
fn scores<S: Simd, const R: usize, const V: usize>(simd: S, q: &[[f32; R]], keys: &[f32], out: &mut [[f32; R]]) {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (q, k) in q.iter().zip(keys.chunks_exact(BESIDE)) {
        let (k, _) = S::as_simd_f32s(k);
        let Ok(k): Result<&[S::f32s; V], _> = k.try_into() else { unreachable!("sixteen keys are V vectors") };
        for (sums, q) in sums.iter_mut().zip(q) {
            let q = simd.splat_f32s(*q);
            sums.iter_mut().zip(k).for_each(|(sum, k)| *sum = simd.mul_add_f32s(q, *k, *sum));
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let mut row = [0f32; BESIDE];
        let (vectors, _) = S::as_mut_simd_f32s(&mut row);
        vectors.copy_from_slice(sums);
        out.iter_mut().zip(row).for_each(|(out, score)| out[r] = score);
    }
}

/// Adds Σ weight · value to `out` `[R, head_dim]`; `weights` is `[keys, R]`, `values` `[keys, head_dim]`.
#[inline(always)]
fn add<S: Simd, const R: usize, const W: usize>(
    simd: S,
    weights: &[[f32; R]],
    values: &[f32],
    out: &mut [f32],
    d: usize,
) {
    let step = W * S::F32_LANES;
    let whole = d / step * step;
    for c in (0..whole).step_by(step) {
        let mut sums = [[simd.splat_f32s(0.0); W]; R];
        for (sums, out) in sums.iter_mut().zip(out.chunks(d)) {
            let (out, _) = S::as_simd_f32s(&out[c..c + step]);
            sums.copy_from_slice(out);
        }
        for (weights, value) in weights.iter().zip(values.chunks_exact(d)) {
            let (value, _) = S::as_simd_f32s(&value[c..c + step]);
            let Ok(value): Result<&[S::f32s; W], _> = value.try_into() else { unreachable!("a step is W vectors") };
            for (sums, w) in sums.iter_mut().zip(weights) {
                let w = simd.splat_f32s(*w);
                sums.iter_mut().zip(value).for_each(|(sum, value)| *sum = simd.mul_add_f32s(w, *value, *sum));
            }
        }
        for (sums, out) in sums.iter().zip(out.chunks_mut(d)) {
            let (out, _) = S::as_mut_simd_f32s(&mut out[c..c + step]);
            out.copy_from_slice(sums);
        }
    }
    // The remainder, where head_dim is not a multiple of the step.
    for c in whole..d {
        for (weights, value) in weights.iter().zip(values.chunks_exact(d)) {
            out.chunks_mut(d).zip(weights).for_each(|(out, w)| out[c] = w.mul_add(value[c], out[c]));
        }
    }
}

#[cfg(test)]
mod tests;
