//! `friction bench`: measures decoding and prefill of a model on this machine, beside the machine's own limits.
mod ceilings;
pub(crate) mod kept;
mod report;

use crate::error::{CliError, Result};
use crate::trace::{backend, dtype};
use burn::tensor::Device;
use friction_checkpoint::Checkpoint;
use friction_checkpoint::families::shape;
use friction_core::manifest::Quantize;
use friction_core::program::EditAt;
use friction_core::{Edit, EditOp, HookProgram, Position, Site, Tap};
use friction_engine::EngineOptions;
use friction_engine::hooks::Program;
use friction_model::NoProbe;
use friction_model::cache::CacheShape;
use friction_model::decoder::{Answer, Hooks, Wish, most_conversations, spare_slots};
use friction_model::{Decoder, KvCache, Model, Segment, Step, device};
use report::{Row, Table};
use std::path::Path;
use std::time::Instant;

/// Number of timed steps in a row, all of one kind.
const RUN: usize = 8;
/// Steps before them that are not timed: they finish what the kind before has started, and warm the caches.
const LEFT_OUT: usize = 2;
/// Seconds of untimed steps at the start, in which a device reaches its clock speed, and the most rounds for it.
const WARMING: f64 = 0.5;
const MOST_WARMING: usize = 32;
/// The largest batch; a manifest's limit is the same.
const MOST: usize = 4096;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The model: hf:…, path:…, gguf:… or random:…
    #[arg(long, default_value = "random:gemma-3-270m")]
    model: String,
    /// Device: cpu, cuda or wgpu.
    #[arg(long, default_value = "cpu")]
    backend: String,
    /// Number format of the products: f32, bf16 or f16.
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// How weights are stored: none (in dtype), q8 or q4.
    #[arg(long, default_value = "none")]
    quantize: String,
    /// Batch sizes to measure, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    batch: Vec<usize>,
    /// Number of context tokens before decoding.
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// Number of timed decode steps of each kind.
    #[arg(long, default_value_t = 16)]
    steps: usize,
    /// Most prompt tokens computed in one step. Default: as many as in a run on this device.
    #[arg(long)]
    step_tokens: Option<usize>,
    /// Measure plain steps only, not those with taps or an edit.
    #[arg(long)]
    plain: bool,
}

/// The loaded model and the arguments.
struct Bench<'a> {
    args: &'a Args,
    model: &'a Model,
}

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    for (name, wrong) in [
        ("--batch", args.batch.is_empty() || args.batch.contains(&0)),
        ("--context", args.context == 0),
        ("--steps", args.steps == 0),
        ("--step-tokens", args.step_tokens == Some(0)),
    ] {
        if wrong {
            return Err(CliError::usage(format!("{name} must be above 0")));
        }
    }
    let device = device::open(backend(&args.backend)?, 0)?;
    let dtype = device::dtype(&device, dtype(&args.dtype)?)?;
    let checkpoint = Checkpoint::resolve(&args.model, None, None, Path::new(""), 0)?;
    let context = checkpoint.arch.context;
    if args.context > context || args.steps > context || args.batch.iter().any(|b| *b > MOST) {
        let what =
            format!("--context and --steps may be at most {context}, the model's context, and --batch at most {MOST}");
        return Err(CliError::usage(what));
    }
    let began = Instant::now();
    let weights = checkpoint.open()?;
    let total = weights.parameters() * 4;
    let bar = crate::progress::bar(total, "loading {bar:30} {bytes}/{total_bytes} {eta}");
    let precision = (dtype, quantize(&args.quantize)?);
    let model = Model::load_as(&checkpoint.arch, weights.as_ref(), &device, precision, &mut |b| bar.inc(b))?;
    drop(weights);
    device.sync().map_err(|e| CliError::Failed(format!("the device failed: {e:?}").into()))?;
    bar.finish_and_clear();
    let load_seconds = began.elapsed().as_secs_f64();
    let bench = Bench { args, model: &model };
    let (rows, stopped) = bench.rows();
    if rows.is_empty() {
        return stopped.map_or(Ok(()), Err);
    }
    bench.keep(&rows);
    if stopped.is_some() {
        device.memory_cleanup();
    }
    let ceilings = ceilings::measure(&model)?;
    let table = Table {
        model: &args.model,
        config: args.model.strip_prefix("random:").and_then(shape),
        backend: &args.backend,
        dtype: &args.dtype,
        quantize: &args.quantize,
        context: args.context,
        load_seconds,
        host_peak_bytes: friction_study::run::peak_memory(),
        device_bytes: friction_model::device::memory(&device),
        ceilings,
        rows,
    };
    if as_json {
        outln!("{:#}", table.json());
    } else {
        out!("{table}");
    }
    stopped.map_or(Ok(()), Err)
}

fn quantize(word: &str) -> Result<Quantize> {
    match word {
        "none" => Ok(Quantize::None),
        "q8" => Ok(Quantize::Q8),
        "q4" => Ok(Quantize::Q4),
        _ => Err(CliError::usage(format!("--quantize is none, q8 or q4, not `{word}`"))),
    }
}

/// Taps at every layer and one edit: the table's columns `tapped` and `edited`.
fn program(model: &Model) -> HookProgram {
    let c = &model.arch;
    let layers = c.layers();
    let tap = |l| Tap { site: Site::ResidPost(l), position: Position::PromptEnd };
    let edit = Edit {
        name: "edit".into(),
        site: Site::ResidPost(layers / 2),
        at: EditAt::All,
        turns: None,
        gate: None,
        op: EditOp::Add((0..c.hidden).map(|i| (i as f32).sin()).collect()),
    };
    HookProgram { taps: (0..layers).map(tap).collect(), edits: vec![edit], ..HookProgram::default() }
}

/// Growth of host and device memory in bytes, where both readings exist.
fn grown_by(before: [Option<u64>; 2], after: [Option<u64>; 2]) -> [Option<i64>; 2] {
    let by = |i: usize| Some(after[i]? as i64 - before[i]? as i64);
    [by(0), by(1)]
}

impl Bench<'_> {
    /// Keeps what was measured for `friction check`. Where that fails, the measurements are shown all the same.
    fn keep(&self, rows: &[Row]) {
        let a = self.args;
        let key = kept::Key::new(&self.model.arch, [&a.dtype, &a.quantize, &a.backend], 0);
        let kept = |r: &Row| kept::Kept { batch: r.batch, context: a.context, step: r.step, prefill: r.prefill };
        if let Err(why) = kept::write(key, rows.iter().map(kept).collect()) {
            errln!("note: the measurements are not kept for `friction check`: {why}");
        }
    }

    /// Measures batch sizes until one fails, and returns its error too, so that the finished rows are shown.
    fn rows(&self) -> (Vec<Row>, Option<CliError>) {
        let mut rows = vec![];
        for batch in &self.args.batch {
            let row = device::caught(|| self.row(*batch)).unwrap_or_else(|why| {
                let said =
                    format!("--batch {batch}: the device failed: {why}; if its memory ran out, leave this batch out");
                Err(CliError::Failed(said.into()))
            });
            match row {
                Ok(row) => rows.push(row),
                Err(e) => return (rows, Some(e)),
            }
        }
        (rows, None)
    }

    fn row(&self, batch: usize) -> Result<Row> {
        let (args, c) = (self.args, &self.model.arch);
        let chunk = args.context.min(EngineOptions::CHUNK);
        let wishes = self.wishes(batch);
        let runs = args.steps.div_ceil(RUN);
        let decoded = |runs: usize| runs * (RUN + LEFT_OUT);
        let capacity = args.context + decoded(runs) + 4;
        let shape = CacheShape::new(c, batch + spare_slots(self.model), capacity, chunk);
        if let Some(most) = most_conversations(self.model, shape).filter(|most| batch > *most) {
            return Err(CliError::usage(format!(
                "--batch {batch}: its keys need a larger buffer than this device has; at {capacity} positions the largest batch is {most}"
            )));
        }
        let mut cache = self.model.cache(shape);
        let steps = 2 * args.context.div_ceil(chunk) + wishes.len() * (1 + decoded(MOST_WARMING + runs));
        let bar = crate::progress::bar(steps as u64, "batch {msg} {bar:30} {eta}");
        bar.set_message(batch.to_string());
        // On some devices the first pass compiles and tunes kernels, so the second is timed.
        let mut prefill = 0.0;
        for _ in 0..2 {
            prefill = self.prefill(batch, chunk, &mut cache, || bar.inc(1))?;
        }
        let (medians, grown) = self.decode(batch, &wishes, runs, &mut cache, || bar.inc(1))?;
        bar.finish_and_clear();
        let bytes = self.model.key_bytes();
        Ok(Row {
            batch,
            step: medians[0],
            tapped: medians.get(1).copied(),
            edited: medians.get(2).copied(),
            prefill: (batch * args.context) as f64 / prefill,
            step_bytes: self.model.weight_bytes() + ceilings::sight_bytes(c, bytes, batch, args.context),
            token_operations: ceilings::prefill_operations(c, args.context),
            cache_bytes: shape.bytes(c, bytes),
            grown,
        })
    }

    /// The kinds of steps to time: plain ones, and on devices that record steps also tapped and edited ones.
    fn wishes(&self, batch: usize) -> Vec<Wish> {
        let mut wishes = vec![Wish::default()];
        if !self.args.plain && Decoder::new(self.model, None).records(batch) {
            wishes.push(Wish { reads: (0..batch).collect(), ..Wish::default() });
            wishes.push(Wish { strengths: (0..batch).map(|r| 0.1 * (r % 3) as f32).collect(), ..Wish::default() });
        }
        wishes
    }

    /// The median seconds per step of each kind, and the growth of memory ([`grown_by`]) over the second half of the
    /// rounds.
    fn decode(
        &self,
        batch: usize,
        wishes: &[Wish],
        runs: usize,
        cache: &mut KvCache,
        tick: impl Fn(),
    ) -> Result<(Vec<f64>, [Option<i64>; 2])> {
        let hooks = Program::new(&program(self.model), &self.model.device);
        let decoder = Decoder::new(self.model, Some(&hooks as &dyn Hooks));
        let context = self.args.context;
        let mut steps = Steps { bench: self, batch, cache, tick, pending: None, decoder };
        // The first step of each kind compiles and records; that time does not count as warming up.
        for wish in wishes {
            steps.step(wish, context)?;
        }
        let began = Instant::now();
        for _ in 0..MOST_WARMING {
            if began.elapsed().as_secs_f64() >= WARMING {
                break;
            }
            for wish in wishes {
                steps.run(wish, context)?;
            }
        }
        let mut times = vec![vec![]; wishes.len()];
        let mut early = None;
        for run in 0..runs {
            // The kinds alternate, so that drifts of the machine's speed affect all of them alike. They run at the
            // same positions, because a step takes longer with every key that it reads.
            let from = context + run * (LEFT_OUT + RUN);
            for (wish, times) in wishes.iter().zip(&mut times) {
                times.push(steps.run(wish, from)?);
            }
            if run == runs / 2 {
                early = Some(self.memory());
            }
        }
        let grown = early.map(|e| grown_by(e, self.memory())).unwrap_or_default();
        let median = |mut t: Vec<f64>| {
            t.sort_by(f64::total_cmp);
            t[t.len() / 2]
        };
        Ok((times.into_iter().map(median).collect(), grown))
    }

    /// Bytes of host and device memory in use now.
    fn memory(&self) -> [Option<u64>; 2] {
        [friction_study::run::resident_memory(), device::memory(&self.model.device)]
    }

    fn id(&self, row: usize, at: usize) -> u32 {
        ((row * 7919 + at * 104_729) % (self.model.arch.vocab - 1) + 1) as u32
    }

    /// Computes all prompts in chunks of `chunk` tokens, and returns the seconds.
    fn prefill(&self, batch: usize, chunk: usize, cache: &mut KvCache, tick: impl Fn()) -> Result<f64> {
        let (model, context) = (self.model, self.args.context);
        let t = Instant::now();
        let usual = EngineOptions::step_tokens(model.device == Device::flex());
        let together = (self.args.step_tokens.unwrap_or(usual) / chunk).max(1);
        for from in (0..context).step_by(chunk) {
            let len = chunk.min(context - from);
            for first in (0..batch).step_by(together) {
                let rows = first..batch.min(first + together);
                let mut step = Step::default();
                for row in rows.clone() {
                    step.ids.extend((from..from + len).map(|p| self.id(row, p)));
                    step.segments.push(Segment { slot: row, start: from, len });
                }
                if from + len == context {
                    step.logits = (1..=rows.len()).map(|r| r * len - 1).collect();
                }
                if let Some(l) = model.forward(&step, cache, &mut NoProbe)? {
                    // A lazy device computes only what is read.
                    std::hint::black_box(model.best(&l).into_data().iter::<i64>().last());
                }
            }
            tick();
        }
        model.device.sync().map_err(|e| CliError::Failed(format!("the device failed: {e:?}").into()))?;
        Ok(t.elapsed().as_secs_f64())
    }
}

/// A sequence of decode steps.
struct Steps<'a, T> {
    bench: &'a Bench<'a>,
    batch: usize,
    cache: &'a mut KvCache,
    tick: T,
    /// The answer of the last step, not read yet.
    pending: Option<Answer>,
    decoder: Decoder<'a>,
}

impl<T: Fn()> Steps<'_, T> {
    /// Runs [`LEFT_OUT`] untimed steps and [`RUN`] timed ones from position `from` on; the mean seconds of a timed
    /// step.
    ///
    /// The whole sequence is timed and not each step: where a device reports two steps at once, every second step
    /// would seem to take no time.
    fn run(&mut self, wish: &Wish, from: usize) -> Result<f64> {
        let timed = from + LEFT_OUT;
        for at in from..timed {
            self.step(wish, at)?;
        }
        let t = Instant::now();
        for at in timed..timed + RUN {
            self.step(wish, at)?;
        }
        Ok(t.elapsed().as_secs_f64() / RUN as f64)
    }

    fn step(&mut self, wish: &Wish, at: usize) -> Result<()> {
        let batch = self.batch;
        let step = Step {
            ids: (0..batch).map(|r| self.bench.id(r, at)).collect(),
            segments: (0..batch).map(|slot| Segment { slot, start: at, len: 1 }).collect(),
            logits: (0..batch).collect(),
        };
        // As in the engine: on devices that record steps, a step runs while the answer of the one before is read.
        let before = self.pending.as_ref().filter(|_| self.decoder.records(batch));
        let answer = self.decoder.step_after(&step, wish, self.cache, before)?;
        if let Some(before) = self.pending.replace(answer) {
            std::hint::black_box(before.read());
        }
        (self.tick)();
        Ok(())
    }
}
