//! Causal mediation by patching, on the organisms, in which it is known where the number of interruptions is read.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text};
use serde_json::Value;
use std::path::Path;

fn manifest(name: &str) -> String {
    root().join("experiments").join(name).display().to_string()
}

/// Fewer groups and turns than the manifests have.
const SMALL: [&str; 2] = ["study.groups=12", "study.turns=9"];

fn run(dir: &Path, name: &str, out: &str, set: &[&str]) -> Value {
    let path = manifest(name);
    let mut args = vec!["--json", "run", path.as_str(), "--out", out];
    args.extend(SMALL.iter().chain(set).flat_map(|s| ["--set", s]));
    let o = friction(dir, &args);
    assert!(o.status.success(), "{}", text(&o));
    serde_json::from_slice(&o.stdout).unwrap()
}

/// Both runs of an organism; the values of `mediation`.
fn patched(dir: &Path, source: &str, more: &[&str]) -> Value {
    let model = format!("model.source={source}");
    let expect = match source.rsplit('-').next() {
        Some("null") => "analyzer.0.expect=null",
        Some("decoy") => "analyzer.0.expect=decoy",
        _ => "analyzer.0.expect=planted",
    };
    // The decoy organism's shares need more groups: of six held-out ones, an interval of a ratio is wide.
    let groups = if source.ends_with("decoy") { "study.groups=16" } else { "study.groups=12" };
    run(dir, "patching-first.toml", "first", &[model.as_str(), expect, groups]);
    let from = format!("hook.0.run={}", dir.join("first").display());
    let mut set = vec![model.as_str(), from.as_str(), groups];
    set.extend(more);
    run(dir, "patching.toml", "second", &set)["analyzers"]["mediation"]["values"].clone()
}

fn site<'a>(values: &'a Value, site: &str, restores: bool) -> &'a Value {
    let all = values["sites"].as_array().unwrap();
    all.iter().find(|v| v["site"] == site && v["restores"] == restores).unwrap()
}

fn share(v: &Value) -> f64 {
    v["share"].as_f64().unwrap()
}

/// The number of interruptions is read at `attn_out.1` of `prompt-end`.
#[test]
fn patching_finds_where_the_count_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let sites = "hook.0.sites=[\"resid_post.0\", \"attn_out.1\", \"resid_post.1\", \"resid_post.3\"]";
    let values = patched(dir.path(), "bundled:organism", &[sites]);
    for test in values["tests"].as_array().unwrap() {
        assert!(test["self"] == 0.0 && test["embed"] == 0.0 && test["last_block"] == 0.0, "{test}");
    }
    assert_eq!(values["drift"], 0.0);
    for restores in [true, false] {
        let at = |name| site(&values, name, restores);
        let partner = |name| share(&at(name)["partner"]);
        assert!(partner("resid_post.0").abs() < 0.05, "not read yet: {}", at("resid_post.0"));
        assert!(partner("attn_out.1") > 0.6, "{}", at("attn_out.1"));
        assert!(partner("resid_post.1") > 0.9, "{}", at("resid_post.1"));
        assert!((partner("resid_post.3") - 1.0).abs() < 1e-9, "{}", at("resid_post.3"));
        let read = at("attn_out.1");
        let largest = read["largest_control"].as_f64().unwrap();
        assert!(share(&read["state"]) > 0.5 && share(&read["state"]) > largest + 0.2, "{read}");
        assert!(read["p"].as_f64().unwrap() <= 0.05, "{read}");
        assert!(share(&read["placebo"]).abs() < 0.2, "{read}");
        assert_eq!(at("resid_post.0")["says"], "not reached");
    }
    assert_eq!(values["verdict"]["says"], "reached", "{}", values["verdict"]);

    // What a fork measured is stored with its turn, and forks leave no trace: the replies are those of the first run.
    let rows = |name: &str| {
        let run = friction_store::StoredRun::open(&dir.path().join(name)).unwrap();
        let of = |r: &friction_core::TurnRow| r.condition.ends_with("blunt") || r.condition.ends_with("neutral");
        friction_core::RunReader::turns(&run).iter().filter(|r| of(r)).cloned().collect::<Vec<_>>()
    };
    let (first, second) = (rows("first"), rows("second"));
    assert_eq!(first.len(), second.len());
    for (a, b) in first.iter().zip(&second) {
        assert!(a.reply == b.reply && a.choice_logprobs == b.choice_logprobs && a.user == b.user);
        assert_eq!(b.readings.contains_key("patch.partner_attn_out-1"), b.turn >= 5);
    }
}

#[test]
fn the_null_organism_shows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sites = "hook.0.sites=[\"attn_out.1\", \"resid_post.1\"]";
    let values = patched(dir.path(), "bundled:organism-null", &[sites, "hook.0.controls=19"]);
    assert_eq!(values["verdict"]["says"], "cannot be told", "{}", values["verdict"]);
    assert!(values["tests"].as_array().unwrap().iter().all(|t| t["pass"] == true), "{}", values["tests"]);
    assert!(values["totals"].as_array().unwrap().iter().all(|t| t["told"] == false), "{}", values["totals"]);
}

/// The decoy organism: at `attn_out.1` the number is read and costs accuracy, at `mlp_out.3` it is told and costs nothing.
#[test]
fn an_inert_feature_that_follows_the_condition_is_told_from_the_cause() {
    let dir = tempfile::tempdir().unwrap();
    let sites = "hook.0.sites=[\"attn_out.1\", \"mlp_out.3\"]";
    let values = patched(dir.path(), "bundled:organism-decoy", &[sites]);
    assert_eq!(values["verdict"]["says"], "reached", "{}", values["verdict"]);
    for restores in [true, false] {
        let (cause, decoy) = (site(&values, "attn_out.1", restores), site(&values, "mlp_out.3", restores));
        assert!(share(&cause["partner"]) > 0.6 && share(&cause["state"]) > 0.5, "{cause}");
        assert!(share(&decoy["partner"]).abs() < 0.1 && share(&decoy["state"]).abs() < 0.1, "{decoy}");
        assert_eq!((&cause["says"], &decoy["says"]), (&"reached".into(), &"not reached".into()));
    }
}

#[test]
fn what_cannot_be_patched_is_refused_before_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let check = |set: &[&str]| {
        let path = manifest("patching.toml");
        let mut args = vec!["check", path.as_str()];
        args.extend(set.iter().flat_map(|s| ["--set", s]));
        let o = friction(dir.path(), &args);
        (o.status.code(), text(&o))
    };
    let (code, told) = check(&["hook.0.run=nowhere"]);
    assert!(code == Some(2) && told.contains("holds no run"), "{told}");
    run(dir.path(), "patching-first.toml", "first", &["study.groups=3", "study.turns=5"]);
    let from = format!("hook.0.run={}", dir.path().join("first").display());
    let sized = ["study.groups=3", "study.turns=5", from.as_str()];
    let with = |more: &[&'static str]| check(&[&sized[..], more].concat());
    let (code, told) = with(&[]);
    assert!(code == Some(0) && told.contains("3 groups"), "{told}");
    // A default that is written out is the same option.
    let (code, told) = with(&["condition.3.keep.share=1"]);
    assert_eq!(code, Some(0), "{told}");
    // More turns may have other topics and items too, which are not told as a fault of their own.
    let (code, told) = with(&["study.turns=7"]);
    assert!(code == Some(2) && told.contains("set `study.turns = 5` or lower"), "{told}");
    assert!(!told.contains("take over the run's"), "{told}");
    // The key that is wrong is named.
    let (code, told) = with(&["hook.0.where={ foo = \"z\" }"]);
    assert!(code == Some(2) && told.contains("`where` names `foo`: no conversation of"), "{told}");
    for (set, why) in [
        ("hook.0.position=reply-mean", "earlier turns and replies differ"),
        ("hook.0.position=prompt-tail:4", "has not stored `embed` at `prompt-tail:4`"),
        ("hook.0.sites=[\"logits\"]", "`logits` is not patched"),
        ("hook.0.sites=[\"attn_out.3\"]", "has not stored `attn_out.3`"),
        ("hook.0.sites=[\"attn_out.9\"]", "has not stored `attn_out.9`"),
        ("hook.0.factor=mood", "has the factor `mood`"),
        ("hook.0.placebo=mood", "has no placebo"),
        ("study.groups=4", "holds 3 groups, this study has 4"),
        ("analyzer.0.hook=patched", "needs the hook `patched`"),
        // What the hook leaves out is not read.
        ("analyzer.0.first_turn=4", "set `first_turn = 5` or more here, or `first_turn = 4` in the hook"),
        ("analyzer.0.where.tone=polite", "set `where = { tone = \"blunt\" }` here, or `where = { tone = \"polite\" }`"),
        ("hook.0.factor=mood", "compares the levels of `completion`, and the hook `patch` pairs those of `mood`"),
        // What cannot be the same conversations.
        ("study.seed=32", "set `study.seed = 31`, the seed of that run"),
        ("model.dtype=bf16", "set `model.dtype = \"f32\"`, or replay that run"),
        ("model.source=bundled:organism-null", "in its weights, the model `bundled:organism-null` is not that of"),
        ("model.chat_template=chatml", "in its chat template, the model `bundled:organism` is not that of"),
        ("generation.max_new_tokens=4", "set `generation.max_new_tokens = 12`"),
        ("generation.temperature=0.7", "set `generation.temperature = 0.0`"),
        ("hook.0.first_turn=6", "`first_turn` is 6, and the conversations have 5 turns"),
        ("study.turns=6", "set `study.turns = 5` or lower"),
        ("condition.1.system=Be brief.", "`system` of the condition `complete_neutral` is \"Be brief.\" in this study"),
        ("condition.1.history=none", "`history` of the condition `complete_neutral` is \"none\" in this study"),
        ("condition.1.prefill=So", "`prefill` of the condition `complete_neutral` is \"So\" in this study"),
        ("condition.3.keep.tokens=5", "`keep` of the condition `interrupt_blunt` is { tokens = 5"),
        // A conversation that gives as a placebo and receives nothing.
        ("condition.2.keep.tokens=5", "`keep` of the condition `interrupt_polite` is { tokens = 5"),
    ] {
        let (code, told) = with(&[set]);
        assert!(code == Some(2) && told.contains(why), "{set}: {told}");
    }
    // A part of a question is not replaced.
    let tail = "hook.0.positions=[\"prompt-tail:8\"]";
    run(dir.path(), "patching-first.toml", "tail", &["study.groups=3", "study.turns=5", tail]);
    let from = format!("hook.0.run={}", dir.path().join("tail").display());
    let (code, told) = check(&["study.groups=3", "study.turns=5", &from, "hook.0.position=prompt-tail:8"]);
    assert!(code == Some(2) && told.contains("they must hold the whole question"), "{told}");
    assert!(told.contains("--set hook.0.position=prompt-tail:8"), "{told}");
}

/// Replies that are given are the run's words, whatever the model's precision.
#[test]
fn a_replayed_run_is_patched() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["study.groups=3", "study.turns=5"];
    run(dir.path(), "patching-first.toml", "first", &small);
    let text_of = std::fs::read_to_string(manifest("patching.toml")).unwrap();
    let (before, rest) = text_of.split_once("[[condition]]").unwrap();
    let (_, hook) = rest.split_once("[[hook]]").unwrap();
    let mut replay = before.to_string();
    for (completion, tone, name) in [
        ("complete", "polite", "complete_grateful"),
        ("complete", "blunt", "complete_neutral"),
        ("interrupt", "polite", "interrupt_polite"),
        ("interrupt", "blunt", "interrupt_blunt"),
    ] {
        replay += &format!(
            "[[condition]]\nname = \"again_{name}\"\ncondition = \"{name}\"\nplugin = \"replay\"\nrun = \"first\"\n\
             factors = {{ completion = \"{completion}\", tone = \"{tone}\" }}\n\n"
        );
    }
    std::fs::write(dir.path().join("replay.toml"), format!("{replay}[[hook]]{hook}")).unwrap();
    let sites = "hook.0.sites=[\"resid_post.1\"]";
    let set = ["hook.0.run=first", "hook.0.controls=2", sites, "analyzer.0.site=resid_post.1"];
    let of = |command: &[&'static str], more: &[&'static str]| {
        let mut args = command.to_vec();
        args.extend(small.iter().chain(&set).chain(more).flat_map(|s| ["--set", s]));
        let o = friction(dir.path(), &args);
        (o.status.code(), text(&o))
    };
    let other = ["model.dtype=bf16", "generation.temperature=1.0", "generation.max_new_tokens=3"];
    let (code, told) = of(&["check", "replay.toml"], &other);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = of(&["check", "replay.toml"], &["condition.3.history=whole"]);
    let why = "`history` of the condition `again_interrupt_blunt` is \"whole\" in this study";
    assert!(code == Some(2) && told.contains(why), "{told}");
    let (code, told) = of(&["run", "replay.toml", "--out", "second"], &[]);
    assert_eq!(code, Some(0), "{told}");
    let rows = friction_store::StoredRun::open(&dir.path().join("second")).unwrap();
    let drift = |r: &friction_core::TurnRow| r.readings.get("patch.drift").copied();
    let all: Vec<f64> = friction_core::RunReader::turns(&rows).iter().filter_map(drift).collect();
    assert_eq!((all.len(), all.iter().fold(0.0, |a: f64, b| a.max(*b))), (6, 0.0));
}

/// The question and what follows it are 33 tokens, and partners end in 36 that are the same.
#[test]
fn the_whole_question_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["study.groups=8", "study.turns=6"];
    let tail = "hook.0.positions=[\"prompt-tail:34\"]";
    run(dir.path(), "patching-first.toml", "first", &[&small[..], &[tail]].concat());
    let from = format!("hook.0.run={}", dir.path().join("first").display());
    let set = [
        from.as_str(),
        "hook.0.position=prompt-tail:34",
        "hook.0.sites=[\"resid_post.0\", \"resid_post.1\"]",
        "hook.0.controls=3",
    ];
    let values =
        run(dir.path(), "patching.toml", "second", &[&small[..], &set, &["analyzer.0.site=resid_post.1"]].concat());
    let values = &values["analyzers"]["mediation"]["values"];
    for test in values["tests"].as_array().unwrap() {
        assert!(test["self"] == 0.0 && test["embed"] == 0.0 && test["last_block"] == 0.0, "{test}");
    }
    assert_eq!(values["drift"], 0.0);
    // Too few controls for a verdict.
    assert_eq!(values["verdict"]["says"], "cannot be told");
}
