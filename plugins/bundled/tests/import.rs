//! `friction import` makes a run of the original study's result files, and what reads runs reads it.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, text};
use friction as _;
use friction_core::RunReader;
use friction_store::StoredRun;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const CONDITIONS: [&str; 4] = ["complete_grateful", "complete_neutral", "interrupt_polite", "interrupt_blunt"];

/// A conversation of four turns. Right in all turns if it is complete, in the first two if it is interrupted.
fn talk(condition: &str, index: usize) -> Value {
    let turns = (1..=4).map(|n| {
        let right = condition.starts_with("complete") || n < 3;
        let (reply, letter) = if right { ("The answer is B.", "B") } else { ("The answer is A.", "A") };
        let question = format!(
            "Number {index} of {n}?\n\nA. x\nB. y\nC. z\nD. w\n\nPlease provide your answer as a single letter (A-J)."
        );
        json!({
            "turn_number": n, "topic": format!("topic {}", (n + index) % 4), "question_id": format!("topic_{index}{n}"),
            "question_text": question, "user_message": question, "model_response": reply, "history_response": reply,
            "correct_answer": "B", "parsed_answer": letter, "is_correct": right, "response_length": reply.len(),
            "hedging_count": 0, "was_truncated": condition.starts_with("interrupt"), "truncated_length": 16,
        })
    });
    json!({
        "conversation_id": format!("{condition}_{index:03}"), "condition": condition, "model_name": "gemma3-4b",
        "timestamp": "", "total_time_seconds": 1.0, "overall_accuracy": 0.5, "turns": turns.collect::<Vec<_>>(),
    })
}

fn results(indices: std::ops::Range<usize>) -> Vec<Value> {
    indices.flat_map(|i| CONDITIONS.map(|c| talk(c, i))).collect()
}

fn world(all: &[Value]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("r.json"), serde_json::to_vec(all).unwrap()).unwrap();
    dir
}

fn imported(dir: &Path) {
    let o = friction(dir, &["import", "r.json", "--out", "runs/old"]);
    assert!(o.status.success(), "{}", text(&o));
}

fn json_of(dir: &Path, args: &[&str]) -> Value {
    let o = friction(dir, args);
    assert!(o.status.success(), "{}", text(&o));
    serde_json::from_slice(&o.stdout).unwrap()
}

#[test]
fn an_import_is_analysed_as_a_run() {
    let w = world(&results(0..8));
    let told = json_of(w.path(), &["import", "r.json", "--out", "runs/old", "--json"]);
    let report = &told["report"];
    let counts = ["groups", "conversations", "turns"].map(|k| report[k].as_u64().unwrap());
    assert_eq!((counts, report["model"].as_str()), ([8, 32, 128], Some("gemma3-4b")));
    let warnings: Vec<&str> = report["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(
        warnings.iter().any(|w| w.contains("flagged as truncated in 64 turns, and in 64 of them nothing was")),
        "{warnings:?}"
    );

    let found = json_of(w.path(), &["analyze", "runs/old", "--json"]);
    let values = &found["analyzers"]["behavior"]["values"];
    // From turn 2 on, interrupted replies are right, wrong, wrong: the slope is (0 - 1) / 2 of a point, times 100.
    let primary = &values["primary"];
    assert_eq!((primary["levels"][0].as_str(), primary["levels"][1].as_str()), (Some("complete"), Some("interrupt")));
    assert!((primary["estimate"].as_f64().unwrap() + 50.0).abs() < 1e-9, "{primary}");
    assert_eq!((primary["groups"].as_u64(), primary["pairs"].as_u64()), (Some(8), Some(16)));
    assert!((values["chance"].as_f64().unwrap() - 0.25).abs() < 1e-12, "four options each: {values}");
    // How replies ended is not known, and no share is told.
    assert!(values.get("length_share").is_none(), "{values}");
    let notes: Vec<&str> = found["run"]["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(notes[0].starts_with("this run was imported from r.json"), "{notes:?}");
    assert!(warnings.iter().all(|w| notes.iter().any(|n| n.ends_with(w))), "{notes:?}");
    let o = friction(w.path(), &["analyze", "runs/old"]);
    assert!(text(&o).contains("note: of the imported data: "), "{}", text(&o));

    // The files' bytes are in the lock, and no part of a model is.
    let lock: Value = serde_json::from_str(&fs::read_to_string(w.path().join("runs/old/lock.json")).unwrap()).unwrap();
    assert_eq!(lock["model"]["source"], "none:gemma3-4b");
    assert_eq!((&lock["model"]["sha256"], lock["imported"]["format"].as_str()), (&json!({}), Some("original")));
    let sums = lock["imported"]["files"][0]["sha256"].as_str().unwrap();
    assert_eq!((sums.len(), lock["imported"]["files"][0]["name"].as_str()), (64, Some("r.json")));
    assert_eq!((lock["study"]["name"].as_str(), lock["study"]["groups"].as_u64()), (Some("old"), Some(8)));

    // What is not known is null on disk.
    let run = StoredRun::open(&w.path().join("runs/old")).unwrap();
    assert!(run.turns().iter().all(|t| !t.measured() && t.elapsed_ms.is_nan() && t.factors.len() == 2));
    let o = friction(w.path(), &["analyze", "runs/old", "--set", "analyzer.0.outcome=reply_tokens"]);
    assert!(text(&o).contains("no turn that is compared has the outcome `reply_tokens`"), "{}", text(&o));

    // The run goes on working where it was moved, without the files that it was made of.
    fs::rename(w.path().join("runs/old"), w.path().join("moved")).unwrap();
    fs::remove_file(w.path().join("r.json")).unwrap();
    assert_eq!(
        json_of(w.path(), &["analyze", "moved", "--json"])["analyzers"]["behavior"]["values"]["primary"],
        *primary
    );
}

/// Files of numbers alone have their own counts of hedges, which are not 0 because there is no text to count in.
#[test]
fn files_without_texts_keep_their_own_counts() {
    let mut all = results(0..4);
    for turn in all.iter_mut().flat_map(|t| t["turns"].as_array_mut().unwrap()) {
        let turn = turn.as_object_mut().unwrap();
        for key in ["model_response", "history_response", "question_text", "user_message"] {
            turn.remove(key);
        }
        turn["hedging_count"] = json!(2);
    }
    let w = world(&all);
    imported(w.path());
    json_of(w.path(), &["analyze", "runs/old", "--json"]);
    let table = fs::read_to_string(w.path().join("runs/old/analysis/behavior/conditions.csv")).unwrap();
    let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let heads = rows.next().unwrap();
    let at = heads.iter().position(|h| h.trim_matches('"').starts_with("hedges_per_reply")).unwrap();
    let hedges: Vec<f64> = rows.map(|row| row[at].parse().unwrap()).collect();
    assert_eq!(hedges, [2.0; 4], "{table}");
    // Neither how replies ended nor what they said is known, so that no guard speaks of it.
    let found = fs::read_to_string(w.path().join("runs/old/analysis/behavior/findings.json")).unwrap();
    assert!(!found.contains("replies to equal first prompts") && !found.contains("at the limit of their length"));
}

#[test]
fn it_is_graded_again_where_there_is_something_to_grade() {
    let mut all = results(0..2);
    // One turn without its reply, one whose question has no options.
    all[0]["turns"][0]["model_response"] = json!("");
    for talk in &mut all[4..] {
        talk["turns"][3]["question_text"] = json!("What?");
    }
    // A reply in which the study's parser reads the word I.
    for (key, v) in [("model_response", json!("I am sure. Answer: (B)")), ("parsed_answer", json!("I"))] {
        all[1]["turns"][1][key] = v;
    }
    all[1]["turns"][1]["is_correct"] = json!(false);
    let w = world(&all);
    imported(w.path());
    let told = json_of(w.path(), &["grade", "runs/old", "--dry-run", "--json"]);
    assert_eq!((told["report"]["answers"].as_u64(), told["report"]["scores"].as_u64()), (Some(0), Some(0)), "{told}");
    let notes = told["report"]["notes"].to_string();
    assert!(notes.contains("5 of 32 turns keep their grade: their replies or options were not imported"), "{notes}");
    let set = ["grade", "runs/old", "--set", "grade.parser=declared", "--json"];
    let told = json_of(w.path(), &set);
    assert_eq!((told["report"]["answers"].as_u64(), told["report"]["scores"].as_u64()), (Some(1), Some(1)), "{told}");
    let run = StoredRun::open(&w.path().join("runs/old")).unwrap();
    let of = |condition: &str, turn| run.turns().iter().find(|t| t.condition == condition && t.turn == turn).unwrap();
    let read = of("complete_neutral", 2);
    assert_eq!(
        (read.answer.as_deref(), read.score, read.grades["before"].as_deref()),
        (Some("B"), Some(1.0), Some("I"))
    );
    let silent = of("complete_grateful", 1);
    assert_eq!((silent.answer.as_deref(), silent.score), (Some("B"), Some(1.0)));
    let o = friction(w.path(), &["analyze", "runs/old"]);
    assert!(o.status.success(), "{}", text(&o));
}

#[test]
fn nothing_is_run_with_it_or_into_it() {
    let w = world(&results(0..2));
    imported(w.path());
    for args in [&["run", "runs/old/manifest.toml"][..], &["check", "runs/old/manifest.toml"]] {
        let o = friction(w.path(), args);
        let told = text(&o);
        assert_eq!(o.status.code(), Some(2), "{told}");
        assert!(told.contains("`none:gemma3-4b` is the model of a run that was imported"), "{told}");
    }
    let study = r#"
study = { name = "t", groups = 1, turns = 1 }
model = { source = "bundled:scripted" }
generation = { max_new_tokens = 4 }
dataset = { plugin = "questions", path = "runs/old/items.jsonl" }
topics = { plugin = "fixed" }
[[condition]]
name = "plain"
plugin = "template"
"#;
    fs::write(w.path().join("m.toml"), study).unwrap();
    let before = fs::read(w.path().join("runs/old/lock.json")).unwrap();
    let o = friction(w.path(), &["run", "m.toml", "--out", "runs/old"]);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    assert!(text(&o).contains("runs/old: this run was imported, so nothing can be run into it"), "{}", text(&o));
    assert_eq!(fs::read(w.path().join("runs/old/lock.json")).unwrap(), before);
    // An analyzer that reads the model says why it cannot.
    let lens = "\n[[analyzer]]\nplugin = \"logit-lens\"\nsites = [\"resid_post.1\"]\n";
    fs::write(w.path().join("lens.toml"), format!("{study}{lens}")).unwrap();
    let o = friction(w.path(), &["analyze", "runs/old", "--manifest", "lens.toml"]);
    assert!(!o.status.success() && text(&o).contains("`none:gemma3-4b` is the model of a run"), "{}", text(&o));
}

#[test]
fn what_a_killed_import_left_is_removed_and_nothing_else() {
    let w = world(&results(0..2));
    let runs = w.path().join("runs");
    let dead = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_friction"));
        let mut child = child.arg("--version").stdout(Stdio::null()).spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let (left, held) = (format!(".friction-old-{}.tmp", dead()), format!(".friction-old-{}.tmp", dead()));
    let others = [".friction-older-1.tmp".to_string(), ".friction-old-mine.tmp".into(), ".friction-old".into()];
    for name in others.iter().chain([&left, &held]) {
        fs::create_dir_all(runs.join(name).join("groups/0000")).unwrap();
        fs::write(runs.join(name).join(".writer"), "").unwrap();
    }
    // Another import that goes on.
    let lock = fs::File::create(runs.join(&held).join(".writer")).unwrap();
    lock.try_lock().unwrap();
    imported(w.path());
    assert!(!runs.join(&left).exists(), "{left}");
    for name in others.iter().chain([&held]) {
        assert!(runs.join(name).join("groups/0000").is_dir(), "{name}");
    }
    assert!(runs.join("old/lock.json").is_file());
}

#[test]
fn what_cannot_be_imported_is_refused_and_nothing_is_left() {
    let w = world(&results(0..1));
    let refused = |args: &[&str], why: &str| {
        let o = friction(w.path(), args);
        assert_eq!(o.status.code(), Some(2), "{args:?}: {}", text(&o));
        assert!(text(&o).contains(why), "{args:?}: {}", text(&o));
    };
    fs::write(w.path().join("broken.json"), "[{\"conversation_id\": 3}]").unwrap();
    refused(&["import", "broken.json", "--out", "new"], "broken.json: conversation 1: `conversation_id`: invalid type");
    refused(&["import", "r.json", "broken.json", "--out", "new"], "broken.json: conversation 1");
    refused(&["import", "nowhere.json", "--out", "new"], "nowhere.json: No such file");
    refused(&["import", ".", "--out", "new"], ".: is no file");
    refused(&["import", "r.json"], "--out");
    refused(&["import", "--out", "new"], "FILE");
    refused(&["import", "r.json", "--out", "new", "--format", "orignal"], "`orignal`: did you mean `original`?");
    refused(&["import", "r.json", "--out", "."], "is there already and is not an empty folder");
    let names: Vec<String> =
        fs::read_dir(w.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // An empty folder is taken, and a part of a group is kept.
    let mut part = results(0..2);
    part.pop();
    fs::write(w.path().join("part.json"), serde_json::to_vec(&part).unwrap()).unwrap();
    fs::create_dir(w.path().join("new")).unwrap();
    let o = friction(w.path(), &["import", "part.json", "r.json", "--out", "new"]);
    assert!(
        o.status.success() && text(&o).contains("imported 7 conversations of 2 groups, 28 turns, of gemma3-4b"),
        "{}",
        text(&o)
    );
    assert!(text(&o).contains("1 of 2 groups lack a condition (interrupt_blunt in 1)"), "{}", text(&o));
    let o = friction(w.path(), &["analyze", "new"]);
    assert!(o.status.success() && text(&o).contains("left out of the primary contrast: 1 pair"), "{}", text(&o));
}
