//! Limits that are checked before anything of a file is decoded.
//!
//! A file's writer chooses the sizes that the file states: a page of a hundred bytes may claim two gigabytes, or
//! decompress to them. Real tables of questions stay far below each limit.
use crate::thrift::{Met, Reader};
use crate::{Error, Result};
use parquet::arrow::ProjectionMask;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use std::io::Read;

/// Most columns, groups of columns included.
const COLUMNS: usize = 4096;
/// Deepest nesting of groups.
const NESTING: usize = 32;
/// Most bytes of a page, decompressed. Common writers make pages of about 1 MiB.
pub(crate) const PAGE: i64 = 64 << 20;
/// Most values of a column in a row group.
pub(crate) const VALUES: i64 = 1 << 24;
/// Most bytes that a page in `DELTA_BYTE_ARRAY` may decode to.
const PREFIXED: i64 = 1 << 30;
/// The format's number of the encoding `DELTA_BYTE_ARRAY`, in which a value repeats the beginning of the one before.
const DELTA_BYTE_ARRAY: i64 = 7;

/// Checks that the footer is complete and that its schema has few enough columns and levels.
pub(crate) fn footer(bytes: &[u8]) -> Result<()> {
    let bad = |what: &str| Error::Format(what.into());
    let n = bytes.len();
    if n < 12 || &bytes[..4] != b"PAR1" && &bytes[..4] != b"PARE" {
        return Err(bad("it does not begin as one (`PAR1`)"));
    }
    match &bytes[n - 4..] {
        b"PAR1" => {}
        b"PARE" => return Err(bad("it is encrypted")),
        _ => return Err(bad("it does not end as one (`PAR1`): it was cut")),
    }
    let length = u32::from_le_bytes([bytes[n - 8], bytes[n - 7], bytes[n - 6], bytes[n - 5]]) as usize;
    let start = (n - 8).checked_sub(length).ok_or_else(|| bad("its footer is longer than it"))?;
    let mut children: Vec<i64> = vec![];
    let mut met = |m: Met| match m {
        Met::Structure([2]) => children.push(0),
        Met::Number([2, 5], n) => {
            if let Some(last) = children.last_mut() {
                *last = n;
            }
        }
        _ => {}
    };
    Reader::new(&bytes[start..n - 8]).structure(&mut met).ok_or_else(|| bad("its footer is damaged"))?;
    if children.len() > COLUMNS {
        return Err(Error::Bound(format!("{} columns and groups; at most {COLUMNS} are read", children.len())));
    }
    // For each level, how many children are still to come.
    let mut open: Vec<i64> = vec![];
    for n in children {
        while open.last().is_some_and(|n| *n <= 0) {
            open.pop();
        }
        if let Some(last) = open.last_mut() {
            *last -= 1;
        }
        if n > 0 {
            open.push(n);
        }
        if open.len() > NESTING {
            return Err(Error::Bound(format!("groups within groups, more than {NESTING} deep; columns must be flat")));
        }
    }
    Ok(())
}

/// The fields of a page header that are checked.
#[derive(Debug, Default)]
struct Page {
    whole: i64,
    compressed: i64,
    values: i64,
    encoding: i64,
    /// Number of values of a dictionary page.
    dictionary: i64,
    /// Bytes before the compressed part of a version 2 page (repetition and definition levels).
    levels: i64,
    plain: bool,
}

/// Checks every page of the chosen columns against the limits.
pub(crate) fn pages(bytes: &[u8], metadata: &ParquetMetaData, chosen: &ProjectionMask) -> Result<()> {
    for group in metadata.row_groups() {
        for (leaf, chunk) in group.columns().iter().enumerate() {
            if chosen.leaf_included(leaf) {
                column(bytes, chunk)?;
            }
        }
    }
    Ok(())
}

fn column(bytes: &[u8], chunk: &ColumnChunkMetaData) -> Result<()> {
    let name = chunk.column_path().string();
    let bad = |what: &str| Error::Format(format!("column `{name}`: {what}"));
    let offset = chunk.dictionary_page_offset().filter(|d| *d > 0).unwrap_or_else(|| chunk.data_page_offset());
    let start = usize::try_from(offset).map_err(|_| bad("it begins nowhere"))?;
    let length = usize::try_from(chunk.compressed_size()).map_err(|_| bad("its size is negative"))?;
    let end = start.checked_add(length).filter(|e| *e <= bytes.len()).ok_or_else(|| bad("it lies beyond the file"))?;
    let (mut at, mut values) = (start, 0i64);
    while at < end {
        let mut page = Page::default();
        let mut reader = Reader::new(&bytes[at..end]);
        let mut met = |m: Met| match m {
            Met::Number([2], n) => page.whole = n,
            Met::Number([3], n) => page.compressed = n,
            Met::Number([5 | 8, 1], n) => page.values = n,
            Met::Number([5, 2] | [8, 4], n) => page.encoding = n,
            Met::Number([8, 5 | 6], n) => page.levels = page.levels.saturating_add(n),
            Met::Number([7, 1], n) => page.dictionary = n,
            Met::Number([8, 7], n) => page.plain = n == 0,
            _ => {}
        };
        reader.structure(&mut met).ok_or_else(|| bad("a page's header is damaged"))?;
        if page.whole < 0 || page.compressed < 0 || page.values < 0 || page.dictionary < 0 {
            return Err(bad("a page's size is negative"));
        }
        if page.dictionary > page.whole {
            return Err(bad("a dictionary of more values than bytes"));
        }
        if page.whole > PAGE {
            return Err(Error::Bound(format!(
                "column `{name}`: a page of {} bytes; at most {PAGE} are read: write it again with smaller pages",
                page.whole
            )));
        }
        values = values.saturating_add(page.values);
        if values > VALUES {
            return Err(Error::Bound(format!(
                "column `{name}`: more than {VALUES} values in a row group: write it again with smaller row groups"
            )));
        }
        if page.encoding == DELTA_BYTE_ARRAY && page.values.saturating_mul(page.whole) > PREFIXED {
            return Err(Error::Bound(format!(
                "column `{name}`: a page encoded as DELTA_BYTE_ARRAY that may grow beyond {PREFIXED} bytes: write it \
                 again as plain text or with a dictionary"
            )));
        }
        at += reader.at();
        let data = usize::try_from(page.compressed).ok().and_then(|n| bytes.get(at..at.checked_add(n)?));
        let data = data.filter(|d| d.len() <= end - at).ok_or_else(|| bad("a page lies beyond its column"))?;
        at += data.len();
        if !page.plain {
            let levels = usize::try_from(page.levels).ok().filter(|n| *n <= data.len());
            let packed = &data[levels.ok_or_else(|| bad("a page's levels are longer than it"))?..];
            let most = (page.whole - page.levels).max(0) as u64;
            if grows(chunk.compression(), packed, most) {
                return Err(bad("a page decompresses to more than it says"));
            }
        }
    }
    Ok(())
}

/// Whether compressed bytes hold more than `most` bytes. Checked for the codecs whose decoders run to the end of
/// the data; the decoders of the other codecs stop at the size that the page states.
fn grows(codec: Compression, packed: &[u8], most: u64) -> bool {
    let count = |r: &mut dyn Read| std::io::copy(&mut r.take(most + 1), &mut std::io::sink()).is_ok_and(|n| n > most);
    match codec {
        Compression::GZIP(_) => count(&mut flate2::read::MultiGzDecoder::new(packed)),
        Compression::BROTLI(_) => count(&mut brotli::Decompressor::new(packed, 4096)),
        Compression::LZ4 => count(&mut lz4_flex::frame::FrameDecoder::new(packed)),
        _ => false,
    }
}
