//! Joins scores that people or a judge gave to a stored run's turns, from a table of comma-separated values.
use crate::regrade::{BEFORE, Regraded, Report, Task, keep, open};
use crate::{Error, Result, comma};
use friction_core::program::is_name;
use friction_core::{RunReader, TurnRow, plural};
use friction_store::{Grading, word};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Columns that say which turn a row is about.
const KEYS: [&str; 5] = ["group", "condition", "arm", "sample", "turn"];

/// Most faults of a file that are told.
const FAULTS: usize = 10;

/// A file of scores and how it is joined.
#[derive(Debug, Clone, Default)]
pub struct Scores<'a> {
    /// The file's bytes.
    pub bytes: &'a [u8],
    /// Its name, for messages.
    pub name: &'a str,
    /// The columns that hold scores; empty: all but those that name the turn.
    pub columns: &'a [String],
    /// Whether the one column of scores becomes the turns' score.
    pub as_score: bool,
    /// Whether metrics of the same name may be replaced.
    pub replace: bool,
}

/// A turn: group, condition, arm, sample, turn.
type Key = (u32, String, String, u32, u32);

fn key(t: &TurnRow) -> Key {
    (t.group, t.condition.clone(), t.arm.clone(), t.sample, t.turn)
}

/// Joins scores to a run's turns: each column becomes a metric of its name, which analyzers read as `metric.<name>`.
/// With `as_score` the column becomes the turns' score too, and turns that the file does not score have none.
///
/// # Errors
/// If the run cannot be read, or the file names a turn that is not there, names one twice, holds what is no number, or, with
/// `as_score`, a number outside 0 to 1. Each fault has its line.
pub fn scored(run: &Path, scores: &Scores) -> Result<Regraded> {
    let (dir, stored) = open(run)?;
    let old = stored.turns();
    let table = table(scores, old)?;
    let taken: Vec<&String> = table.columns.iter().filter(|c| old.iter().any(|t| t.metrics.contains_key(*c))).collect();
    let task = task(run, scores, &table.columns)?;
    if let Some(name) = taken.first().filter(|_| !scores.replace && task.begun.is_none()) {
        let what = format!("the run has a metric `{name}` already; rename the column, or pass --replace");
        return Err(Error::Usage(format!("{}: {what}", scores.name)));
    }
    let mut report = Report { by: format!("the scores of {}", scores.name), ..Report::default() };
    let mut new = old.to_vec();
    for row in &mut new {
        let given = table.rows.get(&key(row));
        for (i, column) in table.columns.iter().enumerate() {
            match given.and_then(|g| g[i]) {
                Some(v) => drop(row.metrics.insert(column.clone(), v)),
                None => drop(row.metrics.remove(column)),
            }
            *report.columns.entry(column.clone()).or_default() += usize::from(row.metrics.contains_key(column));
        }
        if scores.as_score {
            keep(row, [].iter(), [].iter());
            row.score = given.and_then(|g| g[0]);
        }
    }
    let without = new.iter().filter(|r| !table.columns.iter().any(|c| r.metrics.contains_key(c))).count();
    if without > 0 {
        let then = if scores.as_score { "; they have no score" } else { "" };
        report.notes.push(format!(
            "{} of {} are not scored in {}{then}",
            without,
            plural(new.len(), "turn"),
            scores.name
        ));
    }
    Ok(Regraded::new(dir, old, new, report, task))
}

/// What joins these columns. A file of the same columns takes the place of one that was begun, if `replace` says so.
fn task(run: &Path, scores: &Scores, columns: &[String]) -> Result<Task> {
    let (name, as_score) = (scores.name, scores.as_score);
    let named = if columns.len() == 1 { "column" } else { "columns" };
    let from = format!("{name} ({named} {})", columns.join(", "));
    let what = if as_score {
        format!("the scores were replaced after the run by those of {from}")
    } else {
        format!("numbers were joined after the run, those of {from}")
    };
    let mut command = format!("--scores {}", word(name));
    if !scores.columns.is_empty() {
        command += &format!(" --columns {}", word(&scores.columns.join(",")));
    }
    if as_score {
        command += " --as score";
    }
    let sha = format!("{:x}", Sha256::digest(scores.bytes));
    let task = json!({"sha256": sha, "columns": columns, "as_score": as_score});
    let event = json!({
        "event": "grade", "by": format!("the scores of {name}"), "sha256": sha, "columns": columns, "as_score": as_score,
    });
    let covers = |begun: &Value| scores.replace && begun["columns"] == task["columns"] && begun["as_score"] == as_score;
    Task::new(run, event, Grading::new(run, what, command, task.clone())?, covers)
}

/// A file's scores.
#[derive(Debug)]
struct Table {
    columns: Vec<String>,
    rows: BTreeMap<Key, Vec<Option<f64>>>,
}

/// Reads a file and finds each of its turns among `turns`.
fn table(scores: &Scores, turns: &[TurnRow]) -> Result<Table> {
    let bad = |what: String| Error::Usage(format!("{}: {what}", scores.name));
    let mut records = comma::records(scores.bytes).map_err(bad)?.into_iter();
    let Some((_, header)) = records.next() else { return Err(bad("is empty".into())) };
    let (places, columns) = columns(&header, scores, turns).map_err(bad)?;
    let known: BTreeSet<Key> = turns.iter().map(key).collect();
    let mut lines: BTreeMap<Key, usize> = BTreeMap::new();
    let (mut rows, mut faults, mut outside) = (BTreeMap::new(), vec![], None);
    for (line, record) in records {
        if record.len() != header.len() {
            let (is, first) = (plural(record.len(), "field"), header.len());
            faults.push(format!("line {line}: {is}, where the first line has {first}"));
            continue;
        }
        match row(&record, &places, &columns, &known) {
            Err(what) => faults.push(format!("line {line}: {what}")),
            Ok((_, values)) if scores.as_score && !values.iter().flatten().all(|v| (0.0..=1.0).contains(v)) => {
                let (name, value) = (&columns[0].0, values[0].unwrap_or_default());
                outside.get_or_insert_with(|| format!(
                    "line {line}: `{name}` is {value}, and a score is a share from 0 to 1; without `--as score` numbers of another scale are joined as a metric, which `outcome = \"metric.{name}\"` reads"
                ));
            }
            Ok((key, values)) => match lines.insert(key.clone(), line) {
                Some(earlier) => faults.push(format!("line {line}: line {earlier} scores the same turn")),
                None => drop(rows.insert(key, values)),
            },
        }
    }
    if let Some(outside) = outside.filter(|_| faults.is_empty()) {
        return Err(bad(outside));
    }
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(FAULTS);
        faults.truncate(FAULTS);
        faults.extend((more > 0).then(|| format!("and {}", plural(more, "more line"))));
        return Err(bad(faults.join("\n  ")));
    }
    if rows.is_empty() {
        return Err(bad("holds no scores".into()));
    }
    Ok(Table { columns: columns.into_iter().map(|(name, _)| name).collect(), rows })
}

/// Where the columns are that name the turn, and the columns of scores with their places.
type Columns = (BTreeMap<&'static str, usize>, Vec<(String, usize)>);

fn columns(header: &[String], scores: &Scores, turns: &[TurnRow]) -> Result<Columns, String> {
    if let Some(twice) = friction_core::error::twice(header) {
        return Err(format!("the column `{twice}` stands twice"));
    }
    let at = |name: &str| header.iter().position(|h| h == name);
    let places: BTreeMap<&str, usize> = KEYS.into_iter().filter_map(|k| Some((k, at(k)?))).collect();
    for needed in ["group", "condition", "turn"] {
        if !places.contains_key(needed) {
            return Err(format!("there is no column `{needed}`; there are {}", header.join(", ")));
        }
    }
    if !places.contains_key("arm") && turns.iter().any(|t| !t.arm.is_empty()) {
        return Err("the run has arms: the file needs a column `arm`, empty for the untouched control".into());
    }
    if !places.contains_key("sample") && turns.iter().any(|t| t.sample > 0) {
        return Err("the run has several samples: the file needs a column `sample`, which counts from 0".into());
    }
    let columns: Vec<(String, usize)> = match scores.columns {
        [] => header
            .iter()
            .enumerate()
            .filter(|(_, h)| !KEYS.contains(&h.as_str()))
            .map(|(i, h)| (h.clone(), i))
            .collect(),
        named => named
            .iter()
            .map(|c| at(c).map(|i| (c.clone(), i)).ok_or_else(|| format!("there is no column `{c}`")))
            .collect::<Result<_, _>>()?,
    };
    for (name, _) in &columns {
        if !is_name(name) {
            return Err(format!(
                "the column {name:?} names no metric: use letters, digits, `-` and `_`, or leave it out"
            ));
        }
        if name == BEFORE || name.starts_with(&format!("{BEFORE}_")) || KEYS.contains(&name.as_str()) {
            return Err(format!("the column `{name}` has a name that is taken; rename it"));
        }
    }
    match columns.len() {
        0 => Err("there is no column of scores".into()),
        1 => Ok((places, columns)),
        n if scores.as_score => Err(format!("{n} columns of scores, and one can be the score: name it with --columns")),
        _ => Ok((places, columns)),
    }
}

/// The turn and the scores of a line.
fn row(
    record: &[String],
    places: &BTreeMap<&'static str, usize>,
    columns: &[(String, usize)],
    known: &BTreeSet<Key>,
) -> Result<(Key, Vec<Option<f64>>), String> {
    let text = |name: &str| places.get(name).and_then(|i| record.get(*i)).map_or("", String::as_str);
    let count = |name: &str| match text(name) {
        "" if name == "sample" => Ok(0),
        t => t.parse::<u32>().map_err(|_| format!("`{name}` is {t:?}, which is no whole number")),
    };
    let key =
        (count("group")?, text("condition").to_string(), text("arm").to_string(), count("sample")?, count("turn")?);
    if !known.contains(&key) {
        let (group, condition, arm, sample, turn) = &key;
        let arm = if arm.is_empty() { String::new() } else { format!(", arm `{arm}`") };
        let sample = if *sample == 0 { String::new() } else { format!(", sample {sample}") };
        return Err(format!("the run has no turn {turn} of group {group}, condition `{condition}`{arm}{sample}"));
    }
    let value = |(name, i): &(String, usize)| match record.get(*i).map_or("", String::as_str) {
        "" => Ok(None),
        t => match t.parse::<f64>() {
            Ok(v) if v.is_finite() => Ok(Some(v)),
            _ => Err(format!("`{name}` is {t:?}, which is no number")),
        },
    };
    Ok((key, columns.iter().map(value).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str, turns: &[TurnRow]) -> Result<Table> {
        table(&Scores { bytes: text.as_bytes(), name: "s.csv", ..Scores::default() }, turns)
    }

    #[test]
    fn arms_and_samples_are_named_where_a_run_has_them() {
        let row = |arm: &str, sample| TurnRow {
            condition: "c".into(),
            arm: arm.into(),
            sample,
            turn: 1,
            ..TurnRow::default()
        };
        let plain = [row("", 0)];
        let steered = [row("", 0), row("add@2", 0)];
        let sampled = [row("", 0), row("", 1)];
        let bare = "group,condition,turn,x\n0,c,1,2\n";
        assert_eq!(read(bare, &plain).unwrap().rows[&key(&plain[0])], [Some(2.0)]);
        let told = |turns| read(bare, turns).unwrap_err().to_string();
        assert!(told(&steered).contains("s.csv: the run has arms: the file needs a column `arm`"));
        assert!(told(&sampled).contains("needs a column `sample`"));
        let all = "turn,sample,group,arm,condition,x\n1,,0,,c,1\n1,0,0,add@2,c,-2.5\n";
        let found = read(all, &steered).unwrap();
        assert_eq!((found.rows.len(), &found.rows[&key(&steered[1])]), (2, &vec![Some(-2.5)]));
        let wrong = read("group,condition,arm,turn,x\n0,c,add@3,1,1\n", &steered).unwrap_err().to_string();
        assert!(wrong.contains("line 2: the run has no turn 1 of group 0, condition `c`, arm `add@3`"), "{wrong}");
        let wrong = read("group,condition,sample,turn,x\n0,c,2,1,1\n", &sampled).unwrap_err().to_string();
        assert!(wrong.contains("condition `c`, sample 2"), "{wrong}");
    }

    #[test]
    fn many_faults_are_counted() {
        let lines: String = (0..30).map(|i| format!("0,c,{},x\n", i + 1)).collect();
        let turns: Vec<TurnRow> =
            (1..=30).map(|turn| TurnRow { condition: "c".into(), turn, ..TurnRow::default() }).collect();
        let told = read(&format!("group,condition,turn,x\n{lines}"), &turns).unwrap_err().to_string();
        assert!(told.contains("line 11: `x` is \"x\"") && told.ends_with("and 20 more lines"), "{told}");
    }
}
