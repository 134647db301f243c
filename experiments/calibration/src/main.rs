//! `calibrate`: do the analyses err as rarely as they promise where there is no effect, and do they find an effect that
//! was planted?
//!
//! The program runs many small studies on the null organism and analyses each with three sets of outcomes that nothing
//! causes ([`views`]). The null organism is sampled at a temperature at which a few answers in ten are random; with
//! greedy decoding it would answer alike in every condition, and no test could err. The program counts how often p is
//! at or below 0.05, how often 95 % intervals contain the truth, and how often verdicts are reached, and compares each
//! rate with the promised one ([`told`]). Studies of the planted organism, with twice as many groups and greedy
//! decoding, show how often a verdict is reached where it should be.
//!
//! Seeds are fixed: study `i` has seed `--seed` + i. Runs are kept in `--runs` and used again if they exist.
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
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The outcomes with which an analysis is run. Combinations in which a real effect would be read are left out where
/// they say nothing about error rates.
fn outcomes(analysis: &str) -> &'static [Outcome] {
    match analysis {
        "probe-deal" | "probe-interruptions" | "features-deal" => &[Outcome::Dealt],
        "probe-correct" | "probe-number" => &[Outcome::Coin],
        "number-completion" | "number-features" => &[Outcome::Coin, Outcome::Effect],
        _ => &[Outcome::Own, Outcome::Coin, Outcome::Effect],
    }
}

/// The true value of each reported number where nothing was planted; `None` where there is a real effect.
fn truth(place: &Place) -> Option<Truth> {
    let (outcome, analysis, at, what) = place;
    let read_out = at == "headline" || at.starts_with("read_from") || at.starts_with("sparse");
    // Whether a condition can be read does not depend on the answers, so one set of outcomes is enough.
    if read_out && analysis.ends_with("completion") && *outcome != Outcome::Own {
        return None;
    }
    // These differ from the analyses of `completion` in what they compare with the activations.
    if analysis.starts_with("number-") && !["next_answer", "confirmation", "verdict"].iter().any(|k| at.starts_with(k))
    {
        return None;
    }
    Some(match (analysis.as_str(), *what) {
        // A cut reply can be read from the activations, so a small p is right; how well is known only from many
        // studies.
        ("probe-completion", "p") if read_out => return None,
        ("features-completion", "p" | "interval") if at == "found" || at.starts_with("difference") => return None,
        ("features-completion" | "features-deal" | "number-features", "interval") if at.starts_with("confirmation") => {
            return None;
        }
        ("probe-deal" | "probe-correct" | "features-deal", "interval") if read_out => Truth::Known(0.5),
        // R² of held-out rows is below 0 where nothing can be read; how far is known only from many studies.
        ("probe-completion" | "probe-interruptions" | "probe-number" | "features-completion", "interval")
            if read_out =>
        {
            Truth::Median
        }
        _ => Truth::Known(0.0),
    })
}

/// Whether the promise is an upper bound of 5 %: for verdicts, ranks among few controls, and p of several conditions.
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
