//! Columns as vectors of plain Rust values.
use crate::{Ask, Error, Result, Want};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryViewArray, StringViewArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of text in all columns together. A dictionary's text is in the file once and may be in many rows.
const TEXT: usize = 1 << 30;

/// The values of a column, one entry per row; `None` is a null.
#[derive(Debug, Clone, PartialEq)]
enum Column {
    Text(Vec<Option<String>>),
    Whole(Vec<Option<i64>>),
    Texts(Vec<Option<Vec<Option<String>>>>),
}

/// The columns that were asked for. Row arguments count from 0; rows in error messages count from 1.
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

/// The Arrow view type for a text column. Columns without a text annotation are read as bytes and checked to be
/// UTF-8 here, because the library would not check them.
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

/// What a column of this type can be read as.
pub(crate) fn want(t: &DataType) -> Option<Want> {
    match t {
        t if is_text(t) => Some(Want::Text),
        t if t.is_integer() => Some(Want::Whole),
        t => item(t).filter(|f| is_text(f.data_type()) || *f.data_type() == DataType::Null).map(|_| Want::Texts),
    }
}

/// The file's schema with the chosen text columns as view types, and the indices of the chosen columns. With views
/// a dictionary's text is held once, however many rows refer to it.
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

/// The values of a text array, checked to be UTF-8.
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

    /// Appends the rows of a batch.
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

    /// Number of rows of the file.
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

    /// The text or label in `column` of `row`; `None` where the column is missing or the value null.
    ///
    /// # Errors
    /// When the column was not asked for as [`Want::Text`] or [`Want::Label`].
    pub fn text(&self, column: &str, row: usize) -> Result<Option<&str>> {
        match self.columns.get(column) {
            Some((_, Column::Text(all))) => Ok(all.get(row).and_then(Option::as_deref)),
            _ => Err(Self::wrong(row, column)),
        }
    }

    /// As [`Table::text`], for a value that must be there.
    ///
    /// # Errors
    /// When the value is null; the message names row and column. As [`Table::text`].
    pub fn need_text(&self, column: &str, row: usize) -> Result<&str> {
        self.text(column, row)?.ok_or_else(|| Self::null(row, column))
    }

    /// The integer in `column` of `row`; `None` where the column is missing or the value null.
    ///
    /// # Errors
    /// When the column was not asked for as [`Want::Whole`].
    pub fn whole(&self, column: &str, row: usize) -> Result<Option<i64>> {
        match self.columns.get(column) {
            Some((_, Column::Whole(all))) => Ok(all.get(row).copied().flatten()),
            _ => Err(Self::wrong(row, column)),
        }
    }

    /// As [`Table::whole`], for a value that must be there.
    ///
    /// # Errors
    /// When the value is null; the message names row and column. As [`Table::whole`].
    pub fn need_whole(&self, column: &str, row: usize) -> Result<i64> {
        self.whole(column, row)?.ok_or_else(|| Self::null(row, column))
    }

    /// The list of texts in `column` of `row`; `None` where the column is missing or the list null. No entry may be null.
    ///
    /// # Errors
    /// When an entry is null. When the column was not asked for as [`Want::Texts`].
    pub fn texts(&self, column: &str, row: usize) -> Result<Option<Vec<&str>>> {
        match self.columns.get(column) {
            Some((_, Column::Texts(all))) if all.get(row).is_none_or(Option::is_none) => Ok(None),
            _ => self.need_texts(column, row).map(Some),
        }
    }

    /// The list of texts in `column` of `row`; neither the list nor an entry may be null.
    ///
    /// # Errors
    /// When the list or an entry is null; the message names row, column and entry. When the column was not asked for
    /// as [`Want::Texts`].
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

/// The values of an integer array of any width, as i64. `first` is the number of rows before the array, for errors.
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
