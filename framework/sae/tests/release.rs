//! Parity with float64 NumPy and SAELens 6.54 on checkpoints in Gemma Scope 2's format; `oracle.py` generated the
//! expected values.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{Named, dense, near, write};
use friction_core::Site;
use friction_model::testing::backend;
use friction_sae::load;
use friction_sae::{Active, Sae, quality};
use friction_stats::Rng;
use serde_json::{Value, json};
use std::path::Path;

const D: usize = 8;
const N: usize = 24;
const ROWS: usize = 6;

/// The parameters and input rows of `oracle.py`, in its order.
fn parameters() -> (Vec<Named>, Vec<f32>) {
    let mut rng = Rng::new(77);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| (rng.unit() * 2.0 - 1.0) as f32).collect() };
    let mut out: Vec<Named> = vec![];
    let mut add = |name: &str, shape: Vec<usize>, v: Vec<f32>| out.push((name.into(), shape, v));
    add("w_enc", vec![D, N], draw(D * N));
    add("b_enc", vec![N], draw(N));
    add("threshold", vec![N], draw(N).into_iter().map(f32::abs).collect());
    add("w_dec", vec![N, D], draw(N * D));
    add("b_dec", vec![D], draw(D));
    add("affine_skip_connection", vec![D, D], draw(D * D));
    let x = draw(ROWS * D);
    (out, x)
}

fn gemma(dir: &Path, skip: bool) {
    let (mut tensors, _) = parameters();
    tensors.truncate(if skip { 6 } else { 5 });
    let (reads, writes) = match skip {
        true => ("pre_feedforward_layernorm.output", "post_feedforward_layernorm.output"),
        false => ("output", "output"),
    };
    let config = json!({
        "hf_hook_point_in": format!("model.layers.17.{reads}"), "hf_hook_point_out": format!("model.layers.17.{writes}"),
        "width": N, "model_name": "google/gemma-3-4b-it", "architecture": "jump_relu", "l0": 60, "affine_connection": skip, "type": "sae"
    });
    write(dir, &config, load::FILES[0], &tensors);
}

fn oracle() -> Value {
    serde_json::from_str(include_str!("oracle.json")).unwrap()
}

fn sae(dir: &Path) -> (Sae, load::Loaded) {
    let loaded = load::folder(dir).unwrap();
    (Sae::new(loaded.parameters.clone(), backend().unwrap(), 0).unwrap(), loaded)
}

#[test]
fn autoencoders_and_transcoders_equal_numpy_and_sae_lens() {
    let (_, x) = parameters();
    let o = oracle();
    for (skip, decoded, lens) in
        [(false, "decoded", "sae_lens_resid_post"), (true, "decoded_skip", "sae_lens_transcoder")]
    {
        let dir = tempfile::tempdir().unwrap();
        gemma(dir.path(), skip);
        let (sae, loaded) = sae(dir.path());
        let reads = if skip { Site::MlpIn(17) } else { Site::ResidPost(17) };
        let writes = if skip { Site::MlpOut(17) } else { Site::ResidPost(17) };
        assert_eq!((loaded.reads, loaded.writes), (Some(reads), Some(writes)));
        let features = sae.encode(&x);
        // Panels narrower than the width, resident or read from the file in turn.
        for (panel, resident) in [(1, 0), (5, 0), (7, 0), (24, 0), (100, 0), (5, 1 << 20), (24, 1 << 20)] {
            let narrow = Sae::with(loaded.parameters.clone(), backend().unwrap(), 0, panel, resident).unwrap();
            for (a, b) in narrow.encode(&x).iter().flatten().zip(features.iter().flatten()) {
                assert!(a.index == b.index && (a.value - b.value).abs() < 1e-6, "panels of {panel}: {a:?} {b:?}");
            }
            assert_eq!(narrow.encode(&x).concat().len(), features.concat().len(), "panels of {panel}");
        }
        let y = sae.decode(&features, &x);
        for (what, got, want) in [
            ("NumPy, activations", &dense(&features, N), &o["activations"]),
            ("NumPy, decoded", &y, &o[decoded]),
            ("SAELens, activations", &dense(&features, N), &o[lens]["activations"]),
            ("SAELens, decoded", &y, &o[lens]["decoded"]),
        ] {
            let off = near(got, want);
            println!("skip {skip}, {what}: {off:.1e}");
            assert!(off < 2e-6, "skip {skip}, {what}: {off}");
        }
    }
}

#[test]
fn the_threshold_is_strict_and_negative_thresholds_do_not_let_negatives_through() {
    let tensors = [
        ("w_enc".into(), vec![1, 3], vec![1.0, 1.0, 1.0]),
        ("b_enc".into(), vec![3], vec![0.0; 3]),
        ("threshold".into(), vec![3], vec![0.5, 0.25, -1.0]),
        ("w_dec".into(), vec![3, 1], vec![1.0; 3]),
        ("b_dec".into(), vec![1], vec![0.0]),
    ];
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &json!({"architecture": "jump_relu"}), load::FILES[0], &tensors);
    let (sae, _) = sae(dir.path());
    let on: Vec<Vec<u32>> = sae.encode(&[0.5, -0.5]).iter().map(|r| r.iter().map(|a| a.index).collect()).collect();
    assert_eq!(on, [vec![1, 2], vec![]]);
}

#[test]
fn what_contradicts_itself_in_a_folder_of_the_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |skip: bool, key: &str, value: Value| {
        gemma(dir.path(), skip);
        let path = dir.path().join("config.json");
        let mut c: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        c[key] = value;
        std::fs::write(&path, c.to_string()).unwrap();
        load::folder(dir.path()).err().map(|e| e.to_string()).unwrap_or_default()
    };
    for (skip, key, value, words) in [
        (false, "affine_connection", json!(true), "there is no tensor `affine_skip_connection`"),
        (true, "affine_connection", json!(false), "there is a tensor `affine_skip_connection`"),
        (false, "architecture", json!("topk"), "the architecture \"topk\" is not known"),
        (false, "architecture", json!(null), "the architecture null is not known"),
        (
            true,
            "hf_hook_point_out",
            json!("model.layers.3.nowhere"),
            "`model.layers.3.nowhere`, a module that is not known",
        ),
    ] {
        let e = at(skip, key, value);
        assert!(e.contains(words), "{key}: {e}");
    }
    assert_eq!(at(false, "affine_connection", json!(null)), "");
    // Wrong ranks, NaN and wrong sizes.
    let (tensors, _) = parameters();
    let good = |t: &[Named]| {
        write(dir.path(), &json!({"architecture": "jump_relu"}), load::FILES[0], &t[..5]);
        load::folder(dir.path()).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(good(&tensors), "");
    for (i, shape, first, words) in [
        (1, vec![1, N], 0.0, "`b_enc` is [1, 24], not a vector"),
        (2, vec![N], f32::NAN, "`threshold` holds NaN"),
        (3, vec![D, N], 0.0, "`w_dec` is [8, 24], not [24, 8]"),
    ] {
        let mut t = tensors.clone();
        (t[i].1, t[i].2[0]) = (shape, first);
        let e = good(&t);
        assert!(e.contains(words), "{e}");
    }
    assert!(load::folder(Path::new("/nowhere")).err().unwrap().to_string().contains("params.safetensors"));
}

#[test]
fn quality_is_what_it_says() {
    let on = |i: u32| vec![Active { index: i, value: 1.0 }];
    // Two rows at ±1 around their mean; one is reconstructed, the other is off by 1: FVU is 1/2.
    let q = quality(&[on(0), on(2)], &[1.0, -2.0], &[1.0, -1.0], 4);
    assert_eq!((q.fvu, q.l0, q.dead), (0.5, 1.0, 0.5));
    let nothing = quality(&[], &[], &[], 4);
    assert!(nothing.fvu.is_nan() && nothing.l0 == 0.0 && nothing.dead == 1.0);
}

/// Arbitrary bytes give an error or an autoencoder, never a panic.
#[test]
fn any_bytes_are_an_error_or_an_autoencoder() {
    use proptest::prelude::*;
    let dir = tempfile::tempdir().unwrap();
    gemma(dir.path(), true);
    let (config, tensors) = (dir.path().join("config.json"), dir.path().join("params.safetensors"));
    let (good_config, good) = (std::fs::read(&config).unwrap(), std::fs::read(&tensors).unwrap());
    proptest!(|(at in 0..good.len().min(900), bytes in proptest::collection::vec(any::<u8>(), 1..9), cut in 0..good.len(), which in 0..4u8)| {
        let (mut c, mut t) = (good_config.clone(), good.clone());
        match which {
            0 => t.truncate(cut),
            1 => bytes.iter().enumerate().for_each(|(i, b)| { if at + i < t.len() { t[at + i] = *b; } }),
            2 => bytes.iter().enumerate().for_each(|(i, b)| { let n = c.len(); c[(at + i) % n] = *b; }),
            _ => t = bytes,
        }
        std::fs::write(&config, &c).unwrap();
        std::fs::write(&tensors, &t).unwrap();
        match load::folder(dir.path()) {
            Ok(l) => {
                let (x, wide) = (vec![0.5; l.parameters.input()], l.parameters.output());
                let sae = Sae::new(l.parameters, backend().unwrap(), 0).unwrap();
                let f = sae.encode(&x);
                prop_assert_eq!(f.len(), 1);
                prop_assert_eq!(sae.decode(&f, &x).len(), wide);
            }
            // The error names the file; the temporary folder's name occurs nowhere else.
            Err(e) => prop_assert!(e.to_string().contains(&*dir.path().to_string_lossy()), "{}", e),
        }
    });
}
