//! Stored conversations that are held again, on the bundled organism. A run's own model that reads them has the same
//! activations, log-probabilities, asides and last replies, bit for bit.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, text};
use friction as _;
use friction_checkpoint::{Checkpoint, Tokenizer};
use friction_core::{RunReader, TurnRow};
use friction_store::StoredRun;
use serde_json::Value;
use std::path::Path;

/// All but the conditions.
const HEAD: &str = r#"
[study]
name = "NAME"
seed = 5
groups = 4
turns = 6
samples = SAMPLES
[model]
source = "bundled:organism"
[generation]
max_new_tokens = 12
stop = ["q"]
temperature = TEMPERATURE
[dataset]
plugin = "organism"
[topics]
plugin = "fixed"
[[aside]]
name = "mood"
after = "each-turn"
user = "How do you feel?"
prefill = "I feel "
choices = ["1", "2", "3 or more"]
[[aside]]
name = "end"
after = "last"
user = "Sum up."
max_new_tokens = 4
[[hook]]
plugin = "residual"
sites = ["embed", "attn_out.1", "resid_post.2"]
positions = ["prompt-end", "reply:3", "reply"]
[[hook]]
name = "logits"
plugin = "residual"
sites = ["logits"]
positions = ["reply:12"]
"#;

const CONDITIONS: &str = r#"
[[condition]]
name = "complete"
plugin = "template"
system = "Be kind."
user = ["Okay. Now: {topic}.\n\n{question}", "Great. Now: {topic}.\n\n{question}"]
factors = { completion = "complete" }
[[condition]]
name = "interrupt"
plugin = "template"
user = "nvm. {topic}.\n\n{question}"
prefill = "A"
keep = { tokens = 3, marker = "..." }
factors = { completion = "interrupt" }
"#;

const REPLAYS: &str = r#"
[[condition]]
name = "complete"
plugin = "replay"
run = "runs/base"
OPTIONS
factors = { completion = "complete" }
[[condition]]
name = "interrupt"
plugin = "replay"
run = "runs/base"
OPTIONS
factors = { completion = "interrupt" }
"#;

/// A study of the organism. Greedy replies are not sampled twice.
fn manifest(name: &str, temperature: &str, conditions: &str) -> String {
    let samples = if temperature == "0.0" { "1" } else { "2" };
    HEAD.replace("NAME", name).replace("TEMPERATURE", temperature).replace("SAMPLES", samples) + conditions
}

fn replays(options: &str) -> String {
    REPLAYS.replace("OPTIONS", options)
}

/// Runs a study in a folder; the turns that it stored.
fn run(dir: &Path, name: &str, manifest: &str) -> Vec<TurnRow> {
    std::fs::write(dir.join("m.toml"), manifest).unwrap();
    let o = friction(dir, &["run", "m.toml"]);
    assert!(o.status.success(), "{}", text(&o));
    StoredRun::open(&dir.join("runs").join(name)).unwrap().turns().to_vec()
}

/// A folder in which the study `base` was run at a temperature, and its turns.
fn world(temperature: &str) -> (tempfile::TempDir, Vec<TurnRow>) {
    let dir = tempfile::tempdir().unwrap();
    let turns = run(dir.path(), "base", &manifest("base", temperature, CONDITIONS));
    (dir, turns)
}

/// A turn without what a replay has and the run has not, and without what depends on the clock and the cache.
fn comparable(turn: &TurnRow) -> String {
    let turn = TurnRow {
        elapsed_ms: 0.0,
        finish_reason: String::new(),
        replay_logprobs: vec![],
        prefilled_tokens: 0,
        reused_tokens: 0,
        ..turn.clone()
    };
    // Numbers are written with all their digits.
    format!("{turn:?}")
}

fn taps(dir: &Path, name: &str, group: usize) -> Vec<u8> {
    std::fs::read(dir.join("runs").join(name).join(format!("groups/{group:04}/taps.safetensors"))).unwrap()
}

/// Two runs have the same turns, and the same bytes of activations.
fn identical(dir: &Path, [base, other]: [&str; 2]) {
    let [a, b] = [base, other].map(|name| StoredRun::open(&dir.join("runs").join(name)).unwrap());
    assert_eq!(a.turns().len(), b.turns().len());
    for (a, b) in a.turns().iter().zip(b.turns()) {
        assert_eq!(comparable(a), comparable(b));
    }
    for group in 0..4 {
        assert!(taps(dir, base, group) == taps(dir, other, group), "{other}: activations of group {group}");
    }
}

fn last(turn: &TurnRow) -> bool {
    turn.turn == 6
}

fn tokenizer(model: &str) -> Tokenizer {
    Checkpoint::resolve(model, None, None, Path::new(""), 0).unwrap().tokenizer().unwrap()
}

#[test]
fn a_runs_own_replay_is_equal_bit_for_bit_and_so_are_last_replies_behind_it() {
    // At a high temperature replies are of tokens that no text is tokenised to.
    for temperature in ["0.0", "5.0"] {
        let (dir, base) = world(temperature);
        let (dir, greedy) = (dir.path(), temperature == "0.0");
        assert_eq!(base.len(), 4 * 2 * 6 * if greedy { 1 } else { 2 });
        let own =
            |t: &&TurnRow| tokenizer("bundled:organism").encode(&t.reply[t.prefill.len()..]).unwrap() != t.reply_ids;
        let odd = base.iter().filter(own).count();
        assert!(greedy || odd > 20, "{odd} replies have tokens of their own");
        assert!(base.iter().any(|t| t.removed_tokens > 0) && base.iter().any(|t| !t.opening.is_empty()));
        for (name, options) in [("all", ""), ("slow", "reading = \"token-by-token\"")] {
            let read = run(dir, name, &manifest(name, temperature, &replays(options)));
            identical(dir, ["base", name]);
            for turn in &read {
                assert_eq!((turn.finish_reason.as_str(), turn.replay_logprobs.len()), ("replay", turn.reply_ids.len()));
            }
        }
        let read = run(dir, "earlier", &manifest("earlier", temperature, &replays("turns = \"earlier\"")));
        identical(dir, ["base", "earlier"]);
        for (now, then) in read.iter().zip(&base) {
            // The last replies are generated, and they are the same.
            assert_eq!(now.replay_logprobs.is_empty(), last(now) || now.reply_ids.is_empty());
            assert_eq!(now.finish_reason, if last(now) { then.finish_reason.as_str() } else { "replay" });
        }
        assert!(!greedy || read.iter().any(|t| last(t) && t.finish_reason == "stop"));
        // A replay can be replayed.
        let again = replays("").replace("runs/base", "runs/all");
        run(dir, "again", &manifest("again", temperature, &again));
        let lock: Value = serde_json::from_slice(&std::fs::read(dir.join("runs/again/lock.json")).unwrap()).unwrap();
        let whose =
            "bundled:organism in the run runs/all, which had read (all) those of bundled:organism in the run runs/base";
        assert_eq!(lock["replies"]["complete"]["of"], whose);
        for group in 0..4 {
            // Who ended a reply is not told of a replay, and so neither are the logits behind its last token.
            assert_eq!(taps(dir, "again", group).len(), taps(dir, "base", group).len());
        }
    }
}

#[test]
fn other_models_read_what_a_model_wrote() {
    let (dir, base) = world("0.0");
    let dir = dir.path();
    let own = run(dir, "all", &manifest("all", "0.0", &replays("")));
    for (name, model) in [("null", "bundled:organism-null"), ("scripted", "bundled:scripted")] {
        let other = manifest(name, "0.0", &replays("")).replace("bundled:organism", model);
        let read = run(dir, name, &other);
        assert_eq!(read.len(), base.len());
        let spells = tokenizer(model);
        for ((now, then), own) in read.iter().zip(&base).zip(&own) {
            let said = |t: &TurnRow| format!("{} {:?} {} {} {}", t.user, t.phrase, t.reply, t.kept, t.opening);
            assert_eq!(said(now), said(then));
            assert_eq!((&now.score, &now.answer, now.removed_tokens), (&then.score, &then.answer, then.removed_tokens));
            assert_eq!(now.replay_logprobs.len(), now.reply_ids.len());
            // The twin has the same tokenizer, and so the same tokens; the other model reads the text.
            if name == "null" {
                assert_eq!((&now.reply_ids, now.prompt_tokens), (&then.reply_ids, then.prompt_tokens));
            } else {
                assert_eq!(spells.decode(&now.reply_ids).unwrap(), now.reply[now.prefill.len()..]);
                assert_ne!(now.reply_ids, then.reply_ids);
            }
            assert_ne!(now.choice_logprobs, own.choice_logprobs);
        }
        assert!(taps(dir, name, 0) != taps(dir, "base", 0));
    }
}

#[test]
fn the_history_is_crossed_with_what_is_said_now() {
    let (dir, base) = world("0.0");
    let dir = dir.path();
    let crossed = r#"
[[condition]]
name = "cut"
plugin = "replay"
run = "runs/base"
condition = "interrupt"
turns = "earlier"
factors = { history = "cut", now = "nvm" }
[[condition]]
name = "whole"
plugin = "replay"
run = "runs/base"
condition = "interrupt"
turns = "earlier"
history = "whole"
factors = { history = "whole", now = "nvm" }
[[condition]]
name = "cut_okay"
plugin = "replay"
run = "runs/base"
condition = "interrupt"
turns = "earlier"
messages = { condition = "complete" }
factors = { history = "cut", now = "okay" }
"#;
    let read = run(dir, "crossed", &manifest("crossed", "0.0", crossed));
    let of = |turns: &[TurnRow], condition: &str| -> Vec<TurnRow> {
        turns.iter().filter(|t| t.condition == condition).cloned().collect()
    };
    let [interrupt, complete] = ["interrupt", "complete"].map(|c| of(&base, c));
    for (now, then) in of(&read, "cut").iter().zip(&interrupt) {
        assert_eq!((&now.user, &now.reply, &now.kept), (&then.user, &then.reply, &then.kept));
    }
    for (now, then) in of(&read, "whole").iter().zip(&interrupt) {
        assert_eq!((&now.user, now.removed_tokens), (&then.user, 0));
        assert!(last(now) || now.kept == then.reply, "{}", now.kept);
    }
    for ((now, then), other) in of(&read, "cut_okay").iter().zip(&interrupt).zip(&complete) {
        assert_eq!(now.user, if last(now) { other.user.clone() } else { then.user.clone() });
        assert!(last(now) || (&now.reply, &now.kept) == (&then.reply, &then.kept));
    }
    let prompts =
        |condition: &str| -> u32 { of(&read, condition).iter().filter(|t| last(t)).map(|t| t.prompt_tokens).sum() };
    assert!(prompts("whole") > prompts("cut"));
}

#[test]
fn a_run_with_shifted_choices_is_replayed_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // The organism's own questions ask for places, and their choices do not move.
    let words = ["birds", "boats", "cloths", "colours", "dances", "fruits"];
    let row = |(topic, i): (&str, usize)| {
        let options = "[\"oak\", \"elm\", \"ash\"]";
        format!(
            "{{\"question\": \"Which of the {topic} is {i}?\", \"options\": {options}, \"answer\": \"B\", \"category\": \"{topic}\"}}\n"
        )
    };
    let rows: String = words.iter().flat_map(|w| (0..4).map(move |i| (*w, i))).map(row).collect();
    std::fs::write(dir.join("q.jsonl"), rows).unwrap();
    let own = "plugin = \"questions\"\npath = \"q.jsonl\"\ninstruction = \"\"";
    let plain = |toml: String| toml.replace("plugin = \"organism\"", own);
    let shifted = |toml: String| plain(toml).replace(own, &format!("{own}\noption_shifts = 2"));
    let base = run(dir, "base", &shifted(manifest("base", "0.0", CONDITIONS)));
    assert!(base.iter().any(|t| !t.shifted_logprobs.is_empty()));
    std::fs::write(dir.join("m.toml"), shifted(manifest("r", "0.0", &replays("")))).unwrap();
    let o = friction(dir, &["check", "m.toml"]);
    let told = text(&o);
    assert!(o.status.code() == Some(2) && told.contains("cannot be asked with shifted choices: turn 1"), "{told}");
    assert!(told.contains("set `dataset.option_shifts = 1`"), "{told}");
    let read = run(dir, "r", &plain(manifest("r", "0.0", &replays(""))));
    for (now, then) in read.iter().zip(&base) {
        assert_eq!((&now.user, &now.reply, &now.choice_logprobs), (&then.user, &then.reply, &then.choice_logprobs));
    }
}

#[test]
fn what_does_not_fit_the_run_is_refused_before_a_token() {
    let (dir, _) = world("0.0");
    let dir = dir.path();
    let refused = |manifest: &str, set: &[&str]| {
        std::fs::write(dir.join("m.toml"), manifest).unwrap();
        let mut args = vec!["check", "m.toml"];
        args.extend(set.iter().flat_map(|s| ["--set", s]));
        let o = friction(dir, &args);
        (o.status.code(), text(&o))
    };
    let plain = manifest("r", "0.0", &replays("")) + "[[analyzer]]\nplugin = \"behavior\"\n";
    assert_eq!(refused(&plain, &[]).0, Some(0), "{}", refused(&plain, &[]).1);
    for (set, words) in [
        ("study.seed=6", "the run asked `"),
        ("study.seed=6", "give the study what the run had: `study.seed = 5`"),
        ("dataset.seed=9", "another of them is right"),
        ("study.groups=5", "the run has 4 groups, and this study 5"),
        ("study.turns=7", "the run has 6 turns, and this study 7"),
        ("condition.0.run=runs/bas", "holds no run"),
        ("condition.0.condition=interupt", "did you mean `interrupt`?"),
        ("condition.1.factors.completion=complete", "`completion` is `complete` here, and `interrupt` in the run's"),
        ("condition.1.until=1", "cuts replies behind turn 1"),
        ("condition.1.until=9", "gives every reply"),
    ] {
        let (code, told) = refused(&plain, &[set]);
        assert!(code == Some(2) && told.contains(words), "{set}: {told}");
    }
    // Whose replies were read is told in the findings, and in each of their tables.
    run(dir, "other", &plain.replace("bundled:organism", "bundled:organism-null").replace("\"r\"", "\"other\""));
    let found = std::fs::read(dir.join("runs/other/analysis/behavior/findings.json")).unwrap();
    let found: Value = serde_json::from_slice(&found).unwrap();
    let whose = "Replies of `complete`, `interrupt` (all) are those of bundled:organism in the run runs/base, read by bundled:organism-null";
    assert_eq!(found["blocks"][0]["text"], whose);
    let o = friction(dir, &["analyze", "runs/other"]);
    assert!(text(&o).contains(&format!("note: {whose}")), "{}", text(&o));
    let captions: Vec<&str> =
        found["blocks"].as_array().unwrap().iter().filter_map(|b| b["table"]["caption"].as_str()).collect();
    assert!(captions.len() > 2 && captions.iter().all(|c| c.ends_with(whose)), "{captions:?}");
    // What was replayed is in the lock, and a resume over other transcripts is refused.
    run(dir, "r", &plain);
    let lock: Value = serde_json::from_slice(&std::fs::read(dir.join("runs/r/lock.json")).unwrap()).unwrap();
    let prints = [0, 1].map(|i| lock["conditions"][i]["fingerprint"].as_str().unwrap().to_string());
    assert!(prints[0].len() == 64 && prints[0] != prints[1], "{prints:?}");
    let base: Value = serde_json::from_slice(&std::fs::read(dir.join("runs/base/lock.json")).unwrap()).unwrap();
    assert!(base["conditions"][0].get("fingerprint").is_none());
    std::fs::remove_dir_all(dir.join("runs/base")).unwrap();
    run(dir, "base", &manifest("base", "0.0", &CONDITIONS.replace("nvm.", "Stop.")));
    std::fs::write(dir.join("m.toml"), &plain).unwrap();
    let o = friction(dir, &["run", "m.toml"]);
    assert!(!o.status.success() && text(&o).contains("conditions[1].fingerprint"), "{}", text(&o));
    // An analysis needs the replayed run no more.
    std::fs::remove_dir_all(dir.join("runs/base")).unwrap();
    let o = friction(dir, &["analyze", "runs/r"]);
    assert!(o.status.success(), "{}", text(&o));
}

/// Replies of a run beside replies that are generated by another `[generation]`: told at the check and in the findings.
#[test]
fn what_is_generated_otherwise_than_what_is_given_is_told() {
    let (dir, _) = world("0.0");
    let dir = dir.path();
    let shorter = |name: &str, options: &str| {
        manifest(name, "0.0", &replays(options)).replace("max_new_tokens = 12", "max_new_tokens = 9")
    };
    let check = |manifest: &str| {
        std::fs::write(dir.join("m.toml"), manifest).unwrap();
        let o = friction(dir, &["check", "m.toml"]);
        assert!(o.status.success(), "{}", text(&o));
        text(&o)
    };
    let (differs, earlier) = ("`max_new_tokens` is 9 and was 12", "turns = \"earlier\"");
    let told = check(&shorter("mixed", earlier));
    assert!(told.contains("replies of `complete`, `interrupt` are given, and others are generated"), "{told}");
    assert!(told.contains(differs), "{told}");
    // Where all replies are given, or decoded alike, there is nothing to tell.
    assert!(!check(&shorter("read", "")).contains("others are generated"));
    assert!(!check(&manifest("alike", "0.0", &replays(earlier))).contains("others are generated"));
    let given = |name: &str, options: &str| {
        run(dir, name, &shorter(name, options));
        StoredRun::open(&dir.join("runs").join(name)).unwrap().given().unwrap().to_string()
    };
    let told = given("mixed", earlier);
    assert!(told.ends_with(&format!("; what was generated here has another `[generation]`: {differs}")), "{told}");
    assert!(given("read", "").ends_with("read by bundled:organism"));
}
