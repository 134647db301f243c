//! Columns as plain values.
use crate::{Ask, Error, Result, Want};
use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::datatypes::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of text, all columns together. A text that a file holds once may stand in a million rows.
const TEXT: usize = 1 << 30;

/// A column's values.
#[derive(Debug, Clone, PartialEq)]
enum Column {
    Text(Vec<Option<String>>),
    Whole(Vec<Option<i64>>),
    Texts(Vec<Option<Vec<Option<String>>>>),
}

/// The columns that were asked for; rows count from 0 here, and from 1 in errors.
#[derive(Debug, Clone)]
pub struct Table {
    columns: BTreeMap<String, (Want, Column)>,
    rows: usize,
    text: usize,
}

fn is_text(t: &DataType) -> bool {
    matches!(
        t,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
    )
}

/// Text as views. Bytes that do not call themselves text stay bytes: the library takes them for UTF-8 unseen.
fn view(t: &DataType) -> DataType {
    match t {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::BinaryView,
        _ => DataType::Utf8View,
    }
}

fn item(t: &DataType) -> Option<&Arc<Field>> {
    match t {
        DataType::List(f) | DataType::LargeList(f) | DataType::ListView(f) | DataType::LargeListView(f) => Some(f),
        DataType::FixedSizeList(f, _) => Some(f),
        _ => None,
    }
}

/// The file's schema, with the texts of the chosen columns as views (a dictionary's text is then held once, however
/// many rows show it), and the chosen columns' places.
pub(crate) fn chosen(schema: &SchemaRef, asks: &[Ask]) -> Result<(SchemaRef, Vec<usize>)> {
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    let mut roots = vec![];
    for ask in asks {
        let column = |message: String| Error::Column { column: ask.name.into(), message };
        let mut all = fields.iter().enumerate().filter(|(_, f)| f.name() == ask.name).map(|(i, _)| i);
        let Some(at) = all.next() else {
            if ask.needed {
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).take(20).collect();
                return Err(column(format!("is missing; there are: {}", names.join(", "))));
            }
            continue;
        };
        if all.next().is_some() {
            return Err(column("stands twice; keep one".into()));
        }
        let found = fields[at].data_type().clone();
        let whole = found.is_integer();
        let fits = match ask.want {
            _ if found == DataType::Null => true,
            Want::Text => is_text(&found),
            Want::Label => is_text(&found) || whole,
            Want::Whole => whole,
            Want::Texts => item(&found).is_some_and(|f| is_text(f.data_type()) || *f.data_type() == DataType::Null),
        };
        if !fits {
            let wanted = match ask.want {
                Want::Text => "text",
                Want::Label => "text or whole numbers",
                Want::Whole if found.is_floating() => {
                    "whole numbers: floats come of gaps in a column of indices; fill the gaps and write integers"
                }
                Want::Whole => "whole numbers",
                Want::Texts => "lists of texts",
            };
            return Err(column(format!("holds {found}; it must hold {wanted}")));
        }
        let typed = match item(&found) {
            None if is_text(&found) => view(&found),
            Some(f) if is_text(f.data_type()) => {
                DataType::List(Arc::new(f.as_ref().clone().with_data_type(view(f.data_type()))))
            }
            _ => found,
        };
        fields[at] = Arc::new(fields[at].as_ref().clone().with_data_type(typed));
        roots.push(at);
    }
    Ok((Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())), roots))
}

/// The texts of an array of them.
fn texts(array: &ArrayRef) -> Result<Vec<Option<&str>>> {
    if let Some(a) = array.as_any().downcast_ref::<StringViewArray>() {
        return Ok(a.iter().collect());
    }
    if let Some(a) = array.as_string_opt::<i32>() {
        return Ok(a.iter().collect());
    }
    if let Some(a) = array.as_any().downcast_ref::<BinaryViewArray>() {
        let utf8 = |b: Option<_>| b.map(std::str::from_utf8).transpose();
        return a
            .iter()
            .map(utf8)
            .collect::<Result<_, _>>()
            .map_err(|e| Error::Format(format!("text is not UTF-8: {e}")));
    }
    match array.data_type() {
        DataType::Null => Ok(vec![None; array.len()]),
        other => Err(Error::Format(format!("text was read as {other}"))),
    }
}

impl Table {
    pub(crate) fn new(asks: &[Ask]) -> Self {
        let empty = |want| match want {
            Want::Text | Want::Label => Column::Text(vec![]),
            Want::Whole => Column::Whole(vec![]),
            Want::Texts => Column::Texts(vec![]),
        };
        let columns = asks.iter().map(|a| (a.name.to_string(), (a.want, empty(a.want)))).collect();
        Self { columns, rows: 0, text: 0 }
    }

    /// Adds the rows of a batch.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let (mut text, first) = (self.text, self.rows);
        let mut own = |s: Option<&str>| -> Result<Option<String>> {
            text += s.map_or(0, str::len) + size_of::<Option<String>>();
            if text > TEXT {
                return Err(Error::Bound(format!("more than {TEXT} bytes of text; split the file")));
            }
            Ok(s.map(String::from))
        };
        for (name, (want, column)) in &mut self.columns {
            let Some(array) = batch.column_by_name(name) else { continue };
            match column {
                Column::Text(out) if *want == Want::Label && array.data_type().is_integer() => {
                    for n in whole(array, name, first)? {
                        out.push(own(n.map(|n| n.to_string()).as_deref())?);
                    }
                }
                Column::Text(out) => {
                    for s in texts(array)? {
                        out.push(own(s)?);
                    }
                }
                Column::Whole(out) => out.extend(whole(array, name, first)?),
                Column::Texts(out) => match array.as_list_opt::<i32>() {
                    Some(lists) => {
                        for list in lists.iter() {
                            let list = list.map(|l| texts(&l)?.into_iter().map(&mut own).collect::<Result<Vec<_>>>());
                            out.push(list.transpose()?);
                        }
                    }
                    None if *array.data_type() == DataType::Null => out.extend(vec![None; array.len()]),
                    None => return Err(Error::Format(format!("a list was read as {}", array.data_type()))),
                },
            }
        }
        self.text = text;
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn error(row: usize, column: &str, message: impl Into<String>) -> Error {
        Error::Value { row: row + 1, column: column.into(), message: message.into() }
    }

    fn null(row: usize, column: &str) -> Error {
        Self::error(row, column, "is null; give it a value or leave the row out")
    }

    fn wrong(row: usize, column: &str) -> Error {
        Self::error(row, column, "was asked for as something else")
    }

    /// A text or label; nothing where the column is missing or null.
    ///
    /// # Errors
    /// When the column was asked for as something else.
    pub fn text(&self, column: &str, row: usize) -> Result<Option<&str>> {
        match self.columns.get(column) {
            Some((_, Column::Text(all))) => Ok(all.get(row).and_then(Option::as_deref)),
            _ => Err(Self::wrong(row, column)),
        }
    }

    /// A text or label that must be there.
    ///
    /// # Errors
    /// Names row and column of a null.
    pub fn need_text(&self, column: &str, row: usize) -> Result<&str> {
        self.text(column, row)?.ok_or_else(|| Self::null(row, column))
    }

    /// A whole number; nothing where the column is missing or null.
    ///
    /// # Errors
    /// When the column was asked for as something else.
    pub fn whole(&self, column: &str, row: usize) -> Result<Option<i64>> {
        match self.columns.get(column) {
            Some((_, Column::Whole(all))) => Ok(all.get(row).copied().flatten()),
            _ => Err(Self::wrong(row, column)),
        }
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// Names row and column of a null.
    pub fn need_whole(&self, column: &str, row: usize) -> Result<i64> {
        self.whole(column, row)?.ok_or_else(|| Self::null(row, column))
    }

    /// A list of texts that must be there, none of them null.
    ///
    /// # Errors
    /// Names row, column and entry of a null.
    pub fn need_texts(&self, column: &str, row: usize) -> Result<Vec<&str>> {
        let Some((_, Column::Texts(all))) = self.columns.get(column) else { return Err(Self::wrong(row, column)) };
        let list = all.get(row).and_then(Option::as_ref).ok_or_else(|| Self::null(row, column))?;
        let mut out = Vec::with_capacity(list.len());
        for (i, s) in list.iter().enumerate() {
            let null = || Self::error(row, column, format!("holds a null, entry {} of it", i + 1));
            out.push(s.as_deref().ok_or_else(null)?);
        }
        Ok(out)
    }
}

/// The values of an array of integers of any width; `first` is the number of rows before it.
fn whole(array: &ArrayRef, name: &str, first: usize) -> Result<Vec<Option<i64>>> {
    macro_rules! widen {
        ($($t:ident),*) => {$(
            if let Some(a) = array.as_primitive_opt::<$t>() {
                return Ok(a.iter().map(|n| n.map(i64::from)).collect());
            }
        )*};
    }
    widen!(Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type);
    if let Some(a) = array.as_primitive_opt::<UInt64Type>() {
        let fit = |(i, n): (usize, Option<u64>)| {
            let wide = |_| {
                Table::error(
                    first + i,
                    name,
                    format!("is {}, beyond any number of 64 bits with a sign", n.unwrap_or(0)),
                )
            };
            n.map(i64::try_from).transpose().map_err(wide)
        };
        return a.iter().enumerate().map(fit).collect();
    }
    match array.data_type() {
        DataType::Null => Ok(vec![None; array.len()]),
        other => Err(Error::Format(format!("whole numbers were read as {other}"))),
    }
}
