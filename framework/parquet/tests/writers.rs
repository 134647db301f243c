//! Files in every form that writers produce, and files that are damaged or malicious.
#![allow(clippy::unwrap_used)]
use arrow_array::RecordBatch;
use arrow_array::builder::*;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_schema::{DataType, Field, Schema};
use friction_parquet::{Ask, Error, Result, Table, Want, read};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

fn written(columns: Vec<(&str, ArrayRef)>, properties: Option<WriterProperties>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut w = ArrowWriter::try_new(vec![], batch.schema(), properties).unwrap();
    w.write(&batch).unwrap();
    w.into_inner().unwrap()
}

fn texts() -> ArrayRef {
    Arc::new(StringArray::from(vec![Some("first"), None, Some("dritte Frage — é")]))
}

fn lists() -> ListArray {
    let mut b = ListBuilder::new(StringBuilder::new());
    for row in [&["x", "y", "z"], &["1", "2", "3"], &["a", "b", ""]] {
        for s in row {
            b.values().append_value(s);
        }
        b.append(true);
    }
    b.finish()
}

fn one(want: Want, array: ArrayRef) -> Result<Table> {
    read(written(vec![("c", array)], None), &[Ask::needed("c", want)])
}

fn told(result: Result<Table>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn text_of_every_kind_is_read() {
    let cast = |t: &DataType| arrow_cast::cast(&texts(), t).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let large = DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::LargeUtf8));
    for t in [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::LargeBinary,
        dictionary,
        large,
    ] {
        for want in [Want::Text, Want::Label] {
            let table = one(want, cast(&t)).unwrap();
            assert_eq!(table.rows(), 3, "{t}");
            assert_eq!(table.need_text("c", 0).unwrap(), "first", "{t}");
            assert_eq!(table.text("c", 1).unwrap(), None, "{t}");
            assert_eq!(table.need_text("c", 2).unwrap(), "dritte Frage — é", "{t}");
        }
    }
    let null = one(Want::Text, texts()).unwrap().need_text("c", 1).unwrap_err();
    assert_eq!(null.to_string(), "row 2: `c` is null; give it a value or leave the row out");
    assert!(told(one(Want::Text, Arc::new(Int64Array::from(vec![1])))).contains("holds Int64; it must hold text"));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\xff\xfe"[..]]));
    assert!(told(one(Want::Text, bytes)).to_lowercase().contains("utf"));
}

#[test]
fn lists_of_every_kind_are_read() {
    let field = || Arc::new(Field::new("item", DataType::Utf8, true));
    let views = Arc::new(Field::new("element", DataType::Utf8View, true));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for t in [
        DataType::List(field()),
        DataType::LargeList(field()),
        DataType::FixedSizeList(field(), 3),
        DataType::ListView(field()),
        DataType::LargeListView(field()),
        DataType::List(views),
        DataType::List(Arc::new(Field::new("item", DataType::LargeUtf8, true))),
        DataType::LargeList(Arc::new(Field::new("item", dictionary, true))),
    ] {
        let Ok(array) = arrow_cast::cast(&lists(), &t) else { panic!("no {t} can be made") };
        let table = one(Want::Texts, array).unwrap_or_else(|e| panic!("{t}: {e}"));
        assert_eq!(table.need_texts("c", 0).unwrap(), ["x", "y", "z"], "{t}");
        assert_eq!(table.need_texts("c", 2).unwrap(), ["a", "b", ""], "{t}");
    }
    let mut b = ListBuilder::new(StringBuilder::new());
    b.append(false);
    b.values().append_value("x");
    b.values().append_null();
    b.append(true);
    b.append(true);
    let table = one(Want::Texts, Arc::new(b.finish())).unwrap();
    assert!(table.need_texts("c", 0).unwrap_err().to_string().contains("row 1: `c` is null"));
    assert!(table.need_texts("c", 1).unwrap_err().to_string().contains("row 2: `c` holds a null, entry 2"));
    assert_eq!(table.need_texts("c", 2).unwrap().len(), 0);
    let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    assert!(told(one(Want::Texts, Arc::new(numbers))).contains("must hold lists of texts"));
    assert!(told(one(Want::Texts, texts())).contains("must hold lists of texts"));
}

#[test]
fn integers_of_every_width_are_read() {
    let given = Int64Array::from(vec![Some(7), None, Some(100)]);
    for t in [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
    ] {
        let array = arrow_cast::cast(&given, &t).unwrap();
        let table = one(Want::Whole, array.clone()).unwrap();
        assert_eq!((table.need_whole("c", 0).unwrap(), table.whole("c", 1).unwrap()), (7, None), "{t}");
        assert!(table.need_whole("c", 1).unwrap_err().to_string().contains("row 2: `c` is null"), "{t}");
        assert_eq!(one(Want::Label, array).unwrap().need_text("c", 2).unwrap(), "100", "{t}");
    }
    let signed: ArrayRef = Arc::new(Int8Array::from(vec![-1]));
    assert_eq!(one(Want::Whole, signed).unwrap().need_whole("c", 0).unwrap(), -1);
    let huge: ArrayRef = Arc::new(UInt64Array::from(vec![1, u64::MAX]));
    assert!(told(one(Want::Whole, huge)).contains("row 2: `c` is 18446744073709551615, beyond"));
    for floats in [Arc::new(Float64Array::from(vec![1.0])) as ArrayRef, Arc::new(Float32Array::from(vec![0.5]))] {
        assert!(told(one(Want::Whole, floats)).contains("must hold whole numbers: floats come of gaps"));
    }
    assert!(told(one(Want::Whole, Arc::new(BooleanArray::from(vec![true])))).contains("holds Boolean"));
    let nulls: ArrayRef = Arc::new(NullArray::new(2));
    assert_eq!(one(Want::Whole, nulls).unwrap().whole("c", 1).unwrap(), None);
}

/// `n` rows, enough for several batches and pages.
fn many(n: usize) -> Vec<(&'static str, ArrayRef)> {
    let mut b = ListBuilder::new(StringBuilder::new());
    for i in 0..n {
        for k in 0..4 {
            b.values().append_value(format!("option {k} of {}", i % 50));
        }
        b.append(true);
    }
    let text: StringArray =
        (0..n).map(|i| Some(format!("Question number {i}, which is long enough to be packed?"))).collect();
    let index: UInt8Array = (0..n).map(|i| Some((i % 4) as u8)).collect();
    vec![("question", Arc::new(text)), ("options", Arc::new(b.finish())), ("index", Arc::new(index))]
}

fn asks() -> [Ask<'static>; 3] {
    [Ask::needed("question", Want::Text), Ask::needed("options", Want::Texts), Ask::needed("index", Want::Whole)]
}

#[test]
fn every_codec_version_and_encoding_is_read() {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let columns = many(2500);
    for codec in codecs {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for dictionary in [true, false] {
                let properties = WriterProperties::builder()
                    .set_compression(codec)
                    .set_writer_version(version)
                    .set_dictionary_enabled(dictionary)
                    .set_data_page_size_limit(4096)
                    .set_write_batch_size(64)
                    .set_max_row_group_row_count(Some(1000));
                let table = read(written(columns.clone(), Some(properties.build())), &asks())
                    .unwrap_or_else(|e| panic!("{codec:?} {version:?}: {e}"));
                assert_eq!(table.rows(), 2500, "{codec:?}");
                assert!(table.need_text("question", 2499).unwrap().starts_with("Question number 2499,"));
                assert_eq!(table.need_texts("options", 1234).unwrap()[3], "option 3 of 34");
                assert_eq!(table.need_whole("index", 1234).unwrap(), 2);
            }
        }
    }
    let prefixes = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_column_encoding("question".into(), Encoding::DELTA_BYTE_ARRAY)
        .build();
    assert_eq!(read(written(columns, Some(prefixes)), &asks()).unwrap().rows(), 2500);
}

#[test]
fn columns_are_missing_or_twice() {
    let missing = told(read(written(vec![("a", texts())], None), &asks()));
    assert!(missing.contains("column `question` is missing; there are: a"), "{missing}");
    let table = read(written(vec![("a", texts())], None), &[Ask::optional("b", Want::Text)]).unwrap();
    assert_eq!((table.text("b", 0).unwrap(), table.whole("b", 0).is_err()), (None, true));
    let field = || Field::new("c", DataType::Utf8, true);
    let schema = Arc::new(Schema::new(vec![field(), field()]));
    let batch = RecordBatch::try_new(schema.clone(), vec![texts(), texts()]).unwrap();
    let mut w = ArrowWriter::try_new(vec![], schema, None).unwrap();
    w.write(&batch).unwrap();
    assert!(told(read(w.into_inner().unwrap(), &[Ask::needed("c", Want::Text)])).contains("stands twice"));
}

/// A dictionary's text is in the file once and in three hundred rows; decoded naively it takes more than a gigabyte.
#[test]
fn a_text_that_many_rows_share_is_held_once_until_it_passes_the_limit() {
    let long = "x".repeat(4 << 20);
    let rows: ArrayRef = Arc::new(StringArray::from(vec![long.as_str(); 300]));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let rows = arrow_cast::cast(&rows, &dictionary).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_page_size_limit(16 << 20)
        .build();
    let file = written(vec![("c", rows)], Some(properties));
    assert!(file.len() < 100_000, "{}", file.len());
    let told = told(read(file, &[Ask::needed("c", Want::Text)]));
    assert!(told.contains("bytes of text; split the file"), "{told}");
}

#[test]
fn pages_and_columns_have_limits() {
    let properties = || {
        WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
    };
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(65 << 20)]));
    let page =
        written(vec![("c", long)], Some(properties().set_compression(Compression::ZSTD(ZstdLevel::default())).build()));
    let told_ = told(read(page, &[Ask::needed("c", Want::Text)]));
    assert!(told_.contains("column `c`: a page of") && told_.contains("smaller pages"), "{told_}");
    // DELTA_BYTE_ARRAY: each text repeats the one before it as a prefix.
    let texts_: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(400_000)]));
    let grown: ArrayRef = Arc::new(DictionaryArray::new(Int32Array::from(vec![0; 3000]), texts_));
    let prefixes = properties().set_column_encoding("c".into(), Encoding::DELTA_BYTE_ARRAY).build();
    let told_ = told(read(written(vec![("c", grown)], Some(prefixes)), &[Ask::needed("c", Want::Text)]));
    assert!(told_.contains("DELTA_BYTE_ARRAY"), "{told_}");
    let flags: ArrayRef = Arc::new(Int8Array::from(vec![0i8; (1 << 24) + 1]));
    let values = written(vec![("c", flags)], Some(properties().set_max_row_group_row_count(None).build()));
    let told_ = told(read(values, &[Ask::needed("c", Want::Whole)]));
    assert!(told_.contains("values in a row group"), "{told_}");
    let deep = (0..40).fold(texts(), |inner, _| {
        let field = Arc::new(Field::new("g", inner.data_type().clone(), true));
        Arc::new(StructArray::from(vec![(field, inner)])) as ArrayRef
    });
    let told_ = told(read(written(vec![("c", texts()), ("d", deep)], None), &[Ask::needed("c", Want::Text)]));
    assert!(told_.contains("groups within groups"), "{told_}");
}

static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let gzip = WriterProperties::builder().set_compression(Compression::GZIP(GzipLevel::default())).build();
    written(many(20), Some(gzip))
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    /// Damaged bytes give an error, or a table whose values can all be read. They never cause a panic, and a
    /// truncated
    /// file is never read as a complete one.
    #[test]
    fn hostile_bytes_are_errors(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut b = FILE.clone();
        for (at, v) in flips {
            let n = b.len();
            b[at.index(n)] = v;
        }
        if let Some(cut) = cut {
            b.truncate(cut.index(b.len()));
        }
        match read(b, &asks()) {
            Ok(table) => {
                prop_assert!(cut.is_none(), "a cut file was read");
                for row in 0..table.rows() {
                    let _ = (table.text("question", row).unwrap(), table.whole("index", row).unwrap());
                    prop_assert!(table.need_texts("options", row).is_ok_and(|l| l.len() < 1000) || table.need_texts("options", row).is_err());
                }
            }
            Err(Error::Format(m) | Error::Bound(m)) => prop_assert!(!m.is_empty()),
            Err(Error::Column { message, .. } | Error::Value { message, .. }) => prop_assert!(!message.is_empty()),
            Err(other) => prop_assert!(!other.to_string().is_empty()),
        }
    }
}

#[test]
fn what_is_no_parquet_is_told() {
    for (bytes, why) in [
        (&b""[..], "does not begin"),
        (b"PAR1", "does not begin"),
        (b"{\"a\": 1}\n{\"a\": 2}\n", "does not begin"),
        (b"PAR1xxxxxxxxxxxxxPARE", "encrypted"),
        (b"PAR1xxxxxxxxxxxxxxxxx", "cut"),
        (b"PAR1xxxx\xff\xff\xff\x7fPAR1", "longer than it"),
    ] {
        assert!(told(read(bytes.to_vec(), &asks())).contains(why), "{bytes:?}");
    }
    assert!(told(read(FILE[..FILE.len() - 1].to_vec(), &asks())).contains("cut"));
}
