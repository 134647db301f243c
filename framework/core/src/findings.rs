//! What an analyzer writes.
use crate::json::{base64, numbers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// Text.
    Text(Vec<String>),
    /// Numbers; NaN is stored as null.
    Number(#[serde(with = "numbers")] Vec<f64>),
    /// Whole numbers.
    Count(Vec<i64>),
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Text(v) => v.len(),
            Column::Number(v) => v.len(),
            Column::Count(v) => v.len(),
        }
    }
    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A named table, stored as Parquet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// File stem.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<(String, Column)>,
}

/// A figure, stored as SVG and PNG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// File stem.
    pub name: String,
    /// What it shows, in one sentence.
    pub caption: String,
    /// The drawing.
    pub svg: String,
    /// The same as pixels.
    #[serde(with = "base64")]
    pub png: Vec<u8>,
}

/// Everything that one analyzer found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Findings {
    /// Sentences for people, in reading order.
    pub summary: Vec<String>,
    /// What a reader must know before trusting the summary.
    pub warnings: Vec<String>,
    /// Values for programs.
    pub values: serde_json::Map<String, Value>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Other files by name, such as directions for steering.
    #[serde(with = "crate::json::files")]
    pub files: Vec<(String, Vec<u8>)>,
}

impl Findings {
    /// Adds a sentence.
    pub fn say(&mut self, sentence: impl Into<String>) {
        self.summary.push(sentence.into());
    }
    /// Adds a warning.
    pub fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }
    /// Sets a value.
    pub fn value(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.to_string(), value.into());
    }
}
