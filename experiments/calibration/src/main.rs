//! `calibrate`: do the analyses err as rarely as they promise where there is no effect, and do they find an effect that
//! was planted?
//!
//! The program runs many small studies on the null organism and analyses each with three sets of outcomes that nothing
//! causes ([`views`]), and with outcomes whose effect is exactly the smallest of interest of a primary contrast ([`contrasts`]). The null organism is sampled at a temperature at which a few answers in ten are random; with
//! greedy decoding it would answer alike in every condition, and no test could err. The program counts how often p is
//! at or below 0.05, how often 95 % intervals contain the truth, and how often verdicts are reached, and compares each
//! rate with the promised one ([`promises`], [`told`]). Of each study the blunt conversations are also patched, and the readings
//! replaced by some whose shares are known ([`made`]). Studies of the planted organism, with twice as many groups and greedy
//! decoding, show how often a verdict is reached where it should be.
//!
//! Seeds are fixed: study `i` has seed `--seed` + i. Runs are kept in `--runs` and used again if they exist.
mod contrasts;
mod made;
mod power;
mod promises;
mod studies;
mod told;
mod views;

use clap::Parser;
use contrasts::LOCKED;
use friction as _;
use friction_core::{Analyzer, RunReader};
use friction_organism::truth::Truth as Organism;
use friction_store::StoredRun;
use indicatif::{ProgressBar, ProgressStyle};
use promises::{at_most, draws, outcomes, truth};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use studies::Studies;
use told::{All, collect, table};
use views::{Outcome, View};

/// The analyzer of patched runs.
const MEDIATION: &str = "mediation";

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Repeats small studies on the bundled organisms and compares the analyses' error rates with the promised ones.
#[derive(Parser)]
struct Args {
    /// Number of studies of the null organism
    #[arg(long, default_value_t = 200)]
    repeats: u64,
    /// Number of studies of the planted organism, with twice as many groups
    #[arg(long, default_value_t = 50)]
    planted: u64,
    /// Groups of each null study
    #[arg(long, default_value_t = 16)]
    groups: usize,
    /// Turns of each conversation, 2 to 14
    #[arg(long, default_value_t = 8)]
    turns: usize,
    /// Seed of the first study; each further study has the next seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sampling temperature of the null organism
    #[arg(long, default_value_t = 2.3)]
    null_temperature: f64,
    /// Folder of the runs; default: a temporary folder
    #[arg(long)]
    runs: Option<PathBuf>,
    /// Names of the analyses to run; default: all
    #[arg(long)]
    only: Vec<String>,
    /// Also write the rates to this file, separated by tabs
    #[arg(long)]
    table: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Args {
    fn wants(&self, analysis: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == analysis)
    }
}

fn null_study(studies: &Studies, a: &Args, i: u64) -> Result<All, Error> {
    let mut all = All::new();
    let mut tell = |stored: &StoredRun, name: &str, outcome: Outcome, analyzer: &dyn Analyzer| {
        for draw in 0..draws(name, outcome) {
            let mut findings = friction_core::Findings::default();
            analyzer
                .analyze(&View::new(stored, outcome, draw), &mut findings)
                .map_err(|e| format!("study {}, {name}, {}: {e}", stored.seed(), outcome.word()))?;
            collect(&mut all, outcome, name, &findings);
        }
        Ok::<(), Error>(())
    };
    if a.only.iter().any(|o| o != MEDIATION) || a.only.is_empty() {
        let (path, plan) = studies.run(Organism::Null, a.groups, a.seed + i, i)?;
        let stored = StoredRun::open(&path)?;
        for (name, analyzer) in plan.analyzers.iter().filter(|(n, _)| a.wants(n)) {
            for outcome in outcomes(name) {
                tell(&stored, name, *outcome, analyzer.as_ref())?;
            }
        }
        for locked in LOCKED.iter().filter(|l| a.wants(l.analysis)) {
            for outcome in locked.without.iter().chain([&locked.exactly]) {
                tell(&stored, locked.analysis, *outcome, locked.analyzer(&plan, *outcome)?.as_ref())?;
            }
        }
    }
    if a.wants(MEDIATION) {
        let (path, plan) = studies.patched(Organism::Null, a.groups, a.seed + i)?;
        let stored = StoredRun::open(&path)?;
        for (name, analyzer) in &plan.analyzers {
            for outcome in outcomes(name) {
                tell(&stored, name, *outcome, analyzer.as_ref())?;
            }
        }
    }
    Ok(all)
}

fn main() -> ExitCode {
    match calibrate(&Args::parse()) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn calibrate(a: &Args) -> Result<ExitCode, Error> {
    let temporary = tempfile::tempdir()?;
    let runs = a.runs.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let studies = Studies::new(&runs, a.turns, a.null_temperature)?;
    let bar = ProgressBar::new(a.repeats + a.planted);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} studies, {eta} left")?);
    let began = Instant::now();
    let mut all = All::new();
    for one in studies::in_threads(a.repeats, |i| null_study(&studies, a, i).inspect(|_| bar.inc(1)))? {
        one.into_iter().for_each(|(place, told)| all.entry(place).or_default().extend(told));
    }
    let lines = table(&all, |place| truth(place, a.turns), at_most);
    let planted = power::planted(&studies, a, |_| bar.inc(1))?;
    bar.finish_and_clear();
    let ok = lines.iter().all(told::Line::holds) && planted.iter().all(power::Power::holds);
    if let Some(path) = &a.table {
        let rows = lines.iter().map(told::Line::tsv).chain(planted.iter().map(power::Power::tsv));
        let text: String = [told::HEAD.to_string()].into_iter().chain(rows).map(|row| row + "\n").collect();
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if a.json {
        println!(
            "{:#}",
            json!({"null": lines.iter().map(told::Line::json).collect::<Vec<_>>(), "planted": planted.iter().map(power::Power::json).collect::<Vec<_>>(), "holds": ok})
        );
    } else {
        println!(
            "{} studies of the null organism, {} groups × 4 conditions × {} turns, seeds {} to {}; {} of the planted one, {} groups; {:.0} s",
            a.repeats,
            a.groups,
            a.turns,
            a.seed,
            a.seed + a.repeats.saturating_sub(1),
            a.planted,
            2 * a.groups,
            began.elapsed().as_secs_f64()
        );
        println!(
            "{:<16} {:<26} {:<42} {:<11} {:>4} {:>9} {:>6} {:>9} {:>8}",
            "outcome", "analysis", "finding", "what", "n", "rate", "says", "binomial", "Holm"
        );
        lines.iter().for_each(|l| println!("{}", l.text()));
        println!(
            "p: share at or below 0.05; interval: share that holds the truth; verdict: share reached (ground-truth: differs); not reached: share of that verdict; guard: share that fails (–: nothing is promised)"
        );
        planted.iter().for_each(|l| println!("{}", l.text()));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
