//! What hostile sizes cost: one test, so that nothing else of this process takes memory beside it.
#![allow(clippy::unwrap_used)]
use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use friction_parquet::{Ask, Result, Table, Want, read};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

fn told(result: Result<Table>) -> String {
    result.err().unwrap().to_string()
}

/// Resident memory of this process at its peak, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The bytes of the number that Thrift's compact protocol writes for `n`.
fn varint(n: i64) -> Vec<u8> {
    let mut n = ((n << 1) ^ (n >> 63)) as u64;
    let mut out = vec![];
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

/// A column of one text, stored once in a page of `size` bytes that calls itself `says` long.
fn lying(codec: Compression, says: i64) -> Vec<u8> {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(200_000)]));
    let properties = WriterProperties::builder().set_compression(codec).set_dictionary_enabled(false).build();
    let batch = RecordBatch::try_from_iter([("c", text)]).unwrap();
    let mut w = ArrowWriter::try_new(vec![], batch.schema(), Some(properties)).unwrap();
    w.write(&batch).unwrap();
    let file = w.into_inner().unwrap();
    // The page's header begins behind `PAR1`: field 1 (type 0), field 2 (its size, decompressed).
    assert_eq!(file[4..7], [0x15, 0x00, 0x15]);
    let old = file[7..].iter().position(|b| b & 0x80 == 0).unwrap() + 1;
    let new = varint(says);
    // Of the same length: everything behind it stays where the footer says.
    assert_eq!(new.len(), old, "{says} is written in {} bytes, not {old}", new.len());
    [&file[..7], &new, &file[7 + old..]].concat()
}

#[test]
fn a_page_is_as_long_as_it_says_and_not_too_long() {
    let before = peak();
    for codec in [
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::SNAPPY,
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        // Three bytes hold from 8192 to 1 Mi: smaller than the page is, and larger.
        let small = read(lying(codec, 10_000), &[Ask::needed("c", Want::Text)]);
        assert!(small.is_err(), "{codec:?}");
        // Snappy leaves the rest of the page empty, and the text in it is whole.
        if let Ok(large) = read(lying(codec, 900_000), &[Ask::needed("c", Want::Text)]) {
            assert_eq!(large.need_text("c", 0).unwrap().len(), 200_000, "{codec:?}");
        }
    }
    let gzip = told(read(lying(Compression::GZIP(GzipLevel::default()), 10_000), &[Ask::needed("c", Want::Text)]));
    assert!(gzip.contains("decompresses to more than it says"), "{gzip}");
    // A page that says two gigabytes: its header is longer than it was, and is looked at first.
    let file = lying(Compression::SNAPPY, 900_000);
    let at = 7 + file[7..].iter().position(|b| b & 0x80 == 0).unwrap() + 1;
    let wide = [&file[..7], &varint(i64::from(i32::MAX)), &file[at..]].concat();
    let wide = told(read(wide, &[Ask::needed("c", Want::Text)]));
    assert!(wide.contains("a page of 2147483647 bytes; at most"), "{wide}");
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 300 << 20, "{} MiB more at the peak", (after - before) >> 20);
    }
}
