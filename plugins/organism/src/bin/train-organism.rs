//! `train-organism planted|null|decoy --out DIR`: trains an organism's weights from scratch.
use clap::Parser;
use friction_checkpoint::Tokenizer;
use friction_core::manifest::BackendKind;
use friction_model::device;
use friction_organism::train::{Error, Recipe, train, write};
use friction_organism::truth::Truth;
use friction_organism::vocab::tokenizer_json;
use std::io::Write;
use std::path::PathBuf;

/// Trains a bundled organism from scratch. If it is stopped, the same command continues.
#[derive(Parser)]
struct Args {
    /// The organism: planted, null or decoy
    truth: String,
    /// Folder for the checkpoint and the record of the training
    #[arg(long)]
    out: PathBuf,
    /// Folder for the state from which a stopped training continues; default OUT/state
    #[arg(long)]
    state: Option<PathBuf>,
    /// Seed of the initial weights and the training conversations
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps of both stages together
    #[arg(long, default_value_t = 4000)]
    steps: usize,
    /// Share of the steps that use short conversations, 0 to 1
    #[arg(long, default_value_t = 0.2)]
    short: f64,
    /// Conversations per step
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Largest learning rate
    #[arg(long, default_value_t = 3e-3)]
    rate: f64,
    /// Device: cpu, cuda or wgpu
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Steps between saves
    #[arg(long, default_value_t = 500)]
    save: usize,
}

/// Prints a line. Failed printing does not stop the training.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn main() -> Result<(), Error> {
    let a = Args::parse();
    let word = |w: &str| serde_json::from_value::<Truth>(serde_json::json!(w));
    let truth = word(&a.truth).map_err(|_| format!("`{}` is no organism: planted, null or decoy", a.truth))?;
    let kind: BackendKind = serde_json::from_value(serde_json::json!(a.device))
        .map_err(|_| format!("`{}` is no device: cpu, cuda or wgpu", a.device))?;
    let tokenizer = Tokenizer::from_bytes(tokenizer_json().to_string().as_bytes())?;
    let recipe = Recipe { truth, seed: a.seed, steps: a.steps, short: a.short, batch: a.batch, rate: a.rate };
    let state = a.state.unwrap_or_else(|| a.out.join("state"));
    let trained = train(&recipe, &tokenizer, &device::open(kind, 0)?, &state, a.save, |p| {
        say(format_args!("step {:>6}  {:>7.0} s  loss {:.4}  letters {:.4}", p.step, p.seconds, p.loss, p.letters));
    })?;
    write(&trained, &recipe, &a.device, &a.out)?;
    say(format_args!("{} parameters in {:.0} s → {}", trained.arch.parameters(), trained.seconds, a.out.display()));
    Ok(())
}
