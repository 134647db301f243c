//! The summary that `run` prints at its end, which fits a screen, and the table that `analyze` prints first.
//!
//! Problems come first (analyzers that failed, answers that could not be read, warnings). Then follow the run, one table
//! of all analyzers' estimates, the files, and the next command to type.
use crate::print::{plain, typed};
use crate::progress::span;
use console::{measure_text_width, truncate_str};
use friction_core::{Estimate, plural};
use friction_stats::{p_words, percent, signed};
use friction_study::{Analyses, Analysis, RunReport};
use std::collections::BTreeMap;
use std::path::Path;

/// Most lines of the summary. Together with the two lines that `run` prints first and the shell's prompt they fill a
/// screen of 24 lines.
pub(crate) const LINES: usize = 21;
/// If a smaller share of the answers could be read, the summary begins with a warning.
const READABLE: f64 = 0.95;

/// A finished run, as the summary needs it.
pub(crate) struct Summary<'a> {
    /// How this program was called, for the next command.
    pub program: &'a str,
    /// The study's name.
    pub name: &'a str,
    /// The run directory.
    pub out: &'a Path,
    /// Counts and timings of the run.
    pub report: &'a RunReport,
    /// Seconds of the whole command.
    pub seconds: f64,
    /// The analyzers' findings, and their errors.
    pub analyses: &'a Analyses,
    /// Warnings of the plan, printed before the run.
    pub planned: &'a [String],
}

impl Summary<'_> {
    /// The lines, each at most `width` columns, except that paths and the next command stay whole.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let next = format!("next: {} analyze {}", self.program, typed(self.out));
        let (first, run, files) = (self.doubts(width), self.run(width), self.files());
        let note = |hidden: usize| match hidden {
            0 => "   (every sentence and table)".into(),
            n => format!("   ({})", plural(n, "more estimate")),
        };
        // Beside a long path there is no room for the note, and it takes a line of its own.
        let beside = measure_text_width(&next) + measure_text_width(&note(100)) <= width;
        // The table gets the lines that the rest leaves, minus an empty line before and one after it.
        let taken = first.len() + run.len() + files.len() + 1 + 2 + usize::from(!beside);
        let (rows, hidden) = fitted(&self.analyses.found, width, LINES.saturating_sub(taken));
        let mut out = first;
        out.extend(run);
        if !rows.is_empty() {
            out.push(String::new());
            out.extend(rows);
        }
        out.push(String::new());
        out.extend(files.iter().enumerate().map(|(i, line)| if i == 0 { line.clone() } else { cut(line, width) }));
        match (beside, hidden) {
            (true, _) => out.push(format!("{next}{}", note(hidden))),
            (false, 0) => out.push(next),
            (false, _) => out.extend([note(hidden).trim().to_string(), next]),
        }
        out
    }

    /// Failed analyzers, unreadable answers and warnings.
    fn doubts(&self, width: usize) -> Vec<String> {
        doubts(self.analyses, self.planned, width)
    }

    fn run(&self, width: usize) -> Vec<String> {
        let (r, name) = (self.report, plain(self.name));
        let time = span(self.seconds);
        let what = if r.groups == 0 {
            format!("{name}: {} stood already; analyzed in {time}", plural(r.resumed, "group"))
        } else {
            let stood = if r.resumed > 0 { format!(" ({} stood already)", r.resumed) } else { String::new() };
            let turns = plural(r.turns as usize, "turn");
            format!("{name}: {}{stood}, {turns} in {time}", plural(r.groups, "group"))
        };
        let answers = self.analyses.answers;
        let read = match answers.replies {
            0 => String::new(),
            n => format!("; answers read in {:.1} % of replies", 100.0 * answers.read as f64 / n as f64),
        };
        wrapped(&format!("{what}{read}"), width, 2)
    }

    fn files(&self) -> Vec<String> {
        let found = &self.analyses.found;
        let names = |of: &dyn Fn(&Analysis) -> Vec<String>| -> Vec<String> {
            found.iter().flat_map(|a| of(a).into_iter().map(move |n| plain(&format!("{}/{n}", a.name)))).collect()
        };
        let figures = names(&|a| a.findings.figures.iter().map(|f| format!("{}.svg", f.name)).collect());
        let tables = names(&|a| a.findings.tables.iter().map(|t| format!("{}.parquet", t.name)).collect());
        let at = typed(self.out);
        if figures.is_empty() && tables.is_empty() {
            return vec![format!("stored in {at}"), "  turns    groups/*/turns.parquet".into()];
        }
        let mut out = vec![format!("stored in {at}; in its folder analysis:")];
        for (what, names) in [("figures", figures), ("tables", tables)] {
            if !names.is_empty() {
                out.push(format!("  {what:<8} {}", names.join("  ")));
            }
        }
        out
    }
}

/// Failed analyzers, unreadable answers and warnings, those of the plan included: what must not be overlooked.
pub(crate) fn doubts(analyses: &Analyses, planned: &[String], width: usize) -> Vec<String> {
    let Analyses { found, failed, answers, notes } = analyses;
    let mut out = vec![];
    let all = found.len() + failed.len();
    for e in failed.iter().take(2) {
        out.extend(wrapped(&format!("! FAILED: {}", plain(&e.to_string())), width, 2));
    }
    if failed.len() > 2 {
        out.push(format!("! {} of {} failed", failed.len(), plural(all, "analyzer")));
    }
    let share = answers.read as f64 / answers.replies.max(1) as f64;
    if answers.replies > 0 && share < READABLE {
        let of = plural(answers.replies, "reply");
        let text = format!("! only {:.1} % of {of} declare an answer; the others count as wrong", 100.0 * share);
        out.extend(wrapped(&text, width, 2));
    }
    // Several analyzers may give the same warning; it is shown once.
    let mut warnings: Vec<(&str, &str)> = vec![];
    let told = found.iter().flat_map(|a| a.findings.warnings.iter().map(move |w| (a.name.as_str(), w.as_str())));
    let rest = notes.iter().chain(planned).map(|w| ("", w.as_str()));
    for (name, text) in told.chain(rest) {
        if warnings.iter().all(|(_, other)| *other != text) {
            warnings.push((name, text));
        }
    }
    if let Some((name, text)) = warnings.first() {
        let by = if name.is_empty() { String::new() } else { format!("{name}: ") };
        let count = plural(warnings.len(), "warning");
        out.extend(wrapped(&format!("! {count}. {}", plain(&format!("{by}{text}"))), width, 2));
    }
    out
}

/// All estimates, under their analyzers' questions.
pub(crate) fn table(found: &[Analysis], width: usize) -> Vec<String> {
    rows(found, width, usize::MAX)
}

/// As many rows as fit into `room` lines, and the number of estimates that were left out. First every analyzer is cut
/// to the same number of estimates, then the last analyzers are left out.
fn fitted(found: &[Analysis], width: usize, room: usize) -> (Vec<String>, usize) {
    let all: usize = found.iter().map(|a| a.findings.estimates.len()).sum();
    let most = found.iter().map(|a| a.findings.estimates.len()).max().unwrap_or(0);
    let shown = |of: &[Analysis], each: usize| of.iter().map(|a| a.findings.estimates.len().min(each)).sum::<usize>();
    for each in (1..=most.max(1)).rev() {
        let lines = rows(found, width, each);
        if lines.len() <= room {
            return (lines, all - shown(found, each));
        }
    }
    let kept = (0..found.len()).rev().find(|n| rows(&found[..*n], width, 1).len() <= room).unwrap_or(0);
    (rows(&found[..kept], width, 1), all - shown(&found[..kept], 1))
}

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
    /// The end of the first cell that stays where it is cut: the unit, and n where it is not the common one.
    end: String,
}

fn row(e: &Estimate, common: &Common) -> Row {
    let number = |v: f64| match usize::from(e.digits) {
        _ if v.abs() >= 1e7 => format!("{v:.2e}"),
        digits if e.null == Some(0.0) => signed(v, digits),
        digits => format!("{v:.digits$}"),
    };
    let mut end = if e.unit.is_empty() { String::new() } else { format!(", {}", plain(&e.unit)) };
    if let Some(n) = e.n.filter(|n| common.n.as_ref().is_some_and(|(m, of)| m != n || *of != e.of)) {
        end.push_str(&format!(" ({})", counted(n, &e.of)));
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
    let verdict = match (e.agrees(), &e.says, e.p) {
        (Some(true), ..) => "agrees".into(),
        (Some(false), ..) => "DIFFERS".into(),
        (None, Some(says), _) => plain(says),
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
fn rows(found: &[Analysis], width: usize, each: usize) -> Vec<String> {
    if found.is_empty() {
        return vec![];
    }
    let shown: Vec<&Estimate> = found.iter().flat_map(|a| a.findings.estimates.iter().take(each)).collect();
    let common = Common::of(&shown);
    let level = common.level.map_or_else(|| "interval".into(), |l| format!("{} interval", percent(l)));
    let n = common.n.as_ref().map_or_else(String::new, |(n, of)| format!("n = {}", counted(*n, of)));
    let header = Row { cells: [n, "found".into(), level, "true".into(), "verdict".into()], end: String::new() };
    let mut body: Vec<Row> = shown.iter().map(|e| row(e, &common)).collect();
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
    let line = |r: &Row| {
        let mut out = format!("  {}", left(&r.what(wide[0]), wide[0]));
        for (c, w) in wide.iter().enumerate().skip(1).filter(|(_, w)| **w > 0) {
            out.push_str("  ");
            out.push_str(&if c == 4 { left(&r.cells[c], *w) } else { right(&r.cells[c], *w) });
        }
        cut(out.trim_end(), width)
    };
    let mut out = if shown.is_empty() { vec![] } else { vec![line(&header)] };
    let mut body = body.iter();
    for a in found {
        let f = &a.findings;
        // An analyzer without estimates shows its first sentence.
        let said = f.summary.first().filter(|_| f.estimates.is_empty());
        let asked = said.or(f.question.as_ref()).map_or(String::new(), |q| format!(": {}", q.trim()));
        out.push(cut(&plain(&format!("{}{asked}", a.name)), width));
        out.extend(body.by_ref().take(f.estimates.len().min(each)).map(line));
    }
    out
}

/// Pads the numbers of a column so that their decimal points are aligned.
fn aligned(rows: &mut [Row], column: usize) {
    let behind = |s: &str| s.find('.').map_or(0, |at| s.len() - at);
    let most = rows.iter().map(|r| behind(&r.cells[column])).max().unwrap_or(0);
    for cell in rows.iter_mut().map(|r| &mut r.cells[column]).filter(|cell| !cell.is_empty()) {
        cell.push_str(&" ".repeat(most - behind(cell)));
    }
}

fn left(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(measure_text_width(text))))
}

fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(measure_text_width(text))))
}

/// A line of at most `width` columns; a longer line is cut and ends in an ellipsis.
fn cut(line: &str, width: usize) -> String {
    truncate_str(line, width, "…").into_owned()
}

/// Breaks text at spaces into at most `lines` lines. Lines after the first are indented; the last one is cut if needed.
fn wrapped(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = out.len();
        let line = &mut out[last - 1];
        let fits = measure_text_width(line) + 1 + measure_text_width(word) <= width;
        if line.trim().is_empty() {
            line.push_str(word);
        } else if fits || last == lines {
            line.push(' ');
            line.push_str(word);
        } else {
            out.push(format!("  {word}"));
        }
    }
    out.iter().map(|line| cut(line, width)).collect()
}

#[cfg(test)]
mod tests;
