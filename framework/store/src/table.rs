//! Turns and analyzers' tables as Parquet files.
use crate::error::{format, io};
use crate::{Result, temp};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, UInt32Array};
use friction_core::findings::Column;
use friction_core::{Table, TurnRow};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Writes a Parquet file. Its bytes are made in memory first, so that an I/O error is told apart from a wrong table.
fn write(path: &Path, columns: Vec<(String, ArrayRef)>) -> Result<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .map_err(|e| format(path, e))?;
    let props =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("friction".into()).build();
    let mut writer = ArrowWriter::try_new(vec![], batch.schema(), Some(props)).map_err(|e| format(path, e))?;
    writer.write(&batch).map_err(|e| format(path, e))?;
    temp::write(path, &writer.into_inner().map_err(|e| format(path, e))?)
}

/// Writes the turns of a group, one row per turn. Columns are the fields of [`TurnRow`]; each factor, grade and reading
/// has a column of its own (`factor_…`, `grade_…`, `reading_…`).
///
/// # Errors
/// If the file cannot be written.
pub fn write_turns(path: &Path, rows: &[TurnRow]) -> Result<()> {
    let text =
        |f: &dyn Fn(&TurnRow) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(f))) };
    let maybe =
        |f: &dyn Fn(&TurnRow) -> Option<String>| -> ArrayRef { Arc::new(StringArray::from_iter(rows.iter().map(f))) };
    let count =
        |f: &dyn Fn(&TurnRow) -> u32| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(rows.iter().map(f))) };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("group".into(), count(&|r| r.group)),
        ("condition".into(), text(&|r| r.condition.clone())),
        ("arm".into(), text(&|r| r.arm.clone())),
    ];
    let factors: BTreeSet<&String> = rows.iter().flat_map(|r| r.factors.keys()).collect();
    for f in factors {
        columns.push((format!("factor_{f}"), maybe(&|r| r.factors.get(f).cloned())));
    }
    columns.extend([
        ("turn".to_string(), count(&|r| r.turn)),
        ("topic".into(), text(&|r| r.topic.clone())),
        ("question_id".into(), text(&|r| r.question_id.clone())),
        ("options".into(), count(&|r| r.options)),
        ("answer".into(), text(&|r| r.answer.clone())),
        ("user".into(), text(&|r| r.user.clone())),
        ("phrase".into(), Arc::new(UInt32Array::from_iter(rows.iter().map(|r| r.phrase))) as ArrayRef),
        ("reply".into(), text(&|r| r.reply.clone())),
        ("kept".into(), text(&|r| r.kept.clone())),
        ("removed_tokens".into(), count(&|r| r.removed_tokens)),
        ("parsed".into(), maybe(&|r| r.parsed.clone())),
        ("correct".into(), Arc::new(BooleanArray::from_iter(rows.iter().map(|r| Some(r.correct)))) as ArrayRef),
    ]);
    let grades: BTreeSet<&String> = rows.iter().flat_map(|r| r.grades.keys()).collect();
    for g in grades {
        columns.push((format!("grade_{g}"), maybe(&|r| r.grades.get(g).cloned().flatten())));
    }
    let readings: BTreeSet<&String> = rows.iter().flat_map(|r| r.readings.keys()).collect();
    for name in readings {
        let values = rows.iter().map(|r| r.readings.get(name).copied());
        columns.push((format!("reading_{name}"), Arc::new(Float64Array::from_iter(values))));
    }
    let logprobs = ListArray::from_iter_primitive::<Float32Type, _, _>(
        rows.iter().map(|r| Some(r.option_logprobs.iter().map(|v| Some(*v)))),
    );
    let neutral = ListArray::from_iter_primitive::<Float32Type, _, _>(
        rows.iter().map(|r| Some(r.neutral_logprobs.iter().map(|v| Some(*v)))),
    );
    columns.extend([
        ("option_logprobs".to_string(), Arc::new(logprobs) as ArrayRef),
        ("neutral_logprobs".into(), Arc::new(neutral) as ArrayRef),
        ("prompt_tokens".into(), count(&|r| r.prompt_tokens)),
        ("prefilled_tokens".into(), count(&|r| r.prefilled_tokens)),
        ("reused_tokens".into(), count(&|r| r.reused_tokens)),
        ("reply_tokens".into(), count(&|r| r.reply_tokens)),
        ("finish_reason".into(), text(&|r| r.finish_reason.clone())),
        ("elapsed_ms".into(), Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.elapsed_ms))) as ArrayRef),
    ]);
    write(path, columns)
}

/// Writes an analyzer's table. NaN is stored as null.
///
/// # Errors
/// If columns differ in length or the file cannot be written.
pub fn write_table(path: &Path, table: &Table) -> Result<()> {
    let columns = table.columns.iter().map(|(name, c)| {
        let array: ArrayRef = match c {
            Column::Text(v) => Arc::new(StringArray::from_iter_values(v)),
            Column::Number(v) => Arc::new(Float64Array::from_iter(v.iter().map(|x| (!x.is_nan()).then_some(*x)))),
            Column::Count(v) => Arc::new(Int64Array::from_iter_values(v.iter().copied())),
        };
        (name.clone(), array)
    });
    write(path, columns.collect())
}

/// Reads the turns of a group.
///
/// # Errors
/// If the file cannot be read or is not a table of turns.
pub fn read_turns(path: &Path) -> Result<Vec<TurnRow>> {
    let file = File::open(path).map_err(io(path))?;
    // The library may panic on damaged files; that is reported as an error.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| -> Result<Vec<RecordBatch>> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| format(path, e))?.build();
        reader.map_err(|e| format(path, e))?.map(|b| b.map_err(|e| format(path, e))).collect()
    }));
    let batches = read.map_err(|_| format(path, "not a Parquet file that can be read"))??;
    let mut rows = vec![];
    for batch in batches {
        let column =
            |name: &str| batch.column_by_name(name).ok_or_else(|| format(path, format!("column `{name}` is missing")));
        let wrong = |name: &str| format(path, format!("column `{name}` has another type"));
        let text = |name: &str| -> Result<Vec<Option<String>>> {
            let a = column(name)?.as_string_opt::<i32>().ok_or_else(|| wrong(name))?;
            Ok(a.iter().map(|v| v.map(String::from)).collect())
        };
        let count = |name: &str| -> Result<Vec<Option<u32>>> {
            let a = column(name)?.as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong(name))?;
            Ok(a.iter().collect())
        };
        let n = batch.num_rows();
        let start = rows.len();
        rows.resize(start + n, TurnRow::default());
        let rows = &mut rows[start..];
        macro_rules! take {
            ($read:ident: $($name:ident),*) => {$(
                for (r, v) in rows.iter_mut().zip($read(stringify!($name))?) { r.$name = v.unwrap_or_default(); }
            )*};
        }
        take!(count: group, turn, options, removed_tokens, prompt_tokens, prefilled_tokens, reused_tokens, reply_tokens);
        take!(text: condition, arm, topic, question_id, answer, user, reply, kept, finish_reason);
        for (r, v) in rows.iter_mut().zip(count("phrase")?) {
            r.phrase = v;
        }
        for (r, v) in rows.iter_mut().zip(text("parsed")?) {
            r.parsed = v;
        }
        let correct = column("correct")?.as_boolean_opt().ok_or_else(|| wrong("correct"))?;
        for (r, v) in rows.iter_mut().zip(correct.iter()) {
            r.correct = v.unwrap_or(false);
        }
        let elapsed = column("elapsed_ms")?.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong("elapsed_ms"))?;
        for (r, v) in rows.iter_mut().zip(elapsed.iter()) {
            r.elapsed_ms = v.unwrap_or(f64::NAN);
        }
        let lists = |name: &str| -> Result<Vec<Vec<f32>>> {
            let all = column(name)?.as_list_opt::<i32>().ok_or_else(|| wrong(name))?;
            let of = |i: usize| {
                let values = all.value(i);
                let values = values.as_primitive_opt::<Float32Type>().ok_or_else(|| wrong(name))?;
                Ok(values.iter().map(|v| v.unwrap_or(f32::NAN)).collect())
            };
            (0..n).map(of).collect()
        };
        for (r, v) in rows.iter_mut().zip(lists("option_logprobs")?) {
            r.option_logprobs = v;
        }
        // Runs of older versions have no such column.
        if batch.column_by_name("neutral_logprobs").is_some() {
            for (r, v) in rows.iter_mut().zip(lists("neutral_logprobs")?) {
                r.neutral_logprobs = v;
            }
        }
        for field in batch.schema().fields() {
            if let Some(factor) = field.name().strip_prefix("factor_") {
                for (r, v) in rows.iter_mut().zip(text(field.name())?) {
                    r.factors.extend(v.map(|v| (factor.to_string(), v)));
                }
            } else if let Some(reading) = field.name().strip_prefix("reading_") {
                let values = column(field.name())?.as_primitive_opt::<Float64Type>();
                for (r, v) in rows.iter_mut().zip(values.ok_or_else(|| wrong(field.name()))?.iter()) {
                    r.readings.extend(v.map(|v| (reading.to_string(), v)));
                }
            } else if let Some(grade) = field.name().strip_prefix("grade_") {
                for (r, v) in rows.iter_mut().zip(text(field.name())?) {
                    r.grades.insert(grade.to_string(), v);
                }
            }
        }
    }
    Ok(rows)
}
