//! Reads the turns of a group, in the present format and in those of before.
use crate::Result;
use crate::error::{format, io};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use friction_core::TurnRow;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::Path;

/// Reads the turns of a group.
///
/// # Errors
/// If the file cannot be read or is not a table of turns.
pub fn read_turns(path: &Path) -> Result<Vec<TurnRow>> {
    let mut rows = vec![];
    for batch in batches(path)? {
        rows.extend(Batch { path, batch: &batch }.rows()?);
    }
    Ok(rows)
}

/// Whether a Parquet file has a column of this name.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn has_column(path: &Path, name: &str) -> Result<bool> {
    let file = File::open(path).map_err(io(path))?;
    // As in `batches`.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| format(path, e))?;
        Ok(builder.schema().column_with_name(name).is_some())
    }));
    read.map_err(|_| format(path, "not a Parquet file that can be read"))?
}

/// The batches of a Parquet file, at least one; that of an empty table has its columns.
pub(crate) fn batches(path: &Path) -> Result<Vec<RecordBatch>> {
    let file = File::open(path).map_err(io(path))?;
    // The library may panic on damaged files; that is reported as an error.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| -> Result<Vec<RecordBatch>> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| format(path, e))?;
        let schema = builder.schema().clone();
        let reader = builder.build().map_err(|e| format(path, e))?;
        let mut all = reader.map(|b| b.map_err(|e| format(path, e))).collect::<Result<Vec<_>>>()?;
        if all.is_empty() {
            all.push(RecordBatch::new_empty(schema));
        }
        Ok(all)
    }));
    read.map_err(|_| format(path, "not a Parquet file that can be read"))?
}

/// A part of a table of turns.
struct Batch<'a> {
    path: &'a Path,
    batch: &'a RecordBatch,
}

impl Batch<'_> {
    fn has(&self, name: &str) -> bool {
        self.batch.column_by_name(name).is_some()
    }
    fn column(&self, name: &str) -> Result<&dyn Array> {
        let found = self.batch.column_by_name(name).map(AsRef::as_ref);
        found.ok_or_else(|| format(self.path, format!("column `{name}` is missing")))
    }
    fn wrong(&self, name: &str) -> crate::Error {
        format(self.path, format!("column `{name}` has another type"))
    }
    fn text(&self, name: &str) -> Result<Vec<Option<String>>> {
        let a = self.column(name)?.as_string_opt::<i32>().ok_or_else(|| self.wrong(name))?;
        Ok(a.iter().map(|v| v.map(String::from)).collect())
    }
    fn count(&self, name: &str) -> Result<Vec<Option<u32>>> {
        let a = self.column(name)?.as_primitive_opt::<UInt32Type>().ok_or_else(|| self.wrong(name))?;
        Ok(a.iter().collect())
    }
    fn difference(&self, name: &str) -> Result<Vec<Option<i32>>> {
        let a = self.column(name)?.as_primitive_opt::<Int32Type>().ok_or_else(|| self.wrong(name))?;
        Ok(a.iter().collect())
    }
    fn number(&self, name: &str) -> Result<Vec<Option<f64>>> {
        let a = self.column(name)?.as_primitive_opt::<Float64Type>().ok_or_else(|| self.wrong(name))?;
        Ok(a.iter().collect())
    }
    fn floats(&self, name: &str) -> Result<Vec<Vec<f32>>> {
        let all = self.column(name)?.as_list_opt::<i32>().ok_or_else(|| self.wrong(name))?;
        let of = |i: usize| {
            let values = all.value(i);
            let values = values.as_primitive_opt::<Float32Type>().ok_or_else(|| self.wrong(name))?;
            Ok(values.iter().map(|v| v.unwrap_or(f32::NAN)).collect())
        };
        (0..all.len()).map(of).collect()
    }

    fn counts(&self, name: &str) -> Result<Vec<Vec<u32>>> {
        let all = self.column(name)?.as_list_opt::<i32>().ok_or_else(|| self.wrong(name))?;
        let of = |i: usize| {
            let values = all.value(i);
            let values = values.as_primitive_opt::<UInt32Type>().ok_or_else(|| self.wrong(name))?;
            values.iter().map(|v| v.ok_or_else(|| self.wrong(name))).collect()
        };
        (0..all.len()).map(of).collect()
    }

    fn rows(&self) -> Result<Vec<TurnRow>> {
        let mut rows = vec![TurnRow::default(); self.batch.num_rows()];
        macro_rules! take {
            ($read:ident: $($name:ident),*) => {$(
                for (r, v) in rows.iter_mut().zip(self.$read(stringify!($name))?) { r.$name = v.unwrap_or_default(); }
            )*};
        }
        macro_rules! maybe {
            ($read:ident: $($name:ident),*) => {$(
                for (r, v) in rows.iter_mut().zip(self.$read(stringify!($name))?) { r.$name = v; }
            )*};
        }
        take!(count: group, turn, removed_tokens, prompt_tokens, prefilled_tokens, reused_tokens, reply_tokens);
        take!(text: condition, arm, topic, user, reply, kept, finish_reason);
        maybe!(count: phrase);
        for (r, v) in rows.iter_mut().zip(self.number("elapsed_ms")?) {
            r.elapsed_ms = v.unwrap_or(f64::NAN);
        }
        if self.has("item_id") {
            take!(count: sample, round, choices);
            take!(text: item_id, prefill, metadata);
            maybe!(text: target, answer);
            maybe!(number: score);
            maybe!(floats: choice_logprobs, replay_logprobs, neutral_logprobs);
            // Runs of the first versions of schema 3 have no such columns.
            if self.has("opening") {
                take!(text: opening);
            }
            // Only groups whose turns have something of it have these.
            if self.has("history") {
                take!(text: history);
            }
            if self.has("filler_tokens") {
                maybe!(count: filler_tokens);
                maybe!(difference: length_difference);
            }
            if self.has("reply_ids") {
                maybe!(counts: reply_ids);
            }
            if self.has("choice_order") {
                maybe!(counts: choice_order);
            }
            if self.has("shifted_logprobs") {
                maybe!(floats: shifted_logprobs);
            }
        } else {
            self.before(&mut rows)?;
        }
        self.named(&mut rows)?;
        Ok(rows)
    }

    /// The columns that had other names before schema 3, when every item was a multiple-choice question of one turn.
    fn before(&self, rows: &mut [TurnRow]) -> Result<()> {
        let correct = self.column("correct")?.as_boolean_opt().ok_or_else(|| self.wrong("correct"))?;
        for (r, v) in rows.iter_mut().zip(correct.iter()) {
            (r.round, r.score) = (1, Some(f64::from(u8::from(v.unwrap_or(false)))));
        }
        for (r, v) in rows.iter_mut().zip(self.count("options")?) {
            r.choices = v.unwrap_or_default();
        }
        for (r, v) in rows.iter_mut().zip(self.text("question_id")?) {
            r.item_id = v.unwrap_or_default();
        }
        for (r, (right, read)) in rows.iter_mut().zip(self.text("answer")?.into_iter().zip(self.text("parsed")?)) {
            (r.target, r.answer) = (right, read);
        }
        for (r, v) in rows.iter_mut().zip(self.floats("option_logprobs")?) {
            r.choice_logprobs = v;
        }
        // Runs of older versions have no such column.
        if self.has("neutral_logprobs") {
            for (r, v) in rows.iter_mut().zip(self.floats("neutral_logprobs")?) {
                r.neutral_logprobs = v;
            }
        }
        Ok(())
    }

    /// The columns that are named after factors, grades, metrics, readings and asides.
    fn named(&self, rows: &mut [TurnRow]) -> Result<()> {
        for field in self.batch.schema().fields() {
            let column = field.name();
            if let Some(factor) = column.strip_prefix("factor_") {
                for (r, v) in rows.iter_mut().zip(self.text(column)?) {
                    r.factors.extend(v.map(|v| (factor.to_string(), v)));
                }
            } else if let Some(reading) = column.strip_prefix("reading_") {
                for (r, v) in rows.iter_mut().zip(self.number(column)?) {
                    r.readings.extend(v.map(|v| (reading.to_string(), v)));
                }
            } else if let Some(metric) = column.strip_prefix("metric_") {
                for (r, v) in rows.iter_mut().zip(self.number(column)?) {
                    r.metrics.extend(v.map(|v| (metric.to_string(), v)));
                }
            } else if let Some(grade) = column.strip_prefix("grade_") {
                for (r, v) in rows.iter_mut().zip(self.text(column)?) {
                    r.grades.insert(grade.to_string(), v);
                }
            } else if let Some(name) = column.strip_prefix("aside_").and_then(|c| c.strip_suffix("_reply")) {
                self.aside(name, rows)?;
            }
        }
        Ok(())
    }

    fn aside(&self, name: &str, rows: &mut [TurnRow]) -> Result<()> {
        let values = self.number(&format!("aside_{name}"))?;
        let summed = self.floats(&format!("aside_{name}_logprobs"))?;
        let each = self.floats(&format!("aside_{name}_logprobs_per_token"))?;
        let replies = self.text(&format!("aside_{name}_reply"))?;
        for (i, (r, reply)) in rows.iter_mut().zip(replies).enumerate() {
            // Turns after which it was not asked have no reply.
            let Some(reply) = reply else { continue };
            let (logprobs, logprobs_per_token) = (summed[i].clone(), each[i].clone());
            let aside = friction_core::Aside { reply, value: values[i], logprobs, logprobs_per_token };
            r.asides.insert(name.into(), aside);
        }
        Ok(())
    }
}
