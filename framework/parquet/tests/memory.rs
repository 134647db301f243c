//! The memory that malicious sizes cost. It is one test, so that no other test of the process uses memory meanwhile.
#![allow(clippy::unwrap_used)]
use arrow_array::RecordBatch;
use arrow_array::{ArrayRef, StringArray};
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

/// The bytes of `n` as a zigzag varint of Thrift's compact protocol.
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

/// A file with one text of 200,000 bytes, whose page header states a size of `says` bytes.
fn lying(codec: Compression, says: i64) -> Vec<u8> {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(200_000)]));
    let properties = WriterProperties::builder().set_compression(codec).set_dictionary_enabled(false).build();
    let batch = RecordBatch::try_from_iter([("c", text)]).unwrap();
    let mut w = ArrowWriter::try_new(vec![], batch.schema(), Some(properties)).unwrap();
    w.write(&batch).unwrap();
    let file = w.into_inner().unwrap();
    // The page's header begins after `PAR1`: field 1 (page type 0), then field 2 (the decompressed size).
    assert_eq!(file[4..7], [0x15, 0x00, 0x15]);
    let old = file[7..].iter().position(|b| b & 0x80 == 0).unwrap() + 1;
    let new = varint(says);
    // The new number must be as long as the old one, so that everything after it stays at its offset.
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
        // A varint of three bytes holds 8192 to 1 Mi: values below and above the page's real size.
        let small = read(lying(codec, 10_000), &[Ask::needed("c", Want::Text)]);
        assert!(small.is_err(), "{codec:?}");
        // Snappy accepts a size that is too large; the text must then be complete.
        if let Ok(large) = read(lying(codec, 900_000), &[Ask::needed("c", Want::Text)]) {
            assert_eq!(large.need_text("c", 0).unwrap().len(), 200_000, "{codec:?}");
        }
    }
    let gzip = told(read(lying(Compression::GZIP(GzipLevel::default()), 10_000), &[Ask::needed("c", Want::Text)]));
    assert!(gzip.contains("decompresses to more than it says"), "{gzip}");
    // A page that states two gigabytes. The varint is longer, so offsets are wrong, but the size is checked first.
    let file = lying(Compression::SNAPPY, 900_000);
    let at = 7 + file[7..].iter().position(|b| b & 0x80 == 0).unwrap() + 1;
    let wide = [&file[..7], &varint(i64::from(i32::MAX)), &file[at..]].concat();
    let wide = told(read(wide, &[Ask::needed("c", Want::Text)]));
    assert!(wide.contains("a page of 2147483647 bytes; at most"), "{wide}");
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 300 << 20, "{} MiB more at the peak", (after - before) >> 20);
    }
}
