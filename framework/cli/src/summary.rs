//! The summary that `run` prints at its end, which fits a screen.
//!
//! Problems come first (analyzers that failed, answers that could not be read, warnings). Then follow the run, one table
//! of all analyzers' estimates, the files, and the next command to type.
use crate::estimates::fitted;
use crate::print::{plain, typed};
use crate::progress::span;
use crate::table::{cut, wrapped};
use console::measure_text_width;
use friction_core::plural;
use friction_study::{Analyses, Analysis, RunReport};
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
        let figures = names(&|a| a.findings.figures().map(|f| format!("{}.svg", f.name)).collect());
        let tables = names(&|a| a.findings.tables().map(|t| format!("{}.parquet", t.name)).collect());
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
    let told = found.iter().flat_map(|a| a.findings.warnings().map(move |w| (a.name.as_str(), w.as_str())));
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

#[cfg(test)]
mod tests;
