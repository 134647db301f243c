//! What `friction plugins` prints is true, and crates made by `friction new` build and pass their test.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{cargo, friction, library_name, root, target, text};
use friction as _;
use friction_core::Registry;
use friction_core::manifest::{Issues, Path as Key, to_json};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn json(dir: &Path, args: &[&str]) -> Value {
    let o = friction(dir, args);
    assert!(o.status.success(), "{}", text(&o));
    serde_json::from_slice(&o.stdout).unwrap()
}

/// All manifests in this checkout.
fn manifests() -> Vec<PathBuf> {
    let all = |dir: PathBuf| std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let mut out = vec![];
    for path in all(root().join("experiments")) {
        if path.is_dir() {
            out.extend(all(path));
        } else {
            out.push(path);
        }
    }
    out.retain(|p| p.extension().is_some_and(|e| e == "toml") && !p.ends_with("Cargo.toml"));
    assert!(out.len() >= 8, "{out:?}");
    out
}

#[test]
fn the_schema_is_true() {
    let here = tempfile::tempdir().unwrap();
    let schema = json(here.path(), &["plugins", "schema"]);
    let stored = std::fs::read_to_string(root().join("experiments/manifest.schema.json")).unwrap();
    assert!(
        serde_json::from_str::<Value>(&stored).unwrap() == schema,
        "options have changed: cargo run --release -- plugins schema > experiments/manifest.schema.json"
    );
    jsonschema::draft7::meta::validate(&schema).unwrap();
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let read = |text: &str| to_json(&toml::from_str(text).unwrap());
    for path in manifests() {
        let text = std::fs::read_to_string(&path).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&read(&text)).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
    // What friction refuses, the JSON Schema refuses too.
    let right = std::fs::read_to_string(root().join("experiments/quickstart.toml")).unwrap();
    for (from, to) in [
        ("turns = 12", "turn = 12"),
        ("groups = 40", "groups = \"40\""),
        ("plugin = \"fixed\"", "plugin = \"fixd\""),
        ("keep = { tokens = 3, marker = \"...\" }", "keep = { token = 3, marker = \"...\" }"),
        ("\"attn_out.1\"", "\"attn_in.1\""),
        ("expect = \"planted\"", "expect = \"plantd\""),
        ("at = \"prompt-end\"", "at = \"prompt_end\""),
        (
            "factors = { completion = \"complete\", tone = \"polite\" }",
            "factors = { completion = 1, tone = \"polite\" }",
        ),
    ] {
        assert!(right.contains(from), "{from}");
        assert!(!validator.is_valid(&read(&right.replacen(from, to, 1))), "{to}");
    }
}

#[test]
fn every_plugin_tells_its_options() {
    let here = tempfile::tempdir().unwrap();
    for plugin in Registry::linked().plugins() {
        let told = json(here.path(), &["--json", "plugins", "show", &plugin.name]);
        let shown = told.as_array().unwrap().iter().find(|p| p["kind"] == plugin.maker.kind().word()).unwrap();
        for o in shown["options"].as_array().unwrap() {
            let about = o["about"].as_str().unwrap();
            assert!(about.len() >= 10 && !about.contains('\n'), "{} {}: {about:?}", plugin.name, o["key"]);
            assert!(o["type"] != "any value", "{} {}", plugin.name, o["key"]);
        }
        // The plugin accepts its own example.
        let text = shown["example"].as_str().unwrap();
        let mut table: toml::Table = toml::from_str(text).unwrap();
        let mut of = table.remove(plugin.maker.kind().word()).unwrap();
        if let toml::Value::Array(a) = of {
            of = a[0].clone();
        }
        let mut of = of.as_table().unwrap().clone();
        ["plugin", "name", "factors"].iter().for_each(|k| drop(of.remove(*k)));
        let (mut issues, root) = (Issues::default(), Key::default());
        let accepted = plugin.maker.check(toml::Value::Table(of), &root, &mut issues);
        assert!(accepted, "{}: {issues:?}\n{text}", plugin.name);
    }
    let o = friction(here.path(), &["plugins", "show", "residul"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(text(&o).contains("did you mean `residual`?"), "{}", text(&o));
}

#[test]
fn new_crates_build_and_pass_their_tests() {
    let here = tempfile::tempdir().unwrap();
    for (kind, name) in [
        ("condition", "my-cut"),
        ("dataset", "my-sums"),
        ("topics", "my-stay"),
        ("hook", "my-norm"),
        ("analyzer", "my-lengths"),
    ] {
        for dylib in [false, true] {
            let dir = here.path().join(format!("{name}-{dylib}"));
            let mut args = vec!["new", kind, name, "--dir", dir.to_str().unwrap()];
            args.extend(dylib.then_some("--dylib"));
            let o = friction(here.path(), &args);
            assert!(o.status.success(), "{}", text(&o));
            let o = cargo(&dir, &["test", "--release"]);
            let out = String::from_utf8_lossy(&o.stdout);
            assert!(out.contains("the_study_runs ... ok"), "{kind} {dylib}: {out}");
        }
    }
    // The steps that `friction new` prints: build, pin, run.
    let dir = here.path().join("my-cut-true");
    cargo(&dir, &["build", "--release"]);
    std::fs::create_dir_all(dir.join("target/release")).unwrap();
    let built = target().join("release").join(library_name("my_cut"));
    std::fs::copy(built, dir.join("target/release").join(library_name("my_cut"))).unwrap();
    let o = friction(&dir, &["run", "study.toml"]);
    assert!(text(&o).contains("`sha256` is missing") && text(&o).contains("friction plugins pin"), "{}", text(&o));
    for told in ["pinned", "unchanged"] {
        let o = friction(&dir, &["plugins", "pin", "study.toml"]);
        assert!(o.status.success() && text(&o).starts_with(told), "{}", text(&o));
    }
    let o = friction(&dir, &["run", "study.toml"]);
    assert!(o.status.success() && text(&o).contains("4 groups, 32 turns"), "{}", text(&o));
    for (args, told) in [
        (vec!["new", "condition", "template"], "is taken"),
        (vec!["new", "condition", "My_Cut"], "is no name"),
        (vec!["new", "condition", "my-cut", "--dir", "my-cut-true"], "exists already"),
    ] {
        let o = friction(here.path(), &args);
        assert_eq!(o.status.code(), Some(2));
        assert!(text(&o).contains(told), "{}", text(&o));
    }
}
