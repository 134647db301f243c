//! `friction grade RUN` is recorded in the run: what was stopped is told and finished, and what it replaced is exploratory.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::sums::{MANIFEST, turns, world};
use common::{friction, text};
use friction as _;
use friction_core::TurnRow;
use friction_store::{StoredRun, gradings, temp};
use friction_study::Otherwise;
use friction_study::regrade::{Regraded, regraded};
use friction_study::scores::{Scores, scored};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The study with a primary contrast on an outcome, run to its end.
fn locked(outcome: &str) -> tempfile::TempDir {
    let w = world();
    let primary = format!(
        "[primary]\ncontrast = \"tone × turn\"\ndirection = \"falls\"\nsmallest = 0.5\nfirst_turn = 1\n{outcome}\n"
    );
    let manifest = format!("{MANIFEST}{primary}[[analyzer]]\nplugin = \"behavior\"\n");
    fs::write(w.path().join("m.toml"), manifest).unwrap();
    let o = friction(w.path(), &["run", "m.toml", "--out", "r"]);
    assert!(o.status.success(), "{}", text(&o));
    w
}

/// What `analyze` says of a run: the status of what it found of the primary contrast, its notes, and its text.
fn analyzed(dir: &Path) -> (String, Vec<String>, String) {
    let o = friction(dir, &["analyze", "r", "--json"]);
    assert!(o.status.success(), "{}", text(&o));
    let all: Value = serde_json::from_slice(&o.stdout).unwrap();
    let notes = all["run"]["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_string()).collect();
    let found = fs::read_to_string(dir.join("r/analysis/behavior/findings.json")).unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    let blocks = found["blocks"].as_array().unwrap();
    let status = blocks.iter().rev().find_map(|b| b["status"].as_str()).unwrap().to_string();
    (status, notes, text(&friction(dir, &["analyze", "r"])))
}

/// Fails to write the second group, as a full disk does.
fn stopped(dir: &Path, new: Regraded) {
    let blocked = temp::temporary(&dir.join("r/groups/0001-turns.parquet"));
    fs::create_dir(&blocked).unwrap();
    assert!(new.write().is_err());
}

const JUDGED: &str = "group,condition,turn,judge\n0,plain,1,0\n0,plain,2,0.5\n0,loud,1,1\n0,loud,2,0\n1,plain,1,0\n1,plain,2,1\n1,loud,1,0\n1,loud,2,0.25\n";

#[test]
fn scores_that_were_joined_in_part_are_told_and_finished() {
    let w = locked("");
    let (run, made) = (w.path().join("r"), turns(w.path()));
    fs::write(w.path().join("s.csv"), JUDGED).unwrap();
    let scores = Scores { bytes: JUDGED.as_bytes(), name: "s.csv", as_score: true, ..Scores::default() };
    stopped(w.path(), scored(&run, &scores).unwrap());
    let half = turns(w.path());
    let judged = |rows: &[TurnRow], group| rows.iter().all(|t| t.group != group || t.metrics.contains_key("judge"));
    assert!(judged(&half, 0) && !judged(&half, 1));
    // Neither analysed nor resumed, and no other grading begins.
    let before = fs::read(run.join("analysis/behavior/findings.json")).unwrap();
    fs::write(w.path().join("other.csv"), JUDGED.replace("0.25", "0.75")).unwrap();
    for args in [
        vec!["analyze", "r"],
        vec!["run", "m.toml", "--out", "r"],
        vec!["grade", "r"],
        vec!["grade", "r", "--scores", "other.csv", "--as", "score"],
        vec!["grade", "r", "--scores", "s.csv"],
    ] {
        let o = friction(w.path(), &args);
        let said = text(&o);
        assert!(!o.status.success() && said.contains("new grades were begun and not finished"), "{args:?}: {said}");
        assert!(said.contains("the scores were replaced after the run by those of s.csv (column judge)"), "{said}");
        assert!(said.contains("r --scores s.csv --as score` finishes it"), "{said}");
    }
    assert_eq!(fs::read(run.join("analysis/behavior/findings.json")).unwrap(), before);
    assert_eq!(turns(w.path()), half);
    // The same command goes on.
    let o = friction(w.path(), &["grade", "r", "--scores", "s.csv", "--as", "score"]);
    let said = text(&o);
    assert!(o.status.success() && said.contains("this goes on with new grades that were begun"), "{said}");
    let now = turns(w.path());
    assert!(now.iter().all(|t| t.score.is_some() && t.score == t.metrics.get("judge").copied()));
    assert!(now.iter().zip(&made).all(|(a, b)| a.metrics.get("before").copied() == b.score));
    assert!(!run.join("grading.json").exists());
    let [one] = &gradings(&run).unwrap()[..] else { panic!() };
    assert!(one.scores && !one.answers && one.metrics == ["judge"] && one.later == 0, "{one:?}");
    assert_eq!(analyzed(w.path()).0, "exploratory");
    let o = friction(w.path(), &["run", "m.toml", "--out", "r"]);
    assert!(o.status.success(), "{}", text(&o));
    // Killed when all was written but the mark: nothing is recorded twice.
    let line = fs::read_to_string(run.join("gradings.jsonl")).unwrap();
    fs::write(run.join("grading.json"), line.trim()).unwrap();
    assert!(!friction(w.path(), &["analyze", "r"]).status.success());
    let o = friction(w.path(), &["grade", "r", "--scores", "s.csv", "--as", "score"]);
    assert!(o.status.success() && !run.join("grading.json").exists(), "{}", text(&o));
    assert_eq!(fs::read_to_string(run.join("gradings.jsonl")).unwrap(), line);
    // A corrected file takes the place of a lost one where it replaces all that was begun.
    let scores = Scores { replace: true, ..scores };
    let bytes = JUDGED.replace(",1,0\n", ",1,0.125\n");
    stopped(w.path(), scored(&run, &Scores { bytes: bytes.as_bytes(), ..scores }).unwrap());
    let o = friction(w.path(), &["grade", "r", "--scores", "other.csv", "--as", "score", "--replace"]);
    assert!(o.status.success(), "{}", text(&o));
    assert!(turns(w.path()).iter().all(|t| t.score != Some(0.125)));
    assert_eq!(gradings(&run).unwrap().len(), 2);
}

#[test]
fn replies_that_were_graded_again_in_part_are_told_and_finished() {
    let w = locked("");
    let (run, made) = (w.path().join("r"), turns(w.path()));
    let set = ["grade.tolerance=1".to_string()];
    let again = || regraded(&run, &Otherwise { settings: &set, ..Otherwise::default() });
    stopped(w.path(), again().unwrap());
    let e = text(&friction(w.path(), &["analyze", "r"]));
    let what = "replies were graded again after the run by [grade], kind = \"number\" (grade.tolerance=1)";
    assert!(e.contains(what) && e.contains("r --set grade.tolerance=1` finishes it"), "{e}");
    let e = text(&friction(w.path(), &["grade", "r"]));
    assert!(e.contains("new grades were begun and not finished"), "{e}");
    let o = friction(w.path(), &["grade", "r", "--set", "grade.tolerance=1"]);
    assert!(o.status.success(), "{}", text(&o));
    let now = turns(w.path());
    assert!(now.iter().all(|t| t.score == Some(1.0)));
    assert!(now.iter().zip(&made).all(|(a, b)| a.metrics.get("before").copied() == b.score));
    let (status, notes, said) = analyzed(w.path());
    assert!(status == "exploratory" && notes.iter().any(|n| n == what), "{status}: {notes:?}");
    assert!(said.contains(what), "{said}");
}

/// What was found in the grades of before is marked until it is found anew, and not where a column was joined alone.
#[test]
fn findings_of_replaced_grades_are_marked() {
    let w = locked("");
    let run = w.path().join("r");
    fs::write(w.path().join("s.csv"), JUDGED).unwrap();
    fs::write(w.path().join("t.csv"), JUDGED.replace("judge", "second")).unwrap();
    let stale = || {
        let found = fs::read_to_string(run.join("analysis/behavior/findings.json")).unwrap();
        serde_json::from_str::<Value>(&found).unwrap()["stale"].clone()
    };
    let graded = |more: &[&str]| {
        let o = friction(w.path(), &[&["grade", "r"], more].concat());
        assert!(o.status.success(), "{}", text(&o));
    };
    graded(&["--scores", "s.csv"]);
    assert_eq!(stale(), Value::Null);
    graded(&["--scores", "t.csv", "--as", "score"]);
    assert!(stale().as_str().unwrap().contains("before grades of the run were replaced"), "{}", stale());
    let read = StoredRun::open(&run).unwrap().found("behavior").unwrap().unwrap();
    assert!(read.warnings().any(|w| w.contains("before grades of the run were replaced")), "{read:?}");
    analyzed(w.path());
    assert_eq!(stale(), Value::Null);
    graded(&["--set", "grade.tolerance=1"]);
    assert!(stale().is_string());
}

#[test]
fn an_outcome_that_was_graded_again_is_exploratory() {
    let joined = ["grade", "r", "--scores", "s.csv"];
    let replaced = ["grade", "r", "--scores", "s.csv", "--as", "score"];
    let wider = ["grade", "r", "--set", "grade.tolerance=1"];
    for (outcome, args, want) in [
        ("", &joined[..], "confirmatory"),
        ("", &replaced[..], "exploratory"),
        ("outcome = \"answered\"", &replaced[..], "exploratory"),
        ("outcome = \"reply_tokens\"", &replaced[..], "confirmatory"),
        ("outcome = \"metric.number\"", &wider[..], "confirmatory"),
        ("outcome = \"metric.number\"", &["grade", "r", "--scores", "n.csv", "--replace"][..], "exploratory"),
    ] {
        let w = locked(outcome);
        fs::write(w.path().join("s.csv"), JUDGED).unwrap();
        fs::write(w.path().join("n.csv"), JUDGED.replace("judge", "number")).unwrap();
        let (status, notes, _) = analyzed(w.path());
        assert!(status == "confirmatory" && notes.is_empty(), "{outcome}: {status}, {notes:?}");
        let o = friction(w.path(), args);
        assert!(o.status.success(), "{}", text(&o));
        let (status, notes, said) = analyzed(w.path());
        assert_eq!((status.as_str(), notes.len()), (want, 1), "{outcome} {args:?}: {notes:?}");
        assert!(said.contains(&notes[0]), "{said}");
        let found = fs::read_to_string(w.path().join("r/analysis/behavior/findings.json")).unwrap();
        let told = serde_json::to_string(&notes[0]).unwrap();
        assert_eq!(found.contains(told.trim_matches('"')), want == "exploratory", "{outcome} {args:?}: {found}");
    }
    // Groups that are run afterwards have other grades; a run that only the log of an older friction tells of is no better.
    let w = locked("");
    let (run, one) = (w.path().join("r"), w.path().join("r/groups/0001"));
    let kept = w.path().join("kept");
    fs::rename(&one, &kept).unwrap();
    fs::write(w.path().join("s.csv"), JUDGED.split("1,plain").next().unwrap()).unwrap();
    let o = friction(w.path(), &replaced);
    assert!(o.status.success(), "{}", text(&o));
    fs::rename(&kept, &one).unwrap();
    let mixed = "those of s.csv (column judge); 1 group was finished later and has the grades of the run's manifest";
    assert!(analyzed(w.path()).1[0].contains(mixed));
    fs::remove_file(run.join("gradings.jsonl")).unwrap();
    let line = json!({"event": "grade", "by": "the scores of s.csv", "columns": ["judge"], "answers": 0, "scores": 4});
    fs::write(run.join("log.jsonl"), format!("{line}\n")).unwrap();
    let (status, notes, _) = analyzed(w.path());
    assert_eq!(
        (status.as_str(), &notes[..]),
        ("exploratory", &["turns were given grades after the run by the scores of s.csv".to_string()][..])
    );
}
