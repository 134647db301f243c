//! What a run is, resolved: equal locks give equal runs.
use crate::Plan;
use friction_core::EditOp;
use friction_core::seed::derive;
use serde_json::{Map, Value, json};

fn plain(v: &toml::Value) -> Value {
    match v {
        toml::Value::String(s) => json!(s),
        toml::Value::Integer(i) => json!(i),
        toml::Value::Float(f) => json!(f),
        toml::Value::Boolean(b) => json!(b),
        toml::Value::Datetime(d) => json!(d.to_string()),
        toml::Value::Array(a) => Value::Array(a.iter().map(plain).collect()),
        toml::Value::Table(t) => table(t),
    }
}

fn table(t: &toml::Table) -> Value {
    Value::Object(t.iter().map(|(k, v)| (k.clone(), plain(v))).collect())
}

/// The lock of a plan whose weights have the hash `sha256`. Analyzers are left out: they may change
/// without a new run.
pub fn lock(plan: &Plan, sha256: &str) -> Value {
    let m = &plan.manifest;
    let mut model = Map::new();
    model.insert("source".into(), json!(m.model.source));
    model.insert("dtype".into(), json!(m.model.dtype));
    model.insert("commit".into(), json!(plan.checkpoint.commit));
    model.insert("sha256".into(), json!(sha256));
    let conditions: Vec<Value> = m
        .conditions
        .iter()
        .map(|c| json!({"table": table(&c.chosen.table), "version": c.chosen.version, "factors": c.factors}))
        .collect();
    let hooks: Vec<Value> = m.hooks.iter().map(|h| json!({"table": table(&h.table), "version": h.version})).collect();
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
    let mut lock = json!({
        "friction": env!("CARGO_PKG_VERSION"),
        "study": m.study,
        "model": model,
        "backend": {"kind": m.backend.kind, "slots": plan.engine.slots},
        "generation": m.generation,
        "dataset": {"table": table(&m.dataset.table), "version": m.dataset.version, "fingerprint": plan.dataset.fingerprint()},
        "topics": {"table": table(&m.topics.table), "version": m.topics.version},
        "conditions": conditions,
        "hooks": hooks,
        "machine": {"os": std::env::consts::OS, "arch": std::env::consts::ARCH, "device": m.backend.device},
    });
    if let (Value::Object(lock), false) = (&mut lock, edits.is_empty()) {
        lock.insert("edits".into(), Value::Array(edits));
    }
    lock
}
