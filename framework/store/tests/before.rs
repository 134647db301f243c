//! Turns that were written before schema 3 are read with today's names.
#![allow(missing_docs, clippy::unwrap_used)]
use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, ListArray, RecordBatch, StringArray, UInt32Array};
use friction_core::RunReader;
use friction_store::{RunDir, StoredRun};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

fn text(v: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(v.to_vec()))
}
fn count(v: [u32; 2]) -> ArrayRef {
    Arc::new(UInt32Array::from(v.to_vec()))
}

/// The columns of schema 2, of two turns.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let same = |s: &'static str| text(&[Some(s), Some(s)]);
    let logprobs =
        ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(-0.5f32), Some(-1.5)]), Some(vec![])]);
    vec![
        ("group", count([0, 0])),
        ("condition", same("c")),
        ("arm", same("")),
        ("factor_tone", same("blunt")),
        ("turn", count([1, 2])),
        ("topic", same("law")),
        ("question_id", text(&[Some("law_1"), Some("law_2")])),
        ("options", count([2, 2])),
        ("answer", same("B")),
        ("user", same("Which?")),
        ("phrase", Arc::new(UInt32Array::from(vec![None, Some(1)]))),
        ("reply", same("B.")),
        ("kept", same("B.")),
        ("removed_tokens", count([0, 0])),
        ("parsed", text(&[Some("B"), None])),
        ("correct", Arc::new(BooleanArray::from(vec![true, false]))),
        ("grade_official", text(&[Some("A"), None])),
        ("reading_h.x", Arc::new(Float64Array::from(vec![Some(0.25), None]))),
        ("option_logprobs", Arc::new(logprobs)),
        ("prompt_tokens", count([9, 20])),
        ("prefilled_tokens", count([9, 8])),
        ("reused_tokens", count([0, 12])),
        ("reply_tokens", count([2, 2])),
        ("finish_reason", same("stop")),
        ("elapsed_ms", Arc::new(Float64Array::from(vec![1.0, 2.0]))),
    ]
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut w = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    w.write(&batch).unwrap();
    w.close().unwrap();
}

/// A run directory of schema 2.
fn run(columns: Vec<(&str, ArrayRef)>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("groups/0000")).unwrap();
    let lock = json!({"schema": 2, "study": {"name": "old", "seed": 3}});
    std::fs::write(dir.path().join("lock.json"), lock.to_string()).unwrap();
    write(&dir.path().join("groups/0000/turns.parquet"), columns);
    dir
}

#[test]
fn old_columns_have_todays_names() {
    let dir = run(columns());
    let stored = StoredRun::open(dir.path()).unwrap();
    let [first, second] = stored.turns() else { panic!("{:?}", stored.turns()) };
    assert_eq!((first.item_id.as_str(), first.choices, first.round, first.sample), ("law_1", 2, 1, 0));
    assert_eq!((first.target.as_deref(), first.answer.as_deref(), first.score), (Some("B"), Some("B"), Some(1.0)));
    assert_eq!((second.answer.as_deref(), second.score, second.phrase), (None, Some(0.0), Some(1)));
    assert_eq!((first.choice_logprobs.as_slice(), second.choice_logprobs.len()), ([-0.5, -1.5].as_slice(), 0));
    assert_eq!(first.grades["official"].as_deref(), Some("A"));
    assert_eq!((first.readings["h.x"], second.readings.get("h.x")), (0.25, None));
    assert!(first.asides.is_empty() && first.prefill.is_empty() && first.metadata.is_empty());
}

#[test]
fn what_is_missing_or_of_another_type_is_named() {
    for (name, why) in [("parsed", "column `parsed` is missing"), ("correct", "column `correct` is missing")] {
        let dir = run(columns().into_iter().filter(|(n, _)| *n != name).collect());
        let e = StoredRun::open(dir.path()).err().unwrap().to_string();
        assert!(e.contains(why), "{e}");
    }
    let mut wrong = columns();
    wrong.iter_mut().filter(|(n, _)| *n == "correct").for_each(|(_, a)| *a = count([1, 0]));
    let e = StoredRun::open(run(wrong).path()).err().unwrap().to_string();
    assert!(e.contains("column `correct` has another type"), "{e}");
}

#[test]
fn a_run_of_before_is_not_resumed() {
    let dir = run(columns());
    let lock = json!({"study": {"name": "old", "seed": 3}});
    let e = RunDir::open(dir.path(), "", &lock).err().unwrap().to_string();
    assert!(e.contains("older") || e.contains("schema 2"), "{e}");
}
