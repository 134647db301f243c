//! The formats of other tools, byte by byte as their own readers took them (`oracle.py`).
#![allow(missing_docs, clippy::unwrap_used)]
use friction_directions::{control_vector, read, steered};
use proptest::prelude::*;

/// FRICTION_EXPORTS names a folder to write the files to, for `oracle.py`.
#[test]
fn files_are_those_that_the_tools_read() {
    let v: Vec<f32> = (0..40).map(|i| (i as f32 * 0.37).sin()).collect();
    let gguf = control_vector("gemma3", &[(3, v.clone()), (9, v.iter().map(|x| -x).collect())]);
    let pt = steered("layers.9", &v, 1.5).unwrap();
    if let Some(dir) = std::env::var_os("FRICTION_EXPORTS").map(std::path::PathBuf::from) {
        std::fs::write(dir.join("control.gguf"), &gguf).unwrap();
        std::fs::write(dir.join("steered.pt"), &pt).unwrap();
    }
    // The bytes that gguf 0.19.0 and torch 2.15.0 read back exactly; see oracle.py.
    assert_eq!((gguf.len(), fnv(&gguf)), GGUF);
    // The archive holds no time, so it is the same every time.
    assert_eq!((pt.len(), fnv(&pt)), PT);
}

const GGUF: (usize, u64) = (576, 15_973_572_369_959_656_547);
const PT: (usize, u64) = (873, 324_411_962_211_488_785);

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_a_direction(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(read(&path, "resid_post.1/mean-difference").is_err());
    }
}
