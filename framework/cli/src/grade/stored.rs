//! `friction grade RUN`: tells what new grades change, and writes them.
use super::Args;
use crate::error::{CliError, Result};
use crate::print::{columns, plain, program, typed};
use crate::table;
use friction_core::{Column, Table, plural};
use friction_study::Otherwise;
use friction_study::regrade::{ChangedTurn, Regraded, Report, regraded};
use friction_study::scores::{Scores, scored};
use serde_json::json;
use std::path::Path;

pub(super) fn run(run: &Path, args: &Args, as_json: bool) -> Result<()> {
    let new = match &args.scores {
        Some(path) => joined(run, path, args)?,
        None => regraded(run, &Otherwise { base: args.base.as_deref(), manifest: None, settings: &args.set })?,
    };
    // The report comes first: it is told even if writing fails.
    if !as_json {
        report(&new.report);
    }
    let written = !args.dry_run && new.report.groups > 0;
    let report = if args.dry_run { new.report } else { new.write()? };
    if as_json {
        outln!("{:#}", json!({"run": crate::print::path(run), "written": written, "report": report}));
        return Ok(());
    }
    let groups = plural(report.groups, "group");
    match (report.groups, args.dry_run) {
        (0, _) => outln!("nothing changes; nothing was written"),
        (_, true) => outln!("{groups} would be written anew; nothing was written"),
        (_, false) => {
            outln!("{groups} written anew");
            let (program, run) = (program(), typed(run));
            outln!("what analysis/ holds is of before: `{program} analyze {run}`");
        }
    }
    Ok(())
}

fn joined(run: &Path, path: &Path, args: &Args) -> Result<Regraded> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| CliError::usage(format!("{name}: {e}; name a file of scores")))?;
    let (columns, as_score) = (args.columns.as_slice(), args.becomes.is_some());
    let scores = Scores { bytes: &bytes, name: &name, columns, as_score, replace: args.replace };
    Ok(scored(run, &scores)?)
}

fn report(r: &Report) {
    outln!("{} by {}", plural(r.turns, "turn"), plain(&r.by));
    for note in &r.notes {
        outln!("note: {}", plain(note));
    }
    for (name, n) in &r.columns {
        outln!("metric.{}: {}", plain(name), plural(*n, "turn"));
    }
    outln!("{} of the answers and {} of the scores change", r.answers, r.scores);
    let arms = r.conditions.iter().any(|c| !c.arm.is_empty());
    let text = |f: &dyn Fn(usize) -> String| (0..r.conditions.len()).map(f).collect::<Vec<_>>();
    let count = |f: &dyn Fn(usize) -> usize| (0..r.conditions.len()).map(|i| f(i) as i64).collect::<Vec<_>>();
    let number = |k: usize| r.conditions.iter().map(|c| c.mean[k].unwrap_or(f64::NAN)).collect::<Vec<_>>();
    let mut all = Table::new("grades", "A row is a condition")
        .column(Column::text("condition", text(&|i| r.conditions[i].condition.clone())));
    if arms {
        all = all.column(Column::text("arm", text(&|i| r.conditions[i].arm.clone())));
    }
    let all = all
        .column(Column::count("turns", count(&|i| r.conditions[i].turns)))
        .column(Column::count("scored before", count(&|i| r.conditions[i].scored[0])))
        .column(Column::count("scored", count(&|i| r.conditions[i].scored[1])))
        .column(Column::number("score before", number(0)))
        .column(Column::number("score", number(1)))
        .column(Column::count("changed", count(&|i| r.conditions[i].changed)));
    table::lines(&all, columns()).iter().for_each(|line| outln!("{line}"));
    r.examples.iter().for_each(|c| outln!("{}", table::cut(&example(c), columns())));
}

/// A changed turn on one line.
fn example(c: &ChangedTurn) -> String {
    let arm = if c.arm.is_empty() { String::new() } else { format!(", {}", c.arm) };
    let sample = if c.sample == 0 { String::new() } else { format!(", sample {}", c.sample) };
    let answer = |k: usize| c.answer[k].as_deref().map_or("none".into(), |a| format!("{a:?}"));
    let score = |k: usize| c.score[k].map_or("–".into(), |s| s.to_string());
    let [a, b] = [0, 1].map(|k| format!("{} ({})", answer(k), score(k)));
    plain(&format!("group {}, {}{arm}{sample}, turn {}: {a} → {b}", c.group, c.condition, c.turn))
}
