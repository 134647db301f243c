//! Malformed and hostile files give errors: no panic and no huge allocation.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_checkpoint::weights::safetensors::SafetensorsFiles;
use friction_checkpoint::weights::{TensorSource, gguf::Gguf};
use friction_checkpoint::{Arch, Checkpoint, Tokenizer, testing};
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

/// A small valid GGUF: one quantised tensor, metadata of every type.
fn gguf() -> Vec<u8> {
    let mut b = b"GGUF".to_vec();
    let text = |b: &mut Vec<u8>, s: &str| {
        b.extend((s.len() as u64).to_le_bytes());
        b.extend(s.as_bytes());
    };
    b.extend(3u32.to_le_bytes());
    b.extend(2u64.to_le_bytes());
    // What an architecture needs beside the number of its layers.
    let sizes = [
        ("embedding_length", 32u32),
        ("feed_forward_length", 32),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("attention.key_length", 16),
        ("attention.sliding_window", 4),
        ("context_length", 64),
    ];
    b.extend((4 + sizes.len() as u64).to_le_bytes());
    for (key, size) in sizes {
        text(&mut b, &format!("gemma3.{key}"));
        b.extend(4u32.to_le_bytes());
        b.extend(size.to_le_bytes());
    }
    text(&mut b, "general.architecture");
    b.extend(8u32.to_le_bytes());
    text(&mut b, "gemma3");
    text(&mut b, "gemma3.block_count");
    b.extend(4u32.to_le_bytes());
    b.extend(1u32.to_le_bytes());
    text(&mut b, "tokenizer.ggml.tokens");
    b.extend(9u32.to_le_bytes());
    b.extend(8u32.to_le_bytes());
    b.extend(2u64.to_le_bytes());
    text(&mut b, "<bos>");
    text(&mut b, "a");
    text(&mut b, "tokenizer.ggml.scores");
    b.extend(9u32.to_le_bytes());
    b.extend(6u32.to_le_bytes());
    b.extend(2u64.to_le_bytes());
    b.extend(0f32.to_le_bytes());
    b.extend((-1f32).to_le_bytes());
    for (name, kind, offset) in [("token_embd.weight", 8u32, 0u64), ("output_norm.weight", 0, 128)] {
        text(&mut b, name);
        b.extend(if kind == 8 { 2u32 } else { 1 }.to_le_bytes());
        b.extend(32u64.to_le_bytes());
        if kind == 8 {
            b.extend(2u64.to_le_bytes());
        }
        b.extend(kind.to_le_bytes());
        b.extend(offset.to_le_bytes());
    }
    b.resize(b.len().next_multiple_of(32) + 256, 1);
    b
}

static SAFETENSORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    testing::checkpoint(&dir.path().join("m"), 0).unwrap();
    std::fs::read(dir.path().join("m/model.safetensors")).unwrap()
});

/// Peak virtual memory of this process in bytes. Address space, so that allocations that are never touched count.
fn asked() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmPeak:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Upper limit for it. The files are a few KiB; threads and allocator arenas stay well below.
const HUGE: u64 = 64 << 30;

/// Checks one read: a tensor has the requested shape, an error names the file. Returns whether it was read.
fn judged<E: std::fmt::Display>(read: Result<Vec<f32>, E>, count: usize, file: &str) -> bool {
    assert!(asked() < HUGE, "{} bytes were asked for", asked());
    match read {
        Ok(v) => {
            assert_eq!(v.len(), count);
            true
        }
        Err(e) => {
            let said = e.to_string();
            assert!(said.contains(file) && said.len() > file.len() + 10, "{said}");
            false
        }
    }
}

/// Number of the two tensors that could be read.
fn try_gguf(bytes: &[u8]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, bytes).unwrap();
    let opened = Gguf::open(&path);
    assert!(asked() < HUGE, "{} bytes were asked for", asked());
    match opened {
        Ok(g) => {
            let _ = g.arch();
            let _ = Tokenizer::from_gguf(&g);
            let embed = judged(g.f32("embed_tokens.weight", &[2, 32]), 64, "m.gguf");
            usize::from(embed) + usize::from(judged(g.f32("norm.weight", &[32]), 32, "m.gguf"))
        }
        Err(e) => {
            assert!(e.to_string().contains("m.gguf"), "{e}");
            0
        }
    }
}

/// As [`try_gguf`].
fn try_safetensors(bytes: &[u8]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let opened = SafetensorsFiles::open_files(vec![path]);
    assert!(asked() < HUGE, "{} bytes were asked for", asked());
    match opened {
        Ok(s) => {
            let file = "model.safetensors";
            let norm = judged(s.f32("norm.weight", &[32]), 32, file);
            let up = judged(s.f32("layers.0.mlp.up_proj.weight", &[64, 32]), 64 * 32, file);
            if let Err(e) = s.fit(&testing::config()) {
                assert!(e.to_string().contains(file), "{e}");
            }
            usize::from(norm) + usize::from(up)
        }
        Err(e) => {
            assert!(e.to_string().contains("model.safetensors"), "{e}");
            0
        }
    }
}

fn flipped(mut bytes: Vec<u8>, flips: &[(prop::sample::Index, u8)], within: usize) -> Vec<u8> {
    let n = bytes.len().min(within);
    for (at, v) in flips {
        bytes[at.index(n)] = *v;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn gguf_survives_flips(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        try_gguf(&flipped(gguf(), &flips, usize::MAX));
    }
    #[test]
    fn gguf_survives_truncation(n in any::<prop::sample::Index>()) {
        let b = gguf();
        // The last tensor ends at the end of the file.
        prop_assert!(try_gguf(&b[..n.index(b.len())]) < 2);
    }
    #[test]
    fn gguf_survives_anything(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut b = b"GGUF\x03\0\0\0".to_vec();
        b.extend(tail);
        prop_assert_eq!(try_gguf(&b), 0);
    }
    #[test]
    fn safetensors_survives_flips(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        try_safetensors(&flipped(SAFETENSORS.clone(), &flips, 4000));
    }
    #[test]
    fn safetensors_survives_truncation(n in any::<prop::sample::Index>()) {
        prop_assert_eq!(try_safetensors(&SAFETENSORS[..n.index(SAFETENSORS.len())]), 0);
    }
    #[test]
    fn tokenizers_survive_flips(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let bytes = flipped(testing::tokenizer_json().into_bytes(), &flips, usize::MAX);
        match Tokenizer::from_bytes(&bytes) {
            Ok(t) => {
                if let Ok(ids) = t.encode("hello <bos> world") {
                    prop_assert!(!ids.is_empty());
                }
            }
            Err(e) => prop_assert!(e.to_string().len() > 10, "{e}"),
        }
        prop_assert!(asked() < HUGE, "{} bytes were asked for", asked());
    }
    #[test]
    fn configs_survive_anything(key in "[a-z_]{3,30}", value in prop::sample::select(vec!["-1", "0", "1e99", "\"x\"", "null", "[]", "{}", "99999999999999999999"])) {
        for key in [key.as_str(), "hidden_size", "num_hidden_layers", "head_dim", "layer_types", "rope_scaling", "rope_parameters", "sliding_window_pattern", "text_config", "eos_token_id", "tie_word_embeddings", "sliding_window", "rope_theta", "_sliding_window_pattern"] {
            let text = format!("{{\"model_type\": \"gemma3_text\", \"{key}\": {value}}}");
            let Ok(v) = serde_json::from_str(&text) else { continue };
            // An error about a missing or wrong value names the file.
            match Arch::from_json(Path::new("config.json"), &v, None) {
                Ok(c) => prop_assert!(c.hidden > 0 && c.layers() > 0 && c.heads.is_multiple_of(c.kv_heads), "{text}"),
                Err(e) => prop_assert!(e.to_string().contains("config.json"), "{text}: {e}"),
            }
        }
    }
}

#[test]
fn the_small_files_are_right_before_they_are_broken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, gguf()).unwrap();
    let g = Gguf::open(&path).unwrap();
    assert_eq!(g.f32("embed_tokens.weight", &[2, 32]).unwrap().len(), 64);
    assert_eq!(g.f32("norm.weight", &[32]).unwrap().len(), 32);
    assert_eq!((try_gguf(&gguf()), try_safetensors(&SAFETENSORS)), (2, 2));
    #[cfg(target_os = "linux")]
    assert!(asked() > 0, "what was asked for is known");
}

#[test]
fn a_count_larger_than_the_file_is_refused_before_it_is_believed() {
    let mut b = b"GGUF\x03\0\0\0".to_vec();
    b.extend(u64::MAX.to_le_bytes());
    b.extend(1u64.to_le_bytes());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, b).unwrap();
    assert!(Gguf::open(&path).err().unwrap().to_string().contains("more than the file holds"));
}

#[test]
fn a_config_that_contradicts_its_tensors_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let m = dir.path().join("m");
    testing::checkpoint(&m, 0).unwrap();
    let config = std::fs::read_to_string(m.join("config.json"))
        .unwrap()
        .replace("\"intermediate_size\": 64", "\"intermediate_size\": 96");
    std::fs::write(m.join("config.json"), config).unwrap();
    let c = Checkpoint::resolve(&format!("path:{}", m.display()), None, None, Path::new(""), 0).unwrap();
    for e in [c.complete().err(), c.open().err()] {
        let e = e.unwrap().to_string();
        assert!(e.contains("[64, 32], but the config says [96, 32]"), "{e}");
    }
}

/// Told from the headers, before the weights are read.
#[test]
fn a_checkpoint_that_lacks_a_tensor_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let m = dir.path().join("m");
    testing::checkpoint(&m, 0).unwrap();
    let open = || Checkpoint::resolve(&format!("path:{}", m.display()), None, None, Path::new(""), 0).unwrap();
    open().complete().unwrap();
    // An eighth layer, of which there are no tensors.
    let config = std::fs::read_to_string(m.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["num_hidden_layers"] = 8.into();
    config["layer_types"].as_array_mut().unwrap().push("sliding_attention".into());
    std::fs::write(m.join("config.json"), config.to_string()).unwrap();
    let e = open().complete().unwrap_err().to_string();
    let named = "model.safetensors: tensor `model.layers.7.input_layernorm.weight` is missing";
    assert!(e.ends_with(named), "{e}");
    // A file that the index names.
    let index = r#"{"weight_map": {"a": "model.safetensors", "b": "gone.safetensors"}}"#;
    std::fs::write(m.join("model.safetensors.index.json"), index).unwrap();
    assert!(open().complete().unwrap_err().to_string().contains("gone.safetensors"));
    // A GGUF of two tensors.
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, gguf()).unwrap();
    let e = Checkpoint::resolve(&format!("gguf:{}", path.display()), None, None, Path::new(""), 0).unwrap().complete();
    assert!(e.unwrap_err().to_string().contains("tensor `blk.0.attn_norm.weight` is missing"));
}

#[test]
fn an_index_cannot_name_files_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.safetensors.index.json"), r#"{"weight_map": {"a": "../../etc/passwd"}}"#)
        .unwrap();
    assert!(SafetensorsFiles::open(dir.path()).err().unwrap().to_string().contains("not the name of a file beside it"));
}
