//! A tiny checkpoint for tests: every kind of layer, a window of eight, one token per character.
use crate::{Config, Result, device, init};
use burn::tensor::Device;
use friction_core::manifest::BackendKind;
use serde_json::{Map, json};
use std::cell::RefCell;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The backend that `FRICTION_TEST_BACKEND` names: `cpu` where it is not set.
///
/// # Errors
/// When it names none.
pub fn backend() -> Result<BackendKind> {
    let word = std::env::var("FRICTION_TEST_BACKEND").unwrap_or_else(|_| "cpu".into());
    match word.as_str() {
        "cpu" => Ok(BackendKind::Cpu),
        "cuda" => Ok(BackendKind::Cuda),
        "wgpu" => Ok(BackendKind::Wgpu),
        _ => Err(crate::Error::Device(format!("FRICTION_TEST_BACKEND is `{word}`; set cpu, cuda or wgpu"))),
    }
}

/// Its first device. On CUDA a thread that has asked has it alone until it ends: while a step is recorded there, what
/// other threads of the process ask of the device is refused.
///
/// # Errors
/// When it was not compiled in or is not on this machine.
pub fn device() -> Result<Device> {
    static ALONE: Mutex<()> = Mutex::new(());
    thread_local!(static TURN: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) });
    let kind = backend()?;
    if kind == BackendKind::Cuda {
        // A test that failed in its turn leaves nothing that the next could trip over.
        let wait = || ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        TURN.with_borrow_mut(|turn| {
            turn.get_or_insert_with(wait);
        });
    }
    device::open(kind, 0)
}

/// Seven layers, one of them global.
pub fn config() -> Config {
    Config {
        hidden: 32,
        intermediate: 64,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        vocab: 128,
        window: 8,
        query_pre_attn_scalar: 8.0,
        rope_global: 1e6,
        rope_factor: 8.0,
        rope_local: 1e4,
        rope_local_factor: 1.0,
        global: (0..7).map(|i| i == 5).collect(),
        context: 8192,
        eps: 1e-6,
        tied: true,
        bos: 2,
        eos: vec![1, 5],
    }
}

/// A tokenizer.json with Gemma's special tokens and printable ASCII.
pub fn tokenizer_json() -> String {
    let specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"];
    let mut vocab = Map::new();
    let mut add = |s: String| {
        let n = vocab.len();
        vocab.insert(s, json!(n));
    };
    specials.iter().for_each(|s| add((*s).to_string()));
    add("\n".into());
    (' '..='~').for_each(|c| add(c.to_string()));
    let added: Vec<_> = specials
        .iter()
        .enumerate()
        .map(|(i, s)| json!({"id": i, "content": s, "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false}))
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []}
    })
    .to_string()
}

/// Writes the checkpoint to a new folder.
///
/// # Errors
/// When it cannot be written.
pub fn checkpoint(dir: &Path, seed: u64) -> Result<()> {
    init::write(&config(), seed, None, dir)?;
    let path = dir.join("tokenizer.json");
    std::fs::write(&path, tokenizer_json()).map_err(|e| crate::Error::io(path, e))
}
