//! QK-norm (of heads, where there is one), RoPE and the cache write, between the qkv product and attention.
use super::sums::cube_sum;
use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Units of a cube: one per rotated pair of a head, rounded up to a power of two and to at least 32.
pub fn units(dim: usize) -> usize {
    (dim / 2).next_power_of_two().max(32)
}

/// One cube per token and head of q, k or v; one unit per pair (i, i + dim / 2). `qkv`
/// `[parts, tokens, (heads + 2 kv_heads) × dim]` is a split-K product whose parts begin `part` and whose rows begin
/// `line` numbers apart; parts are added up here. `cos` and `sin` are `[tokens, dim / 2]`. `to` holds slot and index
/// of each token in `keys` and `values` `[slots, kv_heads, keys, dim]`. `scale` multiplies the queries, which are
/// written to `queries` `[tokens, heads, dim]`. Without `normed` the norms' weights are not read.
#[cube(launch)]
pub fn qk_norm_rope<Y: Float, F: Float>(
    qkv: &[Y],
    q_norm: &[f32],
    k_norm: &[f32],
    cos: &[f32],
    sin: &[f32],
    to: &[i32],
    queries: &mut [F],
    keys: &mut Tensor<F>,
    values: &mut Tensor<F>,
    parts: usize,
    part: usize,
    line: usize,
    eps: f32,
    scale: f32,
    #[comptime] normed: bool,
    #[comptime] q_heads: usize,
    #[comptime] kv_heads: usize,
    #[comptime] dim: usize,
    #[comptime] units: usize,
    #[comptime] plane: usize,
) {
    let half = comptime!(dim / 2);
    let u = UNIT_POS as usize;
    let token = CUBE_POS / comptime!(q_heads + 2 * kv_heads);
    let head = CUBE_POS % comptime!(q_heads + 2 * kv_heads);
    let from = token * line + head * dim;
    let mut a = f32::new(0.0);
    let mut b = f32::new(0.0);
    if u < half {
        for p in 0..parts {
            a += f32::cast_from(qkv[p * part + from + u]);
            b += f32::cast_from(qkv[p * part + from + half + u]);
        }
    }
    let mut sum = f32::new(0.0);
    if comptime!(normed) {
        let mut scratch = Shared::<[f32]>::new_slice(units);
        sum = cube_sum(a * a + b * b, &mut scratch, units, plane);
    }
    if u < half {
        let slot = to[2 * token] as usize;
        let index = to[2 * token + 1] as usize;
        if head >= comptime!(q_heads + kv_heads) {
            let h = head - comptime!(q_heads + kv_heads);
            let at = slot * values.stride(0) + h * values.stride(1) + index * values.stride(2) + u;
            values[at] = F::cast_from(a);
            values[at + half] = F::cast_from(b);
        } else {
            let query = head < q_heads;
            if comptime!(normed) {
                let inverse = f32::new(1.0) / (sum / f32::cast_from(dim) + eps).sqrt();
                a *= inverse * select(query, q_norm[u], k_norm[u]);
                b *= inverse * select(query, q_norm[half + u], k_norm[half + u]);
            }
            let c = cos[token * half + u];
            let s = sin[token * half + u];
            let left = a * c - b * s;
            let right = b * c + a * s;
            if query {
                let at = (token * q_heads + head) * dim + u;
                queries[at] = F::cast_from(left * scale);
                queries[at + half] = F::cast_from(right * scale);
            } else {
                let h = head - q_heads;
                let at = slot * keys.stride(0) + h * keys.stride(1) + index * keys.stride(2) + u;
                keys[at] = F::cast_from(left);
                keys[at + half] = F::cast_from(right);
            }
        }
    }
}
