//! Tiny models have what their families have: without any part of an architecture the logits are others, so a test over
//! tiny models can fail for each. On the processor, whatever the device is.
use crate::decoder::off;
use burn::tensor::{DType, Device};
use friction_checkpoint::Arch;
use friction_checkpoint::arch::{Bias, QkNorm, RopeParameters, Scaling};
use friction_checkpoint::testing::tiny::{Weights, archs};
use friction_model::cache::CacheShape;
use friction_model::{Model, NoProbe, Segment, Step};
use std::collections::BTreeSet;

/// Tokens of the prompt, many more than a window.
const TOKENS: usize = 40;

/// The logits behind a prompt.
fn logits(arch: &Arch) -> Vec<f32> {
    let weights = Weights::new(arch, 7);
    let model = Model::load(arch, &weights, &Device::flex(), DType::F32, &mut |_| {}).unwrap();
    let mut cache = model.cache(CacheShape::new(arch, 1, TOKENS, TOKENS));
    let step = Step {
        ids: (0..TOKENS).map(|at| (at * 17 % 120 + 7) as u32).collect(),
        segments: vec![Segment { slot: 0, start: 0, len: TOKENS }],
        logits: vec![TOKENS - 1],
    };
    model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap().into_data().iter::<f32>().collect()
}

/// Takes a part of an architecture away; an architecture without it stays the same.
type Without = fn(&mut Arch);

const PARTS: [(&str, Without); 10] = [
    ("windows", |a| a.kinds.iter_mut().for_each(|k| k.window = None)),
    ("RoPE", |a| a.kinds.iter_mut().for_each(|k| k.rope = None)),
    ("layers without RoPE", |a| {
        let rope = RopeParameters { theta: 1e4, scaling: Scaling::Default };
        a.kinds.iter_mut().for_each(|k| k.rope = k.rope.or(Some(rope)));
    }),
    ("scaled RoPE", |a| {
        a.kinds.iter_mut().filter_map(|k| k.rope.as_mut()).for_each(|rope| rope.scaling = Scaling::Default);
    }),
    ("norms of queries and keys", |a| a.qk_norm = QkNorm::None),
    ("biases", |a| a.bias = Bias::default()),
    ("the factor of the scores", |a| a.query_pre_attn_scalar = 1.0),
    ("the soft cap of scores", |a| a.attn_softcap = None),
    ("the soft cap of logits", |a| a.final_softcap = None),
    ("the factor of embeddings", |a| a.scale_embeddings = false),
];

#[test]
fn without_any_of_its_parts_a_tiny_model_is_another() {
    let mut seen = BTreeSet::new();
    for (name, arch) in archs().unwrap() {
        let whole = logits(&arch);
        for (part, without) in PARTS {
            let mut other = arch.clone();
            without(&mut other);
            if other != arch {
                let apart = off(&logits(&other), &whole);
                assert!(apart > 1e-3, "{name} without {part} is only {apart:e} away");
                seen.insert(part);
            }
        }
    }
    assert_eq!(seen.len(), PARTS.len(), "{seen:?}");
}
