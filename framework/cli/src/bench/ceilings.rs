//! The rates that the machine reaches at best, measured in the same run: copying memory and multiplying matrices.
use crate::error::{CliError, Result};
use burn::tensor::{DType, Device, Distribution, Tensor};
use friction_checkpoint::Arch;
use friction_model::Model;
use rayon::prelude::*;
use std::time::Instant;

/// The measured rates.
pub(super) struct Ceilings {
    /// Bytes read and written per second: adding a number to a large tensor, or on the host a copy.
    pub bytes: f64,
    /// Floating-point operations per second (a multiplication and an addition count as two) of a square product of
    /// random matrices, computed by [`Model::prompt_product`].
    pub operations: f64,
}

pub(super) fn measure(model: &Model) -> Result<Ceilings> {
    let device = &model.device;
    let host = *device == Device::flex();
    let sync = || device.sync().map_err(|e| CliError::Failed(format!("the device failed: {e:?}").into()));
    let best = |mut work: Box<dyn FnMut() + '_>| -> Result<f64> {
        let (mut best, began) = (f64::INFINITY, Instant::now());
        for done in 0..12 {
            // Software devices are slow at sizes that suit others.
            if done > 1 && began.elapsed().as_secs_f64() > 5.0 {
                break;
            }
            let t = Instant::now();
            work();
            sync()?;
            best = best.min(t.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    // The most f32 numbers that one buffer of the device holds.
    let room = model.largest_buffer().map_or(usize::MAX, |bytes| (bytes / 4) as usize);
    let n = if host { 1 << 25 } else { room.min(1 << 28) };
    let copy = if host {
        // On all cores, between buffers that are already allocated and touched.
        let (from, mut to) = (vec![1f32; n], vec![0f32; n]);
        best(Box::new(move || {
            to.par_chunks_mut(1 << 16).zip(from.par_chunks(1 << 16)).for_each(|(to, from)| to.copy_from_slice(from));
            std::hint::black_box(&to);
        }))?
    } else {
        let x = Tensor::<1>::random([n], Distribution::Uniform(-1.0, 1.0), (device, DType::F32));
        best(Box::new(move || drop((x.clone() + 1.0).narrow(0, 0, 1).into_data())))?
    };
    let side = if host { 1024 } else { (room.isqrt() / 1024 * 1024).clamp(1024, 8192) };
    let random =
        || Tensor::<2>::random([side, side], Distribution::Uniform(-1.0, 1.0), (device, DType::F32)).cast(model.dtype);
    let (a, b) = (random(), random());
    let product = best(Box::new(move || drop(model.prompt_product(a.clone(), &b).narrow(0, 0, 1).into_data())))?;
    Ok(Ceilings { bytes: 8.0 * n as f64 / copy, operations: 2.0 * (side as f64).powi(3) / product })
}

/// Bytes of the keys and values that a decode step reads; `bytes` is the size of one number.
pub(super) fn sight_bytes(c: &Arch, bytes: usize, batch: usize, context: usize) -> u64 {
    let keys: usize = (0..c.layers()).map(|l| c.kind(l).window.map_or(context, |w| context.min(w))).sum();
    (2 * c.kv_heads * c.head_dim * keys * batch * bytes) as u64
}

/// Operations per prompt token, averaged over a prompt of `context` tokens: the products with the weights (without
/// the unembedding), and attention's scores and sums of values over the keys that the token sees.
pub(super) fn prefill_operations(c: &Arch, context: usize) -> f64 {
    let block = c.hidden * (2 * c.heads + 2 * c.kv_heads) * c.head_dim + 3 * c.hidden * c.intermediate;
    let weights = (c.layers() * block) as f64;
    let pairs = |l: usize| -> f64 {
        let window = c.kind(l).window.map_or(context, |w| context.min(w));
        (0..context).map(|p| (p + 1).min(window) as f64).sum::<f64>() / context as f64
    };
    let scores: f64 = (0..c.layers()).map(|l| 2.0 * (c.heads * c.head_dim) as f64 * pairs(l)).sum();
    2.0 * (weights + scores)
}
