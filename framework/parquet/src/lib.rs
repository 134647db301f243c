//! Columns of Parquet files that other programs wrote.
//!
//! [`read`] takes the columns that are asked for and gives texts, whole numbers and lists of texts, whatever the
//! writer made of them: any width of integer; strings that are plain, large, views or dictionaries; lists of any
//! kind; any codec of the format but LZO. Nulls stay nulls, and become an error that names row and column where a
//! value is needed. Numbers with a fraction's type are refused as whole numbers, even 1.0: a tool that made floats of
//! an index has met a gap in it, and the gaps are what must be mended.
//!
//! A file decides how much memory its reader takes, so limits are checked before anything is decoded: of nesting,
//! of a page's size and what it really decompresses to, of the values in a column, and of the text in all.
//!
//! ```no_run
//! use friction_parquet::{Ask, Want, read};
//! let table = read(std::fs::read("q.parquet")?, &[Ask::needed("question", Want::Text), Ask::optional("id", Want::Label)])?;
//! for row in 0..table.rows() {
//!     println!("{:?}: {}", table.text("id", row)?, table.need_text("question", row)?);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod bounds;
mod columns;
mod thrift;

use bytes::Bytes;
pub use columns::Table;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Rows that are decoded at once.
const BATCH: usize = 1024;

/// What a column is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Text.
    Text,
    /// Text, or a whole number as its digits: what names a row.
    Label,
    /// Whole numbers of any width.
    Whole,
    /// Lists of texts.
    Texts,
}

/// A column that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub(crate) name: &'a str,
    pub(crate) want: Want,
    pub(crate) needed: bool,
}

impl<'a> Ask<'a> {
    /// A column that the file must have.
    pub fn needed(name: &'a str, want: Want) -> Self {
        Self { name, want, needed: true }
    }
    /// A column that it may have.
    pub fn optional(name: &'a str, want: Want) -> Self {
        Self { name, want, needed: false }
    }
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not Parquet, or a damaged one.
    #[error("not a Parquet file that can be read: {0}")]
    Format(String),
    /// It would take more memory than a table of questions ever needs.
    #[error("{0}")]
    Bound(String),
    /// A column is missing, stands twice, or holds something else.
    #[error("column `{column}` {message}")]
    Column {
        /// Its name.
        column: String,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// A value cannot be used.
    #[error("row {row}: `{column}` {message}")]
    Value {
        /// From 1.
        row: usize,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        message: String,
    },
}

/// The result of reading.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reads the columns that are asked for.
///
/// # Errors
/// When the bytes are no Parquet file, a column is missing or of another kind, a number does not fit, or the file
/// passes a limit.
pub fn read(bytes: Vec<u8>, asks: &[Ask]) -> Result<Table> {
    let bytes = Bytes::from(bytes);
    // The Parquet library may panic on hostile bytes: that is an error here.
    catch_unwind(AssertUnwindSafe(|| decode(&bytes, asks)))
        .unwrap_or_else(|_| Err(Error::Format("its parts contradict each other".into())))
}

fn bad(e: impl std::fmt::Display) -> Error {
    Error::Format(e.to_string())
}

fn decode(bytes: &Bytes, asks: &[Ask]) -> Result<Table> {
    bounds::footer(bytes)?;
    // The writer's own types are left aside: the format's types are few, and hold the same values.
    let plain = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::load(bytes, plain()).map_err(bad)?;
    let (schema, roots) = columns::chosen(found.schema(), asks)?;
    let mask = ProjectionMask::roots(found.parquet_schema(), roots);
    bounds::pages(bytes, found.metadata(), &mask)?;
    let typed = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), plain().with_schema(schema)).map_err(bad)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), typed)
        .with_projection(mask)
        .with_batch_size(BATCH)
        .build()
        .map_err(bad)?;
    let mut table = Table::new(asks);
    for batch in reader {
        table.add(&batch.map_err(bad)?)?;
    }
    Ok(table)
}
