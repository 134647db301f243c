//! Reads columns of Parquet files that other programs wrote.
//!
//! [`read`] returns the requested columns as texts, integers and lists of texts, whatever the writer chose: integers
//! of any width; plain, large, view or dictionary strings; every kind of list; every codec of the format but LZO.
//! Nulls stay nulls; where a value is required, a null is an error that names row and column. A floating-point column
//! is refused where integers are wanted, even if it holds 1.0: tools such as pandas make an integer column
//! floating-point when values are missing, and the missing values must be fixed.
//!
//! A file decides how much memory its reader needs. So limits are checked before anything is decoded: nesting, the
//! stated and the real size of pages, the number of values in a column, and the total of text.
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

/// Rows decoded at a time.
const BATCH: usize = 1024;

/// The type that a column is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Text, or bytes that are UTF-8.
    Text,
    /// An identifier of a row: text, or an integer, which becomes its decimal digits.
    Label,
    /// Integers of any width, as i64.
    Whole,
    /// Lists of texts, of any length.
    Texts,
}

/// A request for one column.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub(crate) name: &'a str,
    pub(crate) want: Want,
    pub(crate) needed: bool,
}

impl<'a> Ask<'a> {
    /// A column that the file must have; without it [`read`] fails.
    pub fn needed(name: &'a str, want: Want) -> Self {
        Self { name, want, needed: true }
    }
    /// A column that the file may lack; its values are then `None`.
    pub fn optional(name: &'a str, want: Want) -> Self {
        Self { name, want, needed: false }
    }
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not Parquet, or they are damaged.
    #[error("not a Parquet file that can be read: {0}")]
    Format(String),
    /// The file passes a limit: it would need more memory than a table of questions ever does.
    #[error("{0}")]
    Bound(String),
    /// A column is missing, occurs twice, or has another type.
    #[error("column `{column}` {message}")]
    Column {
        /// The column's name.
        column: String,
        /// What is wrong with it and how to fix it.
        message: String,
    },
    /// A value is null or does not fit.
    #[error("row {row}: `{column}` {message}")]
    Value {
        /// Number of the row, from 1.
        row: usize,
        /// The column's name.
        column: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reads the requested columns of a file given as bytes.
///
/// # Errors
/// When the bytes are not Parquet, a column is missing or of another type, an integer does not fit into i64, or the
/// file passes a limit.
pub fn read(bytes: Vec<u8>, asks: &[Ask]) -> Result<Table> {
    File::new(bytes).read(asks)
}

/// A file in memory, for readers that look at its columns before they ask for them.
#[derive(Debug, Clone)]
pub struct File(Bytes);

impl File {
    /// A file given as bytes. Nothing is read yet.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// The names of the columns, each with the type that it can be read as; `None` if there is none.
    ///
    /// # Errors
    /// When the bytes are not Parquet, or the file passes a limit.
    pub fn columns(&self) -> Result<Vec<(String, Option<Want>)>> {
        guarded(|| {
            bounds::footer(&self.0)?;
            let found = ArrowReaderMetadata::load(&self.0, plain()).map_err(bad)?;
            Ok(found.schema().fields().iter().map(|f| (f.name().clone(), columns::want(f.data_type()))).collect())
        })
    }

    /// Reads the requested columns.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self, asks: &[Ask]) -> Result<Table> {
        guarded(|| decode(&self.0, asks))
    }
}

/// The Parquet library may panic on malicious bytes; here that becomes an error.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Format("its parts contradict each other".into())))
}

/// The Arrow schema that some writers embed is ignored: the Parquet types are fewer, and hold the same values.
fn plain() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}

fn bad(e: impl std::fmt::Display) -> Error {
    Error::Format(e.to_string())
}

fn decode(bytes: &Bytes, asks: &[Ask]) -> Result<Table> {
    bounds::footer(bytes)?;
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
