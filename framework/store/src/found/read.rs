//! Reads findings from disk, of this version and of those before.
use super::{EARLIER, FINDINGS, STALE, is_file_name};
use crate::error::{format, io};
use crate::turns::batches;
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use friction_core::json::base64;
use friction_core::{Block, Body, Cells, Column, Findings, Table};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Keys of `findings.json` that are not the findings' own.
const BESIDE: [&str; 4] = ["analyzer", "departs", "files", STALE];

/// Reads the findings in the folder `at`; `None` if there is no `findings.json`. Tables are read from their Parquet files
/// and figures from their images. `files` stays empty. Findings that are out of date begin with a warning that says why.
pub(crate) fn read(at: &Path) -> Result<Option<Findings>> {
    let path = at.join(FINDINGS);
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(io(&path))?,
    };
    let wrong = |e: &dyn std::fmt::Display| format(&path, e);
    let mut doc: Value = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
    let stale = doc.get(STALE).map(|why| why.as_str().unwrap_or(EARLIER).to_string());
    let Some(keys) = doc.as_object_mut() else { return Err(wrong(&"is not a JSON object")) };
    keys.retain(|k, _| !BESIDE.contains(&k.as_str()));
    if let Some(blocks) = keys.get_mut("blocks").and_then(Value::as_array_mut) {
        for block in blocks {
            if let Some(t) = block.get_mut("table") {
                fill(at, t)?;
            }
            if let Some(f) = block.get_mut("figure") {
                let name = named(&path, f["name"].as_str())?;
                *f = figure(at, &name, &f["caption"])?;
            }
        }
        // They stand among the blocks too.
        keys.remove("warnings");
    }
    // As versions before wrote them: names of files, without their contents.
    for t in keys.get_mut("tables").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = named(&path, t.as_str().and_then(|t| t.strip_suffix(".parquet")))?;
        *t = json!(stored(at, &name)?);
    }
    for f in keys.get_mut("figures").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = named(&path, f["file"].as_str().and_then(|f| f.strip_suffix(".svg")))?;
        *f = figure(at, &name, &f["caption"])?;
    }
    let mut found: Findings = serde_json::from_value(doc).map_err(|e| wrong(&e))?;
    if let Some(why) = stale {
        found.blocks.insert(0, Block::new(Body::Warning(why)));
    }
    Ok(Some(found))
}

/// A file name in `findings.json`, which may be damaged and must not lead out of the folder.
fn named(path: &Path, name: Option<&str>) -> Result<String> {
    let name = name.filter(|n| is_file_name(n)).map(String::from);
    name.ok_or_else(|| format(path, "names a table or figure that cannot be one"))
}

fn stored(at: &Path, name: &str) -> Result<Table> {
    Ok(Table { name: name.into(), columns: columns(&at.join(format!("{name}.parquet")))?, ..Table::default() })
}

/// The columns of an analyzer's table. Null is read as NaN.
fn columns(path: &Path) -> Result<Vec<Column>> {
    let mut out: Vec<Column> = vec![];
    for batch in batches(path)? {
        for (field, a) in batch.schema().fields().iter().zip(batch.columns()) {
            let cells = if let Some(v) = a.as_string_opt::<i32>() {
                Cells::Text(v.iter().map(|v| v.unwrap_or_default().to_string()).collect())
            } else if let Some(v) = a.as_primitive_opt::<Float64Type>() {
                Cells::Number(v.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
            } else if let Some(v) = a.as_primitive_opt::<Int64Type>() {
                Cells::Count(v.iter().map(Option::unwrap_or_default).collect())
            } else {
                return Err(format(path, format!("column `{}` is neither text nor numbers", field.name())));
            };
            match (out.iter_mut().find(|c| c.name == *field.name()).map(|c| &mut c.cells), cells) {
                (Some(Cells::Text(all)), Cells::Text(v)) => all.extend(v),
                (Some(Cells::Number(all)), Cells::Number(v)) => all.extend(v),
                (Some(Cells::Count(all)), Cells::Count(v)) => all.extend(v),
                (_, cells) => out.push(Column::new(field.name(), cells)),
            }
        }
    }
    Ok(out)
}

/// Puts the cells of its file into a described table.
fn fill(at: &Path, t: &mut Value) -> Result<()> {
    let path = at.join(FINDINGS);
    let stored = json!(stored(at, &named(&path, t["name"].as_str())?)?);
    let Some(table) = t.as_object_mut() else { return Err(format(path, "holds a table that is none")) };
    table.retain(|k, _| !["files", "rows"].contains(&k.as_str()));
    let columns = table.get_mut("columns").and_then(Value::as_array_mut);
    for column in columns.into_iter().flatten().filter_map(Value::as_object_mut) {
        let of = stored["columns"].as_array().into_iter().flatten().find(|c| c["name"] == column["name"]);
        let cells = of.and_then(Value::as_object).into_iter().flatten().filter(|(k, _)| *k != "name");
        column.extend(cells.map(|(k, v)| (k.clone(), v.clone())));
    }
    Ok(())
}

/// A figure with its images.
fn figure(at: &Path, name: &str, caption: &Value) -> Result<Value> {
    #[derive(Serialize)]
    struct Image(#[serde(with = "base64")] Vec<u8>);
    let file = |end: &str| {
        let path = at.join(format!("{name}.{end}"));
        fs::read(&path).map_err(io(path))
    };
    let svg = String::from_utf8(file("svg")?).map_err(|e| format(at.join(format!("{name}.svg")), e))?;
    let caption = caption.as_str().unwrap_or_default();
    Ok::<_, Error>(json!({"name": name, "caption": caption, "svg": svg, "png": Image(file("png")?)}))
}
