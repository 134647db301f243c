//! Parity with transformers: block outputs, logits and greedy tokens.
//!
//! `FRICTION_FIXTURES` names the folder of checkpoints and expected values, `FRICTION_MODELS` the folder of real
//! models (default `~/.cache/friction-models`), `FRICTION_TEST_BACKEND` the backend. Tests whose data are missing
//! report that they are skipped.
use crate::families;
use burn::tensor::{DType, Tensor};
use friction_checkpoint::Checkpoint;
use friction_core::Site;
use friction_model::cache::CacheShape;
use friction_model::{Model, Probe, Segment, Step, testing};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Allowed relative error ‖Δ‖ / ‖reference‖. A GPU's order of summation differs from the processor's.
fn limit(on_cpu: f64) -> f64 {
    if testing::device().unwrap() == burn::tensor::Device::flex() { on_cpu } else { 1e-4 }
}

pub(crate) fn fixtures(sub: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("FRICTION_FIXTURES").map(|d| PathBuf::from(d).join(sub)).filter(|d| d.exists());
    if dir.is_none() {
        eprintln!("SKIPPED: set FRICTION_FIXTURES to the folder that holds {sub}");
    }
    dir
}

pub(crate) fn real(name: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("FRICTION_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/friction-models"),
        PathBuf::from,
    );
    let file = dir.join(name);
    if !file.exists() {
        eprintln!("SKIPPED: no {}", file.display());
    }
    Some(file).filter(|f| f.exists())
}

#[derive(Default)]
struct Capture(Vec<Tensor<2>>);
impl Probe for Capture {
    fn wants(&self, site: Site) -> bool {
        matches!(site, Site::ResidPost(_))
    }
    fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
        self.0.push(x.clone());
        x
    }
}

fn floats(t: Tensor<2>) -> Vec<f32> {
    t.into_data().iter::<f32>().collect()
}

pub(crate) fn relative(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let sq = |v: f64| v * v;
    let d: f64 = got.iter().zip(want).map(|(a, b)| sq(f64::from(*a) - f64::from(*b))).sum();
    let n: f64 = want.iter().map(|b| sq(f64::from(*b))).sum();
    let r = (d / n).sqrt();
    assert!(r.is_finite());
    r
}

pub(crate) fn expected(st: &SafeTensors, name: &str) -> Vec<f32> {
    st.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The expected values of a fixture: tensors (safetensors bytes) and the list of cases.
pub(crate) fn oracle(dir: &Path) -> (Vec<u8>, Value) {
    let json = std::fs::read(dir.join("expected.json")).unwrap();
    (std::fs::read(dir.join("expected.safetensors")).unwrap(), serde_json::from_slice(&json).unwrap())
}

pub(crate) fn load(source: &str) -> Model {
    load_in(source, DType::F32)
}

fn load_in(source: &str, dtype: DType) -> Model {
    let checkpoint = Checkpoint::resolve(source, None, None, Path::new(""), 0).unwrap();
    let weights = checkpoint.open().unwrap();
    Model::load(&checkpoint.arch, &*weights, &testing::device().unwrap(), dtype, &mut |_| {}).unwrap()
}

/// Greedy continuations of prompts, all in one ragged batch, with prefill in chunks of `chunk` tokens.
pub(crate) fn greedy(model: &Model, prompts: &[Vec<u32>], n: usize, chunk: usize) -> Vec<Vec<u32>> {
    let longest = prompts.iter().map(Vec::len).max().unwrap() + n;
    let shape = CacheShape::new(&model.arch, prompts.len(), longest, chunk + 3);
    let mut cache = model.cache(shape);
    let mut seq: Vec<Vec<u32>> = prompts.to_vec();
    let mut done = vec![0; prompts.len()];
    while seq.iter().zip(prompts).any(|(s, p)| s.len() < p.len() + n) {
        let mut step = Step::default();
        let mut ends = vec![];
        for (slot, s) in seq.iter().enumerate() {
            let len = (s.len() - done[slot]).min(chunk);
            if len == 0 || s.len() == prompts[slot].len() + n {
                continue;
            }
            step.ids.extend(&s[done[slot]..done[slot] + len]);
            step.segments.push(Segment { slot, start: done[slot], len });
            done[slot] += len;
            if done[slot] == s.len() {
                step.logits.push(step.ids.len() - 1);
                ends.push(slot);
            }
        }
        let logits = model.forward(&step, &mut cache, &mut friction_model::NoProbe).unwrap();
        if let Some(l) = logits {
            let best: Vec<i64> = l.argmax(1).into_data().iter::<i64>().collect();
            for (slot, b) in ends.into_iter().zip(best) {
                seq[slot].push(b as u32);
            }
        }
    }
    seq.into_iter().zip(prompts).map(|(s, p)| s[p.len()..].to_vec()).collect()
}

pub(crate) fn forward(model: &Model, ids: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let shape = CacheShape::new(&model.arch, 1, ids.len(), ids.len());
    let mut cache = model.cache(shape);
    let step = Step {
        ids: ids.to_vec(),
        segments: vec![Segment { slot: 0, start: 0, len: ids.len() }],
        logits: (0..ids.len()).collect(),
    };
    let mut probe = Capture::default();
    let logits = floats(model.forward(&step, &mut cache, &mut probe).unwrap().unwrap());
    (logits, probe.0.into_iter().flat_map(floats).collect())
}

pub(crate) fn tokens(v: &Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn tiny(name: &str) {
    let Some(dir) = fixtures("gemma3") else { return };
    equals_transformers(&dir.join(name), name);
}

/// Block outputs, logits and greedy tokens of a checkpoint, alone and in ragged batches.
pub(crate) fn equals_transformers(dir: &Path, name: &str) {
    let model = load(&format!("path:{}", dir.display()));
    let (file, json) = oracle(dir);
    let st = SafeTensors::deserialize(&file).unwrap();
    let cases = json["cases"].as_array().unwrap();
    let (mut prompts, mut wanted) = (vec![], vec![]);
    for (i, case) in cases.iter().enumerate() {
        let ids = tokens(&case["prompt"]);
        let (logits, resid) = forward(&model, &ids);
        let e = relative(&logits, &expected(&st, &format!("logits.{i}")));
        assert!(e <= limit(1e-5), "{name} case {i}: logits {e:e}");
        let want = expected(&st, &format!("resid_post.{i}"));
        let width = ids.len() * model.arch.hidden;
        let mut worst = 0f64;
        for (l, (a, b)) in resid.chunks(width).zip(want.chunks(width)).enumerate() {
            let e = relative(a, b);
            assert!(e <= limit(1e-5), "{name} case {i}: block {l} {e:e}");
            worst = worst.max(e);
        }
        println!("{name} case {i}: {} ids, logits {e:.1e}, worst block {worst:.1e}", ids.len());
        let n = tokens(&case["greedy"]).len();
        assert_eq!(
            greedy(&model, std::slice::from_ref(&ids), n, 7)[0],
            tokens(&case["greedy"]),
            "{name} case {i} alone"
        );
        prompts.push(ids);
        wanted.push(tokens(&case["greedy"]));
    }
    for chunk in [3, 8, 64] {
        assert_eq!(greedy(&model, &prompts, wanted[0].len(), chunk), wanted, "{name} ragged, chunks of {chunk}");
    }
}

/// The error in 16 bits against transformers' f32 is at most that of transformers' own (`data/precision.py`).
#[test]
fn half_precision_is_as_near_as_transformers_own() {
    let Some(dir) = fixtures("") else { return };
    let theirs: Value = serde_json::from_str(include_str!("../data/precision.json")).unwrap();
    for (word, dtype) in [("bf16", DType::BF16), ("f16", DType::F16)] {
        if !testing::device().unwrap().supports_dtype(dtype) {
            println!("SKIPPED: the device does not have {word}");
            continue;
        }
        let gemma = ["tiny-1b", "tiny-4b", "tiny-27b"].map(|name| dir.join("gemma3").join(name));
        for dir in gemma.into_iter().chain(families::folders(&dir.join("families")).into_iter().map(|(_, dir)| dir)) {
            let name = dir.file_name().unwrap().to_string_lossy().into_owned();
            let Some(theirs) = theirs[word].get(&name) else {
                println!("SKIPPED: data/precision.json has no row {name}: run precision.py");
                continue;
            };
            let model = load_in(&format!("path:{}", dir.display()), dtype);
            let (file, json) = oracle(&dir);
            let st = SafeTensors::deserialize(&file).unwrap();
            let (mut got, mut want) = ([vec![], vec![]], [vec![], vec![]]);
            for (i, case) in json["cases"].as_array().unwrap().iter().enumerate() {
                let (logits, resid) = forward(&model, &tokens(&case["prompt"]));
                got[0].extend(logits);
                got[1].extend(resid);
                want[0].extend(expected(&st, &format!("logits.{i}")));
                want[1].extend(expected(&st, &format!("resid_post.{i}")));
            }
            for (k, what) in ["logits", "resid_post"].into_iter().enumerate() {
                let (e, most) = (relative(&got[k], &want[k]), theirs[what].as_f64().unwrap());
                println!("{name} in {word}: {what} {e:.1e} off, transformers' {most:.1e}");
                assert!(e <= most, "{name} in {word}: {what} {e:e}, transformers' {most:e}");
            }
        }
    }
}

/// The bf16, sharded, multimodal copy against transformers on the same weights upcast to f32 (`data/oracle.py`).
#[test]
fn tiny_4b_multimodal() {
    let Some(dir) = fixtures("gemma3") else { return };
    let model = load(&format!("path:{}", dir.join("tiny-4b-multimodal").display()));
    let st = SafeTensors::deserialize(include_bytes!("../data/multimodal.safetensors")).unwrap();
    let json: Value = serde_json::from_str(include_str!("../data/multimodal.json")).unwrap();
    let cases = json["cases"].as_array().unwrap();
    let ids = tokens(&cases[json["case"].as_u64().unwrap() as usize]["prompt"]);
    let (logits, resid) = forward(&model, &ids);
    let (l, r) = (relative(&logits, &expected(&st, "logits")), relative(&resid, &expected(&st, "resid_post")));
    println!("tiny-4b-multimodal: logits {l:.1e}, blocks {r:.1e}");
    assert!(l.max(r) <= limit(1e-5));
    let prompts: Vec<_> = cases.iter().map(|c| tokens(&c["prompt"])).collect();
    let want: Vec<_> = cases.iter().map(|c| tokens(&c["greedy"])).collect();
    assert_eq!(greedy(&model, &prompts, 24, 8), want);
}

#[test]
fn tiny_1b() {
    tiny("tiny-1b");
}
#[test]
fn tiny_4b() {
    tiny("tiny-4b");
}
#[test]
fn tiny_27b() {
    tiny("tiny-27b");
}

#[test]
fn real_270m() {
    let (Some(dir), Some(gguf)) = (fixtures("gemma3-270m"), real("gemma-3-270m-q4_k_m.gguf")) else { return };
    let model = load(&format!("gguf:{}", gguf.display()));
    let (file, json) = oracle(&dir);
    let st = SafeTensors::deserialize(&file).unwrap();
    println!("{:?}", st.names());
    let vocab = model.arch.vocab;
    for (i, case) in json["cases"].as_array().unwrap().iter().enumerate() {
        let ids = tokens(&case["ids"]);
        let (logits, resid) = forward(&model, &ids);
        let want = expected(&st, &format!("resid_post.{i}"));
        let width = ids.len() * model.arch.hidden;
        assert_eq!(want.len(), resid.len());
        let mut worst = 0f64;
        for (l, (a, b)) in resid.chunks(width).zip(want.chunks(width)).enumerate() {
            let e = relative(a, b);
            assert!(e <= limit(1e-4), "case {i}: block {l} {e:e}");
            worst = worst.max(e);
        }
        let top = expected(&st, &format!("top_logits.{i}"));
        let top_ids: Vec<usize> = st
            .tensor(&format!("top_ids.{i}"))
            .unwrap()
            .data()
            .chunks_exact(st.tensor(&format!("top_ids.{i}")).unwrap().data().len() / top.len())
            .map(|b| b[..4].iter().rev().fold(0usize, |a, x| a << 8 | *x as usize))
            .collect();
        for (row, (values, order)) in top.chunks(20).zip(top_ids.chunks(20)).enumerate() {
            let l = &logits[row * vocab..(row + 1) * vocab];
            for j in 0..19 {
                if values[j] - values[j + 1] > 1e-3 {
                    assert!(l[order[j]] > l[order[j + 1]], "case {i} row {row}: rank {j}");
                }
            }
        }
        let want = tokens(&case["greedy"]);
        assert_eq!(greedy(&model, &[ids], want.len(), 512)[0], want, "case {i}");
        println!("270m case {i}: worst block {worst:.1e}, {} greedy tokens equal", want.len());
    }
}
