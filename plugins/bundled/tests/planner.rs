//! What `check` tells of a design before a run, and `power` of its size.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, root, text, world};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Two topics in one order, six turns, one wording a condition. The tokenizer of the tiny model has a token for each
/// character, so that lengths can be counted by hand.
fn design() -> String {
    MANIFEST
        .replace("groups = 2\nturns = 3", "groups = 20\nturns = 6")
        .replace("repeat = true", "repeat = true\nshuffle = false")
        .replace("[\"Faster. {question}\", \"Hurry up. {question}\"]", "\"Faster. {question}\"")
        .replace("[[analyzer]]\nplugin = \"behavior\"\nprimary = \"volume × turn\"\n", PRIMARY)
}

const PRIMARY: &str =
    "[primary]\ncontrast = \"volume × turn\"\nsmallest = 0.5\n\n[[analyzer]]\nplugin = \"behavior\"\n";

/// Runs a command with a cache of its own, so that measurements of this machine do not matter.
fn friction(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_friction"));
    command.current_dir(dir).args(args).env("XDG_CACHE_HOME", dir.join("cache")).output().unwrap()
}

fn json(o: &Output) -> Value {
    serde_json::from_slice(&o.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(o)))
}

/// The question has 71 characters with its choices and its last sentence; from turn 2 on "ok. " takes 4 more, and
/// "Faster. " 8. Art stands at places 1, 3 and 5, law at 2, 4 and 6.
const GOLDEN: &str = "  design         2 conditions × 20 groups × 6 turns
  condition  volume  conversations  turns  tokens, turn 1  later
  plain      low                20      6            71.0   75.0
  impatient  high               20      6            71.0   79.0
  messages       mean lengths in 20 groups: up to 4.0 tokens apart after turn 1
                 (`impatient` over `plain`); equal in all conditions at turn 1
  topics         2 topics, each at each place 0 to 20 times (10.0 if even), at
                 place 3.0 to 4.0 on average (3.5 if even); 1 order in 20
                 groups
  items          8 items, each asked by 15 groups
";

#[test]
fn check_prints_the_planners_table() {
    let w = world(&design());
    let o = friction(w.path(), &["check", "m.toml"]);
    let printed = String::from_utf8(o.stdout.clone()).unwrap();
    assert!(o.status.success() && printed.contains(GOLDEN), "{}", text(&o));
    // By scipy: the least e with ((1.95996 + 0.84162)·sd(e)/e)² + 1.92073 = 20. Two choices: guessing is right in 50 %.
    let effect = "effect 20 groups see 10.13 points per turn on volume × turn (`low` against `high`) with 80 % power; \
                  assumed: 75 % right at turn 1, a correlation of 0.5 between conditions' outcomes on an item";
    assert!(text(&o).contains(effect), "{}", text(&o));
    let told = json(&friction(w.path(), &["--json", "check", "m.toml", "--base", "0.6"]));
    let planner = &told["planner"];
    let smallest = planner["effect"]["smallest"].as_f64().unwrap();
    assert!((smallest - 10.45787).abs() < 1e-3, "{planner}");
    assert_eq!(planner["conditions"][1]["tokens_later"].as_f64(), Some(79.0), "{planner}");
    assert_eq!(planner["messages"]["apart_later"]["tokens"].as_f64(), Some(4.0));
    assert_eq!(planner["topics"]["topics"][0]["most"].as_u64(), Some(20));
    // 60 places of each topic over its four items.
    assert_eq!(planner["items"], serde_json::json!({"asked": 8, "reused": 8, "least": 15, "most": 15}));
    assert_eq!(planner["time"], Value::Null);
    let o = friction(w.path(), &["check", "m.toml", "--base", "1.5"]);
    assert!(o.status.code() == Some(2) && text(&o).contains("--base 1.5"), "{}", text(&o));
}

#[test]
fn items_that_groups_share_are_warned_of_and_too_few_say_what_to_change() {
    let w = world(&design());
    let o = friction(w.path(), &["check", "m.toml", "--set", "generation.temperature=1"]);
    assert!(o.status.success(), "{}", text(&o));
    for part in [
        "8 of 8 items are asked in more than one group, each in 15: groups that share items are not independent",
        "lower `groups` or the turns of a conversation, give the dataset more items, let `[topics]` ask more categories",
    ] {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
    let o = friction(w.path(), &["check", "m.toml", "--set", "study.turns=10"]);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    for part in ["has too few items for a group", "help: it has 4 items", "asks it 5 times: lower `turns` or `items`"] {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
    // Greedy decoding repeats whole lists, and items are shared all the same.
    let w = world(MANIFEST);
    let o = friction(w.path(), &["check", "m.toml", "--set", "study.groups=100"]);
    for part in ["the 100 groups ask ", "different lists of items", "8 of 8 items are asked in more than one group, in"]
    {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
    let o = friction(w.path(), &["check", "m.toml"]);
    assert!(text(&o).contains("items 6 items, each asked by one group"), "{}", text(&o));
    assert!(!text(&o).contains("more than one group"), "{}", text(&o));
}

#[test]
fn check_says_why_no_effect_can_be_seen() {
    let w = world(&design());
    for (set, part) in [
        ("study.groups=7", "7 groups can see no effect on volume × turn: a verdict takes 8"),
        ("primary.outcome=reply_tokens", "compares length of the reply, and what is simulated is right and wrong"),
        ("study.turns=3", "20 groups can see no effect on volume × turn with 80 % power"),
    ] {
        let o = friction(w.path(), &["check", "m.toml", "--set", set]);
        assert!(o.status.success() && text(&o).contains(part), "{set}: {}", text(&o));
    }
    let without = design().replace(PRIMARY, "");
    let w = world(&without);
    let o = friction(w.path(), &["check", "m.toml"]);
    assert!(text(&o).contains("the manifest names no primary contrast: add a table `[primary]`"), "{}", text(&o));
    let o = friction(w.path(), &["power", "m.toml"]);
    assert!(o.status.code() == Some(2) && text(&o).contains("names no primary contrast"), "{}", text(&o));
}

#[test]
fn a_bench_of_this_device_gives_a_time() {
    let w = world(&design());
    let o = friction(w.path(), &["check", "m.toml"]);
    let hint = "measure this device: ";
    assert!(text(&o).contains(hint), "{}", text(&o));
    // The command that it names, with fewer steps.
    let told = text(&o);
    let command = told.split(hint).nth(1).unwrap().split(" bench ").nth(1).unwrap();
    let mut args = vec!["bench"];
    args.extend(command.split(' ').take(8));
    args.extend(["--context", "16", "--steps", "2", "--plain"]);
    let o = friction(w.path(), &args);
    assert!(o.status.success(), "{args:?}: {}", text(&o));
    let o = friction(w.path(), &["check", "m.toml"]);
    for part in ["time at most ", " of decoding, 16 at once, and ", "as steps took at 16 tokens of context"] {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
    let told = json(&friction(w.path(), &["--json", "check", "m.toml"]));
    assert!(told["planner"]["time"]["decode_seconds"].as_f64().unwrap() > 0.0, "{told}");
    // Of another precision nothing was measured.
    let o = friction(w.path(), &["check", "m.toml", "--set", "model.quantize=q8"]);
    assert!(text(&o).contains(hint) && text(&o).contains("--quantize q8"), "{}", text(&o));
}

#[test]
fn power_tells_the_groups_that_the_study_needs() {
    let dir = tempfile::tempdir().unwrap();
    let study = root().join("experiments/friction.toml").display().to_string();
    // The protocol's table counts turn 1; 2 points take 13 groups.
    let fast = ["--simulations", "400", "--effects", "1,2"];
    let all =
        [&["power", study.as_str(), "--first-turn", "1", "--groups", "13,40", "--out", "fig"], &fast[..]].concat();
    let o = friction(dir.path(), &all);
    assert!(o.status.success(), "{}", text(&o));
    for part in [
        "friction: completion × turn, `interrupt` against `complete`: accuracy falls, 2 pairs of conditions a group, turns 1 to 14",
        "assumed: 32 % right at turn 1, a correlation of 0.5",
        "sign flips, one sign a group, two-sided at 0.05; 400 simulated studies an effect",
        "wrote fig/power.svg, fig/power.png",
    ] {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
    let svg = std::fs::read_to_string(dir.path().join("fig/power.svg")).unwrap();
    assert!(svg.contains("How many groups see an effect?") && dir.path().join("fig/power.png").is_file());
    let told = json(&friction(dir.path(), &[&["--json"], &all[..]].concat()));
    for (i, (groups, unpaired)) in [(40.0, 70.0), (13.0, 16.0)].into_iter().enumerate() {
        let near = |told: &Value, want: f64| {
            let e = &told["effects"][i];
            let (n, error) = (e["groups"].as_f64().unwrap(), e["standard_error"].as_f64().unwrap());
            assert!((n - want).abs() <= 1.0 + 4.0 * error, "{n} ± {error}, not {want}");
        };
        near(&told, groups);
        let o = friction(dir.path(), &[&["--json"], &all[..], &["--unpaired"]].concat());
        near(&json(&o), unpaired);
    }
    assert_eq!((&told["unit"], &told["turns"]), (&"points per turn".into(), &serde_json::json!([1, 14])));
    // Equal seeds, equal numbers; the default leaves turn 1 out, and needs more.
    assert_eq!(told, json(&friction(dir.path(), &[&["--json"], &all[..]].concat())));
    let late = json(&friction(dir.path(), &[&["--json", "power", study.as_str()], &fast[..]].concat()));
    assert_eq!(late["turns"], serde_json::json!([2, 14]));
    assert!(late["effects"][0]["groups"].as_u64() > told["effects"][0]["groups"].as_u64(), "{late}");
}

#[test]
fn power_refuses_what_makes_no_sense() {
    let w = world(&design());
    for (args, part) in [
        (&["--effects", "7"][..], "an effect of 7 points per turn from a base accuracy of 32 % gives -3.0 % at turn 6"),
        (&["--base", "0"], "the base accuracy is 0"),
        (&["--correlation", "1"], "the correlation of outcomes is 1"),
        (&["--drift", "plain=-1"], "the drifts alone change the contrast by -1 points per turn"),
        (&["--drift", "nobody=-1"], "there is no condition `nobody`; there are plain, impatient"),
        (&["--power", "1.2"], "the power is 1.2"),
        (&["--power", "1.5", "--out", "fig"], "the power is 1.5"),
        (&["--power", "0"], "the power is 0"),
        (&["--power", "1"], "the power is 1"),
        (&["--power", "nan"], "the power is NaN"),
        (&["--power", "0.9999"], "0.4 of 4000 simulated studies would find nothing"),
        (&["--power", "0.9999", "--simulations", "500"], "0.05 of 500 simulated studies would find nothing"),
        (&["--groups", "0"], "--groups 0"),
        (&["--groups", "20,7"], "--groups 7: with fewer than 8 groups no verdict is given"),
        (&["--simulations", "99999999999"], "99999999999 simulated studies: at most 1000000 are simulated"),
        (&["--drift", "-9"], "a drift of -9 points per turn alone takes a base accuracy of 32 % to -4.0 % at turn 5"),
        (&["--base", "nan"], "the base accuracy is NaN"),
        (&["--correlation", "nan"], "the correlation of outcomes is NaN"),
        (&["--sample-correlation", "0.6"], "--sample-correlation 0.6: does nothing in a study of one sample"),
        (&["--turns", "4000000000"], "turns are counted from 1 to 1000"),
        (&["--first-turn", "0"], "turns are counted from 1 to 1000"),
        (&["--simulations", "3"], "3 simulated studies tell nothing"),
        (&["--first-turn", "6"], "turns 6 to 6"),
        (&["--effects", "0.01"], "ask for larger effects"),
        (&["--set", "primary.contrast=volume", "--set", "condition.1.factors.volume=low"], "fewer than two levels"),
    ] {
        let o = friction(w.path(), &[&["power", "m.toml"], args].concat());
        assert!(o.status.code() == Some(2) && text(&o).contains(part), "{args:?}: {}", text(&o));
    }
    // Of the usual effects, those that the assumptions allow are simulated: from 6 % by 2 points a turn it is too far.
    let o = friction(w.path(), &["power", "m.toml", "--base", "0.06", "--simulations", "50"]);
    assert!(o.status.success() && text(&o).contains("note: left out: an effect of 2 points per turn"), "{}", text(&o));
    assert!(!w.path().join("fig").exists());
    // Where no number of groups reaches the power, that is said.
    let none = ["power", "m.toml", "--effects", "0", "--simulations", "50"];
    let o = friction(w.path(), &none);
    assert!(o.status.success() && text(&o).contains("not reached"), "{}", text(&o));
    let told = json(&friction(w.path(), &[&["--json"], &none[..]].concat()));
    let effect = &told["effects"][0];
    assert_eq!((&effect["groups"], &effect["not_reached_with"]), (&Value::Null, &serde_json::json!(20)), "{told}");
    // Drifts of all conditions are no effect.
    let drift = ["power", "m.toml", "--drift", "-1", "--effects", "3", "--simulations", "50"];
    let o = friction(w.path(), &drift);
    assert!(o.status.success() && text(&o).contains("drift -1 points per turn"), "{}", text(&o));
    // Of the manifest's own groups nothing is told where they are too few.
    let few = ["power", "m.toml", "--set", "study.groups=7", "--effects", "3", "--simulations", "50"];
    let o = friction(w.path(), &few);
    assert!(o.status.success() && text(&o).contains("note: the study has 7 groups"), "{}", text(&o));
    assert!(!text(&o).contains("power with 7 groups"), "{}", text(&o));
}

#[test]
fn power_takes_turns_from_where_the_check_has_them() {
    // Conversations of six items have six turns, if each is asked in one.
    let w = world(&design().replace("turns = 6", "items = 6"));
    let fast = ["--json", "power", "m.toml", "--effects", "3", "--simulations", "50"];
    let told = json(&friction(w.path(), &fast));
    assert_eq!(told["turns"], serde_json::json!([2, 6]), "{told}");
    // What cannot be simulated is told first, whatever the turns are.
    let probe = root().join("experiments/interruption-probe.toml").display().to_string();
    let o = friction(w.path(), &["power", &probe]);
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    assert!(text(&o).contains("compares length of the reply") && !text(&o).contains("--turns"), "{}", text(&o));
}
