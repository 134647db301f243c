//! Seeded random weights for any configuration, for benchmarks and tests.
use super::TensorSource;
use crate::{Arch, Result};
use friction_core::seed::derive;
use rayon::prelude::*;

/// Weights with mean 0 and standard deviation 0.02, approximately normal; norms multiply by 1 plus such a number, so the
/// stored weights have mean 1 where the architecture adds nothing to them. Each tensor depends only on its name, the seed
/// and that.
pub struct RandomWeights {
    /// Seed of all tensors.
    pub seed: u64,
    parameters: u64,
    /// Mean of the stored norm weights.
    norms: f32,
}

impl RandomWeights {
    /// Random weights for an architecture, whose number of parameters it reports.
    pub fn new(arch: &Arch, seed: u64) -> Self {
        Self { seed, parameters: arch.parameters(), norms: 1.0 - arch.norm_offset }
    }
}

impl TensorSource for RandomWeights {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        const CHUNK: usize = 1 << 16;
        let base = derive(&[&self.seed.to_le_bytes(), name.as_bytes()]);
        let mean = if name.ends_with("norm.weight") { self.norms } else { 0.0 };
        let mut out = vec![0f32; shape.iter().product()];
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
            let mut state = derive(&[&base.to_le_bytes(), &(i as u64).to_le_bytes()]);
            for w in chunk {
                // A sum of four uniforms: roughly normal, fast, and the same on every platform.
                let mut sum = 0i64;
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let bits = state ^ (state >> 29);
                for k in 0..4 {
                    sum += ((bits >> (16 * k)) & 0xffff) as i64 - 0x8000;
                }
                *w = mean + sum as f32 * (0.02 / (65536.0 / 3f32.sqrt()));
            }
        });
        Ok(out)
    }
    fn parameters(&self) -> u64 {
        self.parameters
    }
}
