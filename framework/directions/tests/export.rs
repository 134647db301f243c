//! The files for other tools equal, byte by byte, files that those tools read correctly (checked by `oracle.py`).
#![allow(missing_docs, clippy::unwrap_used)]
use friction_directions::{Direction, control_vector, read, steered};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

/// Where FRICTION_EXPORTS names a folder, the files are written there, for `oracle.py`.
#[test]
fn files_are_those_that_the_tools_read() {
    let v: Vec<f32> = (0..40).map(|i| (i as f32 * 0.37).sin()).collect();
    let all = [(9, v.iter().map(|x| -x).collect()), (0, v.clone()), (3, v.clone())];
    let made = control_vector("gemma3", &all).unwrap();
    assert_eq!((made.layers, made.left_out), (vec![3, 9], vec![0]));
    let gguf = made.file.unwrap();
    let pt = steered("layers.9", &v, 1.5).unwrap();
    if let Some(dir) = std::env::var_os("FRICTION_EXPORTS").map(std::path::PathBuf::from) {
        std::fs::write(dir.join("control.gguf"), &gguf).unwrap();
        std::fs::write(dir.join("steered.pt"), &pt).unwrap();
    }
    // Hashes of the bytes that gguf 0.19.0 and torch 2.15.0 read back exactly; see oracle.py.
    assert_eq!((gguf.len(), fnv(&gguf)), GGUF);
    // The archive contains no time stamp, so its hash is fixed too.
    assert_eq!((pt.len(), fnv(&pt)), PT);
}

const GGUF: (usize, u64) = (576, 15_973_572_369_959_656_547);
const PT: (usize, u64) = (873, 324_411_962_211_488_785);

/// Tensors as pairs of name and values.
type Tensors = Vec<(String, Vec<f32>)>;

/// Metadata and tensors of a GGUF file, read independently of the writer, from the format's specification.
fn tensors(bytes: &[u8]) -> (HashMap<String, String>, Tensors) {
    let mut at = 0;
    let mut take = |n: usize| {
        at += n;
        &bytes[at - n..at]
    };
    assert_eq!(take(4), b"GGUF");
    assert_eq!(take(4), 3u32.to_le_bytes());
    let long = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap()) as usize;
    let short = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
    let (count, keys) = (long(take(8)), long(take(8)));
    let mut meta = HashMap::new();
    for _ in 0..keys {
        let n = long(take(8));
        let key = String::from_utf8(take(n).to_vec()).unwrap();
        let value = match short(take(4)) {
            8 => {
                let n = long(take(8));
                String::from_utf8(take(n).to_vec()).unwrap()
            }
            4 => short(take(4)).to_string(),
            other => panic!("type {other}"),
        };
        meta.insert(key, value);
    }
    let mut infos = vec![];
    for _ in 0..count {
        let n = long(take(8));
        let name = String::from_utf8(take(n).to_vec()).unwrap();
        assert_eq!(short(take(4)), 1, "{name} is no vector");
        let len = long(take(8));
        assert_eq!(short(take(4)), 0, "{name} is not f32");
        infos.push((name, len, long(take(8))));
    }
    let data = at.next_multiple_of(32);
    let of = |len: usize, offset: usize| {
        let b = &bytes[data + offset..][..len * 4];
        b.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    (meta, infos.into_iter().map(|(name, len, offset)| (name, of(len, offset))).collect())
}

/// llama.cpp's `common_control_vector_load` accepts `direction.1` and higher, f32, of one width. It refuses a file
/// with `direction.0`.
#[test]
fn a_control_vector_counts_layers_from_one() {
    let v = |x: f32| vec![x, -x, 2.0 * x];
    let made = control_vector("gemma3", &[(0, v(1.0)), (25, v(3.0)), (1, v(2.0))]).unwrap();
    assert_eq!((&made.layers, &made.left_out), (&vec![1, 25], &vec![0]));
    let (meta, tensors) = tensors(&made.file.unwrap());
    assert_eq!(tensors, [("direction.1".to_string(), v(2.0)), ("direction.25".to_string(), v(3.0))]);
    for (key, value) in [
        ("general.architecture", "controlvector"),
        ("controlvector.model_hint", "gemma3"),
        ("controlvector.layer_count", "2"),
    ] {
        assert_eq!(meta[key], value);
    }
    // Layer 0 alone leaves nothing to write.
    let none = control_vector("gemma3", &[(0, v(1.0))]).unwrap();
    assert_eq!((none.file, none.layers, none.left_out), (None, vec![], vec![0]));
    for (wrong, words) in [
        (vec![(2, v(1.0)), (2, v(2.0))], "two directions of layer 2"),
        (vec![(1, v(1.0)), (2, vec![1.0])], "layer 1 is 3 wide, that of layer 2 1"),
        (vec![(1, v(f32::NAN))], "layer 1 is empty or not finite"),
        (vec![(0, vec![])], "layer 0 is empty or not finite"),
    ] {
        let e = control_vector("gemma3", &wrong).unwrap_err().to_string();
        assert!(e.contains(words), "{e}");
    }
    assert!(steered("layers.1", &v(f32::INFINITY), 1.0).unwrap_err().to_string().contains("not finite"));
}

/// Writes these vectors with this `about`, then reads `resid_post.1/d`.
fn written(vectors: &[(&str, Vec<f32>)], about: Option<&str>) -> Result<Direction, String> {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<Vec<u8>> = vectors.iter().map(|(_, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views =
        vectors.iter().zip(&bytes).map(|((n, v), b)| (*n, TensorView::new(Dtype::F32, vec![v.len()], b).unwrap()));
    let header = about.map(|a| HashMap::from([("about".to_string(), a.to_string())]));
    let path = dir.path().join("d.safetensors");
    std::fs::write(&path, safetensors::serialize(views, header).unwrap()).unwrap();
    read(&path, "resid_post.1/d").map_err(|e| e.to_string())
}

#[test]
fn what_is_no_direction_is_refused() {
    const D: &str = "resid_post.1/d";
    const SHUFFLED: &str = "resid_post.1/shuffled-0";
    let good = (D, vec![1.0, 2.0]);
    let about = r#"{"directions": {"resid_post.1/d": {"norm": 7.5}}}"#;
    let d = written(&[good.clone(), (SHUFFLED, vec![3.0, 4.0])], Some(about)).unwrap();
    assert_eq!(d, Direction { vector: vec![1.0, 2.0], norm: Some(7.5), shuffled: vec![vec![3.0, 4.0]] });
    for none in [None, Some("{}"), Some(r#"{"directions": {"resid_post.1/d": {"norm": null}}}"#)] {
        assert_eq!(written(std::slice::from_ref(&good), none).unwrap().norm, None);
    }
    for (vectors, about, words) in [
        (vec![(D, vec![1.0, f32::NAN])], None, "`resid_post.1/d` is no direction"),
        (vec![(D, vec![0.0, 0.0])], None, "`resid_post.1/d` is no direction"),
        (vec![(D, vec![])], None, "`resid_post.1/d` is no direction"),
        (vec![good.clone(), (SHUFFLED, vec![0.0, 0.0])], None, "`resid_post.1/shuffled-0` is no direction"),
        (vec![good.clone(), (SHUFFLED, vec![1.0])], None, "`resid_post.1/shuffled-0` is not as wide"),
        (vec![good.clone()], Some("nonsense"), "`about` is no JSON"),
        (vec![good.clone()], Some(r#"{"directions": {"resid_post.1/d": {"norm": -1}}}"#), "a norm of -1"),
    ] {
        let e = written(&vectors, about).unwrap_err();
        assert!(e.contains(words), "{e}");
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

/// The reader returns an error or a direction for any bytes, damaged copies of a good file included.
#[test]
fn any_bytes_are_an_error_or_a_direction() {
    const D: &str = "resid_post.1/d";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.safetensors");
    let numbers = [1.0f32, 2.0, -3.0].map(f32::to_le_bytes).concat();
    let views = [(D, TensorView::new(Dtype::F32, vec![3], &numbers).unwrap())];
    let about = r#"{"directions": {"resid_post.1/d": {"norm": 7.5}}}"#;
    let header = HashMap::from([("about".to_string(), about.to_string())]);
    let good = safetensors::serialize(views, Some(header)).unwrap();
    std::fs::write(&path, &good).unwrap();
    assert_eq!(read(&path, D).unwrap().norm, Some(7.5));
    proptest!(|(at in 0..good.len(), bytes in prop::collection::vec(any::<u8>(), 0..200), which in 0..3u8)| {
        let mut t = good.clone();
        match which {
            0 => t.truncate(at),
            1 => t[at..].iter_mut().zip(&bytes).take(8).for_each(|(to, b)| *to = *b),
            _ => t = bytes,
        }
        std::fs::write(&path, &t).unwrap();
        match read(&path, D) {
            Ok(d) => prop_assert!(d.vector.iter().all(|x| x.is_finite()), "{d:?}"),
            Err(e) => prop_assert!(!e.to_string().is_empty()),
        }
    });
}
