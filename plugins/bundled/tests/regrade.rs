//! `[grade]` is checked before a run and recorded with it; `friction grade RUN` grades again and joins scores.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::sums::{MANIFEST, QUESTIONS, log, ran, told, turns, world};
use common::{friction, text};
use friction as _;
use serde_json::Value;
use std::fs;

#[test]
fn a_table_grades_and_what_it_cannot_grade_is_refused() {
    let w = ran();
    let rows = turns(w.path());
    let of = |c: &str| -> Vec<(Option<&str>, Option<f64>)> {
        rows.iter().filter(|t| t.condition == c).map(|t| (t.answer.as_deref(), t.score)).collect()
    };
    let want = vec![(Some("12"), Some(1.0)), (Some("3"), Some(0.0)), (Some("42"), Some(1.0)), (Some("5"), Some(1.0))];
    assert_eq!((of("plain"), of("loud")), (want.clone(), want));
    assert_eq!((rows[1].metrics["number"], rows[1].metrics["error"]), (3.0, -1.0));
    assert_eq!((rows[0].target.as_deref(), rows[0].choices), (Some("12"), 0));
    let c = rows.iter().find(|t| t.item_id == "c").unwrap();
    assert_eq!(c.metadata, r#"{"level":2}"#);
    let lock: Value = serde_json::from_str(&fs::read_to_string(w.path().join("r/lock.json")).unwrap()).unwrap();
    assert_eq!(lock["grade"], serde_json::json!({"kind": "number"}));
    // Another grade is another run.
    let o = friction(w.path(), &["run", "m.toml", "--out", "r", "--set", "grade.tolerance=2"]);
    assert!(!o.status.success() && text(&o).contains("grade.tolerance: stored null, now 2"), "{}", text(&o));
    for (set, why) in [
        (vec!["grade.kind=choice"], "`kind = \"choice\"` can score no reply: of the first 4 items `a` has no choices"),
        (vec!["grade.kind=regex"], "`pattern` is missing"),
        (vec!["grade.kind=exact", "grade.tolerance=1"], "`tolerance` does nothing beside `kind = \"exact\"`"),
    ] {
        let args: Vec<&str> = ["check", "m.toml"].into_iter().chain(set.iter().flat_map(|s| ["--set", s])).collect();
        let told = told(w.path(), &args);
        assert!(told.contains(why), "{told}");
    }
    // One item that cannot be graded among others is a warning.
    fs::write(w.path().join("q.jsonl"), QUESTIONS.replace("\"target\": 12", "\"target\": \"many\"")).unwrap();
    let o = friction(w.path(), &["check", "m.toml"]);
    let warned = "cannot score replies to 1 of the first 4 items: `a` has no number in its target \"many\"";
    assert!(o.status.success() && text(&o).contains(warned), "{}", text(&o));
}

#[test]
fn analyzers_of_scores_need_items_that_have_one() {
    let w = world();
    let analyzer = "[[analyzer]]\nplugin = \"behavior\"\n";
    fs::write(w.path().join("m.toml"), MANIFEST.replace("[grade]\nkind = \"number\"\n", "") + analyzer).unwrap();
    let e = told(w.path(), &["check", "m.toml"]);
    assert!(e.contains("reads the outcome `score`, but no reply to the first items has a score"), "{e}");
    let e = told(w.path(), &["check", "m.toml", "--set", "analyzer.0.outcome=log_odds"]);
    assert!(e.contains("but the first items have no right choice among several"), "{e}");
    let o = friction(w.path(), &["check", "m.toml", "--set", "grade.kind=number"]);
    assert!(o.status.success(), "{}", text(&o));
    let o = friction(w.path(), &["check", "m.toml", "--set", "analyzer.0.outcome=reply_tokens"]);
    assert!(o.status.success(), "{}", text(&o));
}

#[test]
fn a_run_is_graded_again_and_keeps_what_it_was_made_with() {
    let w = ran();
    let made = turns(w.path());
    let o = friction(w.path(), &["grade", "r"]);
    assert!(o.status.success() && text(&o).contains("nothing changes; nothing was written"), "{}", text(&o));
    assert_eq!(turns(w.path()), made);
    let wider = ["grade", "r", "--set", "grade.tolerance=1"];
    let o = friction(w.path(), &[&wider[..], &["--dry-run", "--json"]].concat());
    let found: Value = serde_json::from_slice(&o.stdout).unwrap();
    let report = &found["report"];
    assert_eq!((&found["written"], &report["scores"], &report["answers"]), (&false.into(), &2.into(), &0.into()));
    assert_eq!((&report["turns"], &report["groups"]), (&8.into(), &2.into()));
    let first = &report["examples"][0];
    assert_eq!((&first["turn"], &first["score"]), (&2.into(), &serde_json::json!([0.0, 1.0])));
    assert_eq!(report["conditions"][0]["mean"], serde_json::json!([0.75, 1.0]));
    assert_eq!(turns(w.path()), made);
    let o = friction(w.path(), &wider);
    let said = text(&o);
    assert!(o.status.success() && said.contains("0 of the answers and 2 of the scores change"), "{said}");
    assert!(said.contains("this departs from the run's manifest: grade.tolerance=1"), "{said}");
    assert!(said.contains("group 0, loud, turn 2: \"3\" (0) → \"3\" (1)") && said.contains("analyze r"), "{said}");
    let now = turns(w.path());
    assert!(now.iter().all(|t| t.score == Some(1.0)));
    for (a, b) in made.iter().zip(&now) {
        assert_eq!((b.grades["before"].as_ref(), b.metrics.get("before").copied()), (a.answer.as_ref(), a.score));
        assert_eq!((b.metrics["before_number"], &b.reply), (a.metrics["number"], &a.reply));
        assert_eq!(b.grades["before_last"], a.grades["last"]);
    }
    let all = log(w.path());
    assert_eq!((all.len(), &all[0]["scores"], &all[0]["settings"][0]), (1, &2.into(), &"grade.tolerance=1".into()));
    // Again, without the setting: the grades are the run's own, and what is kept is still that.
    let o = friction(w.path(), &["grade", "r"]);
    assert!(o.status.success(), "{}", text(&o));
    let back = turns(w.path());
    for (a, b) in made.iter().zip(&back) {
        assert_eq!((a.score, &a.answer, b.metrics.get("before").copied()), (b.score, &b.answer, a.score));
    }
    // The checksums are those of the new files, and the run goes on.
    let sums = std::process::Command::new("sha256sum")
        .args(["-c", "SHA256SUMS"])
        .current_dir(w.path().join("r/groups/0000"))
        .output();
    assert!(sums.is_ok_and(|o| o.status.success()));
    let o = friction(w.path(), &["run", "m.toml", "--out", "r"]);
    assert!(o.status.success(), "{}", text(&o));
    let e = told(w.path(), &["grade", "r", "--set", "study.turns=3"]);
    assert!(e.contains("--set study.turns=3: a run that was made can be graded otherwise"), "{e}");
    let e = told(w.path(), &["grade", "r", "--set", "grade.tolerence=3"]);
    assert!(e.contains("did you mean `tolerance`?"), "{e}");
}

#[test]
fn other_data_older_runs_and_runs_in_progress_are_refused() {
    let w = ran();
    fs::write(w.path().join("q.jsonl"), QUESTIONS.replace("5 apples", "6 apples")).unwrap();
    let e = told(w.path(), &["grade", "r"]);
    assert!(e.contains("the data of r are not those that it was made with"), "{e}");
    fs::write(w.path().join("q.jsonl"), QUESTIONS).unwrap();
    let lock = w.path().join("r/lock.json");
    let stored = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, stored.replace("\"schema\": 3", "\"schema\": 2")).unwrap();
    for args in [vec!["grade", "r"], vec!["grade", "r", "--scores", "q.jsonl"]] {
        let e = told(w.path(), &args);
        assert!(e.contains("made by an older friction (schema 2)") && e.contains("friction analyze r"), "{e}");
    }
    fs::write(&lock, stored).unwrap();
    let held = fs::File::create(w.path().join("r/.writer")).unwrap();
    held.lock().unwrap();
    let o = friction(w.path(), &["grade", "r"]);
    assert!(!o.status.success() && text(&o).contains("is being written by another process"), "{}", text(&o));
    drop(held);
    for (args, why) in [
        (vec!["grade"], "--replies"),
        (vec!["grade", "nowhere"], "holds no run"),
        (vec!["grade", "r", "--as", "score"], "--scores"),
        (vec!["grade", "r", "--replies", "q.jsonl"], "cannot be used with"),
    ] {
        let o = friction(w.path(), &args);
        assert!(!o.status.success() && text(&o).contains(why), "{args:?}: {}", text(&o));
    }
}

#[test]
fn scores_of_people_are_joined_by_turn() {
    let w = ran();
    let made = turns(w.path());
    let write = |text: &str| fs::write(w.path().join("s.csv"), text).unwrap();
    let joined = |more: &[&str]| friction(w.path(), &[&["grade", "r", "--scores", "s.csv"], more].concat());
    write("\u{feff}group;condition;turn;warmth;depth\r\n0;plain;1;3.5;1\r\n0;plain;2;;2\r\n1;loud;2;-1e0;\r\n");
    let o = joined(&["--dry-run"]);
    assert!(o.status.success() && text(&o).contains("metric.depth: 2 turns metric.warmth: 2 turns"), "{}", text(&o));
    assert_eq!(turns(w.path()), made);
    let o = joined(&[]);
    assert!(o.status.success() && text(&o).contains("5 of 8 turns are not scored in s.csv"), "{}", text(&o));
    let rows = turns(w.path());
    let at = |c: &str, group: u32, turn: u32| {
        rows.iter().find(|t| (t.condition.as_str(), t.group, t.turn) == (c, group, turn)).unwrap()
    };
    let first = &at("plain", 0, 1).metrics;
    assert_eq!((first["warmth"], first["depth"], at("loud", 1, 2).metrics["warmth"]), (3.5, 1.0, -1.0));
    assert!(!at("plain", 0, 2).metrics.contains_key("warmth") && !at("loud", 0, 1).metrics.contains_key("depth"));
    assert!(rows.iter().zip(&made).all(|(a, b)| (a.score, &a.answer) == (b.score, &b.answer)));
    assert_eq!(log(w.path())[0]["columns"], serde_json::json!(["warmth", "depth"]));
    // The same name again.
    let e = told(w.path(), &["grade", "r", "--scores", "s.csv"]);
    assert!(e.contains("has a metric `warmth` already") && e.contains("--replace"), "{e}");
    // One of the columns becomes the score; grades of before stay.
    write("group,condition,arm,sample,turn,judge,remark\n0,plain,,0,1,0.25,\"a, b\"\n1,plain,,0,1,1,x\n");
    let e = told(w.path(), &["grade", "r", "--scores", "s.csv"]);
    assert!(e.contains("s.csv: line 2: `remark` is \"a, b\", which is no number line 3:"), "{e}");
    let o = joined(&["--as", "score", "--columns", "judge"]);
    assert!(
        o.status.success() && text(&o).contains("6 of 8 turns are not scored in s.csv; they have no score"),
        "{}",
        text(&o)
    );
    let rows = turns(w.path());
    let judged: Vec<_> = rows.iter().map(|t| (t.score, t.metrics.get("judge").copied(), t.metrics["before"])).collect();
    let was: Vec<f64> = made.iter().map(|t| t.score.unwrap()).collect();
    assert_eq!(judged.iter().filter(|j| j.0.is_some()).count(), 2);
    assert!(judged.iter().zip(&was).all(|(j, w)| j.0 == j.1 && j.2 == *w), "{judged:?}");
    for (file, why) in [
        (
            "group,condition,turn,x\n0,plain,9,1\n0,plane,1,1\n",
            "line 2: the run has no turn 9 of group 0, condition `plain` line 3: the run has no turn 1 of group 0, condition `plane`",
        ),
        ("group,condition,turn,x\n0,plain,1,1\n\n0,plain,1,2\n", "line 4: line 2 scores the same turn"),
        ("group,condition,turn,x\n0,plain,1,nan\n", "line 2: `x` is \"nan\", which is no number"),
        ("group,condition,turn,x\n0,plain,1,\"3,5\"\n", "line 2: `x` is \"3,5\", which is no number"),
        ("group,condition,turn,x\n0,plain,one,1\n", "line 2: `turn` is \"one\", which is no whole number"),
        ("group,condition,turn,x\n0,plain,1\n", "line 2: 3 fields, where the first line has 4"),
        ("group,condition,turn,x\n0,plain,1,\"1\n", "line 2: a quote is opened and not closed"),
        ("group,condition,x\n0,plain,1\n", "there is no column `turn`; there are group, condition, x"),
        ("group,condition,turn\n0,plain,1\n", "there is no column of scores"),
        ("group,condition,turn,x,x\n", "the column `x` stands twice"),
        ("group,condition,turn,x y\n0,plain,1,1\n", "the column \"x y\" names no metric"),
        ("group,condition,turn,before\n0,plain,1,1\n", "has a name that is taken"),
        ("group,condition,turn,x\n", "holds no scores"),
        ("", "is empty"),
    ] {
        write(file);
        let told = told(w.path(), &["grade", "r", "--scores", "s.csv"]);
        assert!(told.contains("s.csv: ") && told.contains(why), "{file}: {told}");
    }
    for (value, shown) in [("2", "2"), ("-0.5", "-0.5")] {
        write(&format!("group,condition,turn,x\n0,plain,1,1\n0,plain,2,{value}\n1,plain,1,7\n"));
        let e = told(w.path(), &["grade", "r", "--scores", "s.csv", "--as", "score"]);
        assert!(e.contains(&format!("s.csv: line 3: `x` is {shown}, and a score is a share from 0 to 1")), "{e}");
        assert!(e.contains("`outcome = \"metric.x\"` reads") && !e.contains("line 4"), "{e}");
    }
    write("group,condition,turn,x,y\n0,plain,1,1,1\n");
    let e = told(w.path(), &["grade", "r", "--scores", "s.csv", "--as", "score"]);
    assert!(e.contains("2 columns of scores, and one can be the score"), "{e}");
    let e = told(w.path(), &["grade", "r", "--scores", "none.csv"]);
    assert!(e.contains("none.csv: "), "{e}");
}
