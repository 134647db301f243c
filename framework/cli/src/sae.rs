//! `friction sae`: trains an autoencoder on activations of a run or a corpus, and measures how fast one encodes.
use crate::error::{CliError, Result};
use crate::trace::backend;
use burn::tensor::{DType, Tensor, TensorData};
use friction_checkpoint::Checkpoint;
use friction_core::{Position, Site, plural};
use friction_model::{device, model::matmul};
use friction_sae::tokens::{Reading, of_corpus, of_run};
use friction_sae::train::{Kind, Training, told, train};
use friction_sae::write::{About, files};
use friction_sae::{Activation, Parameters, Sae};
use friction_stats::Rng;
use friction_store::StoredRun;
use friction_study::stored::{Otherwise, Stored};
use serde_json::{Map, Value, json};
use statrs::distribution::{ContinuousCDF, Normal};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Train an autoencoder in SAELens' format, on a run's tapped activations or on texts that a model reads.
    Train(Box<Train>),
    /// Measure the speed of encoding, beside that of the matrix product that it needs.
    Bench(Bench),
}

#[derive(clap::Args)]
pub(crate) struct Train {
    /// A run directory in which a hook tapped the site.
    #[arg(required_unless_present = "corpus", conflicts_with = "corpus")]
    run: Option<PathBuf>,
    /// Texts instead of a run: a .jsonl file with `text` in each line, or a file with one text per line.
    #[arg(long, requires = "model")]
    corpus: Option<PathBuf>,
    /// The model that reads the corpus: hf:…, path:…, gguf:… or bundled:…
    #[arg(long)]
    model: Option<String>,
    /// A tokenizer.json to use instead of the model's.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// The site to reconstruct, such as resid_post.9.
    #[arg(long)]
    site: Site,
    /// Which of a run's tokens to use, each by itself.
    #[arg(long, default_value = "all")]
    position: Position,
    /// Most tokens of one text.
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// Most tokens of the whole corpus.
    #[arg(long, default_value_t = 200_000)]
    tokens: usize,
    /// topk, or jumprelu with a penalty that drives the mean number of active features to k.
    #[arg(long, default_value = "topk")]
    activation: String,
    /// Number of features.
    #[arg(long, default_value_t = 512)]
    width: usize,
    /// Number of active features per token.
    #[arg(long, default_value_t = 16)]
    k: usize,
    /// Number of Adam steps.
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// Tokens per step.
    #[arg(long, default_value_t = 256)]
    batch: usize,
    /// Largest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// Seed of the initial weights and of the order of tokens.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Device: cpu, cuda or wgpu.
    #[arg(long, default_value = "cpu")]
    backend: String,
    /// The folder to create.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Bench {
    /// Width of the activations.
    #[arg(long, default_value_t = 640)]
    input: usize,
    /// Number of features.
    #[arg(long, default_value_t = 16384)]
    width: usize,
    /// Number of tokens.
    #[arg(long, default_value_t = 4096)]
    rows: usize,
    /// Approximate number of active features per token.
    #[arg(long, default_value_t = 60)]
    l0: usize,
    /// Device: cpu, cuda or wgpu.
    #[arg(long, default_value = "cpu")]
    backend: String,
}

pub(crate) fn run(command: &Command, as_json: bool) -> Result<()> {
    match command {
        Command::Train(args) => training(args, as_json),
        Command::Bench(args) => bench(args, as_json),
    }
}

fn failed(e: friction_core::Error) -> CliError {
    CliError::Failed(Box::new(e))
}

/// The texts of a corpus file.
fn texts(path: &Path) -> Result<Vec<String>> {
    let wrong = |what: String| CliError::usage(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    if path.extension().is_some_and(|e| e == "jsonl") {
        let of = |(n, line): (usize, &str)| {
            let v: Value = serde_json::from_str(line).map_err(|e| wrong(format!("line {}: {e}", n + 1)))?;
            let text = v.get("text").and_then(Value::as_str).map(String::from);
            text.ok_or_else(|| wrong(format!("line {} has no `text`", n + 1)))
        };
        return lines.map(of).collect();
    }
    Ok(lines.map(|(_, l)| l.to_string()).collect())
}

/// Whether the prompts of a run begin with BOS, as its model writes them.
fn begins_with_bos(run: &Path) -> Result<bool> {
    let stored = Stored::open(run, &Otherwise::default())?;
    Ok(Checkpoint::of(&stored.context)?.begins_with_bos()?)
}

fn training(args: &Train, as_json: bool) -> Result<()> {
    let kind = match args.activation.as_str() {
        "topk" => Kind::TopK,
        "jumprelu" => Kind::JumpRelu,
        w => return Err(CliError::usage(format!("no activation is called `{w}`; there are topk and jumprelu"))),
    };
    let Train { width, k, steps, batch, rate, seed, .. } = *args;
    let training = Training { kind, width, k, steps, batch, rate, seed };
    training.check().map_err(|e| CliError::usage(e.to_string()))?;
    let backend = backend(&args.backend)?;
    device::open(backend, 0)?;
    if args.out.exists() {
        return Err(CliError::usage(format!("{} exists; name a new folder", args.out.display())));
    }
    let (tokens, model, run, position) = match (&args.run, &args.corpus, &args.model) {
        (Some(path), ..) => {
            let run = StoredRun::open(path).map_err(|e| CliError::Failed(Box::new(e)))?;
            let bos = args.position == Position::All && begins_with_bos(path)?;
            let tokens = of_run(&run, args.site, args.position, bos).map_err(failed)?;
            let model = run.lock.pointer("/model/source").and_then(Value::as_str);
            let model =
                model.ok_or_else(|| CliError::usage(format!("the lock of {} names no model", path.display())))?;
            let name = friction_core::RunReader::name(&run).to_string();
            (tokens, model.to_string(), Some(name), args.position)
        }
        (None, Some(corpus), Some(model)) => {
            let texts = texts(corpus)?;
            let checkpoint = Checkpoint::resolve(model, None, args.tokenizer.as_deref(), Path::new(""), 0)?;
            let reading = Reading { site: args.site, context: args.context, limit: args.tokens, backend, device: 0 };
            let bar = crate::progress::bar(args.tokens as u64, "reading {bar:30} {pos}/{len} tokens {eta}");
            let tokens = of_corpus(&checkpoint, &texts, &reading, &mut |n| bar.inc(n)).map_err(failed)?;
            bar.finish_and_clear();
            (tokens, model.clone(), None, Position::All)
        }
        _ => return Err(CliError::usage("name a run, or --corpus with --model")),
    };
    let began = Instant::now();
    let trained = train(&tokens.learnt, tokens.width, &training, backend, 0).map_err(failed)?;
    let seconds = began.elapsed().as_secs_f64();
    let about = About {
        site: args.site,
        position,
        model: &model,
        run: run.as_deref(),
        context: args.corpus.is_some().then_some(args.context),
        tokens: tokens.learnt.len() / tokens.width,
    };
    friction_store::temp::write_folder(&args.out, files(&trained.parameters, &training, &about).map_err(failed)?)?;
    let told = told(&trained, &tokens, args.site, backend, 0).map_err(failed)?;
    if as_json {
        let mut values: Map<String, Value> = told.into_iter().map(|(k, _, v)| (k, v)).collect();
        values.insert("out".into(), crate::print::path(&args.out));
        values.insert("seconds".into(), json!(seconds));
        outln!("{:#}", Value::Object(values));
    } else {
        told.iter().for_each(|(_, sentence, _)| outln!("{sentence}"));
        let (steps, batch) = (plural(steps, "step"), plural(batch, "token"));
        outln!("{steps} of {batch} in {seconds:.1} s; written to {}", args.out.display());
    }
    Ok(())
}

/// Random parameters with thresholds at which about `l0` features of a normally distributed input are active.
fn random(input: usize, width: usize, l0: usize) -> Parameters {
    let mut rng = Rng::new(1);
    // Uniform numbers of variance 1/input are cheap, and the values do not change the time of a product.
    let scale = (12.0 / input as f64).sqrt();
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| ((rng.unit() - 0.5) * scale) as f32).collect() };
    let (w_enc, w_dec) = (draw(input * width), draw(width * input));
    let share = l0 as f64 / width as f64;
    let threshold = Normal::standard().inverse_cdf(1.0 - share) as f32;
    Parameters {
        w_enc: w_enc.into(),
        b_enc: vec![0.0; width],
        w_dec: w_dec.into(),
        b_dec: vec![0.0; input],
        skip: None,
        activation: Activation::JumpRelu(vec![threshold; width]),
        centred: false,
        normalize: Default::default(),
    }
}

/// Largest size of a measured matrix in numbers: 32 GiB of f32.
const MOST: usize = 1 << 33;

fn bench(args: &Bench, as_json: bool) -> Result<()> {
    for (name, value) in [("--input", args.input), ("--rows", args.rows), ("--l0", args.l0)] {
        if value == 0 {
            return Err(CliError::usage(format!("{name} must be above 0")));
        }
    }
    if args.l0 > args.width / 2 {
        let half = format!("--l0 is {}, but --width is {}: it must be at most half of that", args.l0, args.width);
        return Err(CliError::usage(half));
    }
    let numbers = |n: usize| n.checked_mul(args.width.max(args.input)).filter(|all| *all <= MOST);
    if numbers(args.input).is_none() || numbers(args.rows).is_none() {
        let what = format!("--input or --rows times --width is above the limit of {MOST} numbers");
        return Err(CliError::usage(what));
    }
    let kind = backend(&args.backend)?;
    let device = device::open(kind, 0)?;
    let host = args.backend == "cpu";
    let mut rng = Rng::new(2);
    let x: Vec<f32> = (0..args.rows * args.input).map(|_| rng.normal() as f32).collect();
    let parameters = random(args.input, args.width, args.l0);
    let w = parameters.w_enc.all();
    let sae = Sae::new(parameters, kind, 0).map_err(failed)?;
    // The reference is the same product with its tensors already on the device, reading back one number per row.
    let panel = args.width.min(16384);
    let up =
        |v: Vec<f32>, r: usize, c: usize| Tensor::<2>::from_data(TensorData::new(v, [r, c]), (&device, DType::F32));
    let columns: Vec<f32> = w.chunks(args.width).flat_map(|r| r[..panel].to_vec()).collect();
    let (a, b) = (up(x.clone(), args.rows, args.input), up(columns, args.input, panel));
    let panels = args.width.div_ceil(panel);
    let time = |f: &mut dyn FnMut()| {
        f();
        let mut times: Vec<f64> = (0..3)
            .map(|_| {
                let t = Instant::now();
                f();
                t.elapsed().as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[1]
    };
    let mut largest = f32::MIN;
    let product = time(&mut || {
        for _ in 0..panels {
            let y = matmul(host, a.clone(), b.clone());
            // The maximum depends on every number, so a lazy device has to compute them all.
            largest = y.max_dim(1).into_data().iter::<f32>().fold(largest, f32::max);
        }
    });
    device.sync().map_err(|e| CliError::Failed(format!("the device failed: {e:?}").into()))?;
    let mut active = 0;
    let encode = time(&mut || active = sae.encode(&x).iter().map(Vec::len).sum());
    let flops = 2.0 * args.rows as f64 * args.input as f64 * args.width as f64;
    let (rate, l0) = (args.rows as f64 / encode, active as f64 / args.rows as f64);
    let peak = friction_study::run::peak_memory();
    if as_json {
        outln!(
            "{:#}",
            json!({"backend": args.backend, "input": args.input, "width": args.width, "rows": args.rows, "l0": l0,
                "encode_seconds": encode, "product_seconds": product, "share": product / encode, "tokens_per_second": rate, "peak_memory_bytes": peak})
        );
    } else {
        outln!(
            "{} of {} through {} on {} (L0 {l0:.1})",
            plural(args.rows, "token"),
            plural(args.input, "number"),
            plural(args.width, "feature"),
            args.backend
        );
        outln!("  encode   {:>9.3} s  {rate:>11.0} tokens/s  {:>8.1} GFLOP/s", encode, flops / encode / 1e9);
        outln!("  product  {:>9.3} s  {:>31.1} GFLOP/s", product, flops / product / 1e9);
        outln!("  encoding reaches {:.0} % of the matrix product's rate", 100.0 * product / encode);
        if let Some(p) = peak {
            outln!("  peak memory {:.2} GiB", p as f64 / (1u64 << 30) as f64);
        }
    }
    Ok(())
}
