//! Directions for other tools.
use friction_core::{Error, Result};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A control vector in GGUF, as repeng writes and reads it and llama.cpp reads it: `direction.L`, f32
/// `[hidden]`, is added to the output of block L. `hint` is the model's type, such as `gemma3`.
pub fn control_vector(hint: &str, directions: &[(usize, Vec<f32>)]) -> Vec<u8> {
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

/// What lm-evaluation-harness' `steered` model reads by `steer_path=….pt`: PyTorch's archive of
/// `{hookpoint: {action: "add", steering_coefficient, steering_vector, bias: None, head_index: None}}`. The
/// hookpoint is a module of the model without its head, such as `layers.9`.
///
/// # Errors
/// When the archive cannot be written.
pub fn steered(hookpoint: &str, vector: &[f32], coefficient: f64) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::other(format!("the archive cannot be written: {e}"));
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

/// Pickle, protocol 2: only what PyTorch's restricted loader knows (its `weights_only`).
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
