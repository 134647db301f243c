//! Decode steps as a GPU records them are those of the plain pass: rows that come and go, rings that wrap,
//! padding, and a cache that other steps write to in between. `FRICTION_TEST_BACKEND` names the device.
use friction_core::manifest::BackendKind;
use friction_model::cache::CacheShape;
use friction_model::decoder::{Wish, spare_slots};
use friction_model::model::NoProbe;
use friction_model::testing::{backend, checkpoint, device};
use friction_model::{Checkpoint, Decoder, Gemma3, Segment, Step};
use std::path::Path;

const SLOTS: usize = 5;

fn id(slot: usize, at: usize) -> u32 {
    ((slot * 31 + at * 17) % 120 + 7) as u32
}

/// Tokens `from..to` of each slot.
fn step(parts: &[(usize, usize, usize)]) -> Step {
    let mut step = Step::default();
    for (slot, from, to) in parts {
        step.ids.extend((*from..*to).map(|at| id(*slot, at)));
        step.segments.push(Segment { slot: *slot, start: *from, len: to - from });
        step.logits.push(step.ids.len() - 1);
    }
    step
}

fn numbers(logits: burn::tensor::Tensor<2>) -> Vec<f32> {
    logits.into_data().iter::<f32>().collect()
}

fn model() -> Gemma3 {
    let dir = tempfile::tempdir().unwrap();
    checkpoint(&dir.path().join("model"), 3).unwrap();
    let source = format!("path:{}", dir.path().join("model").display());
    let checkpoint = Checkpoint::resolve(&source, None, None, Path::new(""), 0).unwrap();
    let device = device().unwrap();
    let weights = checkpoint.open().unwrap();
    let dtype = burn::tensor::DType::F32;
    Gemma3::load(&checkpoint.config, weights.as_ref(), &device, dtype, &mut |_| {}).unwrap()
}

#[test]
fn recorded_steps_equal_plain_ones() {
    let model = model();
    let new = || {
        let shape = CacheShape::new(&model.config, SLOTS + spare_slots(&model), 64, 12);
        model.cache(shape)
    };
    let (mut plain, mut shared) = (new(), new());
    let mut decoder = Decoder::new(&model, None);
    let mut at = [3, 9, 1, 12, 6];
    let prompt: Vec<_> = at.iter().enumerate().map(|(s, n)| (s, 0, *n)).collect();
    for cache in [&mut plain, &mut shared] {
        model.forward(&step(&prompt), cache, &mut NoProbe).unwrap();
    }
    let mut worst = 0f32;
    for round in 0..30 {
        // One to five rows, not always the same.
        let rows: Vec<usize> = (0..SLOTS).filter(|s| (round + s) % 4 != 0 || round % 7 == 0).collect();
        if round == 11 {
            // Another step writes to the cache between two recorded ones, and a slot is copied.
            for cache in [&mut plain, &mut shared] {
                model.forward(&step(&[(2, at[2], at[2] + 4)]), cache, &mut NoProbe).unwrap();
                cache.fork(1, 4, at[1]);
            }
            at[2] += 4;
            at[4] = at[1];
        }
        let mut now = step(&rows.iter().map(|s| (*s, at[*s], at[*s] + 1)).collect::<Vec<_>>());
        if round % 3 == 0 && now.logits.len() > 1 {
            // A reply that met its limit: its last token is computed, and predicts nothing.
            now.logits.remove(0);
        }
        let expected = numbers(model.forward(&now, &mut plain, &mut NoProbe).unwrap().unwrap());
        let answer = decoder.step(&now, &Wish::default(), &mut shared).unwrap();
        let got = numbers(answer.logits.clone().narrow(0, 0, now.logits.len()));
        let (best, _) = answer.read();
        assert_eq!(got.len(), expected.len());
        for ((g, e), best) in got.chunks(128).zip(expected.chunks(128)).zip(best) {
            let scale = e.iter().fold(0f32, |m, v| m.max(v.abs()));
            worst = g.iter().zip(e).fold(worst, |w, (g, e)| w.max((g - e).abs() / scale));
            assert!(g.iter().all(|v| *v <= g[best as usize]), "the likeliest token of its own logits");
        }
        rows.iter().for_each(|s| at[*s] += 1);
    }
    assert!(at.iter().any(|n| *n > 8 + 12), "rings wrapped");
    let limit = if backend().unwrap() == BackendKind::Cpu { 0.0 } else { 1e-5 };
    assert!(worst <= limit, "recorded steps are {worst:e} off");
    println!("worst difference {worst:e}");
}

/// Greedy replies whose steps are launched before the tokens of the one before are known, against replies one step
/// at a time.
#[test]
fn steps_that_run_ahead_equal_steps_that_wait() {
    if backend().unwrap() == BackendKind::Cpu {
        println!("skipped: FRICTION_TEST_BACKEND names no GPU");
        return;
    }
    let model = model();
    let shape = CacheShape::new(&model.config, SLOTS + spare_slots(&model), 64, 12);
    let replies = |ahead: bool| -> Vec<Vec<u32>> {
        let mut cache = model.cache(shape);
        let mut decoder = Decoder::new(&model, None);
        let mut at = [3, 9, 1, 12, 6];
        let prompt: Vec<_> = at.iter().enumerate().map(|(s, n)| (s, 0, *n)).collect();
        model.forward(&step(&prompt), &mut cache, &mut NoProbe).unwrap();
        let first = step(&(0..SLOTS).map(|s| (s, at[s], at[s] + 1)).collect::<Vec<_>>());
        let mut pending = decoder.step(&first, &Wish::default(), &mut cache).unwrap();
        let mut out = vec![];
        for _ in 0..24 {
            at.iter_mut().for_each(|n| *n += 1);
            let mut next = step(&(0..SLOTS).map(|s| (s, at[s], at[s] + 1)).collect::<Vec<_>>());
            if ahead {
                let answer = decoder.step_after(&next, &Wish::default(), &mut cache, Some(&pending)).unwrap();
                out.push(std::mem::replace(&mut pending, answer).read().0);
            } else {
                next.ids = pending.read().0;
                out.push(next.ids.clone());
                pending = decoder.step(&next, &Wish::default(), &mut cache).unwrap();
            }
        }
        out
    };
    let waiting = replies(false);
    assert_eq!(replies(true), waiting);
    assert!(waiting.iter().any(|r| *r != waiting[0]), "replies say more than one thing");
}
