//! `friction grade`: grades a stored run again, joins scores that people gave, or shows what parsers read in replies.
mod replies;
mod stored;

use crate::error::{CliError, Result};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run directory. Its turns are graded again by its own `[grade]` and dataset, as they are read now. The grades
    /// that the run was made with are kept in columns `…before…`.
    #[arg(conflicts_with = "replies")]
    run: Option<PathBuf>,
    /// Show which answer each parser reads in replies of your own. JSON lines; each has `reply`, and may have `choices`,
    /// the texts of the options that were offered.
    #[arg(long, value_name = "FILE.jsonl")]
    replies: Option<PathBuf>,
    /// How many options were offered (1 to 26), for replies without `choices`.
    #[arg(long, value_name = "N", requires = "replies")]
    choices: Option<usize>,
    /// Join scores that people or a judge gave, instead of grading. A table of comma-separated values with the columns
    /// group, condition, turn, if the run has several also arm and sample, and columns of numbers, which become metrics.
    #[arg(long, value_name = "FILE.csv", requires = "run")]
    scores: Option<PathBuf>,
    /// Take these columns of the scores alone.
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "scores")]
    columns: Vec<String>,
    /// Make the one column of scores the turns' score too, shares from 0 to 1: `--as score`. A primary contrast whose
    /// outcome is replaced is exploratory from then on.
    #[arg(long = "as", value_name = "score", value_parser = ["score"], requires = "scores")]
    becomes: Option<String>,
    /// Replace metrics of the same name, of scores that were joined before.
    #[arg(long, requires = "scores")]
    replace: bool,
    /// Set a value of `[grade]`, such as `--set grade.kind=number`. Repeatable. The log says that the grades depart from
    /// the run's manifest.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "run", conflicts_with = "scores")]
    set: Vec<String>,
    /// The folder in which the run's manifest lay, if it was moved without the run. Paths start there.
    #[arg(long, requires = "run")]
    base: Option<PathBuf>,
    /// Tell what would change, and write nothing.
    #[arg(long, requires = "run")]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    match (&args.replies, &args.run) {
        (Some(path), _) => replies::run(path, args.choices, as_json),
        (None, Some(run)) => stored::run(run, args, as_json),
        (None, None) => Err(CliError::usage("name a run directory, or a file with --replies")),
    }
}
