//! `friction power`: how many groups the primary contrast of a manifest needs, by simulation.
mod figure;
pub(crate) mod question;

use crate::error::{CliError, Result};
use crate::print::{columns, plain};
use crate::table::{lines, paragraph};
use crate::{ManifestArgs, commands};
use friction_core::{Column, Table, plural, seed};
use friction_stats::percent;
use friction_stats::power::{Curve, Design, LEAST, MOST, Measure, Point, curve};
use friction_study::Plan;
use question::Question;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Accuracy that is assumed where nothing is known: Gemma 3 4B's on MMLU-Pro.
pub(crate) const BASE: f64 = 0.32;
/// Correlation of two conditions' outcomes on one item that is assumed.
pub(crate) const CORRELATION: f64 = 0.5;
/// Power that is asked for.
pub(crate) const POWER: f64 = 0.8;
/// Points of the figure's curves.
const GRID: usize = 14;
/// Most turns of a conversation, as in `study.turns`.
const TURNS: u32 = 1000;
/// How far the curves go beyond the largest number of groups that is needed.
const BEYOND: f64 = 1.3;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    manifest: ManifestArgs,
    /// Effects, separated by commas: points per turn for a contrast `… × turn`, points for others. Default: 0.5,1,2 or
    /// 2,5,10.
    #[arg(long, value_delimiter = ',')]
    effects: Vec<f64>,
    /// Numbers of groups whose power is shown, 8 or more, separated by commas. Default: the manifest's.
    #[arg(long, value_delimiter = ',')]
    groups: Vec<usize>,
    /// Share of right answers at turn 1, between 0 and 1.
    #[arg(long, default_value_t = BASE)]
    base: f64,
    /// Correlation of two conditions' outcomes on one item, from 0 to below 0.99.
    #[arg(long, default_value_t = CORRELATION)]
    correlation: f64,
    /// Correlation of two samples' outcomes on one item in one condition. Default: that between conditions.
    #[arg(long)]
    sample_correlation: Option<f64>,
    /// Points by which accuracy changes with each turn whatever the effect is: a number for all conditions, or
    /// CONDITION=NUMBER for one. Repeatable. The conditions of a pair need equal drifts.
    #[arg(long, allow_hyphen_values = true, value_name = "[CONDITION=]POINTS")]
    drift: Vec<String>,
    /// Whether the compared level's accuracy rises. Without it, it falls, unless `[primary]` says `direction = "rises"`.
    #[arg(long)]
    rises: bool,
    /// First turn that is compared, from 1. Default: the contrast's.
    #[arg(long)]
    first_turn: Option<u32>,
    /// Turns of a conversation. Default: `study.turns`, or those that `friction check` counts.
    #[arg(long)]
    turns: Option<u32>,
    /// Power to reach: above 0.05, and below 1 by so much that 4 or more of the simulated studies find nothing, as 0.999 of
    /// 4000.
    #[arg(long, default_value_t = POWER)]
    power: f64,
    /// Number of simulated studies of each effect, from 50 to a million.
    #[arg(long, default_value_t = 4000)]
    simulations: usize,
    /// Seed of the simulation. Default: the study's.
    #[arg(long)]
    seed: Option<u64>,
    /// Compare conversations that ask items of their own, by Student's two-sample t test: what a study gives away that
    /// does not pair them.
    #[arg(long)]
    unpaired: bool,
    /// A folder for the figure, `power.svg` and `power.png`.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What was asked and what came out.
struct Told<'a> {
    study: &'a str,
    question: &'a Question,
    /// Names of the manifest's conditions.
    names: &'a [&'a str],
    args: &'a Args,
    seed: u64,
    /// Numbers of groups whose power is shown.
    groups: &'a [usize],
    curves: &'a [Curve],
    files: &'a [PathBuf],
}

pub(crate) fn run(args: &Args, as_json: bool) -> Result<()> {
    for (option, turn) in [("turns", args.turns), ("first-turn", args.first_turn)] {
        if let Some(turn) = turn.filter(|n| !(1..=TURNS).contains(n)) {
            return Err(CliError::usage(format!("--{option} {turn}: turns are counted from 1 to {TURNS}")));
        }
    }
    let m = commands::design(&args.manifest.manifest, &args.manifest.set)?;
    question::possible(&m).map_err(CliError::Usage)?;
    let turns = match (args.turns, m.study.turns) {
        (Some(turns), _) => turns as usize,
        (None, Some(turns)) => turns,
        (None, None) => counted(&args.manifest)?,
    };
    let mut question = question::of_manifest(&m, turns).map_err(CliError::Usage)?;
    let names: Vec<&str> = m.conditions.iter().map(|c| c.chosen.name.as_str()).collect();
    question::drift(&mut question, &names, &args.drift).map_err(CliError::Usage)?;
    if let (Some(r), 1) = (args.sample_correlation, question.design.samples) {
        let what = "does nothing in a study of one sample: leave it out, or set `study.samples`";
        return Err(CliError::usage(format!("--sample-correlation {r}: {what}")));
    }
    question.design = args.assumed(question.design);
    if let Some(n) = args.groups.iter().find(|n| **n < LEAST) {
        let what = format!("--groups {n}: with fewer than {LEAST} groups no verdict is given");
        return Err(CliError::usage(what));
    }
    let own = m.study.groups;
    let groups = match args.groups.is_empty() {
        true => Some(own).filter(|n| (LEAST..=MOST).contains(n)).into_iter().collect(),
        false => args.groups.clone(),
    };
    if groups.is_empty() && own < LEAST {
        errln!("note: the study has {}, and with fewer than {LEAST} no verdict is given", plural(own, "group"));
    }
    let seed = args.seed.unwrap_or(m.study.seed);
    let curves = args.curves(&question.design, &groups, seed).map_err(|e| CliError::Usage(e.to_string()))?;
    let files = match &args.out {
        Some(dir) => figure::write(dir, &question, args, &curves)?,
        None => vec![],
    };
    let told = Told {
        study: &m.study.name,
        question: &question,
        names: &names,
        args,
        seed,
        groups: &groups,
        curves: &curves,
        files: &files,
    };
    if as_json {
        outln!("{:#}", told.json())
    } else {
        told.lines(columns()).iter().for_each(|l| outln!("{l}"))
    }
    Ok(())
}

/// Turns of the longest conversation of a manifest that says how many items one has. They depend on the items and
/// conditions, and are counted as `check` does.
fn counted(args: &ManifestArgs) -> Result<usize> {
    let (manifest, base) = commands::manifest(&args.manifest, &args.set)?;
    let plan = Plan::new(manifest, &base).inspect_err(|_| {
        errln!("note: the manifest says how many items a conversation has; --turns says how many turns");
    })?;
    Ok(plan.turns)
}

impl Args {
    /// The design with the assumptions of the command line.
    fn assumed(&self, d: Design) -> Design {
        Design {
            base: self.base,
            correlation: self.correlation,
            sample_correlation: self.sample_correlation.unwrap_or(self.correlation),
            rises: self.rises || d.rises,
            paired: !self.unpaired,
            turns: (self.first_turn.unwrap_or(d.turns.0), d.turns.1),
            ..d
        }
    }

    /// The effects that are asked about: by default those of the usual ones that the assumptions allow.
    fn sizes(&self, d: &Design) -> std::result::Result<Vec<f64>, friction_stats::Error> {
        if !self.effects.is_empty() {
            return Ok(self.effects.clone());
        }
        let usual = match d.measure {
            Measure::Slope => [0.5, 1.0, 2.0],
            Measure::Mean => [2.0, 5.0, 10.0],
        };
        let (mut out, mut last) = (vec![], Ok(()));
        for effect in usual {
            match d.check(effect) {
                Ok(()) => out.push(effect),
                Err(e) => last = Err(e),
            }
        }
        if let (Err(why), false) = (&last, out.is_empty()) {
            errln!("note: left out: {why}");
        }
        if out.is_empty() { last.map(|()| out) } else { Ok(out) }
    }

    /// A curve for each effect, over the numbers that are shown and a grid for the figure.
    fn curves(
        &self,
        d: &Design,
        groups: &[usize],
        seed: u64,
    ) -> std::result::Result<Vec<Curve>, friction_stats::Error> {
        let effects = self.sizes(d)?;
        let mut numbers = groups.to_vec();
        if self.out.is_some() {
            let mut most = LEAST as f64;
            for effect in &effects {
                let n = d.groups(*effect, self.power)?;
                most = most.max(if n.is_finite() { (BEYOND * n).min(MOST as f64) } else { 0.0 });
            }
            numbers.extend(grid(most));
        }
        let seed = seed::derive(&[&seed.to_le_bytes(), b"power"]);
        let of = |effect: &f64| curve(d, *effect, &numbers, self.power, self.simulations, seed);
        effects.iter().map(of).collect()
    }
}

/// Numbers of groups from the least to `most`, each larger than the one before by the same factor.
fn grid(most: f64) -> Vec<usize> {
    let least = LEAST as f64;
    let step = (most / least).powf(1.0 / (GRID - 1) as f64);
    let mut out: Vec<usize> = (0..GRID).map(|i| (least * step.powi(i as i32)).round() as usize).collect();
    out.dedup();
    out
}

fn at(curve: &Curve, groups: usize) -> Option<&Point> {
    curve.points.iter().find(|p| p.groups == groups)
}

/// The groups that an effect needs, in words: `40`, or `not reached with 50 groups`.
fn needed(c: &Curve, power: f64) -> String {
    match (c.needed, c.unreached(power), c.points.iter().find(|p| p.power() >= power)) {
        (Some(n), ..) => n.groups.to_string(),
        (None, Some(most), _) => format!("not reached with {}", plural(most, "group")),
        (None, None, Some(p)) => format!("at most {}", p.groups),
        (None, None, None) => "not reached".into(),
    }
}

/// The test's size with four digits at most: 0.05, 0.0167.
pub(crate) fn size(d: &Design) -> f64 {
    (10_000.0 * d.alpha).round() / 10_000.0
}

/// What is assumed of the outcomes, in words.
pub(crate) fn assumptions(d: &Design) -> String {
    let mut out = vec![format!("{:.0} % right at turn 1", 100.0 * d.base)];
    let drifts: Vec<f64> = d.cells.iter().map(|c| c.drift).collect();
    let (least, most) = drifts.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    if least != 0.0 || most != 0.0 {
        let range = if least == most { format!("{least:+}") } else { format!("{least:+} to {most:+}") };
        out.push(format!("drift {range} points per turn"));
    }
    if d.paired {
        out.push(format!("a correlation of {} between conditions' outcomes on an item", d.correlation));
    }
    if d.samples > 1 {
        out.push(format!("{} between {}' on it", d.sample_correlation, plural(d.samples, "sample")));
    }
    out.join(", ")
}

impl Told<'_> {
    fn test(&self) -> String {
        let d = &self.question.design;
        let test = if d.paired {
            "sign flips, one sign a group"
        } else {
            "Student's two-sample t over conversations that ask items of their own"
        };
        let of = match self.question.comparisons {
            1 => String::new(),
            n => format!(", one of {n} comparisons (0.05 for all)"),
        };
        format!("{test}, two-sided at {}{of}", size(d))
    }

    fn lines(&self, width: usize) -> Vec<String> {
        let (q, d) = (self.question, &self.question.design);
        let does = if d.rises { "rises" } else { "falls" };
        let (first, last) = d.turns;
        let turns = if first == last { format!("turn {first}") } else { format!("turns {first} to {last}") };
        let mut out = paragraph(
            &plain(&format!(
                "{}: {}, {}: accuracy {does}, {} of conditions a group, {turns}",
                self.study,
                q.words,
                q.levels,
                plural(q.pairs, "pair")
            )),
            width,
        );
        out.extend(paragraph(&format!("assumed: {}", assumptions(d)), width));
        let simulated = plural(self.args.simulations, "simulated study");
        out.extend(paragraph(&format!("test: {}; {simulated} an effect", self.test()), width));
        out.push(String::new());
        out.extend(lines(&self.table(), width));
        if !self.files.is_empty() {
            let files: Vec<String> = self.files.iter().map(|f| crate::print::typed(f)).collect();
            out.extend([String::new(), format!("wrote {}", files.join(", "))]);
        }
        out
    }

    fn table(&self) -> Table {
        let unit = self.question.design.unit();
        let groups = |c: &Curve| needed(c, self.args.power);
        let error = |c: &Curve| c.needed.map_or(f64::NAN, |n| n.error);
        let mut table = Table::new("power", "")
            .column(Column::text("effect", self.curves.iter().map(|c| c.effect.to_string())).unit(unit))
            .column(
                Column::text("groups", self.curves.iter().map(groups))
                    .title(format!("groups for {}", percent(self.args.power))),
            )
            .column(Column::number("error", self.curves.iter().map(error)).title("± (standard error)").digits(1));
        for n in self.groups {
            let powers = self.curves.iter().map(|c| at(c, *n).map_or(f64::NAN, |p| 100.0 * p.power()));
            let title = format!("power with {}", plural(*n, "group"));
            table = table.column(Column::number(format!("power_{n}"), powers).title(title).unit("%").digits(1));
        }
        table
    }

    fn json(&self) -> Value {
        let (q, d) = (self.question, &self.question.design);
        let point = |p: &Point| json!({"groups": p.groups, "power": p.power(), "standard_error": p.error()});
        let effect = |c: &Curve| {
            json!({
                "effect": c.effect,
                "groups": c.needed.map(|n| n.groups),
                "not_reached_with": c.unreached(self.args.power),
                "standard_error": c.needed.map(|n| n.error),
                "closed_form": d.groups(c.effect, self.args.power).ok().filter(|n| n.is_finite()),
                "points": c.points.iter().map(point).collect::<Vec<_>>(),
            })
        };
        json!({
            "study": self.study,
            "contrast": q.words,
            "levels": q.levels,
            "pairs": q.pairs,
            "comparisons": q.comparisons,
            "unit": d.unit(),
            "turns": [d.turns.0, d.turns.1],
            "samples": d.samples,
            "assumed": {
                "base": d.base,
                "correlation": d.correlation,
                "sample_correlation": d.sample_correlation,
                "drift": q.cells.iter().zip(&d.cells).map(|(i, c)| (self.names[*i], c.drift)).collect::<BTreeMap<_, _>>(),
                "rises": d.rises,
                "paired": d.paired,
            },
            "test": self.test(),
            "alpha": d.alpha,
            "power": self.args.power,
            "simulations": self.args.simulations,
            "seed": self.seed,
            "effects": self.curves.iter().map(effect).collect::<Vec<_>>(),
            "files": self.files.iter().map(|f| crate::print::path(f)).collect::<Vec<_>>(),
        })
    }
}

/// Writes a file into a folder; the error names the file.
fn written(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, bytes).map_err(|e| CliError::Failed(format!("{}: {e}", path.display()).into())).map(|()| path)
}
