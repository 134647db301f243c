//! Decode steps (recorded on a GPU) give the same logits as a prefill of the whole text, in every family: with rows that
//! join and leave, wrapping rings, padding, forks, and other steps that write to the cache in between.
//! `FRICTION_TEST_BACKEND` names the device.
use friction_checkpoint::testing::tiny::{VOCAB, WINDOW};
use friction_core::manifest::BackendKind;
use friction_model::NoProbe;
use friction_model::cache::CacheShape;
use friction_model::decoder::{Wish, spare_slots};
use friction_model::testing::{backend, models};
use friction_model::{Decoder, Model, Segment, Step};

const SLOTS: usize = 5;
/// How far a slot can be rolled back, or filled in one step.
const ROOM: usize = 12;

fn id(slot: usize, at: usize) -> u32 {
    ((slot * 31 + at * 17) % 120 + 7) as u32
}

/// A step of tokens `from..to` of each (slot, from, to).
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

/// The logits after a whole text, computed on its own: batch 1, one prefill, a new cache whose rings hold all of it.
/// None of it is a decode step, so the processor can be compared with itself.
fn alone(model: &Model, ids: &[u32]) -> Vec<f32> {
    let mut cache = model.cache(CacheShape::new(&model.arch, 1, ids.len(), ids.len()));
    let whole = Step {
        ids: ids.to_vec(),
        segments: vec![Segment { slot: 0, start: 0, len: ids.len() }],
        logits: vec![ids.len() - 1],
    };
    numbers(model.forward(&whole, &mut cache, &mut NoProbe).unwrap().unwrap())
}

/// The largest difference in a row, relative to the row's largest value.
pub fn off(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(0f32, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0f32, |w, (g, e)| w.max((g - e).abs() / scale))
}

#[test]
fn steps_equal_whole_prompts() {
    // A GPU's order of summation differs between prefill and decode.
    let limit = if backend().unwrap() == BackendKind::Cpu { 1e-5 } else { 1e-4 };
    for (name, model) in models().unwrap() {
        let (worst, apart) = steps_against_prompts(&model);
        println!("{name}: worst difference {worst:e}; one token earlier is at least {apart:e} away");
        assert!(worst <= limit, "{name}: steps are {worst:e} off");
        assert!(apart > 1e-3, "{name}: a token earlier is only {apart:e} away");
    }
}

/// The largest difference between the logits of decode steps and those of whole texts, and the smallest between those of
/// a step and of its text without the last token.
fn steps_against_prompts(model: &Model) -> (f32, f32) {
    let mut cache = model.cache(CacheShape::new(&model.arch, SLOTS + spare_slots(model), 64, ROOM));
    let mut decoder = Decoder::new(model, None);
    // The tokens of each slot.
    let mut texts: Vec<Vec<u32>> =
        [3, 9, 1, 12, 6].iter().enumerate().map(|(s, n)| (0..*n).map(|at| id(s, at)).collect()).collect();
    let prompt: Vec<_> = texts.iter().enumerate().map(|(s, t)| (s, 0, t.len())).collect();
    model.forward(&step(&prompt), &mut cache, &mut NoProbe).unwrap();
    let (mut worst, mut apart) = (0f32, f32::MAX);
    for round in 0..30 {
        // One to five rows, in varying combinations.
        let rows: Vec<usize> = (0..SLOTS).filter(|s| (round + s) % 4 != 0 || round % 7 == 0).collect();
        if round == 11 {
            // Between two recorded steps, another step writes to the cache and a slot is forked.
            let at = texts[2].len();
            model.forward(&step(&[(2, at, at + 4)]), &mut cache, &mut NoProbe).unwrap();
            texts[2].extend((at..at + 4).map(|p| id(2, p)));
            cache.fork(1, 4, texts[1].len());
            texts[4] = texts[1].clone();
        }
        let mut now = step(&rows.iter().map(|s| (*s, texts[*s].len(), texts[*s].len() + 1)).collect::<Vec<_>>());
        let mut told = rows.clone();
        if round % 3 == 0 && now.logits.len() > 1 {
            // A reply at its length limit: its last token is computed and no logits are wanted.
            now.logits.remove(0);
            told.remove(0);
        }
        rows.iter().for_each(|s| {
            let at = texts[*s].len();
            texts[*s].push(id(*s, at));
        });
        let answer = decoder.step(&now, &Wish::default(), &mut cache).unwrap();
        let got = numbers(answer.logits.clone().narrow(0, 0, told.len()));
        let (best, _) = answer.read();
        assert_eq!((got.len(), best.len()), (told.len() * VOCAB, told.len()));
        for ((g, slot), best) in got.chunks(VOCAB).zip(&told).zip(best) {
            worst = worst.max(off(g, &alone(model, &texts[*slot])));
            assert!(g.iter().all(|v| *v <= g[best as usize]), "the likeliest token of its own logits");
            // Without its last token a text gives other logits, so the comparison can fail.
            apart = apart.min(off(g, &alone(model, &texts[*slot][..texts[*slot].len() - 1])));
        }
    }
    assert!(texts.iter().any(|t| t.len() > (WINDOW + ROOM).next_multiple_of(16)), "rings wrapped");
    (worst, apart)
}

/// Greedy decoding with steps launched before the previous step's tokens are known, against one step at a time.
#[test]
fn steps_that_run_ahead_equal_steps_that_wait() {
    if backend().unwrap() == BackendKind::Cpu {
        println!("SKIPPED: FRICTION_TEST_BACKEND names no GPU");
        return;
    }
    for (name, model) in models().unwrap() {
        let waiting = greedy(&model, false);
        assert_eq!(greedy(&model, true), waiting, "{name}");
        assert!(waiting.iter().any(|r| *r != waiting[0]), "{name}: replies say more than one thing");
    }
}

/// The greedy tokens of some steps, each launched before the tokens of the step before it are known, or after.
fn greedy(model: &Model, ahead: bool) -> Vec<Vec<u32>> {
    let shape = CacheShape::new(&model.arch, SLOTS + spare_slots(model), 64, ROOM);
    let mut cache = model.cache(shape);
    let mut decoder = Decoder::new(model, None);
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
}
