//! The command line as a library: a program with plugins of its own links them and calls [`main`].
//!
//! ```no_run
//! // use my_condition as _;
//! fn main() -> std::process::ExitCode { friction_cli::main() }
//! ```
#![warn(clippy::print_stdout, clippy::print_stderr)]
#[macro_use]
mod print;
mod bench;
mod commands;
mod error;
mod estimates;
mod findings;
mod grade;
mod import;
mod new;
mod options;
mod pages;
mod pin;
mod planner;
mod plugins;
mod power;
mod progress;
mod sae;
mod summary;
mod table;
mod trace;

use clap::{Parser, Subcommand};
use error::CliError;
use friction_model::device;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "friction", version, about = "Conversation experiments on a language model: run, read, intervene")]
struct Cli {
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct ManifestArgs {
    /// The study's TOML manifest.
    manifest: PathBuf,
    /// Set a value of the manifest, such as `--set study.groups=4`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a study, or resume it where it stopped.
    Run {
        #[command(flatten)]
        manifest: ManifestArgs,
        /// The run directory. Default: `runs/<study.name>`.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Change the primary contrast or the analyzers of a run that was begun, for this reason. The run keeps it in
        /// `amendments.jsonl`, with whether outcomes could be read then; if so, what is found by them is exploratory.
        #[arg(long, value_name = "REASON")]
        amend: Option<String>,
    },
    /// Validate a manifest, and show its design, the smallest effect that it could see, and what its run needs.
    Check {
        #[command(flatten)]
        manifest: ManifestArgs,
        /// Share of right answers that the smallest effect is told for, between 0 and 1. Default: 0.32, or halfway between
        /// guessing and 1 where guessing is no worse.
        #[arg(long)]
        base: Option<f64>,
    },
    /// Simulate how many groups the primary contrast of a manifest needs.
    Power(power::Args),
    /// Run the analyzers of a finished or partial run again, by default as its own manifest says.
    Analyze {
        /// The run directory.
        run: PathBuf,
        /// Use the `[[analyzer]]` tables of this manifest instead; seed, model and device stay the run's.
        #[arg(long)]
        manifest: Option<PathBuf>,
        /// Set a value of an analyzer, such as `--set analyzer.0.level=0.9`. Repeatable. The findings say that they
        /// depart from the run's manifest.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// The folder in which the run's manifest lay, if it was moved without the run. Paths start there.
        #[arg(long)]
        base: Option<PathBuf>,
    },
    /// Show which answer each parser reads in a file of replies, without a study.
    Grade(grade::Args),
    /// Make a run of another program's result files, so that it can be analysed and graded as any other.
    Import(import::Args),
    /// List plugins, show a plugin's options, pin libraries and processes, print the manifest's JSON Schema, write a guide's pages.
    Plugins(plugins::Args),
    /// Make a crate or a Python file for a plugin of your own, with a study that uses it.
    New(new::Args),
    /// Make checkpoints.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Sparse autoencoders: train one, or measure how fast one encodes.
    #[command(subcommand)]
    Sae(sae::Command),
    /// Measure decoding, prefill, loading and memory on this machine.
    Bench(bench::Args),
    /// Write the logits and block outputs of one sequence, for comparison with other tools.
    Trace(trace::Args),
}

#[derive(Subcommand)]
enum ModelCommand {
    /// Write a checkpoint with seeded random weights in the hub's format.
    Init {
        /// The folder to create.
        dir: PathBuf,
        /// The shape: gemma-3-270m, -1b, -4b, -12b, -27b, or the path of a config.json.
        #[arg(long, default_value = "gemma-3-270m")]
        shape: String,
        /// Seed of the weights.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// A tokenizer.json to copy beside the weights.
        #[arg(long)]
        tokenizer: Option<PathBuf>,
    },
}

/// Runs the command line with this process's arguments. Exit codes: 0 done, 1 failed, 2 wrong usage or manifest.
pub fn main() -> ExitCode {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // A panic of the device is reported as an error, or the run continues with fewer conversations.
        if device::failure(info.payload()).is_none() {
            usual(info);
        }
    }));
    progress::handle_interrupts();
    ExitCode::from(run_from(std::env::args_os()))
}

/// Runs a command line and returns its exit code; `args` begins with the program's name. For tests of plugins.
pub fn run_from(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    print::begin();
    let code = code_of(args);
    // The exit code is the work's; if printing failed, success becomes failure.
    if print::end() { code } else { code.max(1) }
}

/// Parses and executes a command line, prints its error, and returns the exit code.
fn code_of(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            print::usage(&e);
            return u8::from(e.use_stderr()) * 2;
        }
    };
    let result = device::caught(|| obey(cli)).unwrap_or_else(|why| {
        let said = format!("the device failed: {why}; if its memory ran out, take a smaller batch or model");
        Err(CliError::Failed(said.into()))
    });
    for note in friction_dylib::printed() {
        errln!("note: {note}");
    }
    match result {
        Ok(()) => 0,
        Err(e) => {
            let code = e.code();
            e.print();
            code
        }
    }
}

/// Executes a parsed command line.
fn obey(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Run { manifest, out, amend } => commands::run(&manifest.manifest, &manifest.set, out, amend, cli.json),
        Command::Check { manifest, base } => commands::check(&manifest.manifest, &manifest.set, base, cli.json),
        Command::Power(args) => power::run(&args, cli.json),
        Command::Analyze { run, manifest, set, base } => {
            let (base, manifest) = (base.as_deref(), manifest.as_deref());
            commands::analyze(&run, &friction_study::Otherwise { base, manifest, settings: &set }, cli.json)
        }
        Command::Grade(args) => grade::run(&args, cli.json),
        Command::Import(args) => import::run(&args, cli.json),
        Command::Plugins(args) => plugins::run(&args, cli.json),
        Command::New(args) => new::run(&args, cli.json),
        Command::Model(ModelCommand::Init { dir, shape, seed, tokenizer }) => {
            commands::model_init(&dir, &shape, seed, tokenizer.as_deref(), cli.json)
        }
        Command::Sae(command) => sae::run(&command, cli.json),
        Command::Bench(args) => bench::run(&args, cli.json),
        Command::Trace(args) => trace::run(&args, cli.json),
    }
}
