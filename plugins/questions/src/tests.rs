#![allow(clippy::unwrap_used)]
use super::*;
use arrow_array::RecordBatch;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int16Array, Int64Array, LargeStringArray, StringArray, UInt8Array};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use std::sync::Arc;

fn lines(s: &str) -> Result<Bank> {
    let p = Path::new("q.jsonl");
    jsonl(p, s.as_bytes()).and_then(|r| Questions::bank(p, r, String::new()))
}

#[test]
fn rows_are_checked() {
    let ok = lines(r#"{"question": "1+1?", "options": ["1", "2"], "answer": "B", "category": "math"}"#).unwrap();
    assert_eq!(ok.items["math"][0].right(), Some(1));
    for (bad, why) in [
        (r#"{"question": "1+1?", "options": ["1", "2"], "answer": "C"}"#, "from A to B"),
        (r#"{"question": "1+1?", "options": ["1", "2"], "answer": "b"}"#, "from A to B"),
        (r#"{"question": "1+1?", "options": ["1", "2"]}"#, "no `answer`, a letter from A to B, nor `answer_index`"),
        (r#"{"question": "1+1?", "options": ["1"], "answer": "A"}"#, "2 to 26"),
        (r#"{"question": "1+1?", "option": ["1"], "answer": "A"}"#, "line 1"),
        (r#"{"question": "1+1?", "options": ["1", null], "answer": "A"}"#, "line 1: `options[1]`: invalid type: null"),
        (r#"{"question": null, "options": ["1", "2"], "answer": "A"}"#, "line 1: `question`: invalid type: null"),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 1.0}"#,
            "line 1: `answer_index`: invalid type: floating point",
        ),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": -1}"#,
            "`answer_index` is -1; it must be from 0",
        ),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 2}"#,
            "`answer_index` is 2; it must be from 0, the first option, to 1",
        ),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 1, "answer": "A"}"#,
            "`answer` is A, but `answer_index` 1 is B",
        ),
        (r#"{"question": " ", "options": ["1", "2"], "answer": "A"}"#, "row 1: `question` is empty"),
        (r#"{"question": "1+1?", "options": ["1", " "], "answer": "A"}"#, "option B is empty"),
        (
            r#"{"question": "1+1?", "options": ["1", "2", " 1"], "answer": "A"}"#,
            "options A and C read the same (\"1\")",
        ),
        (r#"{"question": "1+1?", "options": ["1", "2"], "answer": "A"} {}"#, "a line is one object"),
        ("[]", "line 1: "),
        ("", "no questions"),
    ] {
        let told = lines(bad).err().unwrap().to_string();
        assert!(told.contains(why), "{bad}: {told}");
    }
    let both = lines(
        r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 1, "answer": "B", "id": null, "category": ""}"#,
    )
    .unwrap();
    assert_eq!((both.items["general"][0].right(), both.items["general"][0].id.as_str()), (Some(1), "general_1"));
}

#[test]
fn marks_and_crlf_are_no_content() {
    let row = r#"{"question": "1+1?", "options": ["1", "2"], "answer": "B"}"#;
    let bank = lines(&format!("\u{feff}{row}\r\n\r\n{}\r\n", row.replace("1+1", "0+2"))).unwrap();
    assert_eq!(bank.items["general"].len(), 2);
    let told = jsonl(Path::new("q.jsonl"), b"{\"question\": \"\xff\"}").unwrap_err().to_string();
    assert!(told.contains("save the file as UTF-8"), "{told}");
}

fn read(columns: Vec<(&str, ArrayRef)>) -> Result<Bank> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut w = ArrowWriter::try_new(vec![], batch.schema(), None).unwrap();
    w.write(&batch).unwrap();
    let p = Path::new("q.parquet");
    parquet(p, w.into_inner().unwrap()).and_then(|r| Questions::bank(p, r, String::new()))
}

fn options(entry: Option<&str>) -> ArrayRef {
    let mut b = ListBuilder::new(StringBuilder::new());
    for row in 0..2 {
        b.values().append_value("x");
        b.values().append_option(if row == 1 { entry } else { Some("y") });
        b.append(true);
    }
    Arc::new(b.finish())
}

#[test]
fn parquet_of_other_writers_is_read() {
    let texts = || Arc::new(LargeStringArray::from(vec!["a?", "b?"])) as ArrayRef;
    let large = DataType::LargeList(Arc::new(Field::new("item", DataType::LargeUtf8, true)));
    let large = arrow_cast::cast(&options(Some("y")), &large).unwrap();
    let index = || Arc::new(UInt8Array::from(vec![1, 0])) as ArrayRef;
    let ids = || Arc::new(Int16Array::from(vec![31, 32])) as ArrayRef;
    let bank = read(vec![("question", texts()), ("options", large), ("answer_index", index()), ("id", ids())]).unwrap();
    let got: Vec<_> = bank.items["general"].iter().map(|q| (q.id.as_str(), q.right().unwrap())).collect();
    assert_eq!(got, [("31", 1), ("32", 0)]);
    let told = |columns| read(columns).err().unwrap().to_string();
    let null = told(vec![("question", texts()), ("options", options(None)), ("answer_index", index())]);
    assert!(null.contains("row 2: `options` holds a null, entry 2"), "{null}");
    let gaps = Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef;
    let gap = told(vec![("question", texts()), ("options", options(Some("y"))), ("answer_index", gaps)]);
    assert!(gap.contains("row 2: there is no `answer`"), "{gap}");
    let floats = Arc::new(Float64Array::from(vec![1.0, 0.0])) as ArrayRef;
    let float = told(vec![("question", texts()), ("options", options(Some("y"))), ("answer_index", floats)]);
    assert!(float.contains("column `answer_index` holds Float64"), "{float}");
    let letters = Arc::new(StringArray::from(vec!["B", "B"])) as ArrayRef;
    let against =
        vec![("question", texts()), ("options", options(Some("y"))), ("answer_index", index()), ("answer", letters)];
    assert!(told(against).contains("row 2: `answer` is B, but `answer_index` 0 is A"));
    assert!(told(vec![("question", texts()), ("options", texts())]).contains("must hold lists of texts"));
}

fn ordinary() -> Bank {
    let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
        .join("../../experiments/ordinary/questions.jsonl");
    Questions::bank(&path, jsonl(&path, &std::fs::read(&path).unwrap()).unwrap(), String::new()).unwrap()
}

/// The questions in experiments/ordinary: 14 categories of ten, in which each letter is right once.
#[test]
fn the_ordinary_bank() {
    let bank = ordinary();
    assert_eq!(bank.categories.len(), 14);
    let mut texts = BTreeSet::new();
    for (category, questions) in &bank.items {
        let letters: BTreeSet<usize> = questions.iter().map(|q| q.right().unwrap()).collect();
        assert_eq!((questions.len(), letters.len()), (10, 10), "{category}");
        for q in questions {
            let options: BTreeSet<String> = q.choices.iter().map(|o| o.to_lowercase()).collect();
            assert_eq!(options.len(), 10, "{}", q.text);
            assert!(texts.insert(q.text.clone()), "{}", q.text);
        }
    }
}

/// Grades all their options, written in the ways in which models answer.
#[test]
fn the_options_of_the_ordinary_bank_read_as_themselves() {
    for q in ordinary().items.values().flatten() {
        for (k, text) in q.choices.iter().enumerate() {
            let x = Item::letter(k);
            let said = [
                format!("{x}. {text}"),
                format!("**{x}. {text}**"),
                format!("Answer: {x}. {text}"),
                format!("The answer is {x}) {text}"),
                format!("The answer is {text}."),
            ];
            for reply in said {
                assert_eq!(friction_core::choice::declared(&reply, &q.choices), Some(x), "{reply:?}");
            }
        }
    }
}
