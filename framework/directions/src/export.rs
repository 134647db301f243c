//! Writes directions as files that other tools read: control vectors in GGUF, and lm-evaluation-harness' steering
//! files.
use friction_core::{Error, Result};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A control vector as a GGUF file, and the layers that it could not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlVector {
    /// The file's bytes; `None` where no layer remains.
    pub file: Option<Vec<u8>>,
    /// Layers in the file, ascending; layer L is `resid_post.L`.
    pub layers: Vec<usize>,
    /// Layers that the format cannot hold: 0, if it was given.
    pub left_out: Vec<usize>,
}

/// A control vector in GGUF, as repeng and llama.cpp read it. The tensor `direction.L`, f32 `[hidden]`, is added to
/// the output of block L. `directions` are pairs of a layer and its vector; `hint` is the model's type, such as
/// `gemma3`. Layer 0 is left out: llama.cpp's layers count from 1, and it refuses a file with `direction.0`.
///
/// # Errors
/// When a layer occurs twice, or the vectors are not all finite and of one width.
pub fn control_vector(hint: &str, directions: &[(usize, Vec<f32>)]) -> Result<ControlVector> {
    let mut all: Vec<(usize, &[f32])> = directions.iter().map(|(l, v)| (*l, v.as_slice())).collect();
    all.sort_by_key(|(layer, _)| *layer);
    let wrong = |what: String| Err(Error::other(format!("no control vector can be written: {what}")));
    if let Some(pair) = all.windows(2).find(|p| p[0].0 == p[1].0) {
        return wrong(format!("there are two directions of layer {}", pair[0].0));
    }
    if let Some(pair) = all.windows(2).find(|p| p[0].1.len() != p[1].1.len()) {
        let [(a, v), (b, w)] = [pair[0], pair[1]];
        return wrong(format!("the direction of layer {a} is {} wide, that of layer {b} {}", v.len(), w.len()));
    }
    if let Some((layer, _)) = all.iter().find(|(_, v)| v.is_empty() || !v.iter().all(|x| x.is_finite())) {
        return wrong(format!("the direction of layer {layer} is empty or not finite"));
    }
    let (left_out, held): (Vec<_>, Vec<_>) = all.into_iter().partition(|(layer, _)| *layer == 0);
    let layers = |of: &[(usize, &[f32])]| of.iter().map(|(layer, _)| *layer).collect();
    let file = (!held.is_empty()).then(|| gguf(hint, &held));
    Ok(ControlVector { file, layers: layers(&held), left_out: layers(&left_out) })
}

fn gguf(hint: &str, directions: &[(usize, &[f32])]) -> Vec<u8> {
    const TEXT: u32 = 8;
    const COUNT: u32 = 4;
    const ALIGNMENT: usize = 32;
    let mut out = b"GGUF".to_vec();
    let text = |out: &mut Vec<u8>, s: &str| {
        out.extend((s.len() as u64).to_le_bytes());
        out.extend(s.as_bytes());
    };
    out.extend(3u32.to_le_bytes());
    out.extend((directions.len() as u64).to_le_bytes());
    out.extend(3u64.to_le_bytes());
    for (key, value) in [("general.architecture", "controlvector"), ("controlvector.model_hint", hint)] {
        text(&mut out, key);
        out.extend(TEXT.to_le_bytes());
        text(&mut out, value);
    }
    text(&mut out, "controlvector.layer_count");
    out.extend(COUNT.to_le_bytes());
    out.extend((directions.len() as u32).to_le_bytes());
    let mut offset = 0;
    for (layer, v) in directions {
        text(&mut out, &format!("direction.{layer}"));
        out.extend(1u32.to_le_bytes());
        out.extend((v.len() as u64).to_le_bytes());
        // f32
        out.extend(0u32.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += (v.len() * 4).next_multiple_of(ALIGNMENT);
    }
    for (_, v) in directions {
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend(v.iter().flat_map(|x| x.to_le_bytes()));
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    out
}

/// The file that lm-evaluation-harness' `steered` model reads as `steer_path=….pt`. It is PyTorch's archive of
/// `{hookpoint: {action: "add", steering_coefficient, steering_vector, bias: None, head_index: None}}`. `hookpoint`
/// is a module of the model without its language-model head, such as `layers.9`; `vector` is `[hidden]`.
///
/// # Errors
/// When the archive cannot be written, or the vector is empty or not finite.
pub fn steered(hookpoint: &str, vector: &[f32], coefficient: f64) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::other(format!("the archive cannot be written: {e}"));
    if vector.is_empty() || !vector.iter().all(|x| x.is_finite()) || !coefficient.is_finite() {
        return Err(failed(&format!("the direction of `{hookpoint}` is empty or not finite")));
    }
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let storage: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let pickled = pickle(hookpoint, vector.len() as u32, coefficient);
    let files: [(&str, &[u8]); 4] =
        [("data.pkl", &pickled), ("byteorder", b"little"), ("data/0", &storage), ("version", b"3\n")];
    for (name, bytes) in files {
        zip.start_file(format!("archive/{name}"), stored).map_err(|e| failed(&e))?;
        zip.write_all(bytes).map_err(|e| failed(&e))?;
    }
    Ok(zip.finish().map_err(|e| failed(&e))?.into_inner())
}

/// Pickle, protocol 2, with only the operations that PyTorch's `weights_only` loader allows.
fn pickle(hookpoint: &str, len: u32, coefficient: f64) -> Vec<u8> {
    let mut p: Vec<u8> = vec![0x80, 2];
    let text = |p: &mut Vec<u8>, s: &str| {
        p.push(b'X');
        p.extend((s.len() as u32).to_le_bytes());
        p.extend(s.as_bytes());
    };
    let int = |p: &mut Vec<u8>, n: u32| {
        p.push(b'J');
        p.extend(n.to_le_bytes());
    };
    // {hookpoint: {…}}
    p.extend(b"}");
    text(&mut p, hookpoint);
    p.extend(b"}(");
    text(&mut p, "action");
    text(&mut p, "add");
    text(&mut p, "steering_coefficient");
    p.push(b'G');
    p.extend(coefficient.to_be_bytes());
    text(&mut p, "bias");
    p.push(b'N');
    text(&mut p, "head_index");
    p.push(b'N');
    text(&mut p, "steering_vector");
    // _rebuild_tensor_v2(storage, 0, (len,), (1,), False, OrderedDict())
    p.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(&mut p, "storage");
    p.extend(b"ctorch\nFloatStorage\n");
    text(&mut p, "0");
    text(&mut p, "cpu");
    int(&mut p, len);
    p.extend(b"tQ");
    int(&mut p, 0);
    int(&mut p, len);
    p.push(0x85);
    int(&mut p, 1);
    p.push(0x85);
    p.push(0x89);
    p.extend(b"ccollections\nOrderedDict\n)RtRus.");
    p
}
