//! Files in the formats of the published suites against the code of each suite; `suites_oracle.py` generated the expected
//! values.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::files::{npz, torch};
use common::suites::{
    D, LEARNING, QWEN, SCOPE, form, goodfire, learning, load, numbers, put, qwen, scope, sparse, trainer,
};
use friction_core::Site;
use friction_model::testing::backend;
use friction_sae::load::Loaded;
use friction_sae::{Active, Sae};
use serde_json::{Value, json};

/// Compares activations and reconstructions with those of the suite's own code.
fn equal(loaded: &Loaded, name: &str) {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/suites.json")).unwrap();
    let case = cases.iter().find(|c| c["name"].as_str() == Some(name)).unwrap();
    let x = numbers().x;
    let width = loaded.parameters.width();
    for panel in [width, 5] {
        let sae = Sae::with(loaded.parameters.clone(), backend().unwrap(), 0, panel, 1 << 20).unwrap();
        let on = sae.encode(&x);
        for (row, (got, want)) in on.iter().zip(case["on"].as_array().unwrap()).enumerate() {
            let want = want.as_array().unwrap();
            let index = |a: &Value| a.as_array().unwrap()[0].as_u64().unwrap() as u32;
            assert!(got.iter().map(|a| a.index).eq(want.iter().map(index)), "{name}, row {row}: {got:?}");
            for (Active { value, .. }, want) in got.iter().zip(want) {
                let want = want.as_array().unwrap()[1].as_f64().unwrap();
                assert!((f64::from(*value) - want).abs() < 1e-5, "{name}, row {row}: {value} and not {want}");
            }
        }
        let off = common::near(&sae.decode(&on, &x), &case["decoded"]);
        assert!(off < 1e-5, "{name}: decoded is off by {off}");
    }
}

#[test]
fn dictionary_learning_is_read_as_it_reads_itself() {
    for class in [
        "AutoEncoder",
        "AutoEncoderNew",
        "AutoEncoderTopK",
        "BatchTopKSAE",
        "MatryoshkaBatchTopKSAE",
        "JumpReluAutoEncoder",
        "GatedAutoEncoder",
    ] {
        for view in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            put(dir.path(), &format!("{LEARNING}/ae.pt"), &torch(&learning(class, view)));
            put(dir.path(), &format!("{LEARNING}/config.json"), trainer(class).to_string().as_bytes());
            for (source, sae) in
                [(LEARNING, None), ("saes-llama", Some("resid_post_layer_3/trainer_1")), (LEARNING, Some("ae.pt"))]
            {
                let (loaded, sites) = load(dir.path(), source, sae).unwrap();
                assert_eq!(sites, (Site::ResidPost(3), Site::ResidPost(3)));
                assert_eq!(loaded.model.as_deref(), Some("meta-llama/Llama-3.1-8B-Instruct"));
                equal(&loaded, &format!("dictionary_learning {class}"));
            }
        }
    }
}

#[test]
fn sparsify_is_read_as_it_reads_itself() {
    let dir = tempfile::tempdir().unwrap();
    sparse(
        dir.path(),
        &json!({"activation": "topk", "expansion_factor": 3, "normalize_decoder": true, "num_latents": 0, "k": 3, "multi_topk": false, "skip_connection": false, "transcode": false, "d_in": D}),
    );
    let (loaded, sites) = load(dir.path(), "sae-llama", Some("layers.10")).unwrap();
    assert_eq!((sites.0, loaded.model.as_deref()), (Site::ResidPost(10), Some("meta-llama/Meta-Llama-3-8B")));
    equal(&loaded, "sparsify");
}

#[test]
fn suites_without_configurations_are_read_as_sae_lens_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let folder = "layer_20/width_16k/average_l0_71";
    for fortran in [false, true] {
        put(dir.path(), &format!("{SCOPE}/{folder}/params.npz"), &npz(&scope(), fortran));
        let (loaded, sites) = load(dir.path(), SCOPE, Some(folder)).unwrap();
        assert_eq!((sites.0, loaded.model.as_deref()), (Site::ResidPost(20), Some("google/gemma-2-2b")));
        equal(&loaded, "gemma_scope");
    }
    for view in [false, true] {
        put(dir.path(), &format!("{QWEN}/layer12.sae.pt"), &torch(&qwen(view)));
        for (source, sae) in
            [(QWEN.to_string(), None), (QWEN.into(), Some("layer12.sae.pt")), (format!("{QWEN}/layer12.sae.pt"), None)]
        {
            let (loaded, sites) = load(dir.path(), &source, sae).unwrap();
            assert_eq!((sites.0, loaded.model.as_deref()), (Site::ResidPost(12), Some("Qwen/Qwen3-1.7B-Base")));
            equal(&loaded, "qwen_scope");
        }
        put(dir.path(), "Goodfire/Llama-3.1-8B-Instruct-SAE-l19.pth", &torch(&goodfire(view)));
        let (loaded, sites) = load(dir.path(), "Goodfire", None).unwrap();
        assert_eq!((sites.0, loaded.model.as_deref()), (Site::ResidPost(19), Some("meta-llama/Llama-3.1-8B-Instruct")));
        equal(&loaded, "goodfire");
        let linear = form(["encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"], view);
        put(dir.path(), "qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", &torch(&linear));
        let (loaded, _) = load(dir.path(), "qresearch", None).unwrap();
        assert_eq!(loaded.model.as_deref(), Some("deepseek-ai/DeepSeek-R1-Distill-Llama-8B"));
        equal(&loaded, "deepseek");
    }
    // A second layer beside the first must be named.
    put(dir.path(), &format!("{QWEN}/layer3.sae.pt"), &torch(&qwen(false)));
    let e = load(dir.path(), QWEN, None).err().unwrap();
    assert!(e.contains("holds 2 files of PyTorch") && e.contains("`sae = \"layer12.sae.pt\"`"), "{e}");
}
