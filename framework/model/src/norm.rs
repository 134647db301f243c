//! RMSNorm. Weights are what the norm multiplies by: where a family stores γ of 1 + γ, the 1 is added when they are loaded.
use crate::floats::floats;
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;

/// RMSNorm over the last dimension: x · rsqrt(mean(x²) + eps) · w, in x's dtype. `w` is `[width]` (Zhang &
/// Sennrich 2019, arXiv 1910.07467). Written in Burn's operations, so it can be differentiated.
pub fn rms<const D: usize>(x: Tensor<D>, w: &Tensor<1>, eps: f64) -> Tensor<D> {
    let scale = (x.clone().square().mean_dim(D - 1) + eps).sqrt().recip();
    x * scale * w.clone().unsqueeze()
}

/// [`rms`] of rows `[rows, width]` on the processor, in f32 and one pass, parallel over rows.
pub(crate) fn rms_rows(x: Tensor<2>, w: &Tensor<1>, eps: f64) -> Tensor<2> {
    let (device, shape) = (x.device(), x.dims());
    let (mut x, w) = (floats(&x.into_data()), floats(&w.to_data()));
    x.par_chunks_mut(shape[1]).with_min_len(16).for_each(|x| rms_row(x, &w, eps as f32));
    Tensor::from_data(TensorData::new(x, shape), (&device, DType::F32))
}

/// The residual sum and the norm behind it, on the processor, in f32 and one pass: s = x + [`rms`]`(y; post)` and
/// [`rms`]`(s; next)`, parallel over rows. Without weights a norm is left out.
pub(crate) fn add_rms_rows(
    x: Tensor<2>,
    y: Tensor<2>,
    post: Option<&Tensor<1>>,
    next: Option<&Tensor<1>>,
    eps: f64,
) -> [Tensor<2>; 2] {
    let (device, shape) = (x.device(), x.dims());
    let (mut sum, mut out) = (floats(&x.into_data()), floats(&y.into_data()));
    let [post, next] = [post, next].map(|w| w.map(|w| floats(&w.to_data())));
    let rows = sum.par_chunks_mut(shape[1]).zip(out.par_chunks_mut(shape[1]));
    rows.with_min_len(16).for_each(|(sum, out)| {
        if let Some(w) = &post {
            rms_row(out, w, eps as f32);
        }
        sum.iter_mut().zip(&*out).for_each(|(s, y)| *s += y);
        if let Some(w) = &next {
            out.copy_from_slice(sum);
            rms_row(out, w, eps as f32);
        }
    });
    let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v, shape), (&device, DType::F32));
    let sum = tensor(sum);
    let out = if next.is_some() { tensor(out) } else { sum.clone() };
    [sum, out]
}

/// [`rms`] of one row, in place.
pub(crate) fn rms_row(x: &mut [f32], w: &[f32], eps: f32) {
    // Sixteen independent partial sums, so that the compiler can vectorise the reduction.
    let mut sums = [0f32; 16];
    for part in x.chunks(16) {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x * x);
    }
    let mean = sums.iter().sum::<f32>() / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    x.iter_mut().zip(w).for_each(|(x, w)| *x *= scale * w);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn in_one_pass_it_is_what_burns_operations_compute() {
        let device = Device::flex();
        let values: Vec<f32> = (0..3 * 50).map(|i| ((i * 37) % 101) as f32 / 20.0 - 2.5).collect();
        let x = Tensor::<2>::from_data(TensorData::new(values, [3, 50]), (&device, DType::F32));
        let w: Vec<f32> = (0..50).map(|i| 0.5 + i as f32 / 50.0).collect();
        let w = Tensor::<1>::from_data(TensorData::new(w, [50]), (&device, DType::F32));
        let (want, got) = (rms(x.clone(), &w, 1e-6), rms_rows(x, &w, 1e-6));
        let (want, got) = (floats(&want.into_data()), floats(&got.into_data()));
        assert_eq!((got.len(), want.len()), (150, 150));
        for (w, g) in want.iter().zip(got) {
            assert!((w - g).abs() <= 1e-6 * w.abs().max(1.0), "{w} {g}");
        }
    }
}
