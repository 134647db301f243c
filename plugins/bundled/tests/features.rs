//! An autoencoder for the organism: trained on one run, used on another.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text};
use serde_json::Value;
use std::path::Path;

fn run(dir: &Path, manifest: &str, set: &[&str]) -> Value {
    let path = root().join("experiments/organism").join(manifest);
    let path = path.display().to_string();
    let mut args = vec!["--json", "run", path.as_str()];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir, &args);
    assert!(o.status.success(), "{}", text(&o));
    serde_json::from_slice(&o.stdout).unwrap()
}

#[test]
fn features_follow_the_interruptions_and_another_models_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let trained = run(dir.path(), "sae.toml", &["study.groups=15", "analyzer.0.steps=600"]);
    let held = &trained["analyzers"]["sae-train"]["values"]["held_out"];
    assert!(held["fvu"].as_f64().unwrap() < 0.1 && held["l0"].as_f64().unwrap() <= 16.0, "{held}");

    let source = format!("analyzer.0.source=\"path:{}\"", dir.path().join("runs/sae/analysis/sae-train").display());
    let found = run(dir.path(), "features.toml", &["study.groups=15", &source]);
    let v = &found["analyzers"]["gemma-scope"]["values"];
    assert_eq!(v["interpreted"], true, "{v}");
    assert!(v["found"]["replicated"].as_u64().unwrap() >= 5 && v["found"]["p"].as_f64().unwrap() < 0.01, "{v}");

    // Eight groups test the features that seven picked. In the organism interruptions do cost answers.
    let c = &v["confirmation"];
    assert!(v["verdict"]["says"] == "reached" && c["groups"] == 8 && c["p"].as_f64().unwrap() <= 0.05, "{v}");
    assert!(c["performance"]["high"].as_f64().unwrap() < 0.0 && c["features"][0]["signs_agree"] == true, "{c}");

    // The lock has the autoencoder's files. Others at the same place are another analysis than the one named before the run.
    let lock = std::fs::read_to_string(dir.path().join("runs/features/lock.json")).unwrap();
    let lock: Value = serde_json::from_str(&lock).unwrap();
    assert_eq!(lock["analyzers"]["gemma-scope"]["fingerprint"].as_str().map(str::len), Some(64), "{lock}");
    assert_eq!(v["verdict"]["status"], "confirmatory");
    let config = dir.path().join("runs/sae/analysis/sae-train/cfg.json");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{written}\n")).unwrap();
    let o = friction(dir.path(), &["--json", "analyze", "runs/features"]);
    let again: Value = serde_json::from_slice(&o.stdout).unwrap();
    let again = &again["analyzers"]["gemma-scope"];
    assert_eq!(again["values"]["verdict"]["status"], "exploratory", "{}", text(&o));
    assert!(again["warnings"].to_string().contains("the files that it reads have changed"), "{again}");
    std::fs::write(&config, written).unwrap();

    let null = ["study.groups=5", "study.name=null", "model.source=bundled:organism-null", &source];
    let refused = &run(dir.path(), "features.toml", &null)["analyzers"]["gemma-scope"];
    assert_eq!(refused["values"]["interpreted"], false, "{refused}");
    assert_eq!(refused["values"]["verdict"]["says"], "cannot be told", "{refused}");
    assert!(refused["warnings"][0].as_str().unwrap().contains("nothing is interpreted"), "{refused}");
}

#[test]
fn a_missing_autoencoder_is_told_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = root().join("experiments/organism/features.toml");
    let o = friction(dir.path(), &["run", &path.display().to_string()]);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    assert!(text(&o).contains("params.safetensors"), "{}", text(&o));
    assert!(!dir.path().join("runs").exists());
}

/// Logit lens, a clamped feature, a neutral text, exports and arms in one study, with an autoencoder from `sae
/// train`.
#[test]
fn a_feature_is_clamped_and_the_lens_is_the_model() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "sae.toml", &["study.groups=5", "study.turns=6", "analyzer.0.steps=50"]);
    let train = ["--json", "sae", "train", "runs/sae", "--site", "attn_out.1", "--activation", "jumprelu"];
    let sized = ["--width", "128", "--k", "8", "--steps", "300", "--out", "own"];
    let o = friction(dir.path(), &[&train[..], &sized[..]].concat());
    assert!(o.status.success(), "{}", text(&o));
    let trained: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert!(trained["held_out"]["fvu"].as_f64().unwrap() < 0.5, "{trained}");
    let again = friction(dir.path(), &[&train[..], &sized[..]].concat());
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));

    let manifest = STUDY.replace("SAE", &dir.path().join("own").display().to_string());
    std::fs::write(dir.path().join("lens.toml"), &manifest).unwrap();
    let o = friction(dir.path(), &["--json", "run", "lens.toml"]);
    assert!(o.status.success(), "{}", text(&o));
    let found: Value = serde_json::from_slice(&o.stdout).unwrap();
    let [lens, steering, probe] = ["logit-lens", "steering", "linear-probe"].map(|a| &found["analyzers"][a]["values"]);
    assert!(lens["off_at_last_site"].as_f64().unwrap() < 1e-4, "{lens}");
    let right = |i: usize| lens["sites"][i]["right"].as_f64().unwrap();
    assert!(right(0) < 50.0 && right(1) > 70.0, "{lens}");
    let doses = steering["doses"].as_array().unwrap();
    assert_eq!(doses.len(), 2);
    let perplexity = |d: &Value| d["perplexity"].as_f64().unwrap();
    assert!(perplexity(&doses[0]) != perplexity(&doses[1]), "{steering}");
    // The probe learnt on the untouched arm sees the feature that was clamped.
    let arm =
        |name: &str| probe["arms"].as_array().unwrap().iter().find(|a| a["arm"] == name).unwrap()["shift"].clone();
    assert!(arm("direction@40").as_f64().unwrap().abs() > arm("direction@0").as_f64().unwrap().abs(), "{probe}");
    let written = dir.path().join("runs/lens/analysis/linear-probe");
    for file in ["directions.safetensors", "mean-difference.repeng.gguf", "resid_post.1.mean-difference.lm-eval.pt"] {
        assert!(written.join(file).exists(), "{file}");
    }
    // A feature that the autoencoder does not have is refused before the run.
    let wrong = manifest.replace("feature = 3", "feature = 128").replace("\"lens\"", "\"wrong\"");
    std::fs::write(dir.path().join("wrong.toml"), wrong).unwrap();
    let o = friction(dir.path(), &["check", "wrong.toml"]);
    assert!(o.status.code() == Some(2) && text(&o).contains("features 0 to 127"), "{}", text(&o));
}

const STUDY: &str = r#"
study = { name = "lens", seed = 3, groups = 8, turns = 5 }
model = { source = "bundled:organism" }
generation = { max_new_tokens = 10 }
dataset = { plugin = "organism" }
topics = { plugin = "fixed" }
[[condition]]
name = "interrupt"
plugin = "template"
user = "Okay. Now: {topic}.\n\n{question}"
keep = { tokens = 3, marker = "..." }
factors = { completion = "interrupt" }
[[hook]]
plugin = "residual"
sites = ["embed", "attn_out.1", "resid_post.1", "resid_post.3"]
[[hook]]
plugin = "steer"
sae = { source = "path:SAE" }
feature = 3
op = "clamp"
at = "prompt-end"
doses = [0.0, 40.0]
random = 2
neutral = { user = "Okay.", reply = "The answer is A." }
[[analyzer]]
plugin = "logit-lens"
sites = ["embed", "resid_post.3"]
[[analyzer]]
plugin = "steering"
[[analyzer]]
plugin = "linear-probe"
target = "interruptions"
sites = ["attn_out.1", "resid_post.1"]
permutations = 0
arms = true
"#;
