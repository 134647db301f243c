//! The commands `run`, `check`, `analyze` and `model init`.
use crate::error::{CliError, Result};
use crate::planner::{Planner, labelled};
use crate::print::{columns, plain, typed};
use crate::progress::RunProgress;
use crate::summary::{self, Summary};
use crate::{estimates, findings};
use friction_checkpoint::Arch;
use friction_checkpoint::families::{no_shape, shape as published};
use friction_core::manifest::Manifest;
use friction_core::plural;
use friction_study::{Analyses, Cost, Otherwise, Plan};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Refuses a path that is not a file.
fn is_manifest(path: &Path) -> Result<()> {
    match path {
        path if path.is_file() => Ok(()),
        path if path.is_dir() => Err(CliError::usage(format!(
            "{}: this is a folder; name a manifest, such as its manifest.toml if it is a run",
            path.display()
        ))),
        path => Err(CliError::usage(format!("{}: there is no such file", path.display()))),
    }
}

/// Reads a manifest, and says in which folder it lies.
pub(crate) fn manifest(path: &Path, set: &[String]) -> Result<(Manifest, PathBuf)> {
    is_manifest(path)?;
    let base = friction_study::manifest::base(path);
    Ok((friction_study::manifest::read(path, &base, set)?, base))
}

/// A manifest's design, without hooks and analyzers.
pub(crate) fn design(path: &Path, set: &[String]) -> Result<Manifest> {
    is_manifest(path)?;
    Ok(friction_study::manifest::read_design(path, &friction_study::manifest::base(path), set)?)
}

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64)
}

/// Of what a group's conversations are made, where they are more than one for each condition. How many conditions there are
/// is in the line above.
fn a_group(conversations: usize, arms: usize, samples: usize) -> String {
    let arms = if arms > 0 { format!(", {arms} in arms") } else { String::new() };
    let samples = if samples > 1 { format!(", {}", plural(samples, "sample")) } else { String::new() };
    match arms.is_empty() && samples.is_empty() {
        true => String::new(),
        false => format!(" ({conversations} a group{arms}{samples})"),
    }
}

/// One line about the study, from the manifest alone, so that it can be printed before anything slow begins.
fn heading(m: &Manifest) -> String {
    let backend = format!("{:?}", m.backend.kind).to_lowercase();
    let device = if m.backend.device == 0 { backend } else { format!("{backend} {}", m.backend.device) };
    plain(&format!(
        "{}: {} on {device}, {} × {} × {}",
        m.study.name,
        m.model.source,
        plural(m.conditions.len(), "condition"),
        plural(m.study.groups, "group"),
        match (m.study.turns, m.study.items) {
            (Some(turns), None) => plural(turns, "turn"),
            _ => plural(m.study.items(), "item"),
        }
    ))
}

pub(crate) fn run(
    path: &Path,
    set: &[String],
    out: Option<PathBuf>,
    amend: Option<String>,
    as_json: bool,
) -> Result<()> {
    let began = Instant::now();
    let mut progress = RunProgress::new("reading the manifest");
    if amend.as_ref().is_some_and(|why| why.trim().is_empty()) {
        return Err(CliError::usage("--amend \"\": say why the contrast is changed"));
    }
    progress.amend = amend;
    let (manifest, base) = manifest(path, set)?;
    if !as_json {
        progress.aside(|| outln!("{}", heading(&manifest)));
    }
    progress.begin("planning");
    let plan = Rc::new(Plan::new(manifest, &base)?);
    let m = &plan.manifest;
    let out = out.unwrap_or_else(|| Path::new("runs").join(&m.study.name));
    progress.aside(|| {
        for w in &plan.warnings {
            errln!("warning: {}", plain(w));
        }
        for note in &plan.notes {
            errln!("note: {}", plain(note));
        }
        if !as_json {
            let c = &plan.estimate;
            let memory = match c.slots {
                Some(n) => format!("about {}", gib(c.weight_bytes + n as u64 * c.slot_bytes + c.step_bytes)),
                None => format!("{} of weights and {} a conversation", gib(c.weight_bytes), gib(c.slot_bytes)),
            };
            // The arm without a name is the control.
            let arms = plan.members.iter().filter(|m| plan.arms.get(m.arm).is_some_and(|a| !a.name.is_empty())).count();
            let group = a_group(plan.members.len(), arms, m.study.samples);
            outln!("plan: {}{group}, {}, {memory}", plural(c.conversations, "conversation"), at_once(c));
        }
    });
    progress.planned((plan.estimate.turns / m.study.groups.max(1)) as u64);
    let report = match friction_study::run(&plan, &out, &mut progress) {
        Err(friction_study::Error::Engine(friction_engine::Error::Stopped)) => {
            return Err(CliError::Failed(
                format!("stopped; finished groups are in {}: run the same command again to go on", out.display())
                    .into(),
            ));
        }
        other => other?,
    };
    progress.held();
    // Analyze the stored run, as `friction analyze` does: both then find the same, on the model that was run.
    let otherwise = Otherwise { base: Some(&base), ..Otherwise::default() };
    let analyses = friction_study::analyses_stored(&out, &otherwise, &mut |name, i, n| progress.analyzing(name, i, n));
    drop(progress);
    let analyses = analyses.inspect_err(|_| {
        errln!(
            "note: all groups are stored; `{} analyze {}` tries the analyzers again",
            crate::print::program(),
            typed(&out)
        );
    })?;
    if as_json {
        let run = json!({"path": crate::print::path(&out), "report": report, "warnings": plan.warnings});
        outln!("{:#}", as_values(run, &analyses));
    } else {
        let seconds = began.elapsed().as_secs_f64();
        let (name, planned) = (m.study.name.as_str(), plan.warnings.as_slice());
        let program = crate::print::program();
        let summary =
            Summary { program: &program, name, out: &out, report: &report, seconds, analyses: &analyses, planned };
        summary.lines(columns()).iter().for_each(|line| outln!("{line}"));
    }
    ended(analyses.failed)
}

/// Prints the analyzers' errors except for the last, which is returned and ends the command.
fn ended(mut failed: Vec<friction_study::Error>) -> Result<()> {
    let last = failed.pop();
    failed.into_iter().for_each(|e| CliError::from(e).print());
    last.map_or(Ok(()), |e| Err(e.into()))
}

fn at_once(e: &Cost) -> String {
    e.slots.map_or_else(|| "as many at once as memory takes".into(), |n| format!("{n} at once"))
}

fn memory(e: &Cost) -> String {
    let cache = match e.slots {
        Some(n) => gib(n as u64 * e.slot_bytes),
        None => format!("{} a conversation", gib(e.slot_bytes)),
    };
    format!("weights {}, cache {cache}, step {}", gib(e.weight_bytes), gib(e.step_bytes))
}

/// A run and its analyzers' findings, for programs. `run` is what else is told of the run.
fn as_values(run: Value, analyses: &Analyses) -> Value {
    let failed: Vec<String> = analyses.failed.iter().map(ToString::to_string).collect();
    let answers = json!({"replies": analyses.answers.replies, "read": analyses.answers.read});
    let mut out = json!({"run": run, "analyzers": {}});
    out["run"]["answers"] = answers;
    out["run"]["notes"] = json!(analyses.notes);
    out["run"]["failed"] = json!(failed);
    for a in &analyses.found {
        out["analyzers"][a.name.as_str()] = a.findings.document();
    }
    out
}

/// Checks a manifest. `accuracy` is what is assumed for the smallest effect.
pub(crate) fn check(path: &Path, set: &[String], accuracy: Option<f64>, as_json: bool) -> Result<()> {
    if let Some(base) = accuracy.filter(|base| !(*base > 0.0 && *base < 1.0)) {
        return Err(CliError::usage(format!("--base {base}: an accuracy lies between 0 and 1, as in 0.32")));
    }
    let (manifest, base) = manifest(path, set)?;
    let plan = Plan::new(manifest, &base)?;
    let m = &plan.manifest;
    let device = friction_model::device::open(m.backend.kind, m.backend.device)
        .and_then(|d| friction_model::device::dtype(&d, m.model.dtype));
    let planner = Planner::new(&plan, accuracy, device.is_ok())?;
    let devices = friction_model::device::found();
    if as_json {
        outln!(
            "{:#}",
            json!({"ok": device.is_ok(), "primary": m.primary, "warnings": plan.warnings, "notes": plan.notes, "estimate": plan.estimate, "planner": planner.json(), "devices": devices, "device_error": device.as_ref().err().map(ToString::to_string)})
        );
    } else {
        let (e, width) = (&plan.estimate, columns());
        let tell = |label: &str, text: &str| labelled(label, text, width).iter().for_each(|line| outln!("{line}"));
        match &device {
            Ok(_) => outln!("{}: the manifest is valid", path.display()),
            // The design of a study for another machine can be read here all the same.
            Err(_) => outln!("{}: this cannot be run here; its design:", path.display()),
        }
        plan.warnings.iter().for_each(|w| tell("warning", w));
        plan.notes.iter().for_each(|note| tell("note", note));
        let (layers, millions) = (plan.checkpoint.arch.layers(), plan.checkpoint.arch.parameters() as f64 / 1e6);
        tell("model", &format!("{} ({}, {millions:.0} M parameters)", m.model.source, plural(layers, "layer")));
        let most = if e.turns == e.conversations * plan.turns { "" } else { "up to " };
        let (of, turns, capacity) = (e.conversations, plural(plan.turns, "turn"), e.capacity);
        tell("conversations", &format!("{of} of {most}{turns}, {}, up to {capacity} positions", at_once(e)));
        planner.design(width).iter().for_each(|line| outln!("{line}"));
        tell("primary", &primary(m));
        planner.effect(&typed(path), width).iter().for_each(|line| outln!("{line}"));
        tell("memory", &memory(e));
        let about = if e.groups_counted == m.study.groups { "" } else { "about " };
        let (user, replies) = (e.user_tokens, e.reply_tokens);
        tell("tokens", &format!("{about}{user} of user messages, at most {replies} of replies"));
        for (i, d) in devices.iter().enumerate() {
            let memory = d.memory.map_or(String::new(), |b| format!(", {}", gib(b)));
            let library = match d.cublas {
                Some(true) => ", cuBLAS",
                Some(false) => ", no cuBLAS: slower on prompts; put its folder on LD_LIBRARY_PATH",
                None => "",
            };
            let (kind, index, name, dtypes) = (d.backend, d.index, &d.name, d.dtypes.join(", "));
            let label = if i == 0 { "devices" } else { "" };
            tell(label, &format!("kind = \"{kind}\", device = {index}: {name} ({dtypes}{memory}{library})"));
        }
        planner.time(width).iter().for_each(|line| outln!("{line}"));
    }
    device?;
    Ok(())
}

/// The contrast that the lock will hold, in one line.
fn primary(m: &Manifest) -> String {
    match &m.primary {
        Some(primary) => primary.words(),
        None => "none: every contrast is exploratory; `[primary]` names one before the run".into(),
    }
}

pub(crate) fn analyze(run: &Path, otherwise: &Otherwise, as_json: bool) -> Result<()> {
    otherwise.manifest.map_or(Ok(()), is_manifest)?;
    let mut progress = RunProgress::new("reading the run");
    let analyses = friction_study::analyses_stored(run, otherwise, &mut |name, i, n| progress.analyzing(name, i, n));
    drop(progress);
    let analyses = analyses?;
    if !as_json {
        summary::doubts(&analyses, &[], columns()).iter().for_each(|line| outln!("{line}"));
    }
    for note in &analyses.notes {
        errln!("note: {}", plain(note));
    }
    if as_json {
        outln!("{:#}", as_values(json!({"path": crate::print::path(run)}), &analyses));
    } else {
        estimates::all(&analyses.found, columns()).iter().for_each(|line| outln!("{line}"));
        analyses.found.iter().flat_map(|a| findings::lines(a, columns())).for_each(|line| outln!("{line}"));
    }
    ended(analyses.failed)
}

pub(crate) fn model_init(dir: &Path, shape: &str, seed: u64, tokenizer: Option<&Path>, as_json: bool) -> Result<()> {
    let config = match published(shape) {
        Some(c) => c,
        None if Path::new(shape).is_file() => {
            let text = std::fs::read_to_string(shape)?;
            friction_checkpoint::json::value(&text).map_err(|e| CliError::usage(format!("{shape}: {e}")))?
        }
        None => {
            return Err(CliError::usage(format!("{} (or give a config.json)", no_shape(shape))));
        }
    };
    let arch = Arch::from_json(Path::new(shape), &config, None)?;
    friction_checkpoint::init::write(&config, seed, tokenizer, dir)?;
    if as_json {
        outln!("{:#}", json!({"path": crate::print::path(dir), "parameters": arch.parameters()}));
    } else {
        outln!("wrote {} ({:.1} M parameters, seed {seed})", dir.display(), arch.parameters() as f64 / 1e6);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::a_group;

    #[test]
    fn a_group_is_told_by_arms_and_samples() {
        assert_eq!(a_group(4, 0, 1), "");
        assert_eq!(a_group(8, 0, 2), " (8 a group, 2 samples)");
        assert_eq!(a_group(12, 8, 1), " (12 a group, 8 in arms)");
        assert_eq!(a_group(24, 16, 2), " (24 a group, 16 in arms, 2 samples)");
    }
}
