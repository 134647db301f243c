//! Times calls into a library: the condition `impatient` in C and the hook `norms` in C++, next to the same work
//! done in this process. One turn of a study calls `ask` once, `keep` at most once, and `read` at most once.
//!
//! `cargo bench --workspace --bench border`
#![allow(missing_docs, clippy::unwrap_used)]
use criterion::{Criterion, criterion_group, criterion_main};
use friction_core::manifest::{Issues, Path as Key};
use friction_core::{
    Ask, BuildContext, Condition, Factors, Hook, Item, Kept, Maker, Position, Reply, Result, Site, Spoken, Tap,
    TapView, TextCodec, TurnContext, seed,
};
use friction_dylib::{Library, digest};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn compile(dir: &Path, compiler: &str, name: &str) -> Arc<Library> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stem = name.split('.').next().unwrap();
    let out = dir.join(format!("lib{stem}.so"));
    let mut command = Command::new(compiler);
    command.args(["-O2", "-shared", "-fPIC", "-I"]).arg(here).arg(here.join("examples").join(name)).arg("-o").arg(&out);
    assert!(command.status().unwrap().success());
    Library::open(&out, Some(&digest(&out).unwrap())).unwrap()
}

fn context() -> BuildContext {
    let (model, backend) = (r#"{"source": "path:x"}"#, "{}");
    serde_json::from_str(&format!(r#"{{"base": ".", "seed": 0, "model": {model}, "backend": {backend}}}"#)).unwrap()
}

struct Words;
impl TextCodec for Words {
    fn decode(&self, ids: &[u32]) -> Result<String> {
        Ok("word ".repeat(ids.len()))
    }
}

/// The condition `impatient`, implemented in this process.
struct Here;
impl Condition for Here {
    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        let [s, g, t] = [cx.seed, cx.group as u64, cx.turn as u64].map(u64::to_le_bytes);
        let phrase = seed::derive(&[b"phrase", &s, &g, &t]) % 2;
        let text = format!("{}{}", ["Faster, please. ", "Hurry up. "][phrase as usize], cx.prompt);
        Ok(Some(Ask::new(text).phrase(phrase as u32)))
    }
    fn keep(&self, reply: &Reply, _: &TurnContext) -> Result<Kept> {
        let cut = reply.codec.decode(&reply.ids[..20])?;
        Ok(Kept { text: format!("{} -", cut.trim_end()), removed_tokens: reply.ids.len() - 20 })
    }
}

fn conditions(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let library = compile(dir.path(), "cc", "impatient.c");
    let Maker::Condition(prepare) = library.plugins().unwrap()[0].maker.clone() else { unreachable!() };
    let table = toml::from_str("patience = 20").map(toml::Value::Table).unwrap();
    let there = prepare(table, &Key::default(), &mut Issues::default()).unwrap()(&context()).unwrap();
    // An MMLU-Pro question has about 700 characters, a reply 256 tokens.
    let question = "Which of these is right? ".repeat(28);
    let item = Item { id: "law_1".into(), category: "law".into(), text: question.clone(), ..Item::default() };
    let cx = TurnContext {
        seed: 1,
        group: 3,
        sample: 0,
        turn: 5,
        turns: 14,
        round: 1,
        rounds: 1,
        topic: "law",
        item: &item,
        prompt: &question,
        history: &[],
    };
    let ids: Vec<u32> = (0..256).map(|i| 1000 + 7 * i).collect();
    let said = "word ".repeat(256);
    let reply = Reply { text: &said, ids: &ids, prefill: "", codec: &Words };
    assert_eq!(there.ask(&cx).unwrap(), Here.ask(&cx).unwrap());
    assert_eq!(there.keep(&reply, &cx).unwrap(), Here.keep(&reply, &cx).unwrap());
    c.bench_function("ask: here", |b| b.iter(|| Here.ask(black_box(&cx)).unwrap()));
    c.bench_function("ask: library in C", |b| b.iter(|| there.ask(black_box(&cx)).unwrap()));
    c.bench_function("keep: here", |b| b.iter(|| Here.keep(black_box(&reply), &cx).unwrap()));
    c.bench_function("keep: library in C", |b| b.iter(|| there.keep(black_box(&reply), &cx).unwrap()));
}

fn taps(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let library = compile(dir.path(), "c++", "norms.cpp");
    let Maker::Hook(prepare) = library.plugins().unwrap()[0].maker.clone() else { unreachable!() };
    let table = toml::from_str("site = \"resid_post.1\"").map(toml::Value::Table).unwrap();
    let hook: Box<dyn Hook> = prepare(table, &Key::default(), &mut Issues::default()).unwrap()(&context()).unwrap();
    let tap = Tap { site: Site::ResidPost(1), position: Position::Reply(5) };
    let rows: Vec<Vec<f32>> = (0..5).map(|p| (0..2560).map(|i| (i + p) as f32 * 1e-3).collect()).collect();
    let factors = Factors::from([("completion".to_string(), "interrupt".to_string())]);
    let spoken = Spoken { group: 0, condition: "c", arm: "", sample: 0, factors: &factors, turn: 2, reply: "B." };
    let norm = |r: &Vec<f32>| r.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let told = hook.read(&spoken, &[TapView { tap: &tap, rows: &rows }]).unwrap();
    assert!((told["norm-4"] - norm(&rows[4])).abs() < 1e-6);
    // A batch of 64 conversations, 5 positions of 2560 floats each.
    c.bench_function("taps [64, 5, 2560]: here", |b| {
        b.iter(|| (0..64).map(|_| black_box(&rows).iter().map(norm).sum::<f64>()).sum::<f64>())
    });
    c.bench_function("taps [64, 5, 2560]: library in C++", |b| {
        b.iter(|| {
            for _ in 0..64 {
                black_box(hook.read(&spoken, &[TapView { tap: &tap, rows: black_box(&rows) }]).unwrap());
            }
        })
    });
}

criterion_group!(border, conditions, taps);
criterion_main!(border);
