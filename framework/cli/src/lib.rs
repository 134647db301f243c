//! The command line, as a library: a binary of one's own links its plugins and calls [`main`].
//!
//! ```no_run
//! // use my_condition as _;
//! fn main() -> std::process::ExitCode { friction_cli::main() }
//! ```
mod bench;
mod commands;
mod error;
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
    /// Run the analyzers of a finished or partial run again.
    Analyze {
        /// The run directory.
        run: PathBuf,
        /// Another manifest whose `[[analyzer]]` tables to use.
        #[arg(long)]
        manifest: Option<PathBuf>,
    },
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
        // `friction plugins | head` closes the pipe while it is written to: an end, not a defect.
        if info.payload().downcast_ref::<String>().is_some_and(|m| m.starts_with("failed printing to stdout")) {
            std::process::exit(0);
        }
        // It is told as an error, or the run goes on with fewer conversations.
        if device::failure(info.payload()).is_none() {
            usual(info);
        }
    }));
    ExitCode::from(run_from(std::env::args_os()))
}

/// Runs a command line, the program's name first, and returns its exit code: for tests of plugins.
pub fn run_from(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return u8::from(e.use_stderr()) * 2;
        }
    };
    let result = device::caught(|| obey(cli)).unwrap_or_else(|why| {
        let said = format!("the device failed: {why}; if its memory ran out, take a smaller batch or model");
        Err(CliError::Failed(said.into()))
    });
    for note in friction_dylib::printed() {
        eprintln!("note: {note}");
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
        Command::Analyze { run, manifest } => commands::analyze(&run, manifest.as_deref(), cli.json),
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
