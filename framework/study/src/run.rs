//! Running a plan into a run directory.
use crate::conversation::{Conversation, Record, group_data};
use crate::plan::SharedPlan;
use crate::{Error, Result, batch, lock::lock, manifest::resolved};
use friction_engine::{Dialogue, Engine, EngineOptions, Flow, Progress, Unit};
use friction_model::{Gemma3, device};
use friction_store::RunDir;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// What a caller sees while a run goes on.
pub trait RunOptions {
    /// A stage begins that may last, and that reports nothing else: `hashing weights`. Default: ignored.
    fn stage(&mut self, _what: &str) {}
    /// Bytes of weights read so far, of about so many.
    fn loading(&mut self, done: u64, total: u64);
    /// After each step; `groups` are finished.
    fn progress(&mut self, progress: &Progress, groups: usize) -> Flow;
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RunReport {
    /// Groups written by this call.
    pub groups: usize,
    /// Groups that stood there already.
    pub resumed: usize,
    /// Conversations held at once: the last number, where memory ran out with more. 0 where nothing was left to hold.
    pub slots: usize,
    /// Seconds to load the model.
    pub load_seconds: f64,
    /// Seconds of conversations.
    pub seconds: f64,
    /// Prompt tokens computed; these and the rest count attempts too that ran out of memory.
    pub prefilled_tokens: u64,
    /// Prompt tokens that prefix reuse and forks saved.
    pub reused_tokens: u64,
    /// Reply tokens generated.
    pub generated_tokens: u64,
    /// Turns held.
    pub turns: u64,
    /// Turns taken over whole from a fork.
    pub forked_turns: u64,
    /// Largest resident memory of the process in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
}

/// The process's peak resident memory.
pub fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// The process's resident memory now.
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

/// Groups whose conversations are held together, where a study is so large that not all were counted.
const TOGETHER: usize = 2048;

/// Runs what is missing of a plan in `out`.
///
/// # Errors
/// When the directory belongs to another study, something fails, or the caller says stop; finished
/// groups are kept in every case.
pub fn run(plan: &SharedPlan, out: &Path, options: &mut dyn RunOptions) -> Result<RunReport> {
    let m = &plan.manifest;
    let device = device::open(m.backend.kind, m.backend.device)?;
    let dtype = device::dtype(&device, m.model.dtype)?;
    let checkpoint = &plan.checkpoint;
    // A hub's weights are fetched before they are hashed.
    options.stage("opening weights");
    let weights = checkpoint.open()?;
    options.stage("hashing weights");
    let dir = RunDir::open(out, &resolved(m)?, &lock(plan, &checkpoint.identity()?, out)?)?;
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
    let began = Instant::now();
    let (mut read, total) = (0, weights.parameters() * 4);
    let precision = (dtype, m.model.quantize);
    let model = Gemma3::load_as(&checkpoint.config, weights.as_ref(), &device, precision, &mut |bytes| {
        read += bytes;
        options.loading(read, total);
    })?;
    drop(weights);
    report.load_seconds = began.elapsed().as_secs_f64();
    let (so_far, first) = (SoFar::default(), batch::fit(plan, &model)?);
    let told = |slots: usize| {
        let _ = dir.log(&json!({"event": "out of memory", "slots": slots}));
        // What the attempt held goes back before the next asks for its own.
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
    let result = batch::backing_off(first, group, told, attempt);
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
            dir.log(&json!({"event": "done", "report": report}))?;
            Ok(report)
        }
        Err(e) => {
            // What stopped the run may keep the log from being written too.
            let _ = dir.log(&json!({"event": "stopped", "groups": report.groups, "reason": e.to_string()}));
            Err(e)
        }
    }
}

/// What the attempts of a run have come to.
#[derive(Default)]
struct SoFar {
    /// Groups that are in the directory.
    written: RefCell<BTreeSet<usize>>,
    /// Of all attempts: what one began that ran out of memory was computed too.
    spent: Cell<Progress>,
}

/// What is under way of the groups that are held.
#[derive(Default)]
struct Open {
    /// Unit → group.
    owner: BTreeMap<usize, usize>,
    /// Per group its records and the units still out.
    books: BTreeMap<usize, (Records, usize)>,
    /// Index of the next unit.
    next: usize,
    /// Why no more is held.
    failed: Option<Error>,
}

impl Open {
    /// The units of a group: its conversations, in parts of as many as there are slots.
    fn units(&mut self, plan: &SharedPlan, group: usize, slots: usize) -> Result<Vec<Unit>> {
        let list = plan.group(group)?;
        let mut records = Records::new();
        let mut members: Vec<Box<dyn Dialogue>> = vec![];
        for member in &plan.members {
            let record = Rc::new(RefCell::new(Record::default()));
            records.push(record.clone());
            members.push(Box::new(Conversation::new(plan.clone(), (group, list.clone()), *member, record)));
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

    /// Takes a unit that is over; tells the group and its records, if it was the group's last.
    fn over(&mut self, unit: &Unit) -> Option<(usize, Records)> {
        let group = self.owner.remove(&unit.index)?;
        let (_, left) = self.books.get_mut(&group)?;
        *left -= 1;
        if *left > 0 { None } else { self.books.remove(&group).map(|(records, _)| (group, records)) }
    }
}

/// Holds the conversations of groups, as many at once as there are slots; whole groups go to the directory.
fn hold(
    plan: &SharedPlan,
    model: &Gemma3,
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
    // Groups are drawn when there is room for them.
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
        Ok(())
    };
    let held = engine.run(units.flatten(), finished, |p| {
        so_far.spent.set(before + *p);
        options.progress(&so_far.spent.get(), so_far.written.borrow().len())
    });
    // The directory's own error, not that the engine was stopped for it.
    if let Some(e) = open.into_inner().failed {
        return Err(e);
    }
    so_far.spent.set(before + held?);
    Ok(())
}
