//! `calibrate`: how often do the analyses find an effect where nothing was planted, and where one was?
//!
//! It repeats a small study on both organisms with fresh questions, and counts, for every finding that
//! carries a `p`, how often p is at or below the level. Beside it stands theory: the same analysis of
//! studies by a perfect organism, simulated from the truth without a model.
//!
//! The planted organism is decoded greedily. So decoded, the null organism answers a question alike in
//! every condition, all paired differences are 0, and no test could err: it samples, at a temperature
//! that makes a few answers in ten random.
mod simulate;

use clap::Parser;
use friction as _;
use friction_core::Findings;
use friction_core::RunReader;
use friction_core::manifest::Manifest;
use friction_engine::{Flow, Progress};
use friction_organism::truth::Truth;
use friction_stats::{Interval, wilson};
use friction_store::StoredRun;
use friction_study::{Plan, RunOptions, analyze, run};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Repeats small studies on the bundled organisms and counts findings.
#[derive(Parser)]
struct Args {
    /// Studies of each organism
    #[arg(long, default_value_t = 100)]
    repeats: u64,
    /// Groups of a study
    #[arg(long, default_value_t = 12)]
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
    /// At which the null organism samples; the planted one is decoded greedily
    #[arg(long, default_value_t = 2.3)]
    null_temperature: f64,
    /// Set a value of the manifest: key=value
    #[arg(long)]
    set: Vec<String>,
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
    let p = |value: &Value| value.get("p").and_then(Value::as_f64);
    for (name, value) in &findings.values {
        if let Some(p) = p(value) {
            found.entry(format!("{analyzer}.{name}")).or_default().push(p);
        }
        for (n, p) in value.as_array().into_iter().flatten().enumerate().filter_map(|(n, v)| Some((n, p(v)?))) {
            found.entry(format!("{analyzer}.{name}.{n}")).or_default().push(p);
        }
    }
}

/// The manifest that is repeated.
struct Study {
    name: String,
    text: String,
    base: PathBuf,
}

impl Study {
    fn read(path: Option<&Path>) -> Result<Self, Error> {
        Ok(match path {
            Some(path) => Self {
                name: path.display().to_string(),
                text: std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?,
                base: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            },
            None => {
                Self { name: "study.toml".into(), text: include_str!("../study.toml").into(), base: PathBuf::new() }
            }
        })
    }

    fn plan(&self, a: &Args, truth: Truth, seed: u64) -> Result<Rc<Plan>, Error> {
        let source = match truth {
            Truth::Planted => "bundled:organism",
            Truth::Null => "bundled:organism-null",
        };
        let temperature = if truth == Truth::Null { a.null_temperature } else { 0.0 };
        let mut set = vec![format!("generation.temperature={temperature}")];
        if a.manifest.is_none() {
            set.extend([format!("study.groups={}", a.groups), format!("study.turns={}", a.turns)]);
        }
        set.extend(a.set.iter().cloned());
        set.extend([format!("study.seed={seed}"), format!("model.source={source}")]);
        Ok(Rc::new(Plan::new(Manifest::parse(&self.name, &self.text, &set)?, &self.base)?))
    }
}

/// All p-values of one organism, measured and in theory.
#[derive(Default)]
struct Counted {
    measured: Found,
    theory: Found,
    accuracy: f64,
    noise: f64,
}

/// One study: its p-values, right answers and turns.
fn repeat(study: &Study, a: &Args, truth: Truth, seed: u64) -> Result<(Found, usize, usize), Error> {
    let plan = study.plan(a, truth, seed)?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("run");
    run(&plan, &path, &mut Quiet)?;
    let mut found = Found::new();
    for analysis in analyze(&path, &plan.analyzers)? {
        collect(&mut found, &analysis.name, &analysis.findings);
    }
    let stored = StoredRun::open(&path)?;
    let right = stored.turns().iter().filter(|t| t.correct).count();
    Ok((found, right, stored.turns().len()))
}

/// Runs `work(0)` to `work(n - 1)` on threads of their own, not rayon's: the engine waits for rayon's
/// inside a study, and a waiting worker that took up another study would wait for itself.
fn in_threads<T: Send>(n: u64, work: impl Fn(u64) -> Result<T, Error> + Sync) -> Result<Vec<T>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        let work = &work;
        let share = |t: u64| move || (t..n).step_by(threads as usize).map(work).collect::<Result<Vec<T>, Error>>();
        let handles: Vec<_> = (0..threads).map(|t| scope.spawn(share(t))).collect();
        let mut out = vec![];
        for h in handles {
            out.extend(h.join().map_err(|_| "a study panicked")??);
        }
        Ok(out)
    })
}

fn count(study: &Study, a: &Args, truth: Truth, bar: &ProgressBar) -> Result<Counted, Error> {
    let mut out = Counted::default();
    let first = study.plan(a, truth, a.seed)?;
    let studies = in_threads(a.repeats, |i| repeat(study, a, truth, a.seed + i).inspect(|_| bar.inc(1)))?;
    let (mut right, mut turns) = (0, 0);
    for (found, r, n) in studies {
        (right, turns) = (right + r, turns + n);
        for (name, ps) in found {
            out.measured.entry(name).or_default().extend(ps);
        }
    }
    out.accuracy = right as f64 / turns as f64;
    out.noise = simulate::noise(&first, truth, out.accuracy);
    for i in 0..a.simulations {
        let perfect = simulate::study(&first, truth, out.noise, a.seed + i);
        for (name, analyzer) in &first.analyzers {
            let mut findings = Findings::default();
            // An analysis that needs activations has no theory here.
            if analyzer.analyze(&perfect, &mut findings).is_ok() {
                collect(&mut out.theory, name, &findings);
            }
        }
    }
    Ok(out)
}

fn found_at(ps: &[f64], level: f64) -> Option<Interval> {
    wilson(ps.iter().filter(|p| **p <= level).count() as u64, ps.len() as u64, 0.95)
}

fn main() -> Result<(), Error> {
    let a = Args::parse();
    let bar = ProgressBar::new(2 * a.repeats);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} studies, {eta} left")?);
    let began = Instant::now();
    let study = Study::read(a.manifest.as_deref())?;
    let shape = study.plan(&a, Truth::Null, a.seed)?;
    let mut rows = vec![];
    let mut notes = vec![];
    for truth in [Truth::Null, Truth::Planted] {
        let mut counted = count(&study, &a, truth, &bar)?;
        notes.push((truth, counted.accuracy, counted.noise));
        for (finding, ps) in counted.measured {
            let theory = counted.theory.remove(&finding).unwrap_or_default();
            rows.push((truth, finding, ps, theory));
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
        "{} studies of each organism, {} groups × {} conditions × {} turns, fresh questions each, in {:.0} s",
        a.repeats,
        shape.manifest.study.groups,
        shape.conditions.len(),
        shape.manifest.study.turns,
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
    for (truth, accuracy, noise) in notes {
        println!(
            "{}: {:.1} % of answers were right; theory is {} simulated studies of a perfect organism whose letter is random in {:.1} % of turns, which makes it as accurate",
            word(&truth),
            100.0 * accuracy,
            a.simulations,
            100.0 * noise
        );
    }
    println!("on the null organism, a valid test finds an effect in at most {:.1} % of studies", 100.0 * a.level);
    Ok(())
}
