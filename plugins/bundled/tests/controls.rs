//! The full control design on the model organism: each arm does what is true of it, and what should be equally long is.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text, world};
use friction_core::{RunReader, TurnRow};
use friction_store::StoredRun;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const GROUPS: usize = 12;

/// Runs the design. Returns what the analyzers found, the turns, and all that was printed.
fn run(dir: &Path, set: &[&str]) -> (Value, Vec<TurnRow>, String) {
    let (path, out) = (root().join("experiments/controls.toml").display().to_string(), dir.join("run"));
    let groups = format!("study.groups={GROUPS}");
    let mut args = vec!["--json", "run", path.as_str(), "--out", "run", "--set", groups.as_str()];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir, &args);
    assert!(o.status.success(), "{}", text(&o));
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    let turns = StoredRun::open(&out).unwrap().turns().to_vec();
    (v["analyzers"].clone(), turns, text(&o))
}

/// The turns of a condition by group and turn.
fn of<'a>(turns: &'a [TurnRow], condition: &str) -> BTreeMap<(u32, u32), &'a TurnRow> {
    turns.iter().filter(|t| t.condition == condition).map(|t| ((t.group, t.turn), t)).collect()
}

fn accuracy(turns: &[TurnRow], condition: &str) -> f64 {
    let all = of(turns, condition);
    all.values().filter_map(|t| t.score).sum::<f64>() / all.len() as f64
}

#[test]
fn each_arm_does_what_is_true_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (found, turns, told) = run(dir.path(), &[]);
    let truth = &found["ground-truth"]["values"];
    let arms = truth["conditions"].as_object().unwrap();
    assert_eq!(arms.len(), 16);
    for (name, arm) in arms {
        // Behind a marker that follows a whole reply, and where exchanges are told, nothing was planted.
        let known = if ["marker", "message", "recap"].contains(&name.as_str()) { GROUPS } else { 12 * GROUPS };
        assert_eq!(arm["n"], known, "{name}: {arm}");
        assert!(arm["exact"].as_f64().unwrap() > 0.97, "{name}: {arm}");
    }
    let planted = |name: &str| arms[name]["planted"].as_f64().unwrap();
    for flat in ["complete", "words", "words_padded", "single", "prompted", "placebo_a", "placebo_b"] {
        assert!((planted(flat) - 0.92).abs() < 1e-9, "{flat}");
    }
    for full in ["package", "cut_marker", "cut", "length_matched"] {
        // 0.92 in turn 1, 0.48 in turn 12.
        assert!((planted(full) - 0.70).abs() < 1e-9, "{full}");
    }
    // By the count so far, 0 to 11 are shared out between the two halves of a schedule.
    assert!((planted("half") + planted("other_half") - 2.0 * 0.92 + 0.04 * 5.5).abs() < 1e-9);
    assert_eq!(truth["step"]["agrees"], true, "{truth}");
    // Each cut costs four points, whichever turns the schedule cuts in. Twelve groups tell it roughly; 80 groups gave
    // -3.9 (-5.1 to -2.9).
    let cuts = &found["behavior"]["values"]["cuts_so_far"];
    assert_eq!((cuts.as_array().map(Vec::len), &cuts[0]["conditions"]), (Some(1), &json!(["half", "other_half"])));
    assert!((cuts[0]["estimate"].as_f64().unwrap() + 4.0).abs() < 3.0, "{cuts}");
    for factor in [
        "factor_cut_cut-marker-cut",
        "factor_cut_length-matched-cut",
        "factor_words_neutral-interrupting",
        "factor_words_neutral-interrupting-padded",
        "factor_context_turns-single",
        "factor_state",
        "factor_placebo_b-a",
        "factor_placebo_none-a",
        "factor_placebo_none-b",
    ] {
        assert_eq!(truth[factor]["agrees"], true, "{factor}: {truth}");
    }
    // What was not planted: the organism takes a marker for an interruption more often than not at all, and less often
    // than a cut.
    assert!(accuracy(&turns, "marker") < accuracy(&turns, "complete") - 0.03);
    assert!(accuracy(&turns, "marker") > accuracy(&turns, "cut") + 0.03);
    assert!(!told.contains("equally long"), "{told}");
}

#[test]
fn what_should_be_equally_long_is() {
    let dir = tempfile::tempdir().unwrap();
    let (_, turns, _) = run(dir.path(), &[]);
    let complete = of(&turns, "complete");
    let equals = |name: &str| {
        for (at, t) in of(&turns, name) {
            assert_eq!(t.prompt_tokens, complete[&at].prompt_tokens, "{name} {at:?}: {}", t.user);
            let filled = (t.turn > 1 && name != "words").then_some(0);
            assert_eq!(t.length_difference, filled, "{name} {at:?}");
        }
    };
    ["length_matched", "words_padded", "words"].into_iter().for_each(equals);
    for (at, t) in of(&turns, "length_matched") {
        // A reply of seven tokens is cut to three.
        assert_eq!(t.filler_tokens, (t.turn > 1).then_some(4), "{at:?}");
        assert!(t.kept == "A. That" || t.kept.ends_with(". That") || t.turn == 12, "{}", t.kept);
    }
    let cut = of(&turns, "cut");
    assert!(complete.iter().filter(|(at, _)| at.1 > 1).all(|(at, t)| {
        t.prompt_tokens == cut[at].prompt_tokens + 4 * (at.1 - 1) && cut[at].filler_tokens.is_none()
    }));
    // Turn 1 is the same everywhere but behind the system prompt.
    for t in turns.iter().filter(|t| t.turn == 1 && t.condition != "prompted") {
        let first = complete[&(t.group, 1)];
        assert_eq!((&t.user, &t.reply, &t.history), (&first.user, &first.reply, &String::new()), "{}", t.condition);
    }
}

#[test]
fn turns_read_what_their_arm_says() {
    let dir = tempfile::tempdir().unwrap();
    let (_, turns, _) = run(dir.path(), &[]);
    let complete = of(&turns, "complete");
    for (at, t) in of(&turns, "single") {
        // The message is the complete arm's, and the prompt is that message alone.
        assert_eq!((&t.user, t.history.as_str()), (&complete[&at].user, if at.1 > 1 { "none" } else { "" }));
        assert!(t.prompt_tokens < 60, "{at:?}: {}", t.prompt_tokens);
    }
    let message = of(&turns, "message");
    for (at, t) in message.iter().filter(|(at, _)| at.1 > 1) {
        let (before, reply) = (&complete[&(at.0, at.1 - 1)].user, &message[&(at.0, at.1 - 1)].reply);
        let last = format!("User: {before}\n\nAssistant: {reply}\n\nUser: {}", complete[at].user);
        assert!(t.history == "told" && t.user.ends_with(&last), "{at:?}: {}", t.user);
        assert_eq!(t.user.matches("Assistant: ").count() as u32, at.1 - 1);
    }
    for t in of(&turns, "recap").into_values().filter(|t| t.turn > 1) {
        assert_eq!((t.user.matches("Level ").count() as u32, t.user.contains("That is")), (t.turn, false));
    }
    let cuts = |name: &str| -> BTreeSet<(u32, u32)> {
        of(&turns, name).into_iter().filter(|(_, t)| t.removed_tokens > 0).map(|(at, _)| at).collect()
    };
    let (half, rest) = (cuts("half"), cuts("other_half"));
    assert!(half.is_disjoint(&rest) && half.len() + rest.len() == 11 * GROUPS);
    for group in 0..GROUPS as u32 {
        assert_eq!(half.iter().filter(|at| at.0 == group).count(), 6, "half of eleven, rounded");
    }
    // Three of ten groups, rounded, say the held-out wording alone, and the others never.
    let mut held = BTreeSet::new();
    for name in ["placebo_a", "placebo_b"] {
        for (at, t) in of(&turns, name).into_iter().filter(|(at, _)| at.1 > 1) {
            if t.phrase == Some(3) {
                held.insert(at.0);
            }
        }
        let others =
            of(&turns, name).into_iter().filter(|(at, t)| held.contains(&at.0) && at.1 > 1 && t.phrase != Some(3));
        assert_eq!(others.count(), 0, "{name}");
    }
    assert_eq!(held.len(), 4);
}

#[test]
fn nothing_happens_to_the_null_organism() {
    let dir = tempfile::tempdir().unwrap();
    let (found, ..) = run(dir.path(), &["model.source=bundled:organism-null", "analyzer.1.expect=\"null\""]);
    let truth = &found["ground-truth"]["values"];
    assert!(truth["exact_share"].as_f64().unwrap() > 0.97, "{truth}");
    assert_eq!(truth["step"]["agrees"], true, "{truth}");
}

#[test]
fn lengths_that_cannot_be_equal_are_refused_before_a_token() {
    let path = root().join("experiments/controls.toml").display().to_string();
    let here = tempfile::tempdir().unwrap();
    let refused = |set: &str| {
        let o = friction(here.path(), &["check", &path, "--set", set]);
        assert_eq!(o.status.code(), Some(2), "{}", text(&o));
        text(&o)
    };
    // `nvm.` has five tokens beyond the bare question.
    let told = refused("condition.3.filler.wording_tokens=4");
    assert!(told.contains("its message has 5 tokens more than the bare prompt"), "{told}");
    assert!(told.contains("turn 2 of group 0, condition `words_padded`"), "{told}");
    let told = refused("condition.14.user.2=\"nvm. {topic}.\\n\\n{question}\"");
    // 28 tokens of the question, seven or five of the wording, and nine that the template writes.
    assert!(told.contains("condition `placebo_a`") && told.contains("0: 44, 1: 44, 2: 42, 3: 44"), "{told}");
}

#[test]
fn a_complement_without_its_schedule_is_refused() {
    let path = root().join("experiments/controls.toml").display().to_string();
    let here = tempfile::tempdir().unwrap();
    let o = friction(here.path(), &["check", &path, "--set", "condition.8.keep.schedule.share=0.4"]);
    let told = text(&o);
    assert!(o.status.code() == Some(2) && told.contains("`other_half` has the complement of a schedule"), "{told}");
    let o = friction(here.path(), &["check", &path]);
    assert_eq!(o.status.code(), Some(0), "{}", text(&o));
}

#[test]
fn a_prompt_that_no_words_make_as_long_is_counted_and_told() {
    // Each character is a token. A sampled reply of five loses one, and a filler's letter and its space take two.
    let manifest = common::MANIFEST
        .replace("keep = { tokens = 2, marker = \" -\" }", "keep = { tokens = 4 }\nfiller = { text = \"wwwwwwww\" }");
    let w = world(&manifest);
    let o = friction(w.path(), &["--json", "run", "m.toml", "--out", "run", "--set", "generation.temperature=1.0"]);
    assert!(o.status.success(), "{}", text(&o));
    let run = StoredRun::open(&w.path().join("run")).unwrap();
    let all: Vec<&TurnRow> = run.turns().iter().filter(|t| t.condition == "impatient" && t.turn > 1).collect();
    let off = all.iter().filter(|t| t.length_difference != Some(0)).count();
    assert!(off > 0, "{all:?}");
    for t in &all {
        assert!(t.length_difference.unwrap() <= 0 && t.filler_tokens.is_some(), "{t:?}");
    }
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    let told = v["run"]["notes"].to_string();
    assert!(told.contains(&format!("{off} of {} turns of `impatient`", all.len())), "{told}");
}
