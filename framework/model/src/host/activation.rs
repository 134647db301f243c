//! SwiGLU and GeGLU on the processor: activation(gate) · up in one pass over the rows of the gate-and-up product, parallel
//! over rows.
use crate::floats::floats;
use burn::tensor::{DType, Tensor, TensorData};
use friction_checkpoint::arch::Activation;
use rayon::prelude::*;

/// The gated activation of `[rows, 2 × width]`, each row its gates followed by its ups; returns `[rows, width]` in f32.
/// GELU is its tanh approximation (Hendrycks & Gimpel 2016, arXiv 1606.08415), with tanh z computed as
/// 1 − 2 / (e^2z + 1); SiLU is x / (1 + e^−x).
pub(crate) fn gated(both: Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::GeluTanh => each(both, |g| {
            let z = 0.797_884_6 * (g + 0.044_715 * g * g * g);
            g - g / ((2.0 * z).exp() + 1.0)
        }),
        Activation::Silu => each(both, |g| g / (1.0 + (-g).exp())),
    }
}

fn each(both: Tensor<2>, activation: impl Fn(f32) -> f32 + Sync) -> Tensor<2> {
    let ([rows, two], device) = (both.dims(), both.device());
    let width = two / 2;
    let both = floats(&both.into_data());
    let mut out = vec![0f32; rows * width];
    out.par_chunks_mut(width).zip(both.par_chunks(two)).for_each(|(out, both)| {
        let (gates, ups) = both.split_at(width);
        for ((out, g), up) in out.iter_mut().zip(gates).zip(ups) {
            *out = activation(*g) * up;
        }
    });
    Tensor::from_data(TensorData::new(out, [rows, width]), (&device, DType::F32))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use burn::tensor::{Device, activation};

    #[test]
    fn it_is_burns_activation_times_up() {
        let values: Vec<f32> = (-60..60).map(|i| i as f32 / 4.0).collect();
        let x = Tensor::<2>::from_data(TensorData::new(values, [6, 20]), (&Device::flex(), DType::F32));
        let (gates, ups) = (x.clone().narrow(1, 0, 10), x.clone().narrow(1, 10, 10));
        for (kind, want) in [
            (Activation::GeluTanh, activation::gelu_approximate(gates.clone()) * ups.clone()),
            (Activation::Silu, activation::silu(gates) * ups),
        ] {
            let (got, want) = (floats(&gated(x.clone(), kind).into_data()), floats(&want.into_data()));
            assert_eq!((got.len(), want.len()), (60, 60));
            for (g, w) in got.iter().zip(&want) {
                assert!((g - w).abs() <= 1e-6 * w.abs().max(1.0), "{kind:?} {g} {w}");
            }
        }
    }
}
