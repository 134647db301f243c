//! Folders in the formats of SAELens 3 to 6 against SAELens itself (`lens_oracle.py` generated the expected values),
//! and what is refused.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{Named, dense, near, write};
use friction_core::Site;
use friction_model::testing::backend;
use friction_sae::{Normalize, Parameters, Sae, edit, load};
use friction_stats::Rng;
use serde_json::{Value, json};
use std::path::Path;

const D: usize = 6;
const N: usize = 16;
const O: usize = 5;
const ROWS: usize = 4;

/// The tensors and input rows of `lens_oracle.py`, in its order.
fn parameters() -> (Vec<Named>, Vec<f32>) {
    let mut rng = Rng::new(78);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| (rng.unit() * 2.0 - 1.0) as f32).collect() };
    let shapes: [(&str, &[usize]); 12] = [
        ("W_enc", &[D, N]),
        ("b_enc", &[N]),
        ("W_dec", &[N, D]),
        ("b_dec", &[D]),
        ("threshold", &[N]),
        ("b_gate", &[N]),
        ("r_mag", &[N]),
        ("b_mag", &[N]),
        ("W_dec_out", &[N, O]),
        ("b_dec_out", &[O]),
        ("W_skip", &[O, D]),
        ("scaling_factor", &[N]),
    ];
    let mut all: Vec<Named> =
        shapes.iter().map(|(n, s)| (n.to_string(), s.to_vec(), draw(s.iter().product()))).collect();
    for (name, _, v) in &mut all {
        if ["threshold", "scaling_factor"].contains(&name.as_str()) {
            v.iter_mut().for_each(|v| *v = v.abs());
        }
    }
    let x = draw(ROWS * D);
    (all, x)
}

/// The tensors called `names`. The suffix `_out` marks a transcoder's and is not part of the name in a file.
fn named(names: &[&str]) -> Vec<Named> {
    let (all, _) = parameters();
    let of = |name: &str| all.iter().find(|(n, ..)| n == name).unwrap().clone();
    names.iter().map(|n| (n.trim_end_matches("_out").to_string(), of(n).1, of(n).2)).collect()
}

fn sae(dir: &Path) -> Sae {
    Sae::new(load::folder(dir).unwrap().parameters, backend().unwrap(), 0).unwrap()
}

#[test]
fn folders_of_every_version_are_read_as_sae_lens_reads_them() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/sae_lens.json")).unwrap();
    assert_eq!(cases.len(), 26);
    let (_, x) = parameters();
    let mut most = 0.0f64;
    for case in &cases {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<&str> = case["tensors"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        write(dir.path(), &case["config"], load::FILES[1], &named(&names));
        if case["scale"].is_number() {
            // Without its factor, inputs would have another scale than in training.
            let e = load::folder(dir.path()).err().unwrap().to_string();
            assert!(e.contains("expected_average_only_in"), "{e}");
            let scaler = json!({"scaling_factor": case["scale"], "has_whitening": false});
            std::fs::write(dir.path().join("activation_scaler.json"), scaler.to_string()).unwrap();
        }
        let sae = sae(dir.path());
        let features = sae.encode(&x);
        let y = sae.decode(&features, &x);
        let (a, b) = (near(&dense(&features, N), &case["activations"]), near(&y, &case["decoded"]));
        println!("{} ({}): activations {a:.1e}, decoded {b:.1e}", case["name"], case["by"]);
        assert!(a < 1e-5 && b < 1e-5, "{}: {a} {b}", case["name"]);
        if case["name"].as_str().unwrap().contains("topk") {
            assert!(features.iter().all(|row| row.len() == 3), "{}", case["name"]);
        }
        // Factors apply to the right columns in every panel.
        let loaded = load::folder(dir.path()).unwrap();
        let narrow = Sae::with(loaded.parameters.clone(), backend().unwrap(), 0, 5, 0).unwrap();
        assert!(near(&dense(&narrow.encode(&x), N), &case["activations"]) < 1e-5, "{}", case["name"]);
        most = most.max(a).max(b);
        one_by_one(&loaded.parameters, &x, &case["activations"], &case["name"]);
        let out = case["config"].get("d_out").is_some();
        let sites = match out {
            true => (Site::MlpIn(1), Site::MlpOut(1)),
            false => (Site::ResidPre(1), Site::ResidPre(1)),
        };
        assert_eq!((loaded.reads, loaded.writes), (Some(sites.0), Some(sites.1)), "{}", case["name"]);
        assert_eq!(load::sites(&dir.path().join("cfg.json")).unwrap(), (loaded.reads, loaded.writes));
        assert_eq!(loaded.model.as_deref(), (!out).then_some("gpt2-small"));
    }
    println!("{} cases, off by {most:.1e} at most", cases.len());
}

/// Each feature's activation as read by an edit includes the same factors.
fn one_by_one(p: &Parameters, x: &[f32], want: &Value, name: &Value) {
    if p.normalize != Normalize::None {
        assert!(edit::feature(p, 0).is_err(), "{name}");
        return;
    }
    let mut all = vec![0.0; ROWS * N];
    for j in 0..N {
        let read = edit::feature(p, j).unwrap();
        x.chunks(D).enumerate().for_each(|(row, x)| all[row * N + j] = read.of(x) as f32);
    }
    let off = near(&all, want);
    assert!(off < 2e-5, "{name}, one by one: {off}");
}

const SAE: &[&str] = &["W_enc", "b_enc", "W_dec", "b_dec"];

/// The error of loading a configuration with some tensors; empty where it loads.
fn refusal(config: &Value, tensors: &[Named]) -> String {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), config, load::FILES[1], tensors);
    load::folder(dir.path()).err().map(|e| e.to_string()).unwrap_or_default()
}

fn with(base: &Value, more: &Value) -> Value {
    let mut config = base.clone();
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

#[test]
fn what_is_not_computed_is_refused_by_its_name() {
    let old = json!({"d_in": D, "d_sae": N, "hook_name": "blocks.1.hook_resid_pre"});
    let new = with(&old, &json!({"architecture": "standard", "metadata": {"sae_lens_version": "6.54.12"}}));
    assert_eq!((refusal(&old, &named(SAE)), refusal(&new, &named(SAE))), (String::new(), String::new()));
    for (base, more, words) in [
        (&old, json!({"activation_fn_str": "tanh-relu"}), "the activation `tanh-relu` is not known"),
        (&old, json!({"activation_fn": "gelu"}), "the activation `gelu` is not known"),
        (&old, json!({"activation_fn": 3}), "`activation_fn` is 3, not a word"),
        (
            &old,
            json!({"activation_fn": "relu", "activation_fn_str": "topk"}),
            "`activation_fn` is \"relu\", but `activation_fn_str` is \"topk\"",
        ),
        (&old, json!({"activation_fn_str": "topk"}), "needs `k`"),
        (
            &old,
            json!({"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 2.5}}),
            "`k` is 2.5, not a whole number",
        ),
        (
            &old,
            json!({"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 0}}),
            "`k` is 0, not a whole number from 1",
        ),
        (
            &old,
            json!({"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 17}}),
            "`k` is 17, but the autoencoder has 16 features",
        ),
        (
            &old,
            json!({"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3, "postact_fn": "tanh"}}),
            "`activation_fn_kwargs` holds `postact_fn`",
        ),
        (&old, json!({"activation_fn_str": "topk", "k": 4, "activation_fn_kwargs": {"k": 3}}), "`k` is 4, but 3 in"),
        (
            &old,
            json!({"activation_fn_str": "topk", "architecture": "gated"}),
            "`topk` contradicts the architecture `gated`",
        ),
        (&new, json!({"activation_fn": "topk", "k": 3}), "`topk` contradicts the architecture `standard`"),
        (&new, json!({"architecture": "batchtopk", "k": 3.0}), "`batchtopk` is one of training"),
        (&new, json!({"architecture": "abstopk", "k": 3}), "the architecture `abstopk` is not known"),
        (&new, json!({"architecture": "matching_pursuit"}), "`matching_pursuit` is not known"),
        (&new, json!({"architecture": "temporal"}), "`temporal` is not known"),
        (&new, json!({"architecture": null}), "says no `architecture`"),
        (&new, json!({"architecture": "topk"}), "needs `k`"),
        (&old, json!({"apply_b_dec_to_input": "yes"}), "`apply_b_dec_to_input` is \"yes\""),
        (&old, json!({"apply_b_dec_to_input": null}), "`apply_b_dec_to_input` is null"),
        (&old, json!({"normalize_activations": true}), "expected_average_only_in"),
        (&old, json!({"normalize_activations": "expected_average_only_in"}), "activation_scaler.json"),
        (
            &new,
            json!({"normalize_activations": "covariance_whitening"}),
            "`covariance_whitening`, which is not supported",
        ),
        (&new, json!({"normalize_activations": "batch_norm"}), "`batch_norm`, which is not supported"),
        (&new, json!({"normalize_activations": 2}), "`normalize_activations` is 2"),
        (&new, json!({"rescale_acts_by_decoder_norm": true}), "`rescale_acts_by_decoder_norm` is of topk"),
        (&old, json!({"scaling_factor": 2.5}), "`scaling_factor` is 2.5"),
        (&old, json!({"hook_head_index": 3}), "`hook_head_index` is 3"),
        (&old, json!({"hook_point_head_index": 0}), "`hook_head_index` is 0"),
        (&new, json!({"metadata": {"sae_lens_version": "6.1.0", "hook_head_index": 2}}), "`hook_head_index` is 2"),
        (&old, json!({"reshape_activations": "hook_z"}), "`reshape_activations` is `hook_z`"),
        (&new, json!({"sae_lens_version": "7.0.1"}), "`sae_lens_version` is \"7.0.1\"; versions 3 to 6"),
        (&new, json!({"sae_lens_version": "new"}), "which is no version"),
        (&new, json!({"metadata": [1]}), "`metadata` is [1]"),
        (&old, json!({"d_in": 7}), "`d_in` is 7, but the tensors say 6"),
        (&old, json!({"d_sae": 17}), "`d_sae` is 17, but the tensors say 16"),
    ] {
        let e = refusal(&with(base, &more), &named(SAE));
        assert!(e.contains(words), "{more}: {e:?}");
    }
    assert!(refusal(&json!([1]), &named(SAE)).contains("no JSON object"));
    // Concatenated heads are `attn_out`.
    let heads = json!({"reshape_activations": "hook_z", "hook_name": "blocks.1.attn.hook_z"});
    assert_eq!(refusal(&with(&old, &heads), &named(SAE)), "");

    // Tensors that the architecture lacks, or that are missing.
    for (more, names, words) in [
        (json!({}), &["W_enc", "b_enc", "W_dec", "b_dec", "threshold"][..], "a tensor `threshold`, which a `standard`"),
        (json!({}), &["W_enc", "b_enc", "W_dec", "b_dec", "W_skip"], "a tensor `W_skip`"),
        (json!({"architecture": "jumprelu"}), SAE, "lacks the tensor `threshold`"),
        (json!({"architecture": "gated"}), SAE, "a tensor `b_enc`"),
        (
            json!({}),
            &["W_enc", "b_enc", "W_dec", "b_dec", "scaling_factor"],
            "`scaling_factor`, but no `finetuning_scaling_factor`",
        ),
    ] {
        let e = refusal(&with(&old, &more), &named(names));
        assert!(e.contains(words), "{more}: {e:?}");
    }
    // A key that stands twice.
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &new, load::FILES[1], &named(SAE));
    let path = dir.path().join("cfg.json");
    let twice = std::fs::read_to_string(&path).unwrap().replacen('{', "{\"d_in\": 6,", 1);
    std::fs::write(&path, twice).unwrap();
    let e = load::folder(dir.path()).err().unwrap().to_string();
    assert!(e.contains("cfg.json: the key `d_in` stands twice"), "{e}");
    // Factors of 1 are ignored: files of some versions contain them.
    let mut ones = named(&["W_enc", "b_enc", "W_dec", "b_dec", "scaling_factor"]);
    ones[4].2.fill(1.0);
    assert_eq!(refusal(&old, &ones), "");
    ones[4].2[3] = 1.5;
    let asked = json!({"finetuning_scaling_factor": true});
    assert_eq!(refusal(&with(&old, &asked), &ones), "");
    assert!(refusal(&with(&new, &asked), &ones).contains("`scaling_factor`"));
}

#[test]
fn a_transcoder_says_what_it_writes() {
    let tensors = named(&["W_enc", "b_enc", "W_dec_out", "b_dec_out"]);
    let config = |out: Value, centred: bool| {
        json!({"architecture": "transcoder", "d_in": D, "d_sae": N, "d_out": O, "apply_b_dec_to_input": centred,
            "metadata": {"sae_lens_version": "6.54.12", "hook_name": "blocks.1.hook_resid_pre", "hook_name_out": out}})
    };
    let dir = tempfile::tempdir().unwrap();
    let sites = |c: &Value| {
        write(dir.path(), c, load::FILES[1], &tensors);
        let found = load::Found {
            name: None,
            config: Some(dir.path().join("cfg.json")),
            tensors: dir.path().join("sae_weights.safetensors"),
            repository: None,
        };
        found.sites(None).map_err(|e| e.to_string())
    };
    assert_eq!(sites(&config(json!("blocks.1.hook_mlp_out"), false)), Ok((Site::ResidPre(1), Site::MlpOut(1))));
    for unknown in [json!(null), json!("blocks.1.hook_nowhere")] {
        let e = sites(&config(unknown, false)).unwrap_err();
        assert!(e.contains("does not say what the transcoder writes"), "{e}");
    }
    for (more, words) in [
        (json!({"apply_b_dec_to_input": true}), "`apply_b_dec_to_input` is true"),
        (json!({"normalize_activations": "layer_norm"}), "`normalize_activations` of a transcoder"),
        (json!({"d_out": 7}), "`d_out` is 7, but the tensors say 5"),
        (json!({"architecture": "skip_transcoder"}), "lacks the tensor `W_skip`"),
    ] {
        let e = refusal(&with(&config(json!("blocks.1.hook_mlp_out"), false), &more), &tensors);
        assert!(e.contains(words), "{more}: {e:?}");
    }
    let mut absent = config(json!("blocks.1.hook_mlp_out"), false);
    absent.as_object_mut().unwrap().remove("apply_b_dec_to_input");
    assert!(refusal(&absent, &tensors).contains("`apply_b_dec_to_input` is true (its default)"));
}

/// A row of zeros has no norm and a constant row no deviation; both give finite results.
#[test]
fn rows_that_cannot_be_normalised_stay_finite() {
    for by in ["layer_norm", "constant_norm_rescale"] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &json!({"normalize_activations": by}), load::FILES[1], &named(SAE));
        let sae = sae(dir.path());
        for x in [vec![0.0; D], vec![2.5; D]] {
            let features = sae.encode(&x);
            let y = sae.decode(&features, &x);
            assert!(features.iter().flatten().all(|a| a.value.is_finite()) && y.iter().all(|v| v.is_finite()), "{by}");
        }
        assert_eq!(sae.decode(&sae.encode(&[0.0; D]), &[0.0; D]), [0.0; D], "{by}");
    }
}

/// Arbitrary bytes give an error or a usable autoencoder, never a panic.
#[test]
fn any_bytes_are_an_error_or_an_autoencoder() {
    use proptest::prelude::*;
    let dir = tempfile::tempdir().unwrap();
    let names = ["W_enc", "W_dec", "b_dec", "b_gate", "r_mag", "b_mag"];
    let base = json!({"architecture": "gated", "d_in": D, "d_sae": N, "hook_name": "blocks.1.hook_resid_pre",
        "normalize_activations": "layer_norm", "apply_b_dec_to_input": true, "activation_fn_str": "relu",
        "activation_fn_kwargs": {}, "metadata": {"sae_lens_version": "5.0.0"}, "k": 3, "hook_head_index": null,
        "reshape_activations": "none", "finetuning_scaling_factor": false, "scaling_factor": null});
    write(dir.path(), &base, load::FILES[1], &named(&names));
    let (config, tensors) = (dir.path().join("cfg.json"), dir.path().join("sae_weights.safetensors"));
    let (good_config, good) = (std::fs::read(&config).unwrap(), std::fs::read(&tensors).unwrap());
    let keys: Vec<String> = base.as_object().unwrap().keys().cloned().collect();
    let odd = [
        "null",
        "-1",
        "1e300",
        "18446744073709551615",
        "[]",
        "{}",
        "\"topk\"",
        "\"layer_norm\"",
        "true",
        "\"\\u0000\"",
        "3",
    ];
    proptest!(|(at in 0..good.len().min(1200), bytes in proptest::collection::vec(any::<u8>(), 1..9), cut in 0..good.len(), which in 0..5u8, key in 0..keys.len(), value in 0..odd.len())| {
        let (mut c, mut t) = (good_config.clone(), good.clone());
        match which {
            0 => t.truncate(cut),
            1 => bytes.iter().enumerate().for_each(|(i, b)| { if at + i < t.len() { t[at + i] = *b; } }),
            2 => bytes.iter().enumerate().for_each(|(i, b)| { let n = c.len(); c[(at + i) % n] = *b; }),
            3 => {
                let mut of = base.clone();
                of[&keys[key]] = serde_json::from_str(odd[value]).unwrap();
                c = of.to_string().into_bytes();
            }
            _ => t = bytes,
        }
        std::fs::write(&config, &c).unwrap();
        std::fs::write(&tensors, &t).unwrap();
        let _ = load::sites(&config);
        if let Ok(l) = load::folder(dir.path()) {
            let x = vec![0.5; l.parameters.input()];
            let sae = Sae::new(l.parameters, backend().unwrap(), 0).unwrap();
            let f = sae.encode(&x);
            let _ = sae.decode(&f, &x);
        }
    });
    // A configuration of more than one MiB is refused.
    std::fs::write(&config, vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(load::folder(dir.path()).err().unwrap().to_string().contains("bytes long"));
}
