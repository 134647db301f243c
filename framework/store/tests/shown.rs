//! The columns of moved choices: written where choices moved, and only there.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_core::TurnRow;
use friction_store::table::write_turns;
use friction_store::turns::read_turns;

fn names(path: &std::path::Path) -> Vec<String> {
    let file = std::fs::File::open(path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    reader.schema().fields().iter().map(|f| f.name().clone()).collect()
}

#[test]
fn orders_and_shifts_come_back_and_other_runs_have_no_such_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.parquet");
    let plain = TurnRow { choices: 3, turn: 1, choice_logprobs: vec![-1.0, -2.0, -3.0], ..TurnRow::default() };
    let moved = TurnRow {
        choice_order: vec![2, 0, 1],
        shifted_logprobs: vec![-0.5, -1.5, -2.5, -0.25, -4.0, f32::NEG_INFINITY],
        turn: 2,
        ..plain.clone()
    };
    write_turns(&path, &[plain.clone(), moved.clone()]).unwrap();
    assert_eq!(read_turns(&path).unwrap(), [plain.clone(), moved]);
    assert!(names(&path).iter().any(|n| n == "choice_order"));
    write_turns(&path, std::slice::from_ref(&plain)).unwrap();
    assert_eq!(read_turns(&path).unwrap(), [plain]);
    assert!(!names(&path).iter().any(|n| n == "choice_order" || n == "shifted_logprobs"));
}
