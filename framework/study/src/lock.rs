//! What a run is, resolved: equal locks give equal runs.
use crate::{Plan, batch::found_here};
use friction_core::EditOp;
use friction_core::manifest::{Chosen, Quantize, to_json};
use friction_core::seed::derive;
use serde_json::{Map, Value, json};

/// What was chosen: its table, the plugin's version and, of a dynamic library, the bytes' SHA-256.
fn chosen<O: ?Sized>(c: &Chosen<O>) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("table".into(), to_json(&toml::Value::Table(c.table.clone())));
    out.insert("version".into(), json!(c.version));
    if let Some(sha256) = c.origin.sha256() {
        out.insert("library".into(), json!(sha256));
    }
    out
}

/// The lock of a plan whose weights have the hash `sha256`. Analyzers are left out: they may change
/// without a new run.
pub fn lock(plan: &Plan, sha256: &str) -> Value {
    let m = &plan.manifest;
    let mut model = Map::new();
    model.insert("source".into(), json!(m.model.source));
    model.insert("dtype".into(), json!(m.model.dtype));
    if m.model.quantize != Quantize::None {
        model.insert("quantize".into(), json!(m.model.quantize));
    }
    model.insert("commit".into(), json!(plan.checkpoint.commit));
    model.insert("sha256".into(), json!(sha256));
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
    let mut dataset = chosen(&m.dataset);
    dataset.insert("fingerprint".into(), json!(plan.dataset.fingerprint()));
    // Directions come from files: their bytes are what the run depends on.
    let edits: Vec<Value> = plan
        .program
        .edits
        .iter()
        .map(|e| {
            let numbers: Vec<u8> = match &e.op {
                EditOp::Add(v) | EditOp::Remove(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
                EditOp::Project { direction, value } => {
                    direction.iter().chain([value]).flat_map(|x| x.to_le_bytes()).collect()
                }
                EditOp::Clamp { direction, min, max } => {
                    direction.iter().chain([min, max]).flat_map(|x| x.to_le_bytes()).collect()
                }
                EditOp::Custom { digest, .. } => digest.clone().into_bytes(),
            };
            let digest = format!("{:016x}", derive(&[&numbers]));
            json!({"name": e.name, "site": e.site, "at": format!("{:?}", e.at), "op": format!("{:?}", e.op), "turns": e.turns, "digest": digest})
        })
        .collect();
    // What a device's memory takes may change from run to run; the log tells it.
    let slots = if found_here(plan) { json!("auto") } else { json!(plan.engine.slots) };
    let mut lock = json!({
        "friction": env!("CARGO_PKG_VERSION"),
        "study": m.study,
        "model": model,
        "backend": {"kind": m.backend.kind, "slots": slots},
        "generation": m.generation,
        "dataset": dataset,
        "topics": chosen(&m.topics),
        "conditions": conditions,
        "hooks": hooks,
        "machine": {"os": std::env::consts::OS, "arch": std::env::consts::ARCH, "device": m.backend.device, "base": plan.base.canonicalize().ok()},
    });
    if let (Value::Object(lock), false) = (&mut lock, edits.is_empty()) {
        lock.insert("edits".into(), Value::Array(edits));
    }
    lock
}
