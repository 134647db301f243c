//! `calibrate`: do the analyses keep what they promise where it is known that there is nothing, and do they find what
//! was planted?
//!
//! It runs many small studies on the null organism, at a temperature that makes a few answers in ten random (decoded
//! greedily, it answers alike in every condition, and no test could err), and analyses each under three outcomes of
//! which nothing is the cause ([`views`]). It counts how often p is at or below 0.05, how often intervals at 95 % hold
//! the truth, and how often a verdict is reached, and compares each rate with its promise ([`told`]). Studies of twice
//! the groups on the planted organism, decoded greedily, tell how often a verdict is reached where it should be.
//!
//! Seeds are fixed: study `i` has seed `--seed` + i. Runs are kept in `--runs`, and are not repeated when they stand.
mod power;
mod studies;
mod told;
mod views;

use clap::Parser;
use friction as _;
use friction_core::RunReader;
use friction_organism::truth::Truth as Organism;
use friction_store::StoredRun;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use studies::Studies;
use told::{All, Place, Truth, collect, table};
use views::{Outcome, View};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Repeats small studies on the bundled organisms and compares what analyses told with what they promise.
#[derive(Parser)]
struct Args {
    /// Studies of the null organism
    #[arg(long, default_value_t = 200)]
    repeats: u64,
    /// Studies of the planted organism, of twice the groups
    #[arg(long, default_value_t = 50)]
    planted: u64,
    /// Groups of a null study
    #[arg(long, default_value_t = 16)]
    groups: usize,
    /// Turns of a conversation, 2 to 14
    #[arg(long, default_value_t = 8)]
    turns: usize,
    /// Seed of the first study; the next has the next
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At which the null organism samples
    #[arg(long, default_value_t = 2.3)]
    null_temperature: f64,
    /// Folder of the runs; a temporary one if not given
    #[arg(long)]
    runs: Option<PathBuf>,
    /// Analyses by their names in the study; default all
    #[arg(long)]
    only: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which outcomes an analysis is read under. What is really there to be read is left out where it says nothing of
/// errors.
fn outcomes(analysis: &str) -> &'static [Outcome] {
    match analysis {
        "probe-deal" | "probe-interruptions" | "features-deal" => &[Outcome::Dealt],
        "probe-correct" => &[Outcome::Coin],
        _ => &[Outcome::Own, Outcome::Coin, Outcome::Effect],
    }
}

/// What each told value should be where nothing was planted; nothing for what is really there.
fn truth(place: &Place) -> Option<Truth> {
    let (outcome, analysis, at, what) = place;
    let read_out = at == "headline" || at.starts_with("read_from") || at.starts_with("sparse");
    // Whether a condition can be read does not hang on the answers: once is enough.
    if read_out && analysis.ends_with("completion") && *outcome != Outcome::Own {
        return None;
    }
    Some(match (analysis.as_str(), *what) {
        // Whether a reply was cut can be read: its p is small and should be, and only many studies tell how well.
        ("probe-completion", "p") if read_out => return None,
        ("features-completion", "p" | "interval") if at == "found" || at.starts_with("difference") => return None,
        ("features-completion" | "features-deal", "interval") if at.starts_with("confirmation") => return None,
        ("probe-deal" | "probe-correct" | "features-deal", "interval") if read_out => Truth::Known(0.5),
        ("probe-completion" | "probe-interruptions" | "features-completion", "interval") if read_out => Truth::Median,
        _ => Truth::Known(0.0),
    })
}

/// Verdicts, ranks among few controls and p of several conditions at once promise a rate of 5 % at most.
fn at_most(place: &Place) -> bool {
    place.3 == "verdict" || place.1 == "steering" && place.3 == "p" || place.2.starts_with("confirmation")
}

fn null_study(studies: &Studies, a: &Args, i: u64) -> Result<All, Error> {
    let (path, plan) = studies.run(Organism::Null, a.groups, a.seed + i, i)?;
    let stored = StoredRun::open(&path)?;
    let mut all = All::new();
    for (name, analyzer) in plan.analyzers.iter().filter(|(n, _)| a.only.is_empty() || a.only.contains(n)) {
        for outcome in outcomes(name) {
            let mut findings = friction_core::Findings::default();
            analyzer
                .analyze(&View::new(&stored, *outcome), &mut findings)
                .map_err(|e| format!("study {}, {name}, {}: {e}", stored.seed(), outcome.word()))?;
            collect(&mut all, *outcome, name, &findings);
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
    let lines = table(&all, truth, at_most);
    let planted = power::planted(&studies, a, |_| bar.inc(1))?;
    bar.finish_and_clear();
    let ok = lines.iter().all(told::Line::holds) && planted.iter().all(power::Power::holds);
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
            "{:<16} {:<26} {:<34} {:<9} {:>4} {:>9} {:>6} {:>9} {:>8}",
            "outcome", "analysis", "finding", "what", "n", "rate", "says", "binomial", "Holm"
        );
        lines.iter().for_each(|l| println!("{}", l.text()));
        println!(
            "p: share at or below 0.05; interval: share that holds the truth; verdict: share reached (ground-truth: differs)"
        );
        planted.iter().for_each(|l| println!("{}", l.text()));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
