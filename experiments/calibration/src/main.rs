//! `calibrate`: how often do the analyses find an effect where nothing was planted, and where one was?
//!
//! It repeats a small study on both organisms with fresh questions, and counts, for every finding that
//! carries a `p`, how often p is at or below the level. Beside it stands theory: the same analysis of
//! studies by a perfect organism, simulated from the truth without a model.
mod simulate;

use clap::Parser;
use friction as _;
use friction_core::Findings;
use friction_core::manifest::Manifest;
use friction_engine::{Flow, Progress};
use friction_organism::truth::Truth;
use friction_stats::{Interval, wilson};
use friction_study::{Plan, RunOptions, analyze, run};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

type Error = Box<dyn std::error::Error>;

/// Repeats small studies on the bundled organisms and counts findings.
#[derive(Parser)]
struct Args {
    /// Studies of each organism
    #[arg(long, default_value_t = 100)]
    repeats: u64,
    /// Groups of a study
    #[arg(long, default_value_t = 8)]
    groups: usize,
    /// Turns of a conversation, 2 to 14
    #[arg(long, default_value_t = 8)]
    turns: usize,
    /// A finding is one with p at or below this
    #[arg(long, default_value_t = 0.05)]
    level: f64,
    /// Simulated studies of a perfect organism
    #[arg(long, default_value_t = 2000)]
    simulations: u64,
    /// Seed of the first study; the next has the next
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Another manifest in the place of the built-in study; its model and seed are set for it
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

struct Quiet;
impl RunOptions for Quiet {
    fn loading(&mut self, _: u64, _: u64) {}
    fn progress(&mut self, _: &Progress, _: usize) -> Flow {
        Flow::Continue
    }
}

/// p-values by finding: `analyzer.finding`.
type Found = BTreeMap<String, Vec<f64>>;

fn collect(found: &mut Found, analyzer: &str, findings: &Findings) {
    for (name, value) in &findings.values {
        if let Some(p) = value.get("p").and_then(serde_json::Value::as_f64) {
            found.entry(format!("{analyzer}.{name}")).or_default().push(p);
        }
    }
}

fn plan(a: &Args, truth: Truth, seed: u64) -> Result<Rc<Plan>, Error> {
    let (name, text, base) = match &a.manifest {
        Some(path) => {
            let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
            (path.display().to_string(), std::fs::read_to_string(path)?, base)
        }
        None => ("study.toml".into(), include_str!("../study.toml").into(), PathBuf::new()),
    };
    let source = match truth {
        Truth::Planted => "bundled:organism",
        Truth::Null => "bundled:organism-null",
    };
    let mut set = vec![format!("study.seed={seed}"), format!("model.source={source}")];
    if a.manifest.is_none() {
        set.extend([format!("study.groups={}", a.groups), format!("study.turns={}", a.turns)]);
    }
    Ok(Rc::new(Plan::new(Manifest::parse(&name, &text, &set)?, &base)?))
}

fn found_at(ps: &[f64], level: f64) -> Option<Interval> {
    wilson(ps.iter().filter(|p| **p <= level).count() as u64, ps.len() as u64, 0.95)
}

fn main() -> Result<(), Error> {
    let a = Args::parse();
    let bar = ProgressBar::new(2 * a.repeats);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} studies, {eta} left")?);
    let began = Instant::now();
    let mut rows = vec![];
    for truth in [Truth::Null, Truth::Planted] {
        let (mut measured, mut theory) = (Found::new(), Found::new());
        for i in 0..a.repeats {
            let plan = plan(&a, truth, a.seed + i)?;
            let dir = tempfile::tempdir()?;
            let out = dir.path().join("run");
            run(&plan, &out, &mut Quiet)?;
            for analysis in analyze(&out, &plan.analyzers)? {
                collect(&mut measured, &analysis.name, &analysis.findings);
            }
            bar.inc(1);
        }
        let plan = plan(&a, truth, a.seed)?;
        for i in 0..a.simulations {
            let perfect = simulate::study(&plan, truth, a.seed + i);
            for (name, analyzer) in &plan.analyzers {
                let mut findings = Findings::default();
                // An analysis that needs activations has no theory here.
                if analyzer.analyze(&perfect, &mut findings).is_ok() {
                    collect(&mut theory, name, &findings);
                }
            }
        }
        for (finding, ps) in measured {
            rows.push((truth, finding.clone(), ps, theory.remove(&finding).unwrap_or_default()));
        }
    }
    bar.finish_and_clear();
    let word = |t: &Truth| match t {
        Truth::Null => "null",
        Truth::Planted => "planted",
    };
    if a.json {
        let of = |(t, finding, ps, theory): &(Truth, String, Vec<f64>, Vec<f64>)| {
            let i = found_at(ps, a.level);
            json!({"organism": word(t), "finding": finding, "studies": ps.len(), "level": a.level, "found": i.map(|i| i.estimate),
                "low": i.map(|i| i.low), "high": i.map(|i| i.high), "theory": found_at(theory, a.level).map(|i| i.estimate), "p": ps})
        };
        println!("{:#}", json!(rows.iter().map(of).collect::<Vec<_>>()));
        return Ok(());
    }
    println!(
        "{} studies of each organism, {} groups × 4 conditions × {} turns, fresh questions each, in {:.0} s",
        a.repeats,
        a.groups,
        a.turns,
        began.elapsed().as_secs_f64()
    );
    println!(
        "{:<9} {:<24} {:>14} {:>20} {:>18}",
        "organism", "finding", "p ≤ level", "95 % interval", "theory (perfect)"
    );
    for (truth, finding, ps, theory) in &rows {
        let Some(i) = found_at(ps, a.level) else { continue };
        let theory = found_at(theory, a.level).map_or("–".into(), |t| format!("{:.1} %", 100.0 * t.estimate));
        println!(
            "{:<9} {finding:<24} {:>12.1} % {:>9.1} to {:>5.1} % {theory:>18}",
            word(truth),
            100.0 * i.estimate,
            100.0 * i.low,
            100.0 * i.high
        );
    }
    println!(
        "level {}: on the null organism a valid test finds an effect at most that often; theory repeats the analysis on {} simulated studies of an organism that follows its truth exactly",
        a.level, a.simulations
    );
    Ok(())
}
