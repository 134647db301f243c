//! The GPU's pass against the processor's in f32, row by row: prefill of every length beside decode steps, sliding
//! windows, wrapping rings, few rows and many, in every dtype of the device. `FRICTION_TEST_BACKEND` names the
//! device; on the processor itself there is nothing to compare.
use burn::tensor::{DType, Device, Tensor};
use friction_checkpoint::Arch;
use friction_checkpoint::testing::with_layers;
use friction_checkpoint::weights::random::RandomWeights;
use friction_core::manifest::{BackendKind, Quantize};
use friction_model::NoProbe;
use friction_model::cache::CacheShape;
use friction_model::decoder::{Wish, spare_slots};
use friction_model::testing::{backend, device};
use friction_model::{Decoder, KvCache, Model, Segment, Step};

/// A small model. With heads of 128, scores are large, so that a row's maximum grows from block to block.
fn config(heads: usize, kv_heads: usize, head_dim: usize) -> Arch {
    let arch = Arch {
        hidden: 256,
        intermediate: 640,
        heads,
        kv_heads,
        head_dim,
        vocab: 1040,
        query_pre_attn_scalar: if head_dim == 128 { 4.0 } else { head_dim as f64 },
        ..friction_checkpoint::testing::config()
    };
    with_layers(arch, 24, &[false, true, false])
}

fn rows_of(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let width = logits.dims()[1];
    let all: Vec<f32> = logits.into_data().iter::<f32>().collect();
    all.chunks(width).map(<[f32]>::to_vec).collect()
}

/// The largest relative error of a row.
fn worst(got: &[Vec<f32>], want: &[Vec<f32>]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |v: f64| v * v;
    let row = |(g, w): (&Vec<f32>, &Vec<f32>)| {
        let off: f64 = g.iter().zip(w).map(|(a, b)| square(f64::from(a - b))).sum();
        let size: f64 = w.iter().map(|b| square(f64::from(*b))).sum();
        let e = (off / size).sqrt();
        assert!(e.is_finite());
        e
    };
    got.iter().zip(want).map(row).fold(0.0, f64::max)
}

struct Run {
    model: Model,
    slots: usize,
}

impl Run {
    fn cache(&self) -> KvCache {
        let c = &self.model.arch;
        let shape = CacheShape::new(c, self.slots + spare_slots(&self.model), 160, 40);
        self.model.cache(shape)
    }
}

fn id(slot: usize, at: usize) -> u32 {
    ((slot * 131 + at * 17) % 1000 + 7) as u32
}

/// The next step: up to `chunk` tokens of each slot, from what it has (`have`) to `want`. `None` when all are done.
fn step(have: &mut [usize], want: impl Fn(usize) -> usize, chunk: usize) -> Option<Step> {
    let mut step = Step::default();
    for (slot, at) in have.iter_mut().enumerate() {
        let len = want(slot).saturating_sub(*at).min(chunk);
        if len == 0 {
            continue;
        }
        step.ids.extend((*at..*at + len).map(|p| id(slot, p)));
        step.segments.push(Segment { slot, start: *at, len });
        step.logits.push(step.ids.len() - 1);
        *at += len;
    }
    (!step.ids.is_empty()).then_some(step)
}

fn compare(device: &Device, config: &Arch, dtype: DType, quantize: Quantize, limit: f64) {
    let weights = RandomWeights::new(config, 5);
    let load =
        |device: &Device, dtype| Model::load_as(config, &weights, device, (dtype, quantize), &mut |_| {}).unwrap();
    let slots = 140;
    let (cpu, gpu) =
        (Run { model: load(&Device::flex(), DType::F32), slots }, Run { model: load(device, dtype), slots });
    let (mut truth, mut cache) = (cpu.cache(), gpu.cache());
    let mut have = vec![0; slots];
    let (mut prompts, mut decoded) = (0f64, 0f64);
    // Prompts of 1 to 79 tokens in chunks of up to 37; some finish early and decode beside the others.
    while let Some(step) = step(&mut have, |s| 1 + s * 53 % 79, 37) {
        let want = rows_of(cpu.model.forward(&step, &mut truth, &mut NoProbe).unwrap().unwrap());
        let got = rows_of(gpu.model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap());
        prompts = prompts.max(worst(&got, &want));
    }
    let mut decoder = Decoder::new(&gpu.model, None);
    for (round, rows) in [1, 2, 5, 8, 9, 16, 30, 33, 64, 100, 130, 1, 33].into_iter().enumerate() {
        for _ in 0..2 {
            let first = round * 7 % (slots - rows + 1);
            let aim = have.clone();
            let next = |s: usize| if (first..first + rows).contains(&s) { aim[s] + 1 } else { 0 };
            let step = step(&mut have, next, 1).unwrap();
            assert_eq!(step.ids.len(), rows);
            let want = rows_of(cpu.model.forward(&step, &mut truth, &mut NoProbe).unwrap().unwrap());
            let answer = decoder.step(&step, &Wish::default(), &mut cache).unwrap();
            let got = rows_of(answer.logits.clone().narrow(0, 0, rows));
            let (best, _) = answer.read();
            for (row, best) in got.iter().zip(best) {
                let first = row.iter().position(|v| *v == row.iter().copied().fold(f32::MIN, f32::max));
                assert_eq!(first, Some(best as usize), "the first of the likeliest");
            }
            let e = worst(&got, &want);
            assert!(e <= limit, "{rows} rows: {e:e} off");
            decoded = decoded.max(e);
        }
    }
    let c = config;
    println!(
        "{} heads, {} key heads of {}, {dtype:?}, weights {quantize:?}: prompts {prompts:.1e}, decoding {decoded:.1e}",
        c.heads, c.kv_heads, c.head_dim
    );
    assert!(prompts <= limit, "prompts are {prompts:e} off");
}

#[test]
fn a_gpu_computes_what_the_processor_does() {
    if backend().unwrap() == BackendKind::Cpu {
        println!("SKIPPED: FRICTION_TEST_BACKEND names no GPU");
        return;
    }
    let device = device().unwrap();
    for (dtype, limit) in [(DType::BF16, 8e-2), (DType::F16, 1e-2), (DType::F32, 5e-5)] {
        if !device.supports_dtype(dtype) {
            println!("{dtype:?}: the device does not have it");
            continue;
        }
        for (heads, kv_heads, head_dim) in [(4, 1, 256), (4, 2, 128), (2, 2, 64), (6, 2, 64)] {
            // Large scores have proportionally larger rounding errors.
            let limit = if head_dim == 128 { 3.0 * limit } else { limit };
            compare(&device, &config(heads, kv_heads, head_dim), dtype, Quantize::None, limit);
        }
        for quantize in [Quantize::Q8, Quantize::Q4] {
            compare(&device, &config(2, 2, 64), dtype, quantize, limit);
        }
    }
}
