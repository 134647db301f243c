//! Autoencoders in the formats of the published suites, with the numbers of `suites_oracle.py`.
#![allow(missing_docs, dead_code, clippy::unwrap_used)]
use super::files::{Stored, floats, transposed, whole};
use super::write;
use friction_core::Site;
use friction_sae::load::{FILES, Loaded, Source};
use friction_stats::Rng;
use serde_json::{Value, json};
use std::path::Path;

pub const D: usize = 4;
pub const N: usize = 12;
pub const WIDE: usize = 1024;
pub const ROWS: usize = 3;

pub const LEARNING: &str = "saes-llama/resid_post_layer_3/trainer_1";
pub const SCOPE: &str = "gemma-scope-2b-pt-res";
pub const QWEN: &str = "models--Qwen--SAE-Res-Qwen3-1.7B-Base-W1K-L0_3/snapshots/1";

/// The numbers of `suites_oracle.py`, in its order.
pub struct Numbers {
    pub w_enc: Vec<f32>,
    pub b_enc: Vec<f32>,
    pub w_dec: Vec<f32>,
    pub b_dec: Vec<f32>,
    pub threshold: Vec<f32>,
    pub b_gate: Vec<f32>,
    pub r_mag: Vec<f32>,
    pub x: Vec<f32>,
    pub wide: [Vec<f32>; 3],
}

pub fn numbers() -> Numbers {
    let mut rng = Rng::new(79);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| (rng.unit() * 2.0 - 1.0) as f32).collect() };
    Numbers {
        w_enc: draw(D * N),
        b_enc: draw(N),
        w_dec: draw(N * D),
        b_dec: draw(D),
        threshold: draw(N).into_iter().map(f32::abs).collect(),
        b_gate: draw(N),
        r_mag: draw(N),
        x: draw(ROWS * D),
        wide: [draw(D * WIDE), draw(WIDE), draw(WIDE * D)],
    }
}

/// A state dict of a class of dictionary_learning. `view` writes matrices as views of what they are transposed of.
pub fn learning(class: &str, view: bool) -> Vec<Stored> {
    let n = numbers();
    let matrices = || {
        vec![
            floats("W_enc", &[D, N], &n.w_enc),
            floats("b_enc", &[N], &n.b_enc),
            floats("W_dec", &[N, D], &n.w_dec),
            floats("b_dec", &[D], &n.b_dec),
        ]
    };
    let layers = |b_dec| {
        vec![
            transposed("encoder.weight", [D, N], &n.w_enc, view),
            floats("encoder.bias", &[N], &n.b_enc),
            transposed("decoder.weight", [N, D], &n.w_dec, view),
            floats(b_dec, &[D], &n.b_dec),
        ]
    };
    let top_k = || vec![whole("k", 3), floats("threshold", &[], &[0.25])];
    match class {
        "AutoEncoder" => layers("bias"),
        "AutoEncoderNew" => layers("decoder.bias"),
        "AutoEncoderTopK" | "BatchTopKSAE" => [layers("b_dec"), top_k()].concat(),
        "MatryoshkaBatchTopKSAE" => {
            let groups = Stored { class: "IntStorage", ..floats("group_sizes", &[2], &[0.0, 0.0]) };
            [matrices(), top_k(), vec![groups]].concat()
        }
        "JumpReluAutoEncoder" => [matrices(), vec![floats("threshold", &[N], &n.threshold)]].concat(),
        "GatedAutoEncoder" => {
            let mut all = layers("decoder_bias");
            all[1].name = "mag_bias";
            [all, vec![floats("gate_bias", &[N], &n.b_gate), floats("r_mag", &[N], &n.r_mag)]].concat()
        }
        other => panic!("{other}"),
    }
}

pub fn trainer(class: &str) -> Value {
    json!({"trainer": {"dict_class": class, "activation_dim": D, "dict_size": N, "k": 3, "layer": 3,
        "lm_name": "meta-llama/Llama-3.1-8B-Instruct", "submodule_name": "resid_post_layer_3"}, "buffer": {"ctx_len": 2048}})
}

pub fn form(names: [&'static str; 4], view: bool) -> Vec<Stored> {
    let n = numbers();
    vec![
        transposed(names[0], [D, N], &n.w_enc, view),
        floats(names[1], &[N], &n.b_enc),
        transposed(names[2], [N, D], &n.w_dec, view),
        floats(names[3], &[D], &n.b_dec),
    ]
}

pub fn goodfire(view: bool) -> Vec<Stored> {
    form(["encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight", "decoder_linear.bias"], view)
}

pub fn qwen(view: bool) -> Vec<Stored> {
    let n = numbers();
    vec![
        transposed("W_enc", [D, WIDE], &n.wide[0], view),
        transposed("W_dec", [WIDE, D], &n.wide[2], view),
        floats("b_enc", &[WIDE], &n.wide[1]),
        floats("b_dec", &[D], &n.b_dec),
    ]
}

pub fn scope() -> Vec<(&'static str, Vec<usize>, Vec<f32>)> {
    let n = numbers();
    vec![
        ("W_enc", vec![D, N], n.w_enc),
        ("W_dec", vec![N, D], n.w_dec),
        ("b_enc", vec![N], n.b_enc),
        ("b_dec", vec![D], n.b_dec),
        ("threshold", vec![N], n.threshold),
    ]
}

pub fn put(base: &Path, file: &str, bytes: &[u8]) {
    let path = base.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub fn sparse(base: &Path, config: &Value) {
    let n = numbers();
    let own = |v: &[f32]| -> Vec<f32> { (0..N).flat_map(|c| (0..D).map(move |r| v[r * N + c])).collect() };
    let tensors = [
        ("encoder.weight".to_string(), vec![N, D], own(&n.w_enc)),
        ("encoder.bias".to_string(), vec![N], n.b_enc.clone()),
        ("W_dec".to_string(), vec![N, D], n.w_dec.clone()),
        ("b_dec".to_string(), vec![D], n.b_dec.clone()),
    ];
    put(base, "sae-llama/config.json", json!({"model": "meta-llama/Meta-Llama-3-8B"}).to_string().as_bytes());
    std::fs::create_dir_all(base.join("sae-llama/layers.10")).unwrap();
    write(&base.join("sae-llama/layers.10"), config, FILES[2], &tensors);
}

/// Loads what `sae` names in the folder `source`.
pub fn load(base: &Path, source: &str, sae: Option<&str>) -> Result<(Loaded, (Site, Site)), String> {
    let source = Source { source: format!("path:{source}"), sae: sae.map(String::from), revision: None };
    let found = source.find(base).map_err(|e| e.to_string())?;
    let sites = found.sites(None).map_err(|e| e.to_string())?;
    let loaded = found.load().map_err(|e| e.to_string())?;
    assert_eq!((loaded.reads, loaded.writes), (Some(sites.0), Some(sites.1)));
    Ok((loaded, sites))
}
