//! Runs a plan and writes the run directory.
use crate::conversation::Conversation;
use crate::peers::Seat;
use crate::plan::SharedPlan;
use crate::record::{Record, group_data};
use crate::{Error, Result, batch, import, lock::lock, manifest::resolved};
use friction_engine::{Dialogue, Engine, EngineOptions, Flow, Progress, Unit};
use friction_model::{Model, device};
use friction_store::RunDir;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// Callbacks of a run in progress.
pub trait RunOptions {
    /// A stage begins that may last, and that reports nothing else: `hashing weights`. Default: ignored.
    fn stage(&mut self, _what: &str) {}
    /// Why the stored run's primary contrast or analyzers are changed to those of the plan. Default: they are not: another
    /// contrast is another study, and what other analyzers find is exploratory.
    fn amends(&self) -> Option<&str> {
        None
    }
    /// So many groups are left to run in this call. Default: ignored.
    fn left(&mut self, _groups: usize) {}
    /// Called while weights are read: the bytes read so far, and approximately how many there are.
    fn loading(&mut self, done: u64, total: u64);
    /// Called after each step, with the number of groups finished. The result says whether the run goes on.
    fn progress(&mut self, progress: &Progress, groups: usize) -> Flow;
}

/// Callbacks that do nothing: the run goes on to its end.
pub struct Quiet;
impl RunOptions for Quiet {
    fn loading(&mut self, _: u64, _: u64) {}
    fn progress(&mut self, _: &Progress, _: usize) -> Flow {
        Flow::Continue
    }
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RunReport {
    /// Number of groups written by this call.
    pub groups: usize,
    /// Number of groups that were there already.
    pub resumed: usize,
    /// Conversations held at once; the last number, if memory ran out with more. 0 if nothing was left to run.
    pub slots: usize,
    /// Wall-clock seconds to load the model.
    pub load_seconds: f64,
    /// Wall-clock seconds of the conversations.
    pub seconds: f64,
    /// Prompt tokens computed. This and the following counts include attempts that ran out of memory.
    pub prefilled_tokens: u64,
    /// Prompt tokens that were not computed, thanks to prefix reuse and forks.
    pub reused_tokens: u64,
    /// Reply tokens generated.
    pub generated_tokens: u64,
    /// Number of turns finished.
    pub turns: u64,
    /// Number of first turns taken over whole from another conversation.
    pub forked_turns: u64,
    /// Largest resident memory of the process, in bytes; `None` if the system does not report it.
    pub peak_memory_bytes: Option<u64>,
}

/// Largest resident memory of this process so far, in bytes; `None` on systems without `/proc`.
pub fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// Resident memory of this process now, in bytes; `None` on systems without `/proc`.
pub fn resident_memory() -> Option<u64> {
    status("VmRSS:")
}

fn status(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(key))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The records of a group's conversations.
type Records = Vec<Rc<RefCell<Record>>>;

/// Number of groups that are run together, in a study so large that not all groups were counted.
const TOGETHER: usize = 2048;

/// Runs the groups of a plan that the directory `out` does not hold yet.
///
/// # Errors
/// If the directory holds another study, something fails, or the caller says stop. Finished groups are kept in every
/// case.
pub fn run(plan: &SharedPlan, out: &Path, options: &mut dyn RunOptions) -> Result<RunReport> {
    let m = &plan.manifest;
    import::refuse(out)?;
    let device = device::open(m.backend.kind, m.backend.device)?;
    let dtype = device::dtype(&device, m.model.dtype)?;
    let checkpoint = &plan.checkpoint;
    // Weights of a hub source are fetched before they are hashed.
    options.stage("opening weights");
    let weights = checkpoint.open()?;
    options.stage("hashing weights");
    let identity = lock(plan, &checkpoint.identity()?, out)?;
    let dir = RunDir::open_amending(out, &resolved(m)?, &identity, options.amends())?;
    let done = dir.done()?;
    let todo: Vec<usize> = (0..m.study.groups).filter(|g| !done.contains(g)).collect();
    let mut report = RunReport {
        groups: 0,
        resumed: done.len(),
        slots: 0,
        load_seconds: 0.0,
        seconds: 0.0,
        prefilled_tokens: 0,
        reused_tokens: 0,
        generated_tokens: 0,
        turns: 0,
        forked_turns: 0,
        peak_memory_bytes: peak_memory(),
    };
    if todo.is_empty() {
        return Ok(report);
    }
    if !plan.notes.is_empty() {
        dir.log(&json!({"event": "plan", "notes": plan.notes}))?;
    }
    options.left(todo.len());
    let began = Instant::now();
    let (mut read, total) = (0, weights.parameters() * 4);
    let precision = (dtype, m.model.quantize);
    let model = Model::load_as(&checkpoint.arch, weights.as_ref(), &device, precision, &mut |bytes| {
        read += bytes;
        options.loading(read, total);
    })?;
    drop(weights);
    report.load_seconds = began.elapsed().as_secs_f64();
    let (so_far, first) = (SoFar::default(), batch::fit(plan, &model)?.max(plan.least()));
    let told = |slots: usize| {
        let _ = dir.log(&json!({"event": "out of memory", "slots": slots}));
        // Free the memory of the failed attempt before the next one allocates.
        device.memory_cleanup();
    };
    let attempt = |slots: usize| -> Result<usize> {
        let left: Vec<usize> = todo.iter().copied().filter(|g| !so_far.written.borrow().contains(g)).collect();
        dir.log(
            &json!({"event": "start", "groups": left.len(), "resumed": done.len(), "slots": slots, "load_seconds": report.load_seconds}),
        )?;
        let all = plan.estimate.groups_counted == m.study.groups;
        for groups in left.chunks(if all { left.len().max(1) } else { TOGETHER }) {
            hold(plan, &model, slots, groups, &dir, &so_far, options)?;
        }
        Ok(slots)
    };
    let group = batch::found_here(plan).then_some(plan.members.len());
    let result = batch::backing_off(first, plan.least(), group, told, attempt);
    report.groups = so_far.written.borrow().len();
    report.peak_memory_bytes = peak_memory();
    match result {
        Ok(slots) => {
            report.slots = slots;
            let p = so_far.spent.get();
            report.seconds = p.seconds;
            report.prefilled_tokens = p.prefilled;
            report.reused_tokens = p.reused;
            report.generated_tokens = p.generated;
            report.turns = p.turns;
            report.forked_turns = p.forked_turns;
            log_printed(&dir)?;
            dir.log(&json!({"event": "done", "report": report}))?;
            Ok(report)
        }
        Err(e) => {
            // What stopped the run may also prevent writing the log.
            let _ = log_printed(&dir);
            let _ = dir.log(&json!({"event": "stopped", "groups": report.groups, "reason": e.to_string()}));
            Err(e)
        }
    }
}

/// Writes what plugins of libraries and processes have printed to the run's log.
pub(crate) fn log_printed(dir: &RunDir) -> Result<()> {
    for text in friction_dylib::unlogged() {
        dir.log(&json!({"event": "printed", "text": text}))?;
    }
    Ok(())
}

/// What the attempts of a run have done so far.
#[derive(Default)]
struct SoFar {
    /// Groups written to the directory.
    written: RefCell<BTreeSet<usize>>,
    /// Counts of all attempts, including those that ran out of memory.
    spent: Cell<Progress>,
}

/// The groups in progress.
#[derive(Default)]
struct Open {
    /// The group of each unit.
    owner: BTreeMap<usize, usize>,
    /// For each group, its records and the number of its units that are not finished.
    books: BTreeMap<usize, (Records, usize)>,
    /// Index of the next unit.
    next: usize,
    /// The error that ended the run, if one did.
    failed: Option<Error>,
}

impl Open {
    /// Makes the units of a group: its conversations, in parts of `slots` at most.
    fn units(&mut self, plan: &SharedPlan, group: usize, slots: usize) -> Result<Vec<Unit>> {
        let list = plan.group(group)?;
        let mut records = Records::new();
        let mut members: Vec<Box<dyn Dialogue>> = vec![];
        let reads = plan.hooks.iter().any(|h| h.plugin.reads_group());
        let mut seats = Seat::all(if reads { plan.members.len() } else { 0 }).into_iter();
        for member in &plan.members {
            let record = Rc::new(RefCell::new(Record::default()));
            records.push(record.clone());
            let place = (group, list.clone());
            members.push(Box::new(Conversation::new(plan.clone(), place, *member, record, seats.next())));
        }
        let mut out = vec![];
        let mut members = members.into_iter().peekable();
        while members.peek().is_some() {
            self.owner.insert(self.next, group);
            out.push(Unit { index: self.next, dialogues: members.by_ref().take(slots).collect() });
            self.next += 1;
        }
        self.books.insert(group, (records, out.len()));
        Ok(out)
    }

    /// Notes that a unit is finished. Returns the group and its records if the unit was the group's last.
    fn over(&mut self, unit: &Unit) -> Option<(usize, Records)> {
        let group = self.owner.remove(&unit.index)?;
        let (_, left) = self.books.get_mut(&group)?;
        *left -= 1;
        if *left > 0 { None } else { self.books.remove(&group).map(|(records, _)| (group, records)) }
    }
}

/// Runs the conversations of groups, `slots` at once, and writes each group when it is finished.
fn hold(
    plan: &SharedPlan,
    model: &Model,
    slots: usize,
    groups: &[usize],
    dir: &RunDir,
    so_far: &SoFar,
    options: &mut dyn RunOptions,
) -> Result<()> {
    let before = so_far.spent.get();
    let sizes = EngineOptions { slots, capacity: plan.capacity(groups)?, ..plan.engine.clone() };
    let engine = Engine::new(model, &plan.tokenizer, &plan.template, &plan.program, sizes)?;
    let open = RefCell::new(Open::default());
    // A group's questions are drawn when there is room for it.
    let units = groups.iter().map_while(|group| {
        let mut open = open.borrow_mut();
        match open.units(plan, *group, slots) {
            Ok(units) => Some(units),
            Err(e) => {
                open.failed = Some(e);
                None
            }
        }
    });
    let finished = |unit: Unit| -> friction_engine::Result<()> {
        let Some((group, records)) = open.borrow_mut().over(&unit) else { return Ok(()) };
        if let Err(e) = dir.write_group(group, &group_data(&records)) {
            open.borrow_mut().failed = Some(e.into());
            return Err(friction_engine::Error::Stopped);
        }
        so_far.written.borrow_mut().insert(group);
        if let Err(e) = log_printed(dir) {
            open.borrow_mut().failed = Some(e);
            return Err(friction_engine::Error::Stopped);
        }
        Ok(())
    };
    let held = engine.run(units.flatten(), finished, |p| {
        so_far.spent.set(before + *p);
        options.progress(&so_far.spent.get(), so_far.written.borrow().len())
    });
    // Return the directory's own error; the engine's `Stopped` only follows from it.
    if let Some(e) = open.into_inner().failed {
        return Err(e);
    }
    so_far.spent.set(before + held?);
    Ok(())
}
