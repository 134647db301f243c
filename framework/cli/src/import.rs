//! `friction import`: makes a run of another program's result files.
use crate::error::{CliError, Result};
use crate::print::{plain, program, typed};
use friction_core::{ImportFile, Importer, plural};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The result files. Several are read as parts of one run.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The run directory to make. It must not be there yet.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// The files' format, if this program reads several.
    #[arg(long)]
    format: Option<String>,
}

/// Largest file that is read, in bytes: a result file is read whole.
const LARGEST: u64 = 1 << 30;

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    let importer = Importer::find(args.format.as_deref()).map_err(|e| CliError::usage(e.to_string()))?;
    let files = args.files.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let report = friction_study::import::import(importer, &files, &args.out)?;
    for w in &report.warnings {
        errln!("warning: {}", plain(w));
    }
    if as_json {
        outln!("{:#}", json!({"run": crate::print::path(&args.out), "report": report}));
        return Ok(());
    }
    outln!(
        "imported {} of {}, {}, of {} into {}",
        plural(report.conversations, "conversation"),
        plural(report.groups, "group"),
        plural(report.turns, "turn"),
        plain(&report.model),
        typed(&args.out)
    );
    outln!("next: {} analyze {}", program(), typed(&args.out));
    Ok(())
}

fn read(path: &Path) -> Result<ImportFile> {
    let name = path.display().to_string();
    let bad = |what: String| CliError::usage(format!("{name}: {what}"));
    let about = std::fs::metadata(path).map_err(|e| bad(format!("{e}; name a result file")))?;
    if !about.is_file() {
        return Err(bad("is no file; name a result file".into()));
    }
    if about.len() > LARGEST {
        return Err(bad(format!("{} bytes; files of up to {LARGEST} bytes are read", about.len())));
    }
    let bytes = std::fs::read(path).map_err(|e| bad(format!("{e}; name a result file")))?;
    Ok(ImportFile { name, bytes })
}
