//! `friction bench`: what this machine does with a model.
use crate::error::{CliError, Result};
use crate::trace::{backend, dtype};
use burn::tensor::Tensor;
use friction_model::cache::CacheShape;
use friction_model::decoder::{Answer, Wish, spare_slots};
use friction_model::model::NoProbe;
use friction_model::{Checkpoint, Decoder, Gemma3, KvCache, Segment, Step, device};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// hf:…, path:…, gguf:… or random:…
    #[arg(long, default_value = "random:gemma-3-270m")]
    model: String,
    /// cpu, cuda or wgpu.
    #[arg(long, default_value = "cpu")]
    backend: String,
    /// f32, bf16 or f16.
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Batch sizes.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    batch: Vec<usize>,
    /// Tokens of context before decoding.
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// Decode steps that are timed.
    #[arg(long, default_value_t = 16)]
    steps: usize,
}

/// The likeliest tokens, looked at: a device puts off what nobody reads.
fn look(model: &Gemma3, logits: Tensor<2>) {
    std::hint::black_box(model.best(&logits).into_data().iter::<i64>().last());
}

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    if args.batch.is_empty() || args.batch.contains(&0) || args.context == 0 || args.steps == 0 {
        return Err(CliError::usage("--batch, --context and --steps must be above 0"));
    }
    let device = device::open(backend(&args.backend)?, 0)?;
    let dtype = device::dtype(&device, dtype(&args.dtype)?)?;
    let checkpoint = Checkpoint::resolve(&args.model, None, None, Path::new(""), 0)?;
    let began = Instant::now();
    let weights = checkpoint.open()?;
    let total = weights.parameters() * 4;
    let bar = crate::progress::bar(total, "loading {bar:30} {bytes}/{total_bytes} {eta}");
    let model = Gemma3::load(&checkpoint.config, weights.as_ref(), &device, dtype, &mut |b| bar.inc(b))?;
    drop(weights);
    let sync = || device.sync().map_err(|e| CliError::Failed(format!("the device failed: {e:?}").into()));
    sync()?;
    bar.finish_and_clear();
    let load = began.elapsed().as_secs_f64();
    let chunk = args.context.min(256);
    let spare = spare_slots(&model);
    let mut rows = vec![];
    for batch in &args.batch {
        let capacity = args.context + args.steps + 4;
        let mut cache =
            KvCache::new(&model.config, CacheShape::new(&model.config, batch + spare, capacity, chunk), &device, dtype);
        let mut decoder = Decoder::new(&model, None);
        let id = |row: usize, at: usize| ((row * 7919 + at * 104_729) % (model.config.vocab - 1) + 1) as u32;
        let bar =
            crate::progress::bar((2 * args.context.div_ceil(chunk) + args.steps) as u64, "batch {msg} {bar:30} {eta}");
        bar.set_message(batch.to_string());
        // The first pass compiles and tunes kernels, where a device does; the second is timed.
        let mut prefill = 0.0;
        for _ in 0..2 {
            let t = Instant::now();
            let mut at = 0;
            while at < args.context {
                let len = chunk.min(args.context - at);
                let mut step = Step::default();
                for row in 0..*batch {
                    step.ids.extend((at..at + len).map(|p| id(row, p)));
                    step.segments.push(Segment { slot: row, start: at, len });
                }
                at += len;
                if at == args.context {
                    step.logits = (0..*batch).map(|r| (r + 1) * len - 1).collect();
                }
                if let Some(l) = model.forward(&step, &mut cache, &mut NoProbe)? {
                    look(&model, l);
                }
                bar.inc(1);
            }
            sync()?;
            prefill = t.elapsed().as_secs_f64();
        }
        // The first decode steps warm caches and are left out.
        let mut times = vec![];
        for n in 0..args.steps + 2 {
            let t = Instant::now();
            let step = Step {
                ids: (0..*batch).map(|r| id(r, args.context + n)).collect(),
                segments: (0..*batch).map(|slot| Segment { slot, start: args.context + n, len: 1 }).collect(),
                logits: (0..*batch).collect(),
            };
            let Answer { best, .. } = decoder.step(&step, &Wish::default(), &mut cache)?;
            std::hint::black_box(best.into_data().iter::<i64>().last());
            if n >= 2 {
                times.push(t.elapsed().as_secs_f64());
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        times.sort_by(f64::total_cmp);
        let step = times[times.len() / 2];
        rows.push((*batch, step, *batch as f64 / step, (batch * args.context) as f64 / prefill));
    }
    let peak = friction_study::run::peak_memory();
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(b, s, d, p)| json!({"batch": b, "decode_ms_per_step": s * 1e3, "decode_tokens_per_second": d, "prefill_tokens_per_second": p}))
            .collect();
        println!(
            "{:#}",
            json!({"model": args.model, "backend": args.backend, "dtype": args.dtype, "context": args.context, "load_seconds": load, "peak_memory_bytes": peak, "rows": rows})
        );
        return Ok(());
    }
    println!(
        "{} on {} in {}, {} tokens of context; loaded in {load:.2} s",
        args.model, args.backend, args.dtype, args.context
    );
    println!("{:>6} {:>16} {:>14} {:>15}", "batch", "decode ms/step", "decode tok/s", "prefill tok/s");
    for (b, s, d, p) in rows {
        println!("{b:>6} {:>16.1} {d:>14.1} {p:>15.1}", s * 1e3);
    }
    if let Some(p) = peak {
        println!("peak memory {:.2} GiB", p as f64 / (1u64 << 30) as f64);
    }
    Ok(())
}
