//! Rotary position embedding (RoPE) in the half-split form: dimension i is paired with i + head_dim / 2 (Su et al.
//! 2021, arXiv 2104.09864).
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_checkpoint::arch::RopeParameters;
use rayon::prelude::*;
use std::sync::{PoisonError, RwLock};

/// Inverse frequencies of one kind of layer and a table of the cosines and sines computed so far. Frequencies and angles
/// are f32, as in transformers.
#[derive(Debug)]
pub struct Rope {
    inv: Vec<f32>,
    /// Factor of cosines and sines.
    factor: f32,
    /// cos and sin of positions `0..n`, row-major `[n, head_dim / 2]`. Grows on demand; [`crate::Model::cache`]
    /// computes all positions of a cache in advance.
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    /// The frequencies of `parameters`, for heads of `head_dim`. Without parameters all are 0: positions are not encoded.
    pub fn new(head_dim: usize, parameters: Option<&RopeParameters>) -> Self {
        let inv = parameters.map_or_else(|| vec![0.0; head_dim / 2], |p| p.inverse_frequencies(head_dim));
        Self { inv, factor: parameters.map_or(1.0, RopeParameters::attention_factor), known: RwLock::default() }
    }

    /// cos and sin of the given positions as f32 tensors `[tokens, 1, head_dim / 2]` on `device`.
    pub fn tables(&self, positions: &[usize], device: &Device) -> (Tensor<3>, Tensor<3>) {
        let shape = [positions.len(), 1, self.inv.len()];
        let make = |v: Vec<f32>| Tensor::from_data(TensorData::new(v, shape), (device, DType::F32));
        let (cos, sin) = self.numbers(positions);
        (make(cos), make(sin))
    }

    /// cos and sin of the given positions on the host, row-major `[tokens, head_dim / 2]`.
    pub fn numbers(&self, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
        self.reach(positions.iter().max().map_or(0, |p| p + 1));
        let (half, known) = (self.inv.len(), self.known.read().unwrap_or_else(PoisonError::into_inner));
        let of = |all: &[f32]| positions.iter().flat_map(|p| &all[p * half..(p + 1) * half]).copied().collect();
        (of(&known.cos), of(&known.sin))
    }

    /// Extends the table to positions `0..end`.
    pub(crate) fn reach(&self, end: usize) {
        let half = self.inv.len();
        if self.known.read().unwrap_or_else(PoisonError::into_inner).cos.len() >= end * half {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let from = known.cos.len() / half;
        let angle = |f: fn(f64) -> f64| -> Vec<f32> {
            (from..end)
                .into_par_iter()
                .flat_map_iter(|p| self.inv.iter().map(move |w| f(f64::from(p as f32 * w)) as f32 * self.factor))
                .collect()
        };
        let (cos, sin) = (angle(f64::cos), angle(f64::sin));
        known.cos.extend(cos);
        known.sin.extend(sin);
    }

    /// Number of frequencies: head_dim / 2.
    pub fn len(&self) -> usize {
        self.inv.len()
    }
    /// Whether there are no frequencies (a head dimension below 2).
    pub fn is_empty(&self) -> bool {
        self.inv.is_empty()
    }
}

/// Rotates `x` `[tokens, heads, head_dim]` by `cos` and `sin` `[tokens, 1, head_dim / 2]`; the pairs are (i, i +
/// head_dim / 2).
pub fn rotate(x: Tensor<3>, cos: &Tensor<3>, sin: &Tensor<3>) -> Tensor<3> {
    let half = x.dims()[2] / 2;
    let (a, b) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
    let left = a.clone() * cos.clone() - b.clone() * sin.clone();
    let right = b * cos.clone() + a * sin.clone();
    Tensor::cat(vec![left, right], 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_not_computed_again_and_says_the_same() {
        let parameters = RopeParameters { theta: 1e6, scaling: friction_checkpoint::arch::Scaling::Linear(8.0) };
        let (ahead, stepwise) = (Rope::new(8, Some(&parameters)), Rope::new(8, Some(&parameters)));
        ahead.reach(2000);
        for at in [0, 1, 300, 1999] {
            assert_eq!(ahead.numbers(&[at]), stepwise.numbers(&[at]), "position {at}");
            let angle = f64::from(at as f32 * ahead.inv[1]);
            assert_eq!(ahead.numbers(&[at]).0[1], angle.cos() as f32);
        }
        assert_eq!(ahead.known.read().unwrap().cos.len(), 2000 * ahead.len());
    }
}
