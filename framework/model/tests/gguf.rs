//! GGUF files of a tiny Gemma 3: every `gemma3.*` key is applied or refused, and `output.weight` is the unembedding.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::{DType, Device};
use friction_checkpoint::Arch;
use friction_checkpoint::arch::{RopeParameters, Scaling};
use friction_checkpoint::testing::{self, with_layers, with_rope};
use friction_checkpoint::weights::random::RandomWeights;
use friction_checkpoint::weights::{TensorSource, gguf::Gguf};
use friction_model::NoProbe;
use friction_model::cache::CacheShape;
use friction_model::{Model, Segment, Step};
use std::path::Path;

/// A metadata value with its type in the file.
#[derive(Clone)]
enum V {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(&'static str),
    Bools(Vec<bool>),
    U32s(Vec<u32>),
}

fn text(out: &mut Vec<u8>, s: &str) {
    out.extend((s.len() as u64).to_le_bytes());
    out.extend(s.as_bytes());
}

impl V {
    fn write(&self, out: &mut Vec<u8>) {
        let (kinds, len, body): (&[u32], Option<usize>, Vec<u8>) = match self {
            V::U32(n) => (&[4], None, n.to_le_bytes().to_vec()),
            V::F32(f) => (&[6], None, f.to_le_bytes().to_vec()),
            V::Bool(b) => (&[7], None, vec![u8::from(*b)]),
            V::Text(s) => (&[8], Some(s.len()), s.as_bytes().to_vec()),
            V::Bools(all) => (&[9, 7], Some(all.len()), all.iter().map(|b| u8::from(*b)).collect()),
            V::U32s(all) => (&[9, 4], Some(all.len()), all.iter().flat_map(|n| n.to_le_bytes()).collect()),
        };
        out.extend(kinds.iter().flat_map(|k| k.to_le_bytes()));
        out.extend(len.into_iter().flat_map(|n| (n as u64).to_le_bytes()));
        out.extend(body);
    }
}

/// The GGUF name of a canonical tensor name.
fn name(canonical: &str) -> String {
    let mut name = canonical.replace("layers.", "blk.");
    for (there, here) in [
        ("embed_tokens", "token_embd"),
        ("lm_head", "output"),
        ("post_attention_layernorm", "post_attention_norm"),
        ("pre_feedforward_layernorm", "ffn_norm"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ] {
        name = name.replace(there, here);
    }
    if name == "norm.weight" { "output_norm.weight".into() } else { name }
}

/// The keys that llama.cpp's converter writes for the tiny model.
fn keys(c: &Arch) -> Vec<(String, V)> {
    let key = |k: &str, v: V| (format!("gemma3.{k}"), v);
    vec![
        ("general.architecture".into(), V::Text("gemma3")),
        key("context_length", V::U32(c.context as u32)),
        key("embedding_length", V::U32(c.hidden as u32)),
        key("block_count", V::U32(c.layers() as u32)),
        key("feed_forward_length", V::U32(c.intermediate as u32)),
        key("attention.head_count", V::U32(c.heads as u32)),
        key("attention.head_count_kv", V::U32(c.kv_heads as u32)),
        key("attention.key_length", V::U32(c.head_dim as u32)),
        key("attention.value_length", V::U32(c.head_dim as u32)),
        key("attention.layer_norm_rms_epsilon", V::F32(1e-6)),
        key("attention.sliding_window", V::U32(c.window().unwrap() as u32)),
        key("rope.freq_base", V::F32(1e6)),
        key("rope.scaling.type", V::Text("linear")),
        key("rope.scaling.factor", V::F32(8.0)),
    ]
}

/// Writes a GGUF file of the configuration's tensors and the tensors `more` (name, size), in f32.
fn write(path: &Path, keys: &[(String, V)], c: &Arch, more: &[(&str, usize)]) {
    let random = RandomWeights::new(c, 9);
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = c
        .tensors()
        .into_iter()
        .map(|(n, shape)| {
            let mut v = random.f32(&n, &shape).unwrap();
            if n.contains("norm") {
                v.iter_mut().for_each(|w| *w += 1.0);
            }
            (name(&n), shape, v)
        })
        .collect();
    tensors.extend(more.iter().map(|(n, len)| (n.to_string(), vec![*len], vec![0.5; *len])));
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((keys.len() as u64).to_le_bytes());
    for (key, v) in keys {
        text(&mut out, key);
        v.write(&mut out);
    }
    let mut data: Vec<u8> = vec![];
    for (name, shape, values) in &tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|d| out.extend((*d as u64).to_le_bytes()));
        out.extend(0u32.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    out.extend(data);
    std::fs::write(path, out).unwrap();
}

fn tiny() -> Arch {
    // Seven layers, every sixth global: llama.cpp's default.
    Arch { eos: vec![1, 106], eps: f64::from(1e-6f32), ..testing::config() }
}

/// Reads the configuration of a file with some keys changed or added.
fn with(changes: &[(&str, V)]) -> Result<Arch, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let mut all = keys(&tiny());
    for (key, v) in changes {
        let key = format!("gemma3.{key}");
        all.retain(|(k, _)| *k != key);
        all.push((key, v.clone()));
    }
    write(&path, &all, &tiny(), &[]);
    Gguf::open(&path).unwrap().arch().cloned().map_err(|e| e.to_string())
}

#[test]
fn what_is_computed_is_read() {
    assert_eq!(with(&[]).unwrap(), tiny());
    let of = |changes: &[(&str, V)]| with(changes).unwrap();
    // An integer n: every n-th layer is global, 0: none. A list has 1 for each sliding layer.
    const PATTERN: &str = "attention.sliding_window_pattern";
    for (pattern, global) in [
        (V::U32(6), [0, 0, 0, 0, 0, 1, 0]),
        (V::U32(2), [0, 1, 0, 1, 0, 1, 0]),
        (V::U32(1), [1; 7]),
        (V::U32(0), [0; 7]),
        (V::Bools(vec![true, false, false, true, true, true, false]), [0, 1, 1, 0, 0, 0, 1]),
        (V::U32s(vec![1, 1, 0, 1, 1, 1, 1]), [0, 0, 1, 0, 0, 0, 0]),
    ] {
        assert_eq!(of(&[(PATTERN, pattern)]).layer_kinds, global);
    }
    let factor = |kind: Option<&'static str>, factor: f32| {
        let mut changes = vec![("rope.scaling.factor", V::F32(factor))];
        changes.extend(kind.map(|k| ("rope.scaling.type", V::Text(k))));
        match of(&changes).kinds[1].rope.unwrap().scaling {
            Scaling::Linear(factor) => factor,
            _ => 1.0,
        }
    };
    assert_eq!((factor(None, 8.0), factor(Some("linear"), 2.5), factor(Some("none"), 1.0)), (8.0, 2.5, 1.0));
    assert_eq!(
        of(&[("rope.freq_base_swa", V::F32(2e4)), ("rope.freq_base", V::F32(5e5))]).kinds[0].rope.unwrap().theta,
        2e4
    );
    // Keys that only repeat what is computed.
    let same = [
        ("vocab_size", V::U32(128)),
        ("embedding_length_out", V::U32(32)),
        ("attention.key_length_swa", V::U32(8)),
        ("rope.dimension_count", V::U32(8)),
        ("attention.scale", V::F32(8f32.powf(-0.5))),
        ("attention.causal", V::Bool(true)),
        ("final_logit_softcapping", V::F32(0.0)),
        ("expert_count", V::U32(0)),
        ("rope.scaling.original_context_length", V::U32(1024)),
        ("rope.scaling.finetuned", V::Bool(true)),
        ("rope.scaling.attn_factor", V::F32(1.0)),
        ("mm.tokens_per_image", V::U32(256)),
    ];
    assert_eq!(of(&same), tiny());
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    const PATTERN: &str = "attention.sliding_window_pattern";
    for (key, v, part) in [
        (PATTERN, V::Bools(vec![true; 6]), "has 6 entries for 7 layers"),
        (PATTERN, V::U32s(vec![6; 7]), "a truth value a layer"),
        (PATTERN, V::Text("6"), "not `6`"),
        (PATTERN, V::Bool(true), "not true"),
        ("rope.scaling.type", V::Text("yarn"), "`yarn`, which is not known of a Gemma 3"),
        ("rope.scaling.type", V::Text("longrope"), "`longrope`"),
        ("rope.scaling.type", V::Text("none"), "`gemma3.rope.scaling.factor` is 8"),
        ("rope.scaling.type", V::U32(1), "is 1; friction"),
        ("rope.scaling.factor", V::Text("8"), "must be one number"),
        ("rope.scaling.factor", V::F32(-8.0), "must be above 0"),
        ("rope.scaling.factor", V::F32(f32::NAN), "must be above 0"),
        ("rope.scaling.attn_factor", V::F32(0.8), "has 1"),
        ("rope.scaling.yarn_log_multiplier", V::F32(0.1), "not known"),
        ("rope.scaling.alpha", V::F32(2.0), "not known"),
        ("rope.freq_base", V::Text("1e6"), "must be one number"),
        ("rope.freq_base_swa", V::Bools(vec![true]), "must be one number"),
        ("rope.dimension_count", V::U32(4), "has 8"),
        ("rope.dimension_count_swa", V::U32(4), "has 8"),
        ("rope.dimension_sections", V::U32s(vec![1, 1, 2]), "not known"),
        ("attention.value_length", V::U32(4), "has 8"),
        ("attention.key_length_swa", V::U32(4), "has 8"),
        ("attention.scale", V::F32(0.5), "has 0.35"),
        ("attention.causal", V::Bool(false), "is false"),
        ("attention.shared_kv_layers", V::U32(2), "has 0"),
        ("attention.head_count_kv", V::U32s(vec![2; 7]), "must be one number, not a list of 7"),
        ("attention.temperature_scale", V::F32(0.1), "not known"),
        ("attn_logit_softcapping", V::F32(50.0), "has 0"),
        ("final_logit_softcapping", V::F32(30.0), "has 0"),
        ("logit_scale", V::F32(0.5), "has 1"),
        ("embedding_scale", V::F32(2.0), "not known"),
        ("expert_count", V::U32(8), "has 0"),
        ("pooling_type", V::U32(1), "has 0"),
        ("vocab_size", V::U32(127), "has 128"),
        ("embedding_length", V::F32(32.5), "out of range"),
    ] {
        let e = with(&[(key, v)]).expect_err(key);
        assert!(e.contains(&format!("`gemma3.{key}`")) && e.contains(part), "{key}, {part}: {e}");
    }
    let both = [("rope.scaling.factor", V::F32(1.0)), ("rope.scale_linear", V::F32(4.0))];
    assert_eq!(
        with(&both).unwrap().kinds[1].rope.unwrap().scaling,
        Scaling::Linear(1.0),
        "as in llama.cpp, the new key speaks"
    );
    // Tensors that would not be used.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    for tensor in
        ["rope_freqs.weight", "blk.0.attn_q.bias", "blk.7.attn_norm.weight", "output.bias", "blk.1.attn_q.scale"]
    {
        write(&path, &keys(&tiny()), &tiny(), &[(tensor, 4)]);
        let e = Gguf::open(&path).unwrap().arch().unwrap_err().to_string();
        assert!(e.contains(&format!("tensor `{tensor}` belongs to no Gemma 3")), "{e}");
    }
}

fn logits(c: &Arch, weights: &dyn TensorSource) -> Vec<f32> {
    let model = Model::load(c, weights, &Device::flex(), DType::F32, &mut |_| {}).unwrap();
    let ids = vec![2, 40, 9, 77, 100, 5, 8, 8, 31, 16, 90, 44];
    let segments = vec![Segment { slot: 0, start: 0, len: ids.len() }];
    let mut cache = model.cache(CacheShape::new(c, 1, ids.len(), ids.len()));
    let step = Step { logits: (0..ids.len()).collect(), ids, segments };
    model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap().into_data().iter::<f32>().collect()
}

#[test]
fn the_output_tensor_is_the_unembedding() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let untied = Arch { tied: false, ..tiny() };
    for c in [tiny(), untied] {
        write(&path, &keys(&c), &c, &[]);
        let gguf = Gguf::open(&path).unwrap();
        assert_eq!(*gguf.arch().unwrap(), c);
        // The same tensors from another source; norms differ by the rounding of w + 1 − 1.
        let (got, want) = (logits(&c, &gguf), logits(&c, &RandomWeights::new(&c, 9)));
        let most = want.iter().fold(0f32, |m, v| m.max(v.abs()));
        let off = got.iter().zip(&want).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(off <= 1e-5 * most, "tied {}: {off} of {most}", c.tied);
        assert_eq!(gguf.parameters(), c.parameters());
    }
}

/// Each setting that a file may contain changes the result.
#[test]
fn what_a_file_sets_changes_what_is_computed() {
    let of = |changes: &[(&str, V)]| {
        let c = with(changes).unwrap();
        logits(&c, &RandomWeights::new(&c, 9))
    };
    let usual = of(&[]);
    for changes in [
        ("attention.sliding_window_pattern", V::U32(2)),
        ("rope.scaling.factor", V::F32(1.0)),
        ("rope.freq_base", V::F32(1e3)),
        ("rope.freq_base_swa", V::F32(1e3)),
        ("attention.sliding_window", V::U32(3)),
    ] {
        let key = changes.0;
        assert!(of(&[changes]) != usual, "{key}");
    }
}

/// Linear scaling of sliding layers works as that of global ones: within a window both attend to the same keys.
#[test]
fn sliding_layers_scale_as_global_ones_do() {
    let of = |global: bool, factor: f64| {
        let of_kind = |this: bool, v: f64, other: f64| if this { v } else { other };
        let rope = |this: bool| RopeParameters {
            theta: of_kind(this, 3e4, 5.0),
            scaling: Scaling::Linear(of_kind(this, factor, 9.0)),
        };
        let c = with_rope(with_layers(tiny(), 64, &[global; 7]), rope(global), rope(!global));
        logits(&c, &RandomWeights::new(&c, 9))
    };
    for factor in [1.0, 4.0] {
        assert!(of(false, factor) == of(true, factor), "factor {factor}");
    }
    assert!(of(false, 4.0) != of(false, 1.0));
}
