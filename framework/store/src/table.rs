//! Writes turns and analyzers' tables as Parquet files.
use crate::error::format;
use crate::{Result, temp};
use arrow_array::RecordBatch;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, ListArray, StringArray, UInt32Array};
use friction_core::{Cells, Table, TurnRow};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::collections::BTreeSet;
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

/// Writes the turns of a group, one row per turn. Columns are the fields of [`TurnRow`]; each factor, grade, metric,
/// reading and aside has columns of its own (`factor_…`, `grade_…`, `metric_…`, `reading_…`, `aside_…`). `history`,
/// `filler_tokens` and `length_difference` are left out of a group whose turns have none of it.
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
    let number =
        |f: &dyn Fn(&TurnRow) -> Option<f64>| -> ArrayRef { Arc::new(Float64Array::from_iter(rows.iter().map(f))) };
    // What was not measured is null, so that no reader takes it for 0. It is read as 0 again.
    let measured = |f: &dyn Fn(&TurnRow) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter(rows.iter().map(|r| Some(f(r)).filter(|n| *n > 0 || r.measured()))))
    };
    let floats = |f: &dyn Fn(&TurnRow) -> Option<Vec<f32>>| -> ArrayRef {
        let lists = rows.iter().map(|r| f(r).map(|v| v.into_iter().map(Some).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists))
    };
    let of_reply = rows.iter().map(|r| Some(r.reply_ids.iter().copied().map(Some).collect::<Vec<_>>()));
    let ids: ArrayRef = Arc::new(ListArray::from_iter_primitive::<UInt32Type, _, _>(of_reply));
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("group".into(), count(&|r| r.group)),
        ("condition".into(), text(&|r| r.condition.clone())),
        ("arm".into(), text(&|r| r.arm.clone())),
        ("sample".into(), count(&|r| r.sample)),
    ];
    let factors: BTreeSet<&String> = rows.iter().flat_map(|r| r.factors.keys()).collect();
    for f in factors {
        columns.push((format!("factor_{f}"), maybe(&|r| r.factors.get(f).cloned())));
    }
    columns.extend([
        ("turn".to_string(), count(&|r| r.turn)),
        ("round".into(), count(&|r| r.round)),
        ("topic".into(), text(&|r| r.topic.clone())),
        ("item_id".into(), text(&|r| r.item_id.clone())),
        ("choices".into(), count(&|r| r.choices)),
        ("target".into(), maybe(&|r| r.target.clone())),
        ("user".into(), text(&|r| r.user.clone())),
        ("phrase".into(), Arc::new(UInt32Array::from_iter(rows.iter().map(|r| r.phrase))) as ArrayRef),
        ("prefill".into(), text(&|r| r.prefill.clone())),
        ("reply".into(), text(&|r| r.reply.clone())),
        ("kept".into(), text(&|r| r.kept.clone())),
        ("removed_tokens".into(), measured(&|r| r.removed_tokens)),
        ("answer".into(), maybe(&|r| r.answer.clone())),
        ("score".into(), number(&|r| r.score)),
    ]);
    let grades: BTreeSet<&String> = rows.iter().flat_map(|r| r.grades.keys()).collect();
    for g in grades {
        columns.push((format!("grade_{g}"), maybe(&|r| r.grades.get(g).cloned().flatten())));
    }
    let metrics: BTreeSet<&String> = rows.iter().flat_map(|r| r.metrics.keys()).collect();
    for name in metrics {
        columns.push((format!("metric_{name}"), number(&|r| r.metrics.get(name).copied())));
    }
    let readings: BTreeSet<&String> = rows.iter().flat_map(|r| r.readings.keys()).collect();
    for name in readings {
        columns.push((format!("reading_{name}"), number(&|r| r.readings.get(name).copied())));
    }
    let asides: BTreeSet<&String> = rows.iter().flat_map(|r| r.asides.keys()).collect();
    for name in asides {
        let of = |r: &TurnRow| r.asides.get(name).cloned();
        columns.push((format!("aside_{name}"), number(&|r| of(r)?.value)));
        columns.push((format!("aside_{name}_reply"), maybe(&|r| Some(of(r)?.reply))));
        columns.push((format!("aside_{name}_logprobs"), floats(&|r| of(r).map(|a| a.logprobs))));
        columns.push((format!("aside_{name}_logprobs_per_token"), floats(&|r| of(r).map(|a| a.logprobs_per_token))));
    }
    // Columns of designs that few runs have.
    if rows.iter().any(|r| !r.history.is_empty()) {
        columns.push(("history".into(), text(&|r| r.history.clone())));
    }
    if rows.iter().any(|r| r.filler_tokens.is_some()) {
        let tokens: ArrayRef = Arc::new(UInt32Array::from_iter(rows.iter().map(|r| r.filler_tokens)));
        let difference: ArrayRef = Arc::new(Int32Array::from_iter(rows.iter().map(|r| r.length_difference)));
        columns.extend([("filler_tokens".to_string(), tokens), ("length_difference".into(), difference)]);
    }
    columns.extend([
        ("choice_logprobs".to_string(), floats(&|r| Some(r.choice_logprobs.clone()))),
        ("replay_logprobs".into(), floats(&|r| Some(r.replay_logprobs.clone()))),
        ("neutral_logprobs".into(), floats(&|r| Some(r.neutral_logprobs.clone()))),
        ("prompt_tokens".into(), measured(&|r| r.prompt_tokens)),
        ("prefilled_tokens".into(), measured(&|r| r.prefilled_tokens)),
        ("reused_tokens".into(), measured(&|r| r.reused_tokens)),
        ("reply_tokens".into(), measured(&|r| r.reply_tokens)),
        ("reply_ids".into(), ids),
        ("finish_reason".into(), maybe(&|r| Some(r.finish_reason.clone()).filter(|f| !f.is_empty()))),
        ("elapsed_ms".into(), number(&|r| Some(r.elapsed_ms).filter(|ms| !ms.is_nan()))),
        ("metadata".into(), text(&|r| r.metadata.clone())),
        ("opening".into(), text(&|r| r.opening.clone())),
    ]);
    // Runs that move no choices have no such columns.
    if rows.iter().any(|r| !r.choice_order.is_empty()) {
        let orders = rows.iter().map(|r| Some(r.choice_order.iter().copied().map(Some).collect::<Vec<_>>()));
        let orders = ListArray::from_iter_primitive::<UInt32Type, _, _>(orders);
        columns.push(("choice_order".into(), Arc::new(orders)));
    }
    if rows.iter().any(|r| !r.shifted_logprobs.is_empty()) {
        columns.push(("shifted_logprobs".into(), floats(&|r| Some(r.shifted_logprobs.clone()))));
    }
    write(path, columns)
}

/// Writes an analyzer's table. NaN is stored as null.
///
/// # Errors
/// If columns differ in length or the file cannot be written.
pub fn write_table(path: &Path, table: &Table) -> Result<()> {
    let columns = table.columns.iter().map(|c| {
        let array: ArrayRef = match &c.cells {
            Cells::Text(v) => Arc::new(StringArray::from_iter_values(v)),
            Cells::Number(v) => Arc::new(Float64Array::from_iter(v.iter().map(|x| (!x.is_nan()).then_some(*x)))),
            Cells::Count(v) => Arc::new(Int64Array::from_iter_values(v.iter().copied())),
        };
        (c.name.clone(), array)
    });
    write(path, columns.collect())
}
