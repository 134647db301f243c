//! Checkpoints with an untied unembedding: logits use it on every device, and contradictions to the configuration are
//! refused.
use crate::parity::{expected, fixtures, forward, oracle, relative, tokens};
use burn::tensor::{DType, Device, Tensor};
use friction_checkpoint::families::gemma3::to_json;
use friction_checkpoint::init::{self, Stored};
use friction_checkpoint::weights::random::RandomWeights;
use friction_checkpoint::weights::{TensorSource, safetensors::SafetensorsFiles};
use friction_checkpoint::{Arch, Checkpoint, testing};
use friction_core::manifest::Quantize;
use friction_core::{BuildContext, Site};
use friction_model::NoProbe;
use friction_model::cache::CacheShape;
use friction_model::decoder::{Wish, spare_slots};
use friction_model::quant::Blocks;
use friction_model::{Decoder, Model, Probe, Segment, Step, Unembedding, testing as devices};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use std::path::Path;

/// Tensors of a file: name, type, shape and bytes.
type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn config(tied: bool) -> Arch {
    Arch { tied, ..testing::config() }
}

/// Writes the tiny model with an untied `lm_head.weight`.
fn written(dir: &Path) -> std::path::PathBuf {
    let dir = dir.join("untied");
    init::write(&to_json(&config(false)).unwrap(), 7, None, &dir).unwrap();
    std::fs::write(dir.join("tokenizer.json"), testing::tokenizer_json()).unwrap();
    dir
}

fn tensors_of(dir: &Path) -> Tensors {
    let bytes = std::fs::read(dir.join("model.safetensors")).unwrap();
    let st = SafeTensors::deserialize(&bytes).unwrap();
    st.tensors().into_iter().map(|(n, t)| (n, t.dtype(), t.shape().to_vec(), t.data().to_vec())).collect()
}

fn write(dir: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(n, d, s, b)| (n.clone(), TensorView::new(*d, s.clone(), b).unwrap()));
    safetensors::serialize_to_file(views, None, &dir.join("model.safetensors")).unwrap();
}

fn set(dir: &Path, key: &str, value: Value) {
    let path = dir.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(path, config.to_string()).unwrap();
}

fn resolve(dir: &Path) -> Checkpoint {
    Checkpoint::resolve(&format!("path:{}", dir.display()), None, None, Path::new(""), 0).unwrap()
}

fn open(dir: &Path) -> Result<Box<dyn TensorSource>, String> {
    resolve(dir).open().map_err(|e| e.to_string())
}

/// x · wᵀ in f64, for rows of `width`.
fn product(x: &[f32], w: &[f32], width: usize) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32;
    x.chunks(width).flat_map(|x| w.chunks(width).map(move |w| dot(x, w))).collect()
}

fn floats(t: Tensor<2>) -> Vec<f32> {
    t.into_data().iter::<f32>().collect()
}

/// A probe that records the input of the unembedding.
#[derive(Default)]
struct FinalNorm(Vec<f32>);
impl Probe for FinalNorm {
    fn wants(&self, site: Site) -> bool {
        site == Site::FinalNorm
    }
    fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
        self.0 = floats(x.clone());
        x
    }
}

const IDS: [u32; 11] = [2, 9, 40, 41, 17, 100, 3, 55, 9, 71, 8];

#[test]
fn logits_come_from_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = resolve(&written(dir.path()));
    let c = &checkpoint.arch;
    assert!(!c.tied);
    let weights = checkpoint.open().unwrap();
    let [head, embedding] =
        ["lm_head.weight", "embed_tokens.weight"].map(|n| weights.f32(n, &[c.vocab, c.hidden]).unwrap());
    let device = devices::device().unwrap();
    let tied_bytes = |quantize| {
        let source = RandomWeights::new(&config(true), 7);
        Model::load_as(&config(true), &source, &device, (DType::F32, quantize), &mut |_| {}).unwrap().weight_bytes()
    };
    for quantize in [Quantize::None, Quantize::Q8, Quantize::Q4] {
        let precision = (DType::F32, quantize);
        let model = Model::load_as(c, weights.as_ref(), &device, precision, &mut |_| {}).unwrap();
        let rounded = |w: &[f32]| Blocks::of(w, c.hidden, quantize).unwrap();
        let slots = 1 + spare_slots(&model);
        let mut cache = model.cache(CacheShape::new(c, slots, IDS.len() + 2, IDS.len()));
        let step = Step {
            ids: IDS.to_vec(),
            segments: vec![Segment { slot: 0, start: 0, len: IDS.len() }],
            logits: (0..IDS.len()).collect(),
        };
        let mut probe = FinalNorm::default();
        let got = floats(model.forward(&step, &mut cache, &mut probe).unwrap().unwrap());
        let want = product(&probe.0, &rounded(&head).dequantised(), c.hidden);
        let tied = product(&probe.0, &rounded(&embedding).dequantised(), c.hidden);
        let (e, before) = (relative(&got, &want), relative(&tied, &want));
        println!("{quantize:?}: {e:.1e} off the head's logits; the embedding's are {before:.2} off");
        assert!(e <= 1e-5 && before > 1.0, "{quantize:?}: {e:e}, {before}");
        // A decode step, recorded on a GPU, gives the same as the plain pass.
        let next =
            Step { ids: vec![33], segments: vec![Segment { slot: 0, start: IDS.len(), len: 1 }], logits: vec![0] };
        let (answer, best) = {
            let mut decoder = Decoder::new(&model, None);
            let answer = decoder.step(&next, &Wish::default(), &mut cache).unwrap();
            (floats(answer.logits.clone().narrow(0, 0, 1)), answer.read().0)
        };
        let mut probe = FinalNorm::default();
        model.forward(&next, &mut cache, &mut probe).unwrap();
        let want = product(&probe.0, &rounded(&head).dequantised(), c.hidden);
        assert!(relative(&answer, &want) <= 1e-5, "{quantize:?}: decoding {:e} off", relative(&answer, &want));
        assert!(want.iter().all(|v| *v <= want[best[0] as usize] + 1e-5));
        let table = match quantize {
            Quantize::None => (c.vocab * c.hidden * 4) as u64,
            _ => rounded(&head).bytes(),
        };
        assert_eq!(model.weight_bytes(), tied_bytes(quantize) + table, "{quantize:?}: the head is counted");
    }
    assert_eq!(c.parameters(), config(true).parameters() + (c.vocab * c.hidden) as u64);
}

/// transformers' output of the last block through an untied head.
#[test]
fn the_head_of_a_real_checkpoint() {
    let Some(fixtures) = fixtures("gemma3") else { return };
    for name in ["tiny-1b", "tiny-27b"] {
        let from = fixtures.join(name);
        let dir = tempfile::tempdir().unwrap();
        let c = resolve(&from).arch;
        let mut tensors = tensors_of(&from);
        let embedding = tensors.iter().find(|(n, ..)| n == "model.embed_tokens.weight").unwrap().clone();
        // Rows reversed and negated: as different from tied as possible.
        let rows: Vec<&[u8]> = embedding.3.chunks(4 * c.hidden).rev().collect();
        let mut head = rows.concat();
        head.iter_mut().skip(3).step_by(4).for_each(|b| *b ^= 0x80);
        tensors.push(("lm_head.weight".into(), embedding.1, embedding.2, head.clone()));
        write(dir.path(), &tensors);
        std::fs::copy(from.join("config.json"), dir.path().join("config.json")).unwrap();
        set(dir.path(), "tie_word_embeddings", json!(false));

        let checkpoint = resolve(dir.path());
        let weights = checkpoint.open().unwrap();
        let device = devices::device().unwrap();
        let model = Model::load(&checkpoint.arch, &*weights, &device, DType::F32, &mut |_| {}).unwrap();
        let of =
            |b: &[u8]| -> Vec<f32> { b.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect() };
        let (head, embedding, norm) = (of(&head), of(&embedding.3), weights.f32("norm.weight", &[c.hidden]).unwrap());
        let (file, json) = oracle(&from);
        let st = SafeTensors::deserialize(&file).unwrap();
        for (i, case) in json["cases"].as_array().unwrap().iter().enumerate() {
            let ids = tokens(&case["prompt"]);
            let blocks = expected(&st, &format!("resid_post.{i}"));
            let last = &blocks[blocks.len() - ids.len() * c.hidden..];
            let normed: Vec<f32> = last
                .chunks(c.hidden)
                .flat_map(|x| {
                    let square: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
                    let rms = (square / c.hidden as f64 + c.eps).sqrt();
                    x.iter().zip(&norm).map(move |(x, w)| (f64::from(*x) / rms * (1.0 + f64::from(*w))) as f32)
                })
                .collect();
            // Control: through the embedding it gives transformers' logits.
            let theirs = expected(&st, &format!("logits.{i}"));
            assert!(relative(&product(&normed, &embedding, c.hidden), &theirs) <= 1e-5);
            let (got, _) = forward(&model, &ids);
            let e = relative(&got, &product(&normed, &head, c.hidden));
            let most = got.iter().zip(&theirs).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
            println!("{name} case {i}: {e:.1e} off; a dropped head would be off by up to {most:.1}");
            assert!(e <= if device == Device::flex() { 1e-5 } else { 1e-4 }, "{name} case {i}: {e:e}");
        }
    }
}

#[test]
fn a_lens_reads_through_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let source = format!("path:{}", written(dir.path()).display());
    let kind = devices::backend().unwrap();
    let cx: BuildContext = serde_json::from_value(json!({
        "base": "", "seed": 0, "model": {"source": source}, "backend": {"kind": kind}}))
    .unwrap();
    let (u, _) = Unembedding::open(&cx).unwrap();
    let weights = open(&dir.path().join("untied")).unwrap();
    let head = weights.f32("lm_head.weight", &[u.vocab(), u.hidden()]).unwrap();
    let norm = weights.f32("norm.weight", &[u.hidden()]).unwrap();
    let x: Vec<f32> = (0..u.hidden()).map(|i| (i as f32 - 12.5) / 7.0).collect();
    let scaled: Vec<f32> = x.iter().zip(&norm).map(|(x, w)| x * (1.0 + w)).collect();
    let want = product(&scaled, &head, u.hidden());
    assert!(relative(&u.logits(&x, false), &want) <= 1e-5);
    assert!((u.logit(&x, 1.0, 77) - f64::from(want[77])).abs() <= 1e-5);
}

#[test]
fn heads_are_found_by_every_name_that_transformers_gives_them() {
    let dir = tempfile::tempdir().unwrap();
    let from = written(dir.path());
    let tensors = tensors_of(&from);
    let head = open(&from).unwrap().f32("lm_head.weight", &[128, 32]).unwrap();
    for (body, its_head) in [
        ("model.", "lm_head.weight"),
        ("language_model.model.", "language_model.lm_head.weight"),
        ("model.language_model.", "lm_head.weight"),
    ] {
        let named = tensors.iter().map(|(n, d, s, b)| {
            let n = n.strip_prefix("model.").map_or_else(|| its_head.into(), |rest| format!("{body}{rest}"));
            (n, *d, s.clone(), b.clone())
        });
        write(&from, &named.collect());
        assert_eq!(open(&from).unwrap().f32("lm_head.weight", &[128, 32]).unwrap(), head, "{its_head}");
    }
}

#[test]
fn contradictions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let from = written(dir.path());
    let tensors = tensors_of(&from);
    let at = |name: &str| tensors.iter().position(|(n, ..)| n == name).unwrap();
    let (head, embedding) = (at("lm_head.weight"), at("model.embed_tokens.weight"));
    let refused = |tensors: &Tensors, parts: &[&str]| {
        write(&from, tensors);
        let e = open(&from).err().unwrap_or_else(|| panic!("must be refused for {parts:?}"));
        assert!(parts.iter().all(|p| e.contains(p)), "{parts:?}: {e}");
    };
    let without = |at: usize| -> Tensors {
        tensors.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, t)| t.clone()).collect()
    };
    refused(
        &without(head),
        &["`tie_word_embeddings` is false (or not set, and false by default), but there is no `lm_head.weight`"],
    );
    // By the name that the file would have.
    refused(
        &without(at("model.layers.6.mlp.up_proj.weight")),
        &["tensor `model.layers.6.mlp.up_proj.weight` is missing"],
    );
    // Tensors that would not be used.
    for (name, shape) in [
        ("model.layers.0.self_attn.q_proj.bias", vec![32]),
        ("model.layers.7.input_layernorm.weight", vec![32]),
        ("model.layers.3.mlp.experts.weight", vec![2, 2]),
        ("lm_head.bias", vec![128]),
        ("model.norm.bias", vec![32]),
    ] {
        let bytes = vec![0; 4 * shape.iter().product::<usize>()];
        let mut more = tensors.clone();
        more.push((name.into(), Dtype::F32, shape, bytes));
        refused(&more, &[&format!("tensor `{name}` belongs to no Gemma 3 of 7 layers")]);
    }
    // Tensors that transformers ignores, or that are not of the text model, change nothing.
    let mut more = tensors.clone();
    for name in ["model.layers.0.self_attn.rotary_emb.inv_freq", "vision_tower.vision_model.post_layernorm.weight"] {
        more.push((name.into(), Dtype::F32, vec![4], vec![0; 16]));
    }
    write(&from, &more);
    assert!(open(&from).is_ok());

    for tie in [json!(true), Value::Null] {
        let mut config: Value = serde_json::from_slice(&std::fs::read(from.join("config.json")).unwrap()).unwrap();
        config.as_object_mut().unwrap().remove("tie_word_embeddings");
        std::fs::write(from.join("config.json"), config.to_string()).unwrap();
        if !tie.is_null() {
            set(&from, "tie_word_embeddings", tie);
        }
        refused(&tensors, &["`lm_head.weight` differs from `model.embed_tokens.weight`", "set it to false"]);
        // One differing number is enough.
        let mut one = tensors.clone();
        one[head].3.clone_from(&tensors[embedding].3);
        write(&from, &one);
        assert_eq!(open(&from).unwrap().parameters(), config_parameters());
        one[head].3[4000] ^= 1;
        refused(&one, &["differs"]);
        // PyTorch files contain a tied tensor under both names; a head alone serves as the embedding, too.
        let mut alone = without(embedding);
        let moved = alone.iter().position(|(n, ..)| n == "lm_head.weight").unwrap();
        alone[moved].3.clone_from(&tensors[embedding].3);
        write(&from, &alone);
        let table = open(&from).unwrap().f32("embed_tokens.weight", &[128, 32]).unwrap();
        let bytes: Vec<u8> = table.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(bytes == tensors[embedding].3);
    }
}

fn config_parameters() -> u64 {
    config(true).parameters()
}

/// A tied head in another dtype is compared by its numbers.
#[test]
fn a_tied_head_of_another_type_is_compared_by_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (from, c) = (dir.path().join("m"), config(true));
    let random = RandomWeights::new(&c, 3);
    let values = c.tensors().into_iter().map(|(n, s)| {
        let v = random.f32(&n, &s).unwrap();
        (n, s, v)
    });
    init::write_checkpoint(&to_json(&c).unwrap(), &values.collect::<Vec<_>>(), Stored::Bf16, &from).unwrap();
    let mut tensors = tensors_of(&from);
    let (_, _, shape, bytes) = tensors.iter().find(|(n, ..)| n == "model.embed_tokens.weight").unwrap().clone();
    let wide: Vec<u8> = bytes.chunks_exact(2).flat_map(|b| [0, 0, b[0], b[1]]).collect();
    tensors.push(("lm_head.weight".into(), Dtype::F32, shape, wide));
    write(&from, &tensors);
    assert!(open(&from).is_ok());
    tensors.last_mut().unwrap().3[402] ^= 1;
    write(&from, &tensors);
    assert!(open(&from).err().unwrap().contains("differs"));
}

#[test]
fn an_index_that_names_no_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.safetensors.index.json"), r#"{"weight_map": {}}"#).unwrap();
    assert!(SafetensorsFiles::open(dir.path()).err().unwrap().to_string().contains("names no file"));
}

/// A step without logits does not use the head.
#[test]
fn a_prompt_without_logits_needs_no_head() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = resolve(&written(dir.path()));
    let (c, device) = (&checkpoint.arch, devices::device().unwrap());
    let model = Model::load(c, &*checkpoint.open().unwrap(), &device, DType::F32, &mut |_| {}).unwrap();
    let mut cache = model.cache(CacheShape::new(c, 1 + spare_slots(&model), 4, 4));
    let step = Step { ids: vec![2, 9], segments: vec![Segment { slot: 0, start: 0, len: 2 }], logits: vec![] };
    assert!(model.forward(&step, &mut cache, &mut NoProbe).unwrap().is_none());
}
