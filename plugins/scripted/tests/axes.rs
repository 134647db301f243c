//! The directions that the designs in experiments/designs read and push along are those of this model.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_scripted::{replies, vocab::Vocab, weights};
use std::path::PathBuf;

fn axis(plus: usize, minus: usize, length: f32) -> (Vec<usize>, Vec<f32>) {
    let mut v = vec![0.0; weights::HIDDEN];
    (v[plus], v[minus]) = (length, -length);
    (vec![weights::HIDDEN], v)
}

/// To write the file anew: `FRICTION_RENEW=1 cargo test --release --test axes`.
#[test]
fn the_file_of_directions_is_of_this_model() {
    let vocab = Vocab::new(&replies::all());
    let meant = |name| weights::meant(&vocab, name).unwrap();
    let spoken = |word| weights::spoken(&vocab, word).unwrap();
    let half = 0.5f32.sqrt();
    let file = weights::written(&[
        ("resid_post.1/assistant".into(), axis(meant("comply"), meant("defect"), half)),
        ("resid_post.2/matching".into(), axis(spoken("A"), spoken("B"), 1.0)),
    ]);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/designs/scripted-axes.safetensors");
    if std::env::var_os("FRICTION_RENEW").is_some() {
        std::fs::write(&path, &file).unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == file, "{} is of another model; write it anew", path.display());
}
