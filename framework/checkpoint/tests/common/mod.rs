//! What several tests of GGUF files use.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]
use friction_checkpoint::weights::gguf::Gguf;
use friction_checkpoint::{Result, Tokenizer};
use std::path::{Path, PathBuf};

/// A GGUF file with metadata only: its bytes and the number of keys.
pub struct File(Vec<u8>, u64);

impl File {
    pub fn new() -> Self {
        Self(vec![], 0)
    }
    pub fn text(&mut self, s: &str) {
        self.0.extend((s.len() as u64).to_le_bytes());
        self.0.extend(s.as_bytes());
    }
    pub fn key(&mut self, key: &str, kind: u32) {
        self.1 += 1;
        self.text(key);
        self.0.extend(kind.to_le_bytes());
    }
    pub fn array(&mut self, key: &str, kind: u32, n: usize) {
        self.key(key, 9);
        self.0.extend(kind.to_le_bytes());
        self.0.extend((n as u64).to_le_bytes());
    }
    pub fn id(&mut self, key: &str, id: u32) {
        self.key(&format!("tokenizer.ggml.{key}"), 4);
        self.0.extend(id.to_le_bytes());
    }
    pub fn texts(&mut self, key: &str, all: &[String]) {
        self.array(&format!("tokenizer.ggml.{key}"), 8, all.len());
        all.iter().for_each(|t| self.text(t));
    }
    pub fn types(&mut self, types: &[i64]) {
        self.array("tokenizer.ggml.token_type", 5, types.len());
        types.iter().for_each(|t| self.0.extend((*t as i32).to_le_bytes()));
    }
    pub fn named(&mut self, key: &str, value: &str) {
        self.key(key, 8);
        self.text(value);
    }
    pub fn flag(&mut self, key: &str, value: bool) {
        self.key(&format!("tokenizer.ggml.{key}"), 7);
        self.0.push(u8::from(value));
    }
    /// A SentencePiece vocabulary.
    pub fn vocabulary(&mut self, pieces: &[String], scores: &[f32], types: &[i64]) {
        self.texts("tokens", pieces);
        self.array("tokenizer.ggml.scores", 6, scores.len());
        scores.iter().for_each(|s| self.0.extend(s.to_le_bytes()));
        self.types(types);
    }
    pub fn read(&self, dir: &Path) -> Result<Tokenizer> {
        let path = dir.join("t.gguf");
        let head = [&b"GGUF"[..], &3u32.to_le_bytes(), &0u64.to_le_bytes(), &self.1.to_le_bytes(), &self.0].concat();
        std::fs::write(&path, head).unwrap();
        Tokenizer::from_gguf(&Gguf::open(&path).unwrap())
    }
    pub fn tokenizer(&self, dir: &Path) -> Tokenizer {
        self.read(dir).unwrap()
    }
}

/// Token types.
pub const NORMAL: i64 = 1;
pub const UNKNOWN: i64 = 2;
pub const CONTROL: i64 = 3;
pub const USER_DEFINED: i64 = 4;
pub const BYTE: i64 = 6;

/// The folder of the models.
pub fn models() -> PathBuf {
    std::env::var_os("FRICTION_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/friction-models"),
        PathBuf::from,
    )
}
