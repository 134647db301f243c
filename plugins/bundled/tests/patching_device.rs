//! Patching on the device that `FRICTION_TEST_BACKEND` names (`cpu`, `cuda` or `wgpu`; `cpu` where it is not set).
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text};
use serde_json::Value;

/// Largest change by a conversation's own activations, in nats: prompts and single tokens are computed by different
/// kernels of a GPU. On the processor it is 0.
fn tolerance(backend: &str) -> f64 {
    if backend == "cpu" { 0.0 } else { 1e-3 }
}

/// The number of interruptions is read at `attn_out.1`, and nowhere before it.
#[test]
fn patching_finds_the_site_on_a_device() {
    let backend = std::env::var("FRICTION_TEST_BACKEND").unwrap_or_else(|_| "cpu".into());
    let dir = tempfile::tempdir().unwrap();
    let text_of = std::fs::read_to_string(root().join("experiments/patching.toml")).unwrap();
    let alone: Vec<&str> = text_of.lines().filter(|l| !l.starts_with("run = ")).collect();
    std::fs::write(dir.path().join("alone.toml"), alone.join("\n")).unwrap();
    let most = tolerance(&backend);
    let set = [
        format!("backend.kind={backend}"),
        format!("analyzer.0.tolerance={most:?}"),
        "study.groups=8".into(),
        "study.turns=7".into(),
        "hook.0.sites=[\"resid_post.0\", \"attn_out.1\", \"resid_post.1\"]".into(),
    ];
    let mut args = vec!["--json", "run", "alone.toml", "--out", "run"];
    args.extend(set.iter().flat_map(|s| ["--set", s.as_str()]));
    let o = friction(dir.path(), &args);
    assert!(o.status.success(), "{}", text(&o));
    let values = &serde_json::from_slice::<Value>(&o.stdout).unwrap()["analyzers"]["mediation"]["values"];
    println!("tests on {backend}: {}", values["tests"]);
    for test in values["tests"].as_array().unwrap() {
        for name in ["self", "embed", "last_block"] {
            assert!(test[name].as_f64().unwrap() <= most, "{test}");
        }
    }
    for of in values["sites"].as_array().unwrap() {
        let share = of["partner"]["share"].as_f64().unwrap();
        let fits = match of["site"].as_str().unwrap() {
            "resid_post.0" => share.abs() < 0.05,
            "attn_out.1" => share > 0.5,
            _ => share > 0.9,
        };
        assert!(fits, "{of}");
    }
}
