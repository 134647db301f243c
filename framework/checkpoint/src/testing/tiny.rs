//! Tiny models of every family, made of its published shapes: sizes shrink, and what a family computes stays. A new family
//! has tiny models by itself.
use crate::arch::{Arch, LayerKind, RopeParameters, Scaling};
use crate::families::{FAMILIES, Family};
use crate::weights::TensorSource;
use crate::{Error, Result};
use friction_core::seed::derive;
use serde_json::{Value, json};
use std::path::Path;

/// Width of the residual stream. Like all widths here it is a multiple of 32, as those of published models are.
pub const HIDDEN: usize = 32;
/// Number of layers of a tiny model; as many as there are kinds of layers, where these are more.
pub const LAYERS: usize = 4;
/// Size of the vocabulary, in which that of [`super::tokenizer_json`] fits.
pub const VOCAB: usize = 128;
/// Keys that a query of a sliding layer attends to, its own included: fewer than a prompt has.
pub const WINDOW: usize = 8;
/// Context of pretraining of scaled RoPE, in tokens: some frequencies are kept, and some are scaled.
const ORIGINAL: f64 = 64.0;
/// Soft caps, which scores and logits reach.
const CAP: f64 = 1.0;

/// The tiny architectures of all families, in their order, each with its name. Of every published shape there is one,
/// except where two are alike; and of each family's first shape another with all options.
///
/// # Errors
/// When a family names no published shape, or one that it cannot read.
pub fn archs() -> Result<Vec<(String, Arch)>> {
    let mut out: Vec<(String, Arch)> = vec![];
    for family in FAMILIES {
        let mut shapes: Vec<(String, Value)> = (family.shapes)().into_iter().map(|(n, v)| (n.to_string(), v)).collect();
        let Some((name, first)) = shapes.first() else {
            return Err(Error::Source(format!(
                "{} names no published shape, of which tests make its tiny models: name one in its `shapes`",
                family.name
            )));
        };
        let more = (format!("{name} with all options"), with_options(family, first));
        shapes.push(more);
        for (name, config) in shapes {
            let arch = shrunk(Arch::from_json(Path::new(&name), &config, None)?);
            if !out.iter().any(|(_, other)| *other == arch) {
                out.push((name, arch));
            }
        }
    }
    Ok(out)
}

/// A configuration with the options that the family has: biases, and a window where there is none.
fn with_options(family: &Family, config: &Value) -> Value {
    let half = config["num_hidden_layers"].as_u64().map(|layers| layers / 2);
    let options = [
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(true)),
        ("sliding_window", json!(4096)),
        ("use_sliding_window", json!(true)),
        ("max_window_layers", json!(half)),
    ];
    let mut out = config.clone();
    for (key, value) in options.into_iter().filter(|(key, _)| family.keys.contains(key)) {
        let mut next = out.clone();
        next[key] = value;
        // Some families know a key only to refuse it.
        if Arch::from_json(Path::new("config.json"), &next, None).is_ok() {
            out = next;
        }
    }
    out
}

/// An architecture of the smallest sizes at which it is still itself: as many query heads share a key head, layers of all
/// its kinds take turns, windows are shorter than prompts.
fn shrunk(arch: Arch) -> Arch {
    let (kinds, kv_heads) = (arch.kinds.len(), arch.kv_heads.min(2));
    let heads = arch.heads / arch.kv_heads * kv_heads;
    let head_dim = if heads.is_multiple_of(2) { 16 } else { 32 };
    let small = |rope: RopeParameters| RopeParameters { scaling: scaled(rope.scaling), ..rope };
    let kind = |k: &LayerKind| LayerKind { window: k.window.map(|_| WINDOW), rope: k.rope.map(small) };
    Arch {
        hidden: HIDDEN,
        intermediate: 2 * HIDDEN,
        heads,
        kv_heads,
        head_dim,
        vocab: VOCAB,
        query_pre_attn_scalar: arch.query_pre_attn_scalar * head_dim as f64 / arch.head_dim as f64,
        attn_softcap: arch.attn_softcap.map(|_| CAP),
        final_softcap: arch.final_softcap.map(|_| CAP),
        kinds: arch.kinds.iter().map(kind).collect(),
        layer_kinds: (0..kinds).cycle().take(LAYERS.max(kinds)).collect(),
        context: 8192,
        bos: arch.bos.map(|_| 2),
        // Gemma's, and the digits: replies that are drawn at random end early.
        eos: [1, 5].into_iter().chain(23..33).collect(),
        ..arch
    }
}

fn scaled(mut scaling: Scaling) -> Scaling {
    if let Scaling::Llama3 { original, .. } | Scaling::Yarn { original, .. } = &mut scaling {
        *original = ORIGINAL;
    }
    scaling
}

/// Seeded weights of such a size that every part of a tiny model changes its logits: scores differ from key to key, norms
/// multiply by about 1 in every family, and biases are not small beside what they are added to.
pub struct Weights {
    seed: u64,
    /// What a stored norm weight is where the norm multiplies by 1.
    norm: f32,
    parameters: u64,
}

impl Weights {
    /// Weights of an architecture.
    pub fn new(arch: &Arch, seed: u64) -> Self {
        Self { seed, norm: 1.0 - arch.norm_offset, parameters: arch.parameters() }
    }
}

impl TensorSource for Weights {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let table = ["embed_tokens.weight", "lm_head.weight"].contains(&name);
        // Mean and standard deviation.
        let (mean, deviation) = match shape {
            [_] if name.ends_with(".bias") => (0.0, 0.1),
            [_] => (self.norm, 0.2),
            [_, columns] if !table => (0.0, 1.0 / (*columns as f32).sqrt()),
            _ => (0.0, 0.1),
        };
        let mut state = derive(&[&self.seed.to_le_bytes(), name.as_bytes()]);
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // From −√3 to √3: of standard deviation 1.
            mean + deviation * 3f32.sqrt() * ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
        };
        Ok((0..shape.iter().product::<usize>()).map(|_| next()).collect())
    }

    fn parameters(&self) -> u64 {
        self.parameters
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::arch::QkNorm;

    #[test]
    fn every_family_and_every_part_of_the_pass_is_there() {
        let all = archs().unwrap();
        for family in FAMILIES {
            assert!(all.iter().any(|(_, a)| a.family == *family), "{}", family.name);
        }
        type Has = fn(&Arch) -> bool;
        let parts: [(&str, Has); 19] = [
            ("one query head for a key head", |a| a.heads == a.kv_heads),
            ("three query heads for a key head", |a| a.heads == 3 * a.kv_heads),
            ("one key head", |a| a.kv_heads == 1),
            ("a tied head", |a| a.tied),
            ("a head of its own", |a| !a.tied),
            ("biases of queries, keys and values alone", |a| a.bias.qkv && !a.bias.out),
            ("biases of the output projection", |a| a.bias.out),
            ("biases of the MLP", |a| a.bias.mlp),
            ("no norm of queries and keys", |a| a.qk_norm == QkNorm::None),
            ("norms of heads", |a| a.qk_norm == QkNorm::Head),
            ("norms of projections", |a| a.qk_norm == QkNorm::Projection),
            ("soft caps", |a| a.attn_softcap.is_some() && a.final_softcap.is_some()),
            ("a window on some layers", |a| a.window().is_some() && a.kinds.iter().any(|k| k.window.is_none())),
            ("a window on all layers", |a| a.kinds.iter().all(|k| k.window.is_some())),
            ("no window", |a| a.window().is_none()),
            ("a layer without RoPE", |a| a.kinds.iter().any(|k| k.rope.is_none())),
            ("linear scaling", |a| scales(a, |s| matches!(s, Scaling::Linear(_)))),
            ("scaling as in Llama 3", |a| scales(a, |s| matches!(s, Scaling::Llama3 { .. }))),
            ("YaRN", |a| scales(a, |s| matches!(s, Scaling::Yarn { .. }))),
        ];
        for (part, has) in parts {
            assert!(all.iter().any(|(_, a)| has(a)), "{part}");
        }
        for (name, a) in &all {
            assert_eq!(a.fault(), None, "{name}");
            assert!((0..a.kinds.len()).all(|kind| a.layer_kinds.contains(&kind)), "{name}");
            assert!([a.hidden, a.intermediate, a.heads * a.head_dim].iter().all(|n| n.is_multiple_of(32)), "{name}");
        }
    }

    fn scales(arch: &Arch, is: fn(Scaling) -> bool) -> bool {
        arch.kinds.iter().filter_map(|k| k.rope).any(|rope| is(rope.scaling))
    }

    /// Also those of norms, which are stored with an offset or without.
    #[test]
    fn weights_are_of_the_size_that_they_are_said_to_have() {
        for (name, arch) in archs().unwrap() {
            let weights = Weights::new(&arch, 1);
            let norm = weights.f32("norm.weight", &[512]).unwrap();
            let mean = norm.iter().map(|w| w + arch.norm_offset).sum::<f32>() / 512.0;
            assert!((mean - 1.0).abs() < 0.05, "{name}: {mean}");
            let matrix = weights.f32("layers.0.mlp.down_proj.weight", &[32, 64]).unwrap();
            let square = matrix.iter().map(|w| w * w).sum::<f32>() / 32.0;
            assert!((square - 1.0).abs() < 0.2, "{name}: {square}");
        }
    }
}
