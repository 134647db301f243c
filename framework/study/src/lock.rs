//! Makes `lock.json`, which identifies a run: equal locks give equal runs.
//!
//! Schema 3, without the key `schema`, which the store adds. Hashes are SHA-256 in hexadecimal.
//!
//! ```text
//! friction      version of the program
//! study         [study], defaults filled in
//! model         source, revision, dtype, quantize; chat_template, template_args, template_date if they are given;
//!               commit of a hub source; sha256 by part: weights, config, generation_config, tokenizer,
//!               tokenizer_config (null if there is none), chat_template (the text that renders prompts)
//! backend       kind; batch if the manifest sets it, otherwise "auto"
//! generation    [generation], defaults filled in, also those that it takes from the checkpoint
//! dataset       table, version, library (SHA-256, if it is a dynamic library) or process (command and sha256 by file, if it
//!               is a process); fingerprint, sha256 of all items
//! grade         [grade], if it is given
//! primary       [primary], defaults filled in, if it is given; levels and reference that follow from the conditions too (locks of
//!               before may have none, and are compared without them)
//! topics        table, version, library or process; fingerprint, if the plugin has one; null if the section is left out
//! asides        list of the tables `[[aside]]`, if there are any
//! conditions    list of: table, version, library or process, factors; fingerprint of what it reads from files, if it does
//! hooks         list of: table, version, library or process; fingerprint of what it reads from files beside its edits
//! analyzers     by name: table, defaults (by the plugin's schema, of the options that the table leaves out; locks of before
//!               have none), settled (what the analyzer decides itself of such options, if it does), version, library or process; fingerprint of what it reads from files, such as an autoencoder.
//!               They are not compared on resume: what an analysis with other
//!               ones finds is exploratory
//! edits, arms   if hooks declare any: name, site, at, turns, op, sha256 of the numbers, of the gate's too if there is
//!               one; name, strengths, only
//! imported      of a run that was imported: format, files (name, bytes, sha256) and warnings; model.sha256 is then empty
//! replies       if conditions give replies to read: by condition, of (whose) and which, and unlike, what of [generation] is not
//!               as theirs was, where others are generated; not compared, since fingerprints are
//! machine       where the run began; not compared: os, arch, device, base (the folder that paths are relative to),
//!               base_from_run (the same from the run's folder), manifest (its file name)
//! ```
//!
//! Locks of before may have no analyzers. Schema 2 had no asides, and hashed questions. In schema 1,
//! `model.sha256` was the SHA-256 of the weights alone, there was no hash of the questions, and `edits` held names of Rust types.
use crate::batch::found_here;
use crate::{Plan, Result, folder};
use friction_core::manifest::{Chosen, Manifest, to_json};
use friction_core::{Analyzer, Dataset, Edit, ModelIdentity};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A chosen plugin: its table, its version and, if it is not linked, what pins it.
fn chosen<O: ?Sized>(c: &Chosen<O>) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("table".into(), to_json(&toml::Value::Table(c.table.clone())));
    out.insert("version".into(), json!(c.version));
    if let Some((key, pins)) = c.origin.locked() {
        out.insert(key.into(), pins);
    }
    out
}

/// The part of a lock that the manifest alone determines, without model or data.
pub(crate) fn declared(m: &Manifest) -> Map<String, Value> {
    let conditions: Vec<Value> = m
        .conditions
        .iter()
        .map(|c| {
            let mut of = chosen(&c.chosen);
            of.insert("factors".into(), json!(c.factors));
            Value::Object(of)
        })
        .collect();
    let hooks: Vec<Value> = m.hooks.iter().map(|h| Value::Object(chosen(h))).collect();
    let mut model = json!({"source": m.model.source, "revision": m.model.revision, "dtype": m.model.dtype, "quantize": m.model.quantize});
    // Without them, locks are those of versions that did not have them.
    if let Some(template) = &m.model.chat_template {
        model["chat_template"] = json!(template);
    }
    if !m.model.template_args.is_empty() {
        model["template_args"] = json!(m.model.template_args);
    }
    if let Some(date) = &m.model.template_date {
        model["template_date"] = json!(date);
    }
    let mut out: Map<String, Value> = [
        ("study", json!(m.study)),
        ("model", model),
        ("backend", json!({"kind": m.backend.kind})),
        ("generation", json!(m.generation)),
        ("dataset", Value::Object(chosen(&m.dataset))),
        ("topics", m.topics.as_ref().map_or(Value::Null, |t| Value::Object(chosen(t)))),
        ("asides", json!(m.asides)),
        ("conditions", Value::Array(conditions)),
        ("hooks", Value::Array(hooks)),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .into_iter()
    .collect();
    // Locks of before have no asides.
    if m.asides.is_empty() {
        out.remove("asides");
    }
    if let Some(grade) = &m.grade {
        out.insert("grade".into(), json!(grade));
    }
    if let Some(primary) = &m.primary {
        out.insert("primary".into(), json!(primary));
    }
    out
}

/// The analyzers, by name: what is settled before the run of how it is analysed. A library or a process is pinned.
pub(crate) fn analyzers(m: &Manifest) -> Value {
    let of = |a: &Chosen<dyn Analyzer>| {
        let mut of = chosen(a);
        of.insert("defaults".into(), Value::Object(a.defaults.clone()));
        (a.name.clone(), Value::Object(of))
    };
    m.analyzers.iter().map(of).collect::<Map<_, _>>().into()
}

pub(crate) fn hex(sha: Sha256) -> String {
    format!("{:x}", sha.finalize())
}

/// SHA-256 of all items of a dataset, whatever its own fingerprint covers.
fn items(dataset: &dyn Dataset) -> Result<String> {
    let mut sha = Sha256::new();
    let mut add = |part: Value| -> Result<()> {
        let text = serde_json::to_vec(&part).map_err(friction_core::Error::other)?;
        sha.update((text.len() as u64).to_le_bytes());
        sha.update(&text);
        Ok(())
    };
    for category in dataset.categories() {
        add(json!(category))?;
        for i in 0..category.items {
            add(json!(dataset.item(category, i)?))?;
        }
    }
    Ok(hex(sha))
}

/// An edit as JSON. Directions and autoencoders come from files, so the hash covers their numbers.
fn edit(e: &Edit) -> Value {
    let mut sha = Sha256::new();
    e.op.bytes(&mut |bytes| sha.update(bytes));
    let (op, sha256) = (e.op.word(), hex(sha));
    let mut out = json!({"name": e.name, "site": e.site, "at": e.at, "turns": e.turns, "op": op, "sha256": sha256});
    if let Some(gate) = &e.gate {
        let mut sha = Sha256::new();
        gate.bytes(&mut |bytes| sha.update(bytes));
        out["gate"] = json!(hex(sha));
    }
    out
}

/// The lock of a plan whose model has the identity `identity`. `run` is the run directory.
///
/// # Errors
/// If the dataset's items cannot be read or written as JSON, or a file that an analyzer reads cannot be read.
pub fn lock(plan: &Plan, identity: &ModelIdentity, run: &Path) -> Result<Value> {
    let m = &plan.manifest;
    let mut lock = json!({"friction": env!("CARGO_PKG_VERSION")});
    for (key, value) in declared(m) {
        lock[key] = value;
    }
    lock["model"]["commit"] = json!(plan.checkpoint.commit);
    lock["model"]["sha256"] = json!(identity);
    // The number that fits a device's memory may change from run to run; the log records it.
    lock["backend"]["batch"] = if found_here(plan) { json!("auto") } else { json!(plan.engine.slots) };
    lock["dataset"]["fingerprint"] = json!(plan.dataset.fingerprint());
    // Most topics have none; their locks are those of versions before.
    if let Some(fingerprint) = plan.lists.fingerprint() {
        lock["topics"]["fingerprint"] = json!(fingerprint);
    }
    lock["dataset"]["sha256"] = json!(items(plan.dataset.as_ref())?);
    for (i, c) in plan.conditions.iter().enumerate() {
        // Without one, locks are those of versions that did not have it.
        if let Some(fingerprint) = c.plugin.fingerprint() {
            lock["conditions"][i]["fingerprint"] = json!(fingerprint);
        }
    }
    let given = plan.conditions.iter().filter_map(|c| {
        let mut given = c.plugin.replies()?;
        // Where nothing is generated, nothing reads `[generation]`.
        if !plan.generates {
            given.unlike.clear();
        }
        Some((c.name.clone(), json!(given)))
    });
    let given: Map<String, Value> = given.collect();
    if !given.is_empty() {
        lock["replies"] = Value::Object(given);
    }
    for (i, hook) in plan.hooks.iter().enumerate() {
        if let Some(fingerprint) = hook.plugin.fingerprint() {
            lock["hooks"][i]["fingerprint"] = json!(fingerprint);
        }
    }
    if !plan.program.edits.is_empty() {
        lock["edits"] = plan.program.edits.iter().map(edit).collect();
        lock["arms"] = json!(plan.program.arms);
    }
    lock["analyzers"] = analyzers(m);
    for (name, analyzer) in &plan.analyzers {
        let settled = analyzer.settled();
        if !settled.is_empty() {
            lock["analyzers"][name]["settled"] = Value::Object(settled);
        }
        if let Some(fingerprint) = analyzer.fingerprint()? {
            lock["analyzers"][name]["fingerprint"] = json!(fingerprint);
        }
    }
    let base = real(&plan.base);
    let name = Path::new(&m.source.file).file_name().map(|n| n.to_string_lossy());
    lock["machine"] = json!({
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "device": m.backend.device,
        "base": folder::written(&base),
        "base_from_run": between(&real(run), &base).map(|p| folder::written(&p)),
        "manifest": name,
    });
    Ok(lock)
}

/// The lock of a run that was imported: what its manifest declares, its items, and where it came from.
///
/// # Errors
/// If the dataset's items cannot be read or written as JSON.
pub(crate) fn of_import(m: &Manifest, dataset: &dyn Dataset, imported: Value) -> Result<Value> {
    let mut lock = json!({"friction": env!("CARGO_PKG_VERSION")});
    for (key, value) in declared(m) {
        lock[key] = value;
    }
    // There is no checkpoint, so that no part of one is known.
    lock["model"]["sha256"] = json!({});
    lock["dataset"]["fingerprint"] = json!(dataset.fingerprint());
    lock["dataset"]["sha256"] = json!(items(dataset)?);
    lock["analyzers"] = analyzers(m);
    lock["imported"] = imported;
    Ok(lock)
}

/// An absolute path, with symbolic links resolved as far as the path exists.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let known = path.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
    known.map_or_else(|| path.clone(), |(a, real)| path.strip_prefix(a).map_or(real.clone(), |rest| join(&real, rest)))
}

/// Joins two paths. An empty `rest` adds no separator.
fn join(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { base.to_path_buf() } else { base.join(rest) }
}

/// The relative path from one folder to another; both must be absolute and without links.
fn between(from: &Path, to: &Path) -> Option<PathBuf> {
    let same = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if same == 0 {
        return None;
    }
    let up = from.components().skip(same).map(|_| std::path::Component::ParentDir);
    Some(up.chain(to.components().skip(same)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_from_a_run_to_its_manifest() {
        let way = |from: &str, to: &str| between(Path::new(from), Path::new(to)).map(|p| p.display().to_string());
        assert_eq!(way("/a/study/runs/x", "/a/study").as_deref(), Some("../.."));
        assert_eq!(way("/a/runs/x", "/a/b/c").as_deref(), Some("../../b/c"));
        assert_eq!(way("/a", "/a").as_deref(), Some(""));
    }
}
