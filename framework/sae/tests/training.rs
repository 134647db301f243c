//! The quality of trained autoencoders, and their files: SAELens 6 loads them (`lens_oracle.py --read FOLDER`).
#![allow(missing_docs, clippy::unwrap_used)]
use friction_core::{Position, Site};
use friction_model::testing::backend;
use friction_sae::train::{Kind, Training, train};
use friction_sae::write::{About, files};
use friction_sae::{Activation, Normalize, Parameters, Sae, load};
use friction_stats::Rng;
use serde_json::{Value, json};

const D: usize = 8;
const N: usize = 20;

const ABOUT: About = About {
    site: Site::ResidPost(3),
    position: Position::All,
    model: "hf:google/gemma-3-270m-it",
    run: Some("study"),
    context: Some(64),
    tokens: 100,
};

fn training(kind: Kind) -> Training {
    Training { kind, width: N, k: 4, steps: 60, batch: 16, rate: 2e-3, seed: 5 }
}

fn rows() -> Vec<f32> {
    let mut rng = Rng::new(9);
    (0..50 * D).map(|_| rng.normal() as f32 + 0.5).collect()
}

/// `FRICTION_EXPORTS` names a folder to write the files to, for `lens_oracle.py --read`.
#[test]
fn what_is_written_is_what_version_6_reads() {
    let x = rows();
    for (kind, site, architecture, reshape) in [
        (Kind::TopK, Site::ResidPost(3), "topk", "none"),
        (Kind::JumpRelu, Site::AttnOut(1), "jumprelu", "hook_z"),
        (Kind::TopK, Site::MlpIn(2), "topk", "none"),
        (Kind::TopK, Site::FinalNorm, "topk", "none"),
    ] {
        let trained = train(&x, D, &training(kind), backend().unwrap(), 0).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let folder = match std::env::var_os("FRICTION_EXPORTS") {
            Some(to) => std::path::PathBuf::from(to).join(site.to_string()),
            None => dir.path().to_path_buf(),
        };
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files(&trained.parameters, &training(kind), &About { site, ..ABOUT }).unwrap() {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let c: Value = serde_json::from_slice(&std::fs::read(folder.join("cfg.json")).unwrap()).unwrap();
        let m = &c["metadata"];
        assert_eq!((&c["architecture"], &c["reshape_activations"]), (&json!(architecture), &json!(reshape)));
        assert_eq!(c["apply_b_dec_to_input"], true);
        assert!(m["sae_lens_version"].as_str().unwrap().starts_with("6."), "{m}");
        assert_eq!(m["model_name"], "google/gemma-3-270m-it");
        assert_eq!((&m["context_size"], &m["prepend_bos"]), (&json!(64), &json!(true)));
        match site {
            Site::ResidPost(l) => assert_eq!(m["hook_name"], format!("blocks.{l}.hook_resid_post")),
            Site::AttnOut(l) => assert_eq!(m["hook_name"], format!("blocks.{l}.attn.hook_z")),
            _ => {}
        }
        // Only modules that every family calls so: this model may be of any.
        let everywhere = matches!(site, Site::ResidPost(_) | Site::AttnOut(_));
        assert_eq!(m.get("hf_hook_name").is_some(), everywhere, "{site}");
        let loaded = load::folder(&folder).unwrap();
        assert_eq!((loaded.reads, loaded.writes), (Some(site), Some(site)));
        assert_eq!(loaded.model.as_deref(), Some("google/gemma-3-270m-it"));
        assert_eq!(loaded.parameters.activation, trained.parameters.activation);
        let [own, again] = [trained.parameters, loaded.parameters].map(|p| Sae::new(p, backend().unwrap(), 0).unwrap());
        let f = own.encode(&x);
        assert_eq!(f, again.encode(&x));
        let y = own.decode(&f, &x);
        assert_eq!(y, again.decode(&f, &x));
        if std::env::var_os("FRICTION_EXPORTS").is_some() {
            let mut all = vec![0.0f32; f.len() * N];
            f.iter().enumerate().for_each(|(i, r)| r.iter().for_each(|a| all[i * N + a.index as usize] = a.value));
            let rows = json!({"x": x, "activations": all, "decoded": y});
            std::fs::write(folder.join("rows.json"), rows.to_string()).unwrap();
        }
    }
}

#[test]
fn what_the_format_has_no_words_for_is_not_written() {
    let p = Parameters {
        w_enc: vec![0.5; D * N].into(),
        b_enc: vec![0.0; N],
        w_dec: vec![0.5; N * D].into(),
        b_dec: vec![0.0; D],
        skip: None,
        activation: Activation::Relu,
        centred: false,
        normalize: Normalize::None,
    };
    let o = training(Kind::TopK);
    let written = files(&p, &o, &ABOUT).unwrap();
    let c: Value = serde_json::from_slice(&written[1].1).unwrap();
    assert_eq!((&c["architecture"], &c["apply_b_dec_to_input"]), (&json!("standard"), &json!(false)));
    assert!(files(&Parameters { normalize: Normalize::LayerNorm, ..p.clone() }, &o, &ABOUT).is_err());
    assert!(files(&Parameters { skip: Some(vec![0.0; D * D]), ..p }, &o, &ABOUT).is_err());
}

#[test]
fn what_cannot_be_learnt_is_said() {
    let o = training(Kind::TopK);
    let told = |x: &[f32], d: usize, o: &Training| train(x, d, o, backend().unwrap(), 0).err().unwrap().to_string();
    assert!(told(&[], D, &o).contains("nothing to learn from"));
    assert!(told(&rows(), 0, &o).contains("nothing to learn from"));
    assert!(told(&rows()[..D + 1], D, &o).contains("nothing to learn from"));
    assert!(told(&[2.0; 10 * D], D, &o).contains("the same at every token"));
    let mut broken = rows();
    broken[11] = f32::INFINITY;
    assert!(told(&broken, D, &o).contains("not finite"));
    let wild = Training { rate: 1e38, ..o };
    assert!(told(&rows(), D, &wild).contains("training diverged"));
    for wrong in [
        Training { rate: f64::NAN, ..o },
        Training { rate: f64::INFINITY, ..o },
        Training { k: 0, ..o },
        Training { width: usize::MAX, ..o },
        Training { batch: usize::MAX, ..o },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
        assert!(train(&rows(), D, &wrong, backend().unwrap(), 0).is_err());
    }
}
