//! One table of all analyzers' estimates, each under its question.
use crate::print::plain;
use crate::table::{cut, grid};
use comfy_table::CellAlignment::{Left, Right};
use console::measure_text_width;
use friction_core::{Body, Estimate, Findings, Status, plural};
use friction_stats::{p_words, percent, signed};
use friction_study::Analysis;
use std::collections::BTreeMap;

/// All estimates, under their analyzers' questions.
pub(crate) fn all(found: &[Analysis], width: usize) -> Vec<String> {
    rows(found, width, usize::MAX)
}

/// As many rows as fit into `room` lines, and the number of estimates that were left out. First every analyzer is cut
/// to the same number of estimates, then the last analyzers are left out.
pub(crate) fn fitted(found: &[Analysis], width: usize, room: usize) -> (Vec<String>, usize) {
    let counts = || found.iter().map(|a| a.findings.estimates().count());
    let (all, most) = (counts().sum::<usize>(), counts().max().unwrap_or(0));
    let shown =
        |of: &[Analysis], each: usize| of.iter().map(|a| a.findings.estimates().take(each).count()).sum::<usize>();
    for each in (1..=most.max(1)).rev() {
        let lines = rows(found, width, each);
        if lines.len() <= room {
            return (lines, all - shown(found, each));
        }
    }
    let kept = (0..found.len()).rev().find(|n| rows(&found[..*n], width, 1).len() <= room).unwrap_or(0);
    (rows(&found[..kept], width, 1), all - shown(&found[..kept], 1))
}

/// Widest verdict that is shown.
const WORDS: usize = 40;

/// Properties that most estimates share, so that the header can state them once.
struct Common {
    level: Option<f64>,
    n: Option<(u64, String)>,
}

impl Common {
    fn of(all: &[&Estimate]) -> Self {
        let levels = all.iter().filter(|e| e.low.is_some() || e.high.is_some()).filter_map(|e| e.level);
        let n = all.iter().filter_map(|e| Some((e.n?, e.of.clone())));
        Self { level: most(levels.map(f64::to_bits)).map(f64::from_bits), n: most(n) }
    }
}

fn most<T: Ord + Clone>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    all.for_each(|v| *counts.entry(v).or_default() += 1);
    let largest = counts.values().copied().max()?;
    counts.into_iter().find(|(_, n)| *n == largest).map(|(v, _)| v)
}

/// One row of the table.
struct Row {
    /// What was estimated, found, interval, true, verdict.
    cells: [String; 5],
    /// The end of the first cell that stays where it is cut: the unit, n where it is not the common one, and the status
    /// where it is not that of all.
    end: String,
}

/// The estimates of an analyzer, each with its status: whether it was named before the run.
fn estimates(f: &Findings) -> impl Iterator<Item = (&Estimate, Option<Status>)> {
    f.blocks.iter().filter_map(|b| match &b.body {
        Body::Estimate(e) => Some((e, b.status)),
        _ => None,
    })
}

/// The status that all estimates of an analyzer share which have one. It is told once, behind the question.
fn shared(f: &Findings) -> Option<Status> {
    let mut told = estimates(f).filter_map(|(_, status)| status);
    let first = told.next()?;
    told.all(|s| s == first).then_some(first)
}

fn row(e: &Estimate, status: Option<Status>, common: &Common) -> Row {
    let number = |v: f64| match usize::from(e.digits) {
        _ if v.abs() >= 1e7 => format!("{v:.2e}"),
        digits if e.null == Some(0.0) => signed(v, digits),
        digits => format!("{v:.digits$}"),
    };
    let mut end = if e.unit.is_empty() { String::new() } else { format!(", {}", plain(&e.unit)) };
    if let Some(n) = e.n.filter(|n| common.n.as_ref().is_some_and(|(m, of)| m != n || *of != e.of)) {
        end.push_str(&format!(" ({})", counted(n, &e.of)));
    }
    if let Some(status) = status {
        end.push_str(&format!(", {status}"));
    }
    let level = match e.level {
        Some(l) if common.level.is_some_and(|c| c != l) => format!(" ({})", percent(l)),
        _ => String::new(),
    };
    let interval = match (e.low, e.high) {
        (Some(low), Some(high)) => format!("{} to {}{level}", number(low), number(high)),
        _ if e.level.is_some() && e.value.is_some() => "no bounds".into(),
        _ => String::new(),
    };
    let verdict = match (&e.says, e.agrees(), e.p) {
        (Some(says), ..) => cut(&plain(says), WORDS),
        (None, Some(true), _) => "agrees".into(),
        (None, Some(false), _) => "DIFFERS".into(),
        (None, None, Some(p)) => p_words(p),
        (None, None, None) => String::new(),
    };
    let found = e.value.map_or_else(|| "–".into(), number);
    let what = format!("{}{end}", plain(&e.what));
    Row { cells: [what, found, interval, e.truth.map(number).unwrap_or_default(), verdict], end }
}

impl Row {
    /// The first cell, cut to so many columns.
    fn what(&self, width: usize) -> String {
        let (what, end) = (self.cells[0].as_str(), self.end.as_str());
        let room = width.saturating_sub(measure_text_width(end));
        match what.strip_suffix(end) {
            Some(label) if measure_text_width(what) > width && room >= 8 => format!("{}{end}", cut(label, room)),
            _ => cut(what, width),
        }
    }
}

fn counted(n: u64, of: &str) -> String {
    plain(&plural(usize::try_from(n).unwrap_or(usize::MAX), of))
}

/// A header, and each analyzer's question with at most `each` of its estimates.
fn rows<'a>(found: &'a [Analysis], width: usize, each: usize) -> Vec<String> {
    if found.is_empty() {
        return vec![];
    }
    let of = |a: &'a Analysis| {
        let own = shared(&a.findings).is_none();
        estimates(&a.findings).take(each).map(move |(e, status)| (e, status.filter(|_| own)))
    };
    let (shown, statuses): (Vec<&Estimate>, Vec<Option<Status>>) = found.iter().flat_map(of).unzip();
    let common = Common::of(&shown);
    let level = common.level.map_or_else(|| "interval".into(), |l| format!("{} interval", percent(l)));
    let n = common.n.as_ref().map_or_else(String::new, |(n, of)| format!("n = {}", counted(*n, of)));
    let header = Row { cells: [n, "found".into(), level, "true".into(), "verdict".into()], end: String::new() };
    let mut body: Vec<Row> = shown.iter().zip(statuses).map(|(e, status)| row(e, status, &common)).collect();
    for column in [1, 3] {
        aligned(&mut body, column);
    }
    // Empty columns are left out, except for the first two.
    let wide = |c: usize| {
        let most = body.iter().map(|r| measure_text_width(&r.cells[c])).max().unwrap_or(0);
        if most == 0 && c > 1 { 0 } else { most.max(measure_text_width(&header.cells[c])) }
    };
    let mut wide: [usize; 5] = std::array::from_fn(wide);
    let rest: usize = wide[1..].iter().filter(|w| **w > 0).map(|w| w + 2).sum();
    wide[0] = wide[0].min(width.saturating_sub(rest + 2)).max(16);
    let columns: Vec<usize> = (0..5).filter(|c| wide[*c] > 0).collect();
    let cells = |r: &Row| -> Vec<String> {
        columns.iter().map(|c| if *c == 0 { r.what(wide[0]) } else { r.cells[*c].clone() }).collect()
    };
    let aligned = columns.iter().map(|c| (wide[*c], if matches!(c, 0 | 4) { Left } else { Right }));
    let grid = grid(&cells(&header), body.iter().map(cells), &aligned.collect::<Vec<_>>());
    // Each row is one line, since no cell is wider than its column.
    let mut grid = grid.into_iter().map(|line| cut(&format!("  {line}"), width));
    let top = grid.next();
    let mut out: Vec<String> = top.into_iter().filter(|_| !shown.is_empty()).collect();
    for a in found {
        let f = &a.findings;
        let estimates = f.estimates().count();
        // An analyzer without estimates shows its first sentence.
        let said = f.texts().next().filter(|_| estimates == 0);
        let asked = said.or(f.question.as_ref()).map_or(String::new(), |q| format!(": {}", q.trim()));
        let status = shared(f).map_or(String::new(), |s| format!(" ({s})"));
        let room = width.saturating_sub(measure_text_width(&status));
        out.push(format!("{}{status}", cut(&plain(&format!("{}{asked}", a.name)), room)));
        out.extend(grid.by_ref().take(estimates.min(each)));
    }
    out
}

/// Pads the numbers of a column so that their decimal points are aligned.
fn aligned(rows: &mut [Row], column: usize) {
    let behind = |s: &str| s.find('.').map_or(0, |at| s.len() - at);
    let most = rows.iter().map(|r| behind(&r.cells[column])).max().unwrap_or(0);
    for cell in rows.iter_mut().map(|r| &mut r.cells[column]).filter(|cell| !cell.is_empty()) {
        // No-break spaces: others are trimmed at the end of a cell.
        cell.push_str(&"\u{a0}".repeat(most - behind(cell)));
    }
}
