//! A feature's activation as an edit reads it equals the encoder's, clamping it keeps everything else, and the
//! reconstruction that an edit computes is the decoder's.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_model::testing::backend;
use friction_sae::edit;
use friction_sae::{Activation, Normalize, Parameters, Sae};
use friction_stats::Rng;
use proptest::prelude::*;

const D: usize = 7;
const N: usize = 20;
const ROWS: usize = 5;

fn parameters(seed: u64, activation: Activation, centred: bool) -> Parameters {
    let mut rng = Rng::new(seed);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
    Parameters {
        w_enc: draw(D * N).into(),
        b_enc: draw(N),
        w_dec: draw(N * D).into(),
        b_dec: draw(D),
        skip: None,
        activation,
        centred,
        normalize: Normalize::None,
    }
}

proptest! {
    #[test]
    fn a_feature_by_itself_is_the_feature_encoded(seed in 0u64..1000, kind in 0..3, centred: bool, feature in 0..N, value in 0f32..5.0) {
        let mut rng = Rng::new(seed ^ 99);
        let a = match kind {
            0 => Activation::Relu,
            1 => Activation::TopK(4),
            _ => Activation::JumpRelu((0..N).map(|_| rng.normal() as f32).collect()),
        };
        let p = parameters(seed, a, centred);
        let x: Vec<f32> = (0..ROWS * D).map(|_| rng.normal() as f32).collect();
        let sae = Sae::new(p.clone(), backend().unwrap(), 0).unwrap();
        let encoded = sae.encode(&x);
        let read = edit::feature(&p, feature).unwrap();
        let got: Vec<f32> = x.chunks(D).map(|x| read.of(x) as f32).collect();
        let whole = edit::autoencoder(&p).unwrap();
        let decoder = p.feature(feature).unwrap().decoder;
        let before = sae.decode(&encoded, &x);
        for (x, before) in x.chunks(D).zip(before.chunks(D)) {
            for (got, want) in whole.of(x).iter().zip(before) {
                prop_assert!((*got as f32 - want).abs() < 1e-3, "{} {}", got, want);
            }
        }
        let mut set = encoded.clone();
        for (row, got) in got.iter().enumerate() {
            let want = encoded[row].iter().find(|a| a.index as usize == feature).map_or(0.0, |a| a.value);
            prop_assert!((got - want).abs() < 1e-4, "{got} {want}");
            set[row].retain(|a| a.index as usize != feature);
            set[row].push(friction_sae::Active { index: feature as u32, value });
            // x + (value − a)·W_dec minus the reconstruction with the feature set: the same error as before.
            let after = sae.decode(&set[row..=row], &x[row * D..][..D]);
            for j in 0..D {
                let clamped = x[row * D + j] + (value - got) * decoder[j];
                let error = x[row * D + j] - before[row * D + j];
                prop_assert!((clamped - after[j] - error).abs() < 1e-3, "{} {}", clamped - after[j], error);
            }
        }
    }
}

#[test]
fn a_feature_that_is_not_there_is_refused() {
    let p = parameters(1, Activation::Relu, false);
    assert!(edit::feature(&p, N).err().unwrap().to_string().contains("features 0 to 19"));
}

/// Clamping is refused, because what a feature writes then depends on the token.
#[test]
fn a_feature_of_normalised_rows_is_not_clamped() {
    for normalize in [Normalize::ConstantNorm, Normalize::LayerNorm] {
        let p = Parameters { normalize, ..parameters(1, Activation::Relu, false) };
        assert!(edit::feature(&p, 0).err().unwrap().to_string().contains("`normalize_activations`"));
        assert!(edit::autoencoder(&p).err().unwrap().to_string().contains("`normalize_activations`"));
    }
}

#[test]
fn a_transcoder_replaces_nothing() {
    let p = Parameters { skip: Some(vec![0.0; D * D]), ..parameters(1, Activation::Relu, false) };
    assert!(edit::autoencoder(&p).err().unwrap().to_string().contains("transcoder"));
}
