//! The commands `run`, `check`, `analyze` and `model init`.
use crate::error::{CliError, Result};
use crate::progress::RunBars;
use friction_core::manifest::Manifest;
use friction_model::Config;
use friction_study::{Analyses, Analysis, Estimate, Otherwise, Plan};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::rc::Rc;

fn manifest(path: &Path, set: &[String]) -> Result<(Manifest, PathBuf)> {
    if !path.is_file() {
        return Err(CliError::usage(format!("{}: there is no such file", path.display())));
    }
    let base = friction_study::manifest::base(path);
    Ok((friction_study::manifest::read(path, &base, set)?, base))
}

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64)
}

pub(crate) fn run(path: &Path, set: &[String], out: Option<PathBuf>, as_json: bool) -> Result<()> {
    let (manifest, base) = manifest(path, set)?;
    let plan = Rc::new(Plan::new(manifest, &base)?);
    let m = &plan.manifest;
    let out = out.unwrap_or_else(|| Path::new("runs").join(&m.study.name));
    for w in &plan.warnings {
        errln!("warning: {w}");
    }
    if !as_json {
        let e = &plan.estimate;
        outln!(
            "{}: {} conditions × {} groups × {} turns on {} ({})",
            m.study.name,
            plan.conditions.len(),
            m.study.groups,
            m.study.turns,
            m.model.source,
            format!("{:?}", m.backend.kind).to_lowercase()
        );
        outln!(
            "plan: {} conversations, {}, up to {} positions each; {}",
            e.conversations,
            at_once(e),
            e.capacity,
            memory(e)
        );
    }
    let mut bars = RunBars::new(plan.estimate.turns as u64, m.study.groups);
    let report = friction_study::run(&plan, &out, &mut bars);
    drop(bars);
    let report = match report {
        Err(friction_study::Error::Engine(friction_engine::Error::Stopped)) => {
            return Err(CliError::Failed(
                format!("stopped; finished groups are in {}: run the same command again to go on", out.display())
                    .into(),
            ));
        }
        other => other?,
    };
    // Analyze the stored run, as `friction analyze` does: both then find the same, on the model that was run.
    let otherwise = Otherwise { base: Some(&base), ..Otherwise::default() };
    let Analyses { found: analyses, failed, .. } = friction_study::analyses_stored(&out, &otherwise)?;
    if as_json {
        outln!("{:#}", json!({"run": crate::print::path(&out), "report": report, "findings": as_values(&analyses)}));
        return failed.map_or(Ok(()), |e| Err(e.into()));
    }
    if report.groups == 0 {
        outln!("run: all {} groups stand already in {}", report.resumed, out.display());
    } else {
        let all = report.prefilled_tokens + report.reused_tokens;
        let resumed = if report.resumed > 0 { format!(" ({} stood already)", report.resumed) } else { String::new() };
        outln!(
            "run: {} groups{resumed}, {} turns in {:.1} s after {:.1} s of loading, {} conversations at once",
            report.groups,
            report.turns,
            report.seconds,
            report.load_seconds,
            report.slots
        );
        outln!(
            "     generated {} tokens ({:.1} tok/s), prefilled {} ({:.1} tok/s in all)",
            report.generated_tokens,
            report.generated_tokens as f64 / report.seconds,
            report.prefilled_tokens,
            (report.generated_tokens + report.prefilled_tokens) as f64 / report.seconds
        );
        outln!(
            "     prefix reuse saved {} of {all} prompt tokens ({:.1} %); {} first turns were shared by forks",
            report.reused_tokens,
            100.0 * report.reused_tokens as f64 / all.max(1) as f64,
            report.forked_turns
        );
        if let Some(peak) = report.peak_memory_bytes {
            outln!("     peak memory {}", gib(peak));
        }
    }
    print_findings(&analyses);
    outln!("\nstored in {}", out.display());
    failed.map_or(Ok(()), |e| Err(e.into()))
}

fn at_once(e: &Estimate) -> String {
    e.slots.map_or_else(|| "as many at once as memory takes".into(), |n| format!("{n} at once"))
}

fn memory(e: &Estimate) -> String {
    let cache = match e.slots {
        Some(n) => gib(n as u64 * e.slot_bytes),
        None => format!("{} a conversation", gib(e.slot_bytes)),
    };
    format!("weights {}, cache {cache}, step {}", gib(e.weight_bytes), gib(e.step_bytes))
}

fn as_values(all: &[Analysis]) -> Value {
    let of = |a: &Analysis| json!({"analyzer": a.name, "summary": a.findings.summary, "warnings": a.findings.warnings, "values": a.findings.values});
    Value::Array(all.iter().map(of).collect())
}

fn print_findings(all: &[Analysis]) {
    for a in all {
        outln!("\n{}", a.name);
        for s in &a.findings.summary {
            outln!("  {s}");
        }
        for w in &a.findings.warnings {
            outln!("  note: {w}");
        }
    }
}

pub(crate) fn check(path: &Path, set: &[String], as_json: bool) -> Result<()> {
    let (manifest, base) = manifest(path, set)?;
    let plan = Plan::new(manifest, &base)?;
    let m = &plan.manifest;
    let device = friction_model::device::open(m.backend.kind, m.backend.device)
        .and_then(|d| friction_model::device::dtype(&d, m.model.dtype));
    let devices = friction_model::device::found();
    if as_json {
        outln!(
            "{:#}",
            json!({"ok": device.is_ok(), "warnings": plan.warnings, "estimate": plan.estimate, "devices": devices, "device_error": device.as_ref().err().map(ToString::to_string)})
        );
    } else {
        let e = &plan.estimate;
        outln!("{}: the manifest is right", path.display());
        for w in &plan.warnings {
            outln!("  warning        {w}");
        }
        outln!(
            "  model          {} ({} layers, {:.0} M parameters)",
            m.model.source,
            plan.checkpoint.config.layers(),
            plan.checkpoint.config.parameters() as f64 / 1e6
        );
        outln!(
            "  conversations  {} of {} turns, {}, up to {} positions",
            e.conversations,
            m.study.turns,
            at_once(e),
            e.capacity
        );
        outln!("  memory         {}", memory(e));
        let about = if e.groups_counted == m.study.groups { "" } else { "about " };
        outln!("  tokens         {about}{} of user messages, at most {} of replies", e.user_tokens, e.reply_tokens);
        for (i, d) in devices.iter().enumerate() {
            let memory = d.memory.map_or(String::new(), |b| format!(", {}", gib(b)));
            let library = match d.cublas {
                Some(true) => ", cuBLAS",
                Some(false) => ", no cuBLAS: slower on prompts; put its folder on LD_LIBRARY_PATH",
                None => "",
            };
            outln!(
                "  {:<14} kind = \"{}\", device = {}: {} ({}{memory}{library})",
                if i == 0 { "devices" } else { "" },
                d.backend,
                d.index,
                d.name,
                d.dtypes.join(", ")
            );
        }
        outln!("  time           measure this device with `friction bench --model {}`", m.model.source);
    }
    device?;
    Ok(())
}

pub(crate) fn analyze(run: &Path, otherwise: &Otherwise, as_json: bool) -> Result<()> {
    if let Some(path) = otherwise.manifest.filter(|path| !path.is_file()) {
        return Err(CliError::usage(format!("{}: there is no such file", path.display())));
    }
    let Analyses { found: analyses, notes, failed } = friction_study::analyses_stored(run, otherwise)?;
    for note in notes {
        errln!("note: {note}");
    }
    if as_json {
        outln!("{:#}", json!({"run": crate::print::path(run), "findings": as_values(&analyses)}));
    } else {
        print_findings(&analyses);
    }
    failed.map_or(Ok(()), |e| Err(e.into()))
}

pub(crate) fn model_init(dir: &Path, shape: &str, seed: u64, tokenizer: Option<&Path>, as_json: bool) -> Result<()> {
    let config = match Config::preset(shape) {
        Some(c) => c,
        None if Path::new(shape).is_file() => {
            let text = std::fs::read_to_string(shape)?;
            let json: Value = serde_json::from_str(&text).map_err(|e| CliError::usage(format!("{shape}: {e}")))?;
            Config::from_json(Path::new(shape), &json, None)?
        }
        None => {
            return Err(CliError::usage(format!(
                "no shape is called `{shape}`; there are {}, or give a config.json",
                Config::PRESETS.join(", ")
            )));
        }
    };
    friction_model::init::write(&config, seed, tokenizer, dir)?;
    if as_json {
        outln!("{:#}", json!({"path": crate::print::path(dir), "parameters": config.parameters()}));
    } else {
        outln!("wrote {} ({:.1} M parameters, seed {seed})", dir.display(), config.parameters() as f64 / 1e6);
    }
    Ok(())
}
