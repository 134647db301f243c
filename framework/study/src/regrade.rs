//! Gives a stored run's turns new grades, without a model: by the present parsers, or by people.
//!
//! The columns that a run was made with are kept: the first time that grades change, `answer` is kept as
//! `grade_before`, `score` as `metric_before`, and what else is replaced as `grade_before_<name>` and
//! `metric_before_<name>`. Later changes leave these as they are. Other columns stay where they are.
use crate::manifest::{checked, parse};
use crate::stored::{Otherwise, Stored};
use crate::{Error, Result, grading, import};
use friction_core::{Dataset, Grade, Item, RunReader, TurnRow, plural, thinking};
use friction_store::{Grading, RunDir, SCHEMA, StoredRun, begun, graded_whole, word};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Name of the columns that hold what a run was made with.
pub const BEFORE: &str = "before";

/// Most turns that a report tells one by one.
const EXAMPLES: usize = 10;

/// How the grades of a condition change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConditionGrades {
    /// Name of the condition.
    pub condition: String,
    /// Name of the arm; empty for the untouched control.
    pub arm: String,
    /// Number of its turns.
    pub turns: usize,
    /// Number of turns with a score: before, and now.
    pub scored: [usize; 2],
    /// Mean score of these turns: before, and now; null if there are none.
    pub mean: [Option<f64>; 2],
    /// Number of turns whose answer or score is another.
    pub changed: usize,
}

/// A turn whose answer or score is another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedTurn {
    /// Group index, from 0.
    pub group: u32,
    /// Name of the condition.
    pub condition: String,
    /// Name of the arm; empty for the untouched control.
    pub arm: String,
    /// Number of the sample, from 0.
    pub sample: u32,
    /// Number of the turn, from 1.
    pub turn: u32,
    /// The answer: before, and now.
    pub answer: [Option<String>; 2],
    /// The score: before, and now.
    pub score: [Option<f64>; 2],
}

/// What new grades change.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// What grades: the table `[grade]`, the dataset, or the file of scores.
    pub by: String,
    /// Number of turns.
    pub turns: usize,
    /// Number of turns whose answer is another.
    pub answers: usize,
    /// Number of turns whose score is another.
    pub scores: usize,
    /// The columns of scores that are joined, each with its number of turns.
    pub columns: BTreeMap<String, usize>,
    /// By condition and arm.
    pub conditions: Vec<ConditionGrades>,
    /// The first turns whose answer or score is another.
    pub examples: Vec<ChangedTurn>,
    /// What a reader must know.
    pub notes: Vec<String>,
    /// Number of groups whose turns are written anew; 0 if nothing changes.
    pub groups: usize,
}

/// A run's turns with new grades, not yet written. The run is locked against other writers meanwhile.
pub struct Regraded {
    /// How many grades change, and how.
    pub report: Report,
    dir: RunDir,
    groups: BTreeMap<u32, Vec<TurnRow>>,
    event: Value,
    grading: Grading,
    /// Whether the same grading was begun before and not finished.
    goes_on: bool,
    /// Whether grades that turns have are replaced, and not only joined by others.
    replaces: bool,
}

impl Regraded {
    /// Compares turns with what they were, and keeps the groups that differ.
    pub(crate) fn new(dir: RunDir, old: &[TurnRow], new: Vec<TurnRow>, report: Report, task: Task) -> Self {
        let Task { event, mut grading, begun } = task;
        let mut report = Report { turns: old.len(), ..report };
        let mut conditions: BTreeMap<(&str, &str), Vec<(&TurnRow, &TurnRow)>> = BTreeMap::new();
        for (a, b) in old.iter().zip(&new) {
            conditions.entry((&a.condition, &a.arm)).or_default().push((a, b));
            let (answer, score) = (a.answer != b.answer, a.score != b.score);
            (report.answers, report.scores) =
                (report.answers + usize::from(answer), report.scores + usize::from(score));
            if (answer || score) && report.examples.len() < EXAMPLES {
                report.examples.push(ChangedTurn {
                    group: a.group,
                    condition: a.condition.clone(),
                    arm: a.arm.clone(),
                    sample: a.sample,
                    turn: a.turn,
                    answer: [a.answer.clone(), b.answer.clone()],
                    score: [a.score, b.score],
                });
            }
        }
        report.conditions = conditions.into_iter().map(|((c, arm), rows)| condition(c, arm, &rows)).collect();
        let differ: BTreeSet<u32> = old.iter().zip(&new).filter(|(a, b)| !same(a, b)).map(|(a, _)| a.group).collect();
        report.groups = differ.len();
        let replaces = old.iter().zip(&new).any(|(a, b)| replaced(a, b));
        let goes_on = begun.is_some();
        if goes_on {
            report.notes.push("this goes on with new grades that were begun and not finished".into());
        }
        let before = begun.unwrap_or_default();
        grading.answers = before.answers || report.answers > 0;
        grading.scores = before.scores || report.scores > 0;
        let others: BTreeSet<String> = old.iter().zip(&new).flat_map(|(a, b)| others(a, b)).collect();
        grading.metrics = others.into_iter().chain(before.metrics).collect::<BTreeSet<_>>().into_iter().collect();
        if goes_on && before.task == grading.task {
            grading.time = before.time;
        }
        let mut groups: BTreeMap<u32, Vec<TurnRow>> = BTreeMap::new();
        for row in new.into_iter().filter(|r| differ.contains(&r.group)) {
            groups.entry(row.group).or_default().push(row);
        }
        Self { report, dir, groups, event, grading, goes_on, replaces }
    }

    /// Writes the turns of the groups that change, each whole or not at all, a line of the log, and a record of what was
    /// done. Findings that were made of grades which are replaced are marked. If it is stopped in between, the run is marked: it is neither analysed nor resumed until the same command has
    /// gone on to its end.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(self) -> Result<Report> {
        if !self.groups.is_empty() {
            self.dir.begin_grading(&self.grading)?;
        }
        // Before a turn is replaced, so that a stop in between leaves no findings that seem to be of these turns.
        if self.replaces {
            self.dir.outdate_graded()?;
        }
        for (group, rows) in &self.groups {
            self.dir.replace_turns(*group as usize, rows)?;
        }
        if !self.groups.is_empty() || self.goes_on {
            let mut event = self.event;
            event["recorded"] = json!(true);
            event["turns"] = json!(self.report.turns);
            event["answers"] = json!(self.report.answers);
            event["scores"] = json!(self.report.scores);
            self.dir.log(&event)?;
            self.dir.end_grading(&self.grading)?;
        }
        Ok(self.report)
    }
}

/// What gives new grades.
pub(crate) struct Task {
    /// What the log says of it.
    pub event: Value,
    /// What the run's record says of it. What changes is filled in by [`Regraded::new`].
    pub grading: Grading,
    /// The grading that was begun and not finished, and that this one finishes.
    pub begun: Option<Grading>,
}

impl Task {
    /// A task, if no other is begun and not finished. `covers` says whether it replaces all that the begun one wrote.
    ///
    /// # Errors
    /// If another is begun.
    pub(crate) fn new(run: &Path, event: Value, grading: Grading, covers: impl Fn(&Value) -> bool) -> Result<Self> {
        let begun = begun(run)?;
        if begun.as_ref().is_some_and(|b| b.task != grading.task && !covers(&b.task)) {
            graded_whole(run)?;
        }
        Ok(Self { event, grading, begun })
    }
}

/// Names of the metrics in which two turns differ, but for what the run was made with.
fn others(a: &TurnRow, b: &TurnRow) -> BTreeSet<String> {
    let kept = |name: &str| name == BEFORE || name.starts_with(&format!("{BEFORE}_"));
    let bits = |t: &TurnRow, name: &String| t.metrics.get(name).map(|v| v.to_bits());
    let names = a.metrics.keys().chain(b.metrics.keys()).filter(|n| !kept(n));
    names.filter(|n| bits(a, n) != bits(b, n)).cloned().collect()
}

/// Whether a turn gets other grades in place of those that it has.
fn replaced(a: &TurnRow, b: &TurnRow) -> bool {
    let other = |(name, v): (&String, &f64)| b.metrics.get(name).is_none_or(|now| now.to_bits() != v.to_bits());
    let metrics = a.metrics.iter().any(other);
    metrics || a.answer != b.answer || a.score != b.score || a.grades.iter().any(|(k, v)| b.grades.get(k) != Some(v))
}

/// Whether two turns have the same grades.
fn same(a: &TurnRow, b: &TurnRow) -> bool {
    let bits = |t: &TurnRow| t.metrics.iter().map(|(k, v)| (k.clone(), v.to_bits())).collect::<Vec<_>>();
    (&a.answer, a.score, &a.grades, bits(a)) == (&b.answer, b.score, &b.grades, bits(b))
}

fn condition(condition: &str, arm: &str, rows: &[(&TurnRow, &TurnRow)]) -> ConditionGrades {
    let mean = |of: &dyn Fn(&(&TurnRow, &TurnRow)) -> Option<f64>| {
        let all: Vec<f64> = rows.iter().filter_map(of).collect();
        (all.len(), (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64))
    };
    let (before, now) = (mean(&|r| r.0.score), mean(&|r| r.1.score));
    ConditionGrades {
        condition: condition.into(),
        arm: arm.into(),
        turns: rows.len(),
        scored: [before.0, now.0],
        mean: [before.1, now.1],
        changed: rows.iter().filter(|(a, b)| a.answer != b.answer || a.score != b.score).count(),
    }
}

/// Opens a run to give it new grades.
///
/// # Errors
/// If there is no run, it is of an older version, it is being written, or it holds no turns.
pub(crate) fn open(run: &Path) -> Result<(RunDir, StoredRun)> {
    let (dir, stored) = (RunDir::reopen(run)?, StoredRun::open(run)?);
    let schema = stored.lock["schema"].as_u64().unwrap_or(0);
    let at = run.display();
    if schema < SCHEMA {
        return Err(Error::Usage(format!(
            "{at} was made by an older friction (schema {schema}): its turns stand in columns that are no longer written, so its grades cannot be replaced; `friction analyze {at}` reads it as it is"
        )));
    }
    if stored.turns().is_empty() {
        return Err(Error::Usage(format!("{at} holds no finished group yet: there is nothing to grade")));
    }
    Ok((dir, stored))
}

/// Grades a run's turns again by its manifest's table `[grade]`, or else by its dataset. Settings of `otherwise` may set
/// keys of that table: `grade.kind="number"`.
///
/// # Errors
/// If the run cannot be read, its data are not what they were, or a setting is not one of `[grade]`.
pub fn regraded(run: &Path, otherwise: &Otherwise) -> Result<Regraded> {
    if let Some(other) = otherwise.settings.iter().find(|s| !s.trim_start().starts_with("grade.")) {
        return Err(Error::Usage(format!(
            "--set {other}: a run that was made can be graded otherwise (`--set grade.kind=…`), and nothing else of it can change"
        )));
    }
    let (dir, stored) = open(run)?;
    let own = Stored::open(run, &Otherwise { settings: &[], ..*otherwise })?;
    let (mut manifest, context) = (own.manifest, own.context);
    let mut report = Report { notes: own.notes, ..Report::default() };
    if !otherwise.settings.is_empty() {
        let set = checked(parse(&run.join("manifest.toml"), otherwise.settings)?, &context.base, None)?;
        manifest.grade = set.grade;
        let all = otherwise.settings.join(", ");
        report.notes.push(format!("this departs from the run's manifest: {all}"));
    }
    let dataset = (manifest.dataset.build)(&context)?;
    let (was, is) = (stored.lock.pointer("/dataset/fingerprint").and_then(Value::as_str), dataset.fingerprint());
    if was.is_some_and(|was| was != is) {
        return Err(Error::Usage(format!(
            "the data of {} are not those that it was made with (fingerprint {}, now {is}): put them back; --base names the folder that they are relative to",
            run.display(),
            was.unwrap_or_default()
        )));
    }
    let grader = grading::grader(&manifest)?;
    report.by = match &manifest.grade {
        Some(g) => format!("[grade], kind = \"{}\"", g.kind.word()),
        None => format!("the dataset `{}`", manifest.dataset.plugin),
    };
    let departs = otherwise.settings.join(", ");
    let departs = if departs.is_empty() { departs } else { format!(" ({departs})") };
    let what = format!("replies were graded again after the run by {}{departs}", report.by);
    let set = otherwise.settings.iter().map(|s| format!("--set {}", word(s)));
    let base = otherwise.base.map(|b| format!("--base {}", word(&b.to_string_lossy())));
    let command = set.chain(base).collect::<Vec<_>>().join(" ");
    let event = json!({"event": "grade", "by": report.by, "grade": manifest.grade, "settings": otherwise.settings});
    let grading = Grading::new(run, what, command, json!({"grade": manifest.grade}))?;
    let task = Task::new(run, event, grading, |_| false)?;
    let old = stored.turns();
    let items = items(dataset.as_ref(), old)?;
    // A template that opens a thought block in the prompt leaves replies that close what they have not opened.
    let opened =
        old.iter().any(|r| r.reply.find(thinking::CLOSE).is_some_and(|c| !r.reply[..c].contains(thinking::OPEN)));
    let imported = import::is(&stored.lock);
    let (mut grades, mut left) = (Vec::with_capacity(old.len()), 0);
    for row in old {
        let item = items.get(row.item_id.as_str()).ok_or_else(|| {
            Error::Usage(format!("the dataset has no item `{}`, which group {} was asked", row.item_id, row.group))
        })?;
        let shown = match row.choice_order.as_slice() {
            [] => None,
            order => Some(item.reordered(order).ok_or_else(|| {
                let (run, id) = (run.display(), &row.item_id);
                Error::Usage(format!("{run}: `choice_order` of item `{id}` is no order of its choices"))
            })?),
        };
        let answer = thinking::split(&row.reply, opened).answer;
        let grade = grading::grade(dataset.as_ref(), grader.as_ref(), shown.as_ref().unwrap_or(item), &answer)?;
        // Where the files of an import hold neither reply nor options there is nothing to grade, and the grade stays.
        let unknown = imported && (row.reply.is_empty() || grade == Grade::default());
        left += usize::from(unknown);
        let stays = || Grade { answer: row.answer.clone(), score: row.score, ..Grade::default() };
        grades.push(if unknown { stays() } else { grade });
    }
    if left > 0 {
        let of = plural(old.len(), "turn");
        report.notes.push(format!("{left} of {of} keep their grade: their replies or options were not imported"));
    }
    let differ = |(row, g): (&TurnRow, &Grade)| {
        row.answer != g.answer
            || row.score != g.score
            || g.others.iter().any(|(k, v)| row.grades.get(k) != Some(v))
            || g.metrics.iter().any(|(k, v)| row.metrics.get(k) != Some(v))
    };
    let mut new = old.to_vec();
    // What was begun keeps the earlier grades of all turns, also of those that do not change.
    if task.begun.is_some() || old.iter().zip(&grades).any(differ) {
        for (row, grade) in new.iter_mut().zip(grades) {
            keep(row, grade.others.keys(), grade.metrics.keys());
            (row.answer, row.score) = (grade.answer, grade.score);
            row.grades.extend(grade.others);
            row.metrics.extend(grade.metrics);
        }
    }
    Ok(Regraded::new(dir, old, new, report, task))
}

/// Keeps the grade that a turn was made with beside the new one, if that was not done before. `others` and `metrics` are
/// the names that the new one replaces.
pub(crate) fn keep<'a>(
    row: &mut TurnRow,
    others: impl Iterator<Item = &'a String>,
    metrics: impl Iterator<Item = &'a String>,
) {
    if row.grades.contains_key(BEFORE) {
        return;
    }
    for name in others {
        if let Some(old) = row.grades.get(name).cloned() {
            row.grades.insert(format!("{BEFORE}_{name}"), old);
        }
    }
    for name in metrics {
        if let Some(old) = row.metrics.get(name).copied() {
            row.metrics.insert(format!("{BEFORE}_{name}"), old);
        }
    }
    row.grades.insert(BEFORE.into(), row.answer.clone());
    if let Some(score) = row.score {
        row.metrics.insert(BEFORE.into(), score);
    }
}

/// The items that turns are about, by id.
fn items(dataset: &dyn Dataset, turns: &[TurnRow]) -> Result<BTreeMap<String, Item>> {
    let wanted: BTreeSet<&str> = turns.iter().map(|t| t.item_id.as_str()).collect();
    let topics: BTreeSet<&str> = turns.iter().map(|t| t.topic.as_str()).collect();
    let mut out = BTreeMap::new();
    for category in dataset.categories().iter().filter(|c| topics.contains(c.name.as_str())) {
        for i in 0..category.items {
            let item = dataset.item(category, i)?;
            if wanted.contains(item.id.as_str()) {
                out.insert(item.id.clone(), item);
            }
        }
    }
    Ok(out)
}
