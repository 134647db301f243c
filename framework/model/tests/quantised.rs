//! Quantised weights against the same weights dequantised and against unquantised ones, on the real 270M.
//! `FRICTION_MODELS` names the folder that holds it (default `~/.cache/friction-models`). The test reports that it is
//! skipped where the model is missing.
#![allow(missing_docs, clippy::unwrap_used)]
use burn::tensor::{DType, Device, Tensor};
use friction_checkpoint::Checkpoint;
use friction_checkpoint::weights::TensorSource;
use friction_core::manifest::Quantize;
use friction_model::NoProbe;
use friction_model::cache::CacheShape;
use friction_model::quant::Blocks;
use friction_model::{Model, Segment, Step};
use std::path::{Path, PathBuf};

/// A checkpoint whose matrices were quantised and dequantised.
struct Rounded<'a>(&'a dyn TensorSource, Quantize);

impl TensorSource for Rounded<'_> {
    fn f32(&self, name: &str, shape: &[usize]) -> friction_checkpoint::Result<Vec<f32>> {
        let values = self.0.f32(name, shape)?;
        match shape {
            [_, columns] => Ok(Blocks::of(&values, *columns, self.1).unwrap().dequantised()),
            _ => Ok(values),
        }
    }
    fn parameters(&self) -> u64 {
        self.0.parameters()
    }
}

const TEXT: &str = "The harbour was quiet that morning. Two boats had come in before dawn, and the men who had \
    rowed them sat on the wall with their backs to the wind, talking about the price of";

struct Run {
    logits: Vec<Vec<f32>>,
    tokens: Vec<u32>,
}

/// Logits of a prompt's tokens, and `n` greedy tokens after it.
fn run(model: &Model, prompt: &[u32], n: usize) -> Run {
    let shape = CacheShape::new(&model.arch, 1, prompt.len() + n, prompt.len());
    let mut cache = model.cache(shape);
    let rows = |l: Tensor<2>| -> Vec<Vec<f32>> {
        let width = l.dims()[1];
        let all: Vec<f32> = l.into_data().iter::<f32>().collect();
        all.chunks(width).map(<[f32]>::to_vec).collect()
    };
    let mut step = Step {
        ids: prompt.to_vec(),
        segments: vec![Segment { slot: 0, start: 0, len: prompt.len() }],
        logits: (0..prompt.len()).collect(),
    };
    let logits = rows(model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap());
    let mut last = logits.last().unwrap().clone();
    let mut tokens = vec![];
    for i in 0..n {
        let best = (0..last.len()).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap() as u32;
        tokens.push(best);
        step = Step {
            ids: vec![best],
            segments: vec![Segment { slot: 0, start: prompt.len() + i, len: 1 }],
            logits: vec![0],
        };
        last = rows(model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap()).remove(0);
    }
    Run { logits, tokens }
}

fn softmax(x: &[f32]) -> Vec<f64> {
    let most = x.iter().copied().fold(f32::MIN, f32::max);
    let e: Vec<f64> = x.iter().map(|v| f64::from(v - most).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|v| v / sum).collect()
}

#[test]
fn blocks_compute_what_their_dequantised_weights_do() {
    let dir = std::env::var_os("FRICTION_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/friction-models"),
        PathBuf::from,
    );
    let file = dir.join("gemma-3-270m-q4_k_m.gguf");
    if !file.exists() {
        eprintln!("SKIPPED: no {}", file.display());
        return;
    }
    let checkpoint = Checkpoint::resolve(&format!("gguf:{}", file.display()), None, None, Path::new(""), 0).unwrap();
    let weights = checkpoint.open().unwrap();
    let mut prompt = vec![checkpoint.arch.bos.unwrap()];
    prompt.extend(checkpoint.tokenizer().unwrap().encode(TEXT).unwrap());
    let load = |source: &dyn TensorSource, quantize| {
        let precision = (DType::F32, quantize);
        let model = Model::load_as(&checkpoint.arch, source, &Device::flex(), precision, &mut |_| {}).unwrap();
        (run(&model, &prompt, 16), model.weight_bytes())
    };
    let (whole, bytes) = load(weights.as_ref(), Quantize::None);
    println!("whole: {:.0} MiB", bytes as f64 / 1048576.0);
    // The loss and agreement of gguf-py's Q8_0 and Q4_0 in transformers (`data/rounding.py`). Its scales are f16.
    for (quantize, their_loss, their_agreement) in [(Quantize::Q8, 0.0005, 1.0), (Quantize::Q4, 0.3185, 0.575)] {
        let (blocks, bytes) = load(weights.as_ref(), quantize);
        let (widened, _) = load(&Rounded(weights.as_ref(), quantize), Quantize::None);
        assert_eq!(blocks.tokens, widened.tokens, "{quantize:?}: greedy tokens");
        for (b, w) in blocks.logits.iter().zip(&widened.logits) {
            let off: f64 = b.iter().zip(w).map(|(b, w)| f64::from(b - w).powi(2)).sum();
            let size: f64 = w.iter().map(|w| f64::from(*w).powi(2)).sum();
            assert!((off / size).sqrt() < 1e-4, "{quantize:?}: {:e} off", (off / size).sqrt());
        }
        let best = |x: &[f32]| (0..x.len()).max_by(|a, b| x[*a].total_cmp(&x[*b]));
        let pairs = || whole.logits.iter().zip(&blocks.logits);
        let agree = pairs().filter(|(a, b)| best(a) == best(b)).count() as f64 / prompt.len() as f64;
        let loss: f64 = pairs()
            .map(|(a, b)| {
                softmax(a)
                    .iter()
                    .zip(softmax(b))
                    .map(|(p, q)| if *p > 0.0 { p * (p / q).ln() } else { 0.0 })
                    .sum::<f64>()
            })
            .sum::<f64>()
            / prompt.len() as f64;
        println!(
            "{quantize:?}: {:.0} MiB, KL {loss:.5}, top-1 agreement {agree:.3} over {} tokens",
            bytes as f64 / 1048576.0,
            prompt.len()
        );
        assert!((loss - their_loss).abs() <= 0.0005 + 0.1 * their_loss, "{quantize:?}: KL {loss}, theirs {their_loss}");
        assert!((agree - their_agreement).abs() <= 0.08, "{quantize:?}: agreement {agree}, theirs {their_agreement}");
    }
}
