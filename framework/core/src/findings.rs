//! What an analyzer writes: estimates, sentences, tables, figures and files.
use crate::json::{base64, numbers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A column of a table: one entry per row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// Texts, one a row.
    Text(Vec<String>),
    /// Numbers. Parquet stores NaN as null, JSON every number that is not finite.
    Number(#[serde(with = "numbers")] Vec<f64>),
    /// Whole numbers.
    Count(Vec<i64>),
}

impl Column {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Column::Text(v) => v.len(),
            Column::Number(v) => v.len(),
            Column::Count(v) => v.len(),
        }
    }
    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A table. A run stores it as `<name>.parquet`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// File name without its ending: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Names and values of the columns, in order. All columns have the same length.
    pub columns: Vec<(String, Column)>,
}

/// A figure. A run stores it as `<name>.svg` and `<name>.png`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// File name without its ending: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it shows, in one sentence.
    pub caption: String,
    /// The figure as an SVG document.
    pub svg: String,
    /// The same figure as the bytes of a PNG file.
    #[serde(with = "base64")]
    pub png: Vec<u8>,
}

/// A number that an analyzer was asked for: one row of the table that a run ends with.
///
/// Numbers that are not finite are stored as absent, so that records survive JSON.
///
/// ```
/// use friction_core::Estimate;
/// let e = Estimate::new("each interruption", "points", -3.64)
///     .interval(-4.41, -2.87, 0.95)
///     .over(40, "group")
///     .truth(-4.0);
/// assert_eq!(e.agrees(), Some(true));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Estimate {
    /// What was estimated, in a few words: `each interruption`.
    pub what: String,
    /// Unit of `value`, `low`, `high`, `null` and `truth`: `points`, `points/turn`, `AUC`; empty for a plain number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The estimate; `None` if it could not be computed.
    pub value: Option<f64>,
    /// Lower bound of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper bound of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Level of the interval, such as 0.95.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// Number of independent units that it is computed from, counted in `of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// What `n` counts, in the singular: `group`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// p-value of the test that there is no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// The value that means no effect: 0 for a difference, 0.5 for an AUC. If it is 0, the number is shown with its
    /// sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<f64>,
    /// The true value, if it is known by construction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<f64>,
    /// The verdict in words: `reached`, `not reached`, `cannot be told`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Digits after the decimal point when it is shown. Default 2.
    pub digits: u8,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            what: String::new(),
            unit: String::new(),
            value: None,
            low: None,
            high: None,
            level: None,
            n: None,
            of: String::new(),
            p: None,
            null: None,
            truth: None,
            says: None,
            digits: 2,
        }
    }
}

fn finite(v: f64) -> Option<f64> {
    v.is_finite().then_some(v)
}

impl Estimate {
    /// An estimate with a unit. A value that is not finite is stored as `None`.
    pub fn new(what: impl Into<String>, unit: impl Into<String>, value: f64) -> Self {
        Self { value: finite(value), ..Self::untold(what, unit) }
    }
    /// An estimate that could not be computed.
    pub fn untold(what: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { what: what.into(), unit: unit.into(), ..Self::default() }
    }
    /// Sets the interval and its level. An infinite bound is stored as `None`.
    pub fn interval(mut self, low: f64, high: f64, level: f64) -> Self {
        (self.low, self.high, self.level) = (finite(low), finite(high), Some(level));
        self
    }
    /// Sets the number of independent units that it is computed from: `over(40, "group")`.
    pub fn over(mut self, n: usize, of: impl Into<String>) -> Self {
        (self.n, self.of) = (Some(n as u64), of.into());
        self
    }
    /// Sets the p-value.
    pub fn p(mut self, p: f64) -> Self {
        self.p = finite(p);
        self
    }
    /// Sets the value that means no effect.
    pub fn null(mut self, value: f64) -> Self {
        self.null = finite(value);
        self
    }
    /// Sets the true value.
    pub fn truth(mut self, value: f64) -> Self {
        self.truth = finite(value);
        self
    }
    /// Sets the verdict's words.
    pub fn says(mut self, words: impl Into<String>) -> Self {
        self.says = Some(words.into());
        self
    }
    /// Sets the digits after the decimal point.
    pub fn digits(mut self, digits: u8) -> Self {
        self.digits = digits;
        self
    }
    /// Whether the interval holds the true value; `None` if either is unknown.
    pub fn agrees(&self) -> Option<bool> {
        Some((self.low?..=self.high?).contains(&self.truth?))
    }
}

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

/// Everything that one analyzer found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Findings {
    /// What the analyzer asked of the run, as one question. It is left out of the JSON if there is none, because older
    /// versions do not know the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The numbers that answer the question, the most important first and about four at most. Others belong in
    /// `summary` and `values`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub estimates: Vec<Estimate>,
    /// Sentences for people, in reading order.
    pub summary: Vec<String>,
    /// Sentences that a reader must know before trusting the summary.
    pub warnings: Vec<String>,
    /// Values for programs, by name.
    pub values: serde_json::Map<String, Value>,
    /// Tables, stored beside `findings.json`.
    pub tables: Vec<Table>,
    /// Figures, stored beside `findings.json`.
    pub figures: Vec<Figure>,
    /// Other files, name and bytes, such as directions for steering.
    #[serde(with = "crate::json::files")]
    pub files: Vec<(String, Vec<u8>)>,
}

impl Findings {
    /// Sets the question.
    pub fn ask(&mut self, question: impl Into<String>) {
        self.question = Some(question.into());
    }
    /// Adds a number that answers the question.
    pub fn estimate(&mut self, estimate: Estimate) {
        self.estimates.push(estimate);
    }
    /// Adds a sentence to the summary.
    pub fn say(&mut self, sentence: impl Into<String>) {
        self.summary.push(sentence.into());
    }
    /// Adds a warning.
    pub fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }
    /// Sets the value of a key for programs.
    pub fn value(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.to_string(), value.into());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn findings_of_before_still_read_and_without_headlines_are_written_as_before() {
        let before =
            r#"{"summary": ["a"], "warnings": [], "values": {"x": 1}, "tables": [], "figures": [], "files": []}"#;
        let f: Findings = serde_json::from_str(before).unwrap();
        assert_eq!((f.question.as_ref(), f.estimates.len(), f.summary[0].as_str()), (None, 0, "a"));
        let written: Value = serde_json::to_value(&f).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(before).unwrap());
    }

    #[test]
    fn estimates_come_back_and_what_is_not_finite_is_absent() {
        let mut f = Findings::default();
        f.ask("does it?");
        let e = Estimate::new("slope", "points/turn", -3.25).interval(-4.5, f64::INFINITY, 0.95).over(40, "group");
        f.estimate(e.p(0.01).null(0.0).truth(-4.0).says("reached").digits(3));
        f.estimate(Estimate::new("nothing", "", f64::NAN));
        assert_eq!((f.estimates[0].high, f.estimates[1].value), (None, None));
        let back: Findings = serde_json::from_str(&serde_json::to_string(&f).unwrap()).unwrap();
        assert_eq!(back, f);
        // A number that was put in without the constructor.
        let odd = Estimate { value: Some(f64::NAN), ..Estimate::default() };
        let back: Estimate = serde_json::from_str(&serde_json::to_string(&odd).unwrap()).unwrap();
        assert_eq!(back.value, None);
        let least: Estimate = serde_json::from_str(r#"{"what": "x", "value": 1}"#).unwrap();
        assert_eq!((least.digits, least.value), (2, Some(1.0)));
    }

    #[test]
    fn the_truth_agrees_where_the_interval_holds_it() {
        let e = Estimate::new("x", "", 1.0);
        assert_eq!(e.clone().truth(1.0).agrees(), None);
        let e = e.interval(0.5, 1.5, 0.95);
        assert_eq!(e.agrees(), None);
        assert_eq!((e.clone().truth(1.5).agrees(), e.truth(1.6).agrees()), (Some(true), Some(false)));
    }

    #[test]
    fn counts_have_their_number() {
        let said = [(1, "group"), (0, "group"), (2, "category"), (3, "survey"), (2, "batch"), (2, "bias")];
        assert_eq!(
            said.map(|(n, one)| plural(n, one)).join(", "),
            "1 group, 0 groups, 2 categories, 3 surveys, 2 batches, 2 biases"
        );
    }
}
