//! A table: columns with titles, units and digits.
use crate::json::numbers;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

/// The values of a column: one entry per row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cells {
    /// Texts, one a row.
    Text(Vec<String>),
    /// Numbers. Parquet and CSV store NaN as missing, JSON every number that is not finite.
    Number(#[serde(with = "numbers")] Vec<f64>),
    /// Whole numbers, one a row, shown without digits after the point.
    Count(Vec<i64>),
}

impl Cells {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Cells::Text(v) => v.len(),
            Cells::Number(v) => v.len(),
            Cells::Count(v) => v.len(),
        }
    }
    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A column of a table.
///
/// ```
/// use friction_core::Column;
/// let c = Column::number("accuracy", [62.5, 58.0]).title("right answers").unit("%").digits(1);
/// assert_eq!(serde_json::to_string(&c)?, r#"{"name":"accuracy","title":"right answers","unit":"%","digits":1,"number":[62.5,58.0]}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Name in the stored files: letters, digits and `_`, unique in its table.
    pub name: String,
    /// Heading for people. Empty: the name, with spaces for `_`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Unit of the numbers, as in [`Estimate::unit`](super::Estimate::unit); empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Digits after the decimal point where numbers are shown; files hold all digits. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
    /// The values.
    #[serde(flatten)]
    pub cells: Cells,
}

impl Column {
    /// A column of these cells.
    pub fn new(name: impl Into<String>, cells: Cells) -> Self {
        Self { name: name.into(), title: String::new(), unit: String::new(), digits: None, cells }
    }
    /// A column of texts.
    pub fn text<T: Into<String>>(name: impl Into<String>, cells: impl IntoIterator<Item = T>) -> Self {
        Self::new(name, Cells::Text(cells.into_iter().map(Into::into).collect()))
    }
    /// A column of numbers; NaN where there is none.
    pub fn number(name: impl Into<String>, cells: impl IntoIterator<Item = f64>) -> Self {
        Self::new(name, Cells::Number(cells.into_iter().collect()))
    }
    /// A column of whole numbers.
    pub fn count(name: impl Into<String>, cells: impl IntoIterator<Item = i64>) -> Self {
        Self::new(name, Cells::Count(cells.into_iter().collect()))
    }
    /// Sets the heading.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }
    /// Sets the unit.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }
    /// Sets the digits after the decimal point.
    pub fn digits(mut self, digits: u8) -> Self {
        self.digits = Some(digits);
        self
    }
    /// The heading: the title or the name, and the unit in parentheses.
    pub fn heading(&self) -> String {
        let title = if self.title.is_empty() { self.name.replace('_', " ") } else { self.title.clone() };
        if self.unit.is_empty() { title } else { format!("{title} ({})", self.unit) }
    }
}

/// A column as it is read: an object, or a pair of name and cells, as versions before wrote it.
impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Column;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(r#"a column: {"name": "x", "number": [1.5]}, with `text`, `number` or `count`"#)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Column, A::Error> {
                let name: String = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let cells: Cells = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                Ok(Column::new(name, cells))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Column, A::Error> {
                let raw = Raw::deserialize(MapAccessDeserializer::new(map))?;
                let Raw { name, title, unit, digits, text, number, count } = raw;
                let cells = match (text, number, count) {
                    (Some(v), None, None) => Cells::Text(v),
                    (None, Some(v), None) => Cells::Number(v.0),
                    (None, None, Some(v)) => Cells::Count(v),
                    _ => {
                        let what = format!("column `{name}` must have exactly one of `text`, `number` and `count`");
                        return Err(A::Error::custom(what));
                    }
                };
                Ok(Column { name, title, unit, digits, cells })
            }
        }
        d.deserialize_any(Read)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    digits: Option<u8>,
    #[serde(default)]
    text: Option<Vec<String>>,
    #[serde(default)]
    number: Option<Numbers>,
    #[serde(default)]
    count: Option<Vec<i64>>,
}

#[derive(Deserialize)]
struct Numbers(#[serde(with = "numbers")] Vec<f64>);

/// A table. A run stores it as `<name>.parquet` and `<name>.csv`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// File name without its ending: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What a row is and what the columns say, in one or a few sentences.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caption: String,
    /// Whether people are shown the table itself. If not, it is only stored, and the terminal names its files: for a row
    /// per feature, or per condition and turn. Versions before showed none.
    #[serde(default)]
    pub shown: bool,
    /// The columns, in order. All have the same length.
    pub columns: Vec<Column>,
}

impl Table {
    /// A table that is shown, without columns yet.
    pub fn new(name: impl Into<String>, caption: impl Into<String>) -> Self {
        Self { name: name.into(), caption: caption.into(), shown: true, columns: vec![] }
    }
    /// Only stores the table.
    pub fn stored(mut self) -> Self {
        self.shown = false;
        self
    }
    /// Adds a column.
    pub fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }
    /// Number of rows: the length of the longest column.
    pub fn rows(&self) -> usize {
        self.columns.iter().map(|c| c.cells.len()).max().unwrap_or(0)
    }
}
