//! A tiny randomly initialised checkpoint for tests: sliding and global layers, a window of eight, one token per
//! character. Public but hidden, for the tests of other crates.
use crate::{Config, Result, device, init};
use burn::tensor::Device;
use friction_core::manifest::BackendKind;
use serde_json::{Map, json};
use std::cell::RefCell;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The backend that the environment variable `FRICTION_TEST_BACKEND` names (`cpu`, `cuda` or `wgpu`); `cpu` where it
/// is not set.
///
/// # Errors
/// When it is set to anything else.
pub fn backend() -> Result<BackendKind> {
    let word = std::env::var("FRICTION_TEST_BACKEND").unwrap_or_else(|_| "cpu".into());
    match word.as_str() {
        "cpu" => Ok(BackendKind::Cpu),
        "cuda" => Ok(BackendKind::Cuda),
        "wgpu" => Ok(BackendKind::Wgpu),
        _ => Err(crate::Error::Device(format!("FRICTION_TEST_BACKEND is `{word}`; set cpu, cuda or wgpu"))),
    }
}

/// The first device of [`backend`]. On CUDA a thread that asks for it holds it until the thread ends, so device tests
/// run one at a time: while one thread records a graph, CUDA refuses the calls of the others.
///
/// # Errors
/// When the backend was not compiled in, or this machine has no such device.
pub fn device() -> Result<Device> {
    static ALONE: Mutex<()> = Mutex::new(());
    thread_local!(static TURN: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) });
    let kind = backend()?;
    if kind == BackendKind::Cuda {
        // A poisoned lock is harmless: a failed test leaves no shared state behind.
        let wait = || ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        TURN.with_borrow_mut(|turn| {
            turn.get_or_insert_with(wait);
        });
    }
    device::open(kind, 0)
}

/// A model of seven layers of which one (index 5) is global, hidden size 32, vocabulary 128, window 8.
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

/// A tokenizer.json with Gemma's special tokens, newline and printable ASCII, one token per character.
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

/// Writes the checkpoint of [`config`], with weights drawn from `seed`, and its tokenizer to the folder `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn checkpoint(dir: &Path, seed: u64) -> Result<()> {
    init::write(&config(), seed, None, dir)?;
    let path = dir.join("tokenizer.json");
    std::fs::write(&path, tokenizer_json()).map_err(|e| crate::Error::io(path, e))
}
