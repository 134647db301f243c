//! The command line, as a library: a binary of one's own links its plugins and calls [`main`].
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
mod grade;
mod new;
mod options;
mod plugins;
mod progress;
mod sae;
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
    /// Set a value of the manifest: `--set study.groups=4`. May be given again.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a study, or resume it where it stopped.
    Run {
        #[command(flatten)]
        manifest: ManifestArgs,
        /// Run directory. Default `runs/<study.name>`.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Validate a manifest and tell what its run needs.
    Check {
        #[command(flatten)]
        manifest: ManifestArgs,
    },
    /// Run the analyzers of a finished or partial run again, as its own manifest says or otherwise.
    Analyze {
        /// The run directory.
        run: PathBuf,
        /// Another manifest whose `[[analyzer]]` tables to use; seed, model and device stay the run's.
        #[arg(long)]
        manifest: Option<PathBuf>,
        /// Set a value of an analyzer: `--set analyzer.0.level=0.9`. May be given again. Findings say that they
        /// depart from the run's manifest.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// The folder that the run's manifest lay in, if it was moved apart from the run.
        #[arg(long)]
        base: Option<PathBuf>,
    },
    /// Read answers out of replies, with every parser, without a study.
    Grade(grade::Args),
    /// List plugins, show one's options, pin libraries, write the manifest's JSON Schema.
    Plugins(plugins::Args),
    /// Make a crate for a plugin of your own: it builds, has a passing test, and a study to try it.
    New(new::Args),
    /// Make models.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Sparse autoencoders: train one, measure encoding.
    #[command(subcommand)]
    Sae(sae::Command),
    /// Measure decoding, prefill, loading and memory.
    Bench(bench::Args),
    /// Write logits and block outputs of one sequence, for comparison with other tools.
    Trace(trace::Args),
}

#[derive(Subcommand)]
enum ModelCommand {
    /// Write a seeded random checkpoint in the hub's format.
    Init {
        /// The folder to make.
        dir: PathBuf,
        /// Shape: gemma-3-270m, -1b, -4b, -12b, -27b, or a config.json.
        #[arg(long, default_value = "gemma-3-270m")]
        shape: String,
        /// Seed of the weights.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// A tokenizer.json to put beside them.
        #[arg(long)]
        tokenizer: Option<PathBuf>,
    },
}

/// Runs the command line of this process. Exit codes: 0 done, 1 failed, 2 usage or manifest.
pub fn main() -> ExitCode {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // It is told as an error, or the run goes on with fewer conversations.
        if device::failure(info.payload()).is_none() {
            usual(info);
        }
    }));
    ExitCode::from(run_from(std::env::args_os()))
}

/// Runs a command line, the program's name first, and returns its exit code: for tests of plugins.
pub fn run_from(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    print::begin();
    let code = code_of(args);
    // What the work came to stands; a failed write of what was printed turns success into failure.
    if print::end() { code } else { code.max(1) }
}

/// Does what the command line says, and tells how it went.
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

/// Does what the command line says.
fn obey(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        Command::Run { manifest, out } => commands::run(&manifest.manifest, &manifest.set, out, cli.json),
        Command::Check { manifest } => commands::check(&manifest.manifest, &manifest.set, cli.json),
        Command::Analyze { run, manifest, set, base } => {
            let (base, manifest) = (base.as_deref(), manifest.as_deref());
            commands::analyze(&run, &friction_study::Otherwise { base, manifest, settings: &set }, cli.json)
        }
        Command::Grade(args) => grade::run(&args, cli.json),
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
