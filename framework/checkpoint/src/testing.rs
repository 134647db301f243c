//! Small models and files for tests.
pub mod tiny;

use crate::arch::{Activation, Arch, Bias, Norms, QkNorm, RopeParameters, Scaling};
use crate::families::gemma3::{gemma3, to_json};
use crate::{Result, init};
use serde_json::{Map, json};
use std::path::Path;

/// A model of seven layers of which one (index 5) is global, hidden size 32, vocabulary 128, window 8.
pub fn config() -> Arch {
    let sizes = Arch {
        family: &crate::families::gemma3::FAMILY,
        hidden: 32,
        intermediate: 64,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        vocab: 128,
        norms: Norms::Sandwich,
        norm_offset: 1.0,
        eps: 1e-6,
        qk_norm: QkNorm::Head,
        bias: Bias::default(),
        query_pre_attn_scalar: 8.0,
        attn_softcap: None,
        final_softcap: None,
        activation: Activation::GeluTanh,
        kinds: vec![],
        layer_kinds: vec![],
        context: 8192,
        scale_embeddings: true,
        tied: true,
        bos: Some(2),
        eos: vec![1, 5],
    };
    let slides: Vec<bool> = (0..7).map(|i| i != 5).collect();
    let full = RopeParameters { theta: 1e6, scaling: Scaling::Linear(8.0) };
    let sliding = RopeParameters { theta: 1e4, scaling: Scaling::Default };
    gemma3(sizes, 8.0, (8, &slides), [full, sliding])
}

/// A Gemma 3 with another window, and other layers that attend to everything.
pub fn with_layers(mut arch: Arch, window: usize, global: &[bool]) -> Arch {
    arch.kinds[0].window = Some(window);
    arch.layer_kinds = global.iter().map(|g| usize::from(*g)).collect();
    arch
}

/// A Gemma 3 whose layers without a window, and whose layers with one, have these RoPE parameters.
pub fn with_rope(mut arch: Arch, full: RopeParameters, sliding: RopeParameters) -> Arch {
    (arch.kinds[1].rope, arch.kinds[0].rope) = (Some(full), Some(sliding));
    arch
}

/// The config.json of [`config`].
pub fn config_json() -> serde_json::Value {
    to_json(&config()).unwrap_or_default()
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
    init::write(&config_json(), seed, None, dir)?;
    let path = dir.join("tokenizer.json");
    std::fs::write(&path, tokenizer_json()).map_err(|e| crate::Error::io(path, e))
}
