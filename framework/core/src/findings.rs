//! What an analyzer writes: blocks for people (sentences, estimates, verdicts, tables, figures, warnings), values for
//! programs, and files. The terminal, the report and `--json` are renderers of the same blocks.
mod block;
mod estimate;
mod read;
mod table;
#[cfg(test)]
mod tests;

pub use block::{Block, Body, Figure, Says, Status, TurnLink, Verdict};
pub use estimate::Estimate;
pub use table::{Cells, Column, Table};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A count with its noun: `plural(1, "group")` is `1 group`, `plural(3, "category")` is `3 categories`.
pub fn plural(n: usize, one: &str) -> String {
    let mut before = one.chars().rev();
    let word = match (before.next(), before.next()) {
        _ if n == 1 => one.to_string(),
        (Some('y'), Some(c)) if !"aeiou".contains(c) => format!("{}ies", &one[..one.len() - 1]),
        (Some('s' | 'x'), _) | (Some('h'), Some('c' | 's')) => format!("{one}es"),
        _ => format!("{one}s"),
    };
    format!("{n} {word}")
}

/// A number as it was given, in a text: very large and very small ones have an exponent.
///
/// ```
/// use friction_core::brief;
/// assert_eq!((brief(0.5), brief(-12.0), brief(1e300), brief(2.5e-9)), ("0.5".into(), "-12".into(), "1e300".into(), "2.5e-9".into()));
/// ```
pub fn brief(v: f64) -> String {
    let plain = v == 0.0 || !v.is_finite() || (1e-4..1e7).contains(&v.abs());
    if plain { v.to_string() } else { format!("{v:e}") }
}

/// Everything that one analyzer found.
///
/// ```
/// use friction_core::{Column, Estimate, Findings, Says, Table, Verdict};
/// let mut out = Findings::default();
/// out.ask("Do replies grow longer?");
/// out.section("Length");
/// out.say("Tokens of all untouched replies.");
/// out.table(Table::new("length", "A row for each level").column(Column::text("level", ["short", "long"])).column(
///     Column::number("mean", [12.0, 40.5]).unit("tokens").digits(1),
/// ))
/// .over(40, "group")
/// .method("means over all replies");
/// out.add(Estimate::new("long - short", "tokens", 28.5).over(40, "group").null(0.0))
///     .method("mean of the groups' differences");
/// out.verdict(Verdict::new("Good", "long prompts get longer replies", Says::Reached).because("28.5 tokens")).confirmatory();
/// assert_eq!(out.blocks.len(), 4);
/// assert_eq!(out.blocks[3].section.as_deref(), Some("Length"));
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "read::Written")]
pub struct Findings {
    /// What the analyzer asked of the run, as one question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What it found, in reading order.
    pub blocks: Vec<Block>,
    /// Values for programs, by name.
    pub values: Map<String, Value>,
    /// Other files, name and bytes, such as directions for steering.
    #[serde(with = "crate::json::files")]
    pub files: Vec<(String, Vec<u8>)>,
    /// Section of the blocks that follow.
    #[serde(skip)]
    section: Option<String>,
}

/// Equal findings, whichever section would follow.
impl PartialEq for Findings {
    fn eq(&self, other: &Self) -> bool {
        self.question == other.question
            && self.blocks == other.blocks
            && self.values == other.values
            && self.files == other.files
    }
}

/// A reader of one kind of blocks.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident: $variant:ident => $of:ty),*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> impl Iterator<Item = &$of> {
            self.blocks.iter().filter_map(|b| match &b.body {
                Body::$variant(of) => Some(of),
                _ => None,
            })
        }
    )*};
}

impl Findings {
    /// Sets the question.
    pub fn ask(&mut self, question: impl Into<String>) {
        self.question = Some(question.into());
    }
    /// Sets the heading of the blocks that follow; an empty text ends the section.
    pub fn section(&mut self, heading: impl Into<String>) {
        self.section = Some(heading.into()).filter(|h| !h.is_empty());
    }
    /// Adds a block to the section, and returns it so that its method, citation, n, unit and links can be set.
    pub fn add(&mut self, body: impl Into<Body>) -> &mut Block {
        let at = self.blocks.len();
        self.blocks.push(Block { section: self.section.clone(), ..Block::new(body) });
        &mut self.blocks[at]
    }
    /// Adds a number that answers the question: a row of the table that a run ends with. The most important comes first;
    /// about four at most. Others belong in tables and values.
    pub fn estimate(&mut self, estimate: Estimate) {
        self.add(estimate);
    }
    /// Adds a sentence.
    pub fn say(&mut self, sentence: impl Into<String>) {
        self.add(Body::Text(sentence.into()));
    }
    /// Adds a warning.
    pub fn warn(&mut self, sentence: impl Into<String>) {
        self.add(Body::Warning(sentence.into()));
    }
    /// Adds a verdict.
    pub fn verdict(&mut self, verdict: Verdict) -> &mut Block {
        self.add(verdict)
    }
    /// Adds a table.
    pub fn table(&mut self, table: Table) -> &mut Block {
        self.add(table)
    }
    /// Adds a figure.
    pub fn figure(&mut self, figure: Figure) -> &mut Block {
        self.add(figure)
    }
    /// Adds a file.
    pub fn file(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.files.push((name.into(), bytes));
    }
    /// Sets the value of a key for programs.
    pub fn value(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.to_string(), value.into());
    }

    bodies! {
        /// The sentences, in order.
        texts: Text => String,
        /// The estimates, in order.
        estimates: Estimate => Estimate,
        /// The verdicts, in order.
        verdicts: Verdict => Verdict,
        /// The tables, in order.
        tables: Table => Table,
        /// The figures, in order.
        figures: Figure => Figure,
        /// The warnings, in order.
        warnings: Warning => String
    }

    /// The findings for programs, as `--json` prints them and `findings.json` begins: `question`, `values`, `blocks` and
    /// `warnings`. A figure has its `files` in place of its bytes. A table has its `files` and number of `rows`; its
    /// columns have their cells if it is shown, and are else described only.
    ///
    /// ```
    /// # use friction_core::{Column, Findings, Table};
    /// let mut out = Findings::default();
    /// out.table(Table::new("t", "").stored().column(Column::count("turn", [1, 2])));
    /// assert_eq!(out.document()["blocks"][0]["table"]["columns"][0], serde_json::json!({"name": "turn"}));
    /// assert_eq!(out.document()["blocks"][0]["table"]["files"], serde_json::json!(["t.parquet", "t.csv"]));
    /// ```
    pub fn document(&self) -> Value {
        let blocks: Vec<Value> = self.blocks.iter().map(described).collect();
        let warnings: Vec<&String> = self.warnings().collect();
        json!({"question": self.question, "values": self.values, "blocks": blocks, "warnings": warnings})
    }
}

/// A block as JSON, with files in place of bytes and of cells that are not shown.
fn described(block: &Block) -> Value {
    let light = match &block.body {
        Body::Figure(_) => Body::Text(String::new()),
        Body::Table(t) if !t.shown => {
            let (name, caption) = (t.name.clone(), t.caption.clone());
            Body::Table(Table { name, caption, shown: false, columns: t.columns.iter().map(bare).collect() })
        }
        other => other.clone(),
    };
    let mut v = json!(block.with(light));
    match &block.body {
        Body::Figure(f) => {
            v.as_object_mut().map(|b| b.remove("text"));
            v["figure"] = json!({"name": f.name, "caption": f.caption, "files": files(&f.name, &["svg", "png"])});
        }
        Body::Table(t) => {
            v["table"]["rows"] = json!(t.rows());
            v["table"]["files"] = json!(files(&t.name, &["parquet", "csv"]));
            for column in v["table"]["columns"].as_array_mut().into_iter().flatten().filter(|_| !t.shown) {
                if let Some(c) = column.as_object_mut() {
                    c.retain(|k, _| !["text", "number", "count"].contains(&k.as_str()));
                }
            }
        }
        _ => {}
    }
    v
}

/// A column without its cells.
fn bare(c: &Column) -> Column {
    let Column { name, title, unit, digits, .. } = c;
    let (name, title, unit) = (name.clone(), title.clone(), unit.clone());
    Column { name, title, unit, digits: *digits, cells: Cells::Count(vec![]) }
}

fn files(name: &str, endings: &[&str]) -> Vec<String> {
    endings.iter().map(|e| format!("{name}.{e}")).collect()
}
