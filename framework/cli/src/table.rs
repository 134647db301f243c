//! Tables and sentences within the width of the terminal.
use crate::print::plain;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Width, presets};
use console::{measure_text_width, truncate_str};
use friction_core::{Cells, Column, Table, plural};

/// Most rows of a table that are printed; its files hold all.
const ROWS: usize = 60;
/// Spaces between two columns.
const GAP: usize = 2;
/// Columns of text are not made narrower than this, nor than their longest word up to [`WORD`].
const NARROW: usize = 12;
/// Longer words may be broken.
const WORD: usize = 24;

/// The lines of a grid without borders: a header and rows, in columns of these widths and alignments. Longer cells are
/// broken into several lines.
pub(crate) fn grid(
    header: &[String],
    rows: impl Iterator<Item = Vec<String>>,
    columns: &[(usize, CellAlignment)],
) -> Vec<String> {
    let mut out = comfy_table::Table::new();
    out.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::MAX);
    out.set_header(Row::from(header)).add_rows(rows);
    for (i, (wide, align)) in columns.iter().enumerate() {
        let gap = if i + 1 < columns.len() { GAP } else { 0 };
        if let Some(column) = out.column_mut(i) {
            let wide = u16::try_from(wide + gap).unwrap_or(u16::MAX);
            column.set_padding((0, gap as u16)).set_constraint(ColumnConstraint::Absolute(Width::Fixed(wide)));
            column.set_cell_alignment(*align);
        }
    }
    out.lines().map(|line| line.trim_end().replace('\u{a0}', " ").trim_end().to_string()).collect()
}

/// A column as text.
struct Shown {
    heading: String,
    cells: Vec<String>,
    number: bool,
}

impl Shown {
    fn of(c: &Column) -> Self {
        let digits = usize::from(c.digits.unwrap_or(3));
        let cells = match &c.cells {
            Cells::Text(v) => v.iter().take(ROWS).map(|s| plain(s)).collect(),
            Cells::Number(v) => v.iter().take(ROWS).map(|v| number(*v, digits)).collect(),
            Cells::Count(v) => v.iter().take(ROWS).map(i64::to_string).collect(),
        };
        Self { heading: plain(&c.heading()), cells, number: !matches!(c.cells, Cells::Text(_)) }
    }
    /// The width in which nothing is broken.
    fn wide(&self) -> usize {
        widest(self.cells.iter().map(String::as_str).chain([self.heading.as_str()]))
    }
    /// The narrowest that the column may get: the heading is broken between words, a number never, and text between
    /// words unless they are long.
    fn least(&self) -> usize {
        let heading = self.heading.split_whitespace();
        if self.number {
            return widest(self.cells.iter().map(String::as_str).chain(heading));
        }
        let words = widest(self.cells.iter().flat_map(|c| c.split_whitespace()).chain(heading));
        words.clamp(NARROW, WORD).min(self.wide())
    }
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(measure_text_width).max().unwrap_or(0).max(1)
}

/// A number with so many digits. One that is very large, or that three digits or more would show as 0, has an exponent.
fn number(v: f64, digits: usize) -> String {
    let least = 0.5 * 10f64.powi(-(digits as i32));
    match v {
        v if v.is_nan() => "–".into(),
        v if v.is_finite() && (v.abs() >= 1e7 || digits > 2 && v != 0.0 && v.abs() < least) => format!("{v:.1e}"),
        // No minus before what is shown as 0.
        v if v.abs() < least => format!("{:.digits$}", 0.0),
        v => format!("{v:.digits$}"),
    }
}

/// The lines of a table, each at most `width` columns. Numbers stay whole: a table that is too wide is printed in parts,
/// each with the first column.
pub(crate) fn lines(table: &Table, width: usize) -> Vec<String> {
    let columns: Vec<Shown> = table.columns.iter().map(Shown::of).collect();
    let Some((first, rest)) = columns.split_first() else { return vec![] };
    let mut parts: Vec<Vec<&Shown>> = vec![vec![first]];
    for c in rest {
        let last = parts.len() - 1;
        let taken: usize = parts[last].iter().map(|c| c.least() + GAP).sum();
        if taken + c.least() > width && parts[last].len() > 1 {
            parts.push(vec![first, c]);
        } else {
            parts[last].push(c);
        }
    }
    let mut out: Vec<String> = parts.iter().flat_map(|p| part(p, table.rows().min(ROWS), width)).collect();
    if let Some(more) = table.rows().checked_sub(ROWS).filter(|n| *n > 0) {
        out.push(cut(&format!("… {} in {}.csv", plural(more, "more row"), plain(&table.name)), width));
    }
    out
}

/// Some columns of a table, narrowed where they are too wide together.
fn part(columns: &[&Shown], rows: usize, width: usize) -> Vec<String> {
    let mut wide: Vec<usize> = columns.iter().map(|c| c.wide()).collect();
    let room = width.saturating_sub(GAP * (columns.len() - 1));
    let least: Vec<usize> = columns.iter().map(|c| c.least()).collect();
    // The column with the most room to give gives way.
    while wide.iter().sum::<usize>() > room {
        let Some(i) = (0..wide.len()).filter(|i| wide[*i] > least[*i]).max_by_key(|i| wide[*i] - least[*i]) else {
            break;
        };
        wide[i] -= 1;
    }
    let cell = |c: &Shown, row: usize| c.cells.get(row).cloned().unwrap_or_default();
    let align = |c: &Shown| if c.number { CellAlignment::Right } else { CellAlignment::Left };
    let header: Vec<String> = columns.iter().map(|c| c.heading.clone()).collect();
    let aligned: Vec<_> = columns.iter().zip(&wide).map(|(c, w)| (*w, align(c))).collect();
    let rows = (0..rows).map(|row| columns.iter().map(|c| cell(c, row)).collect());
    grid(&header, rows, &aligned).iter().map(|line| cut(line, width)).collect()
}

/// A line of at most `width` columns; a longer line is cut and ends in an ellipsis.
pub(crate) fn cut(line: &str, width: usize) -> String {
    truncate_str(line, width, "…").into_owned()
}

/// Breaks text at spaces into at most `lines` lines, each cut to `width` columns. Lines after the first are indented.
pub(crate) fn wrapped(text: &str, width: usize, lines: usize) -> Vec<String> {
    broken(text, width, lines).iter().map(|line| cut(line, width)).collect()
}

/// As [`wrapped`], in as many lines as it takes. A word that is longer than a line stays whole, to be copied.
pub(crate) fn paragraph(text: &str, width: usize) -> Vec<String> {
    broken(text, width, usize::MAX)
}

fn broken(text: &str, width: usize, lines: usize) -> Vec<String> {
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
    out
}

#[cfg(test)]
mod tests;
