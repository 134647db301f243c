//! What a newcomer sees: `run` says at once what it does, and ends with a summary that fits a screen.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, friction, root, text, world};
use friction_core::RunReader;
use friction_store::StoredRun;
use serde_json::Value;
use std::process::Output;

const BEHAVIOR: &str = "[[analyzer]]\nplugin = \"behavior\"\nprimary = \"volume × turn\"\n";

fn lines(o: &Output) -> Vec<String> {
    String::from_utf8(o.stdout.clone()).unwrap().lines().map(String::from).collect()
}

/// The program's lines on a terminal of 80 × 24, which needs one more for the prompt.
fn fits(o: &Output) -> Vec<String> {
    let lines = lines(o);
    assert!(lines.len() < 24, "{} lines:\n{}", lines.len(), lines.join("\n"));
    for line in &lines {
        // The next command stays whole, and names the program as it was called, here by a long path.
        assert!(line.chars().count() <= 80 || line.starts_with("next: "), "{line}");
    }
    lines
}

#[test]
fn quickstart_fits_a_screen() {
    let dir = tempfile::tempdir().unwrap();
    let path = root().join("experiments/quickstart.toml").display().to_string();
    let set = ["study.groups=8", "hook.1.random=2"];
    let mut args = vec!["run", path.as_str()];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let o = friction(dir.path(), &args);
    assert!(o.status.success(), "{}", text(&o));
    let screen = fits(&o);
    assert_eq!(screen[0], "quickstart: bundled:organism on cpu, 4 conditions × 8 groups × 12 turns");
    for analyzer in ["behavior", "ground-truth", "linear-probe", "steering"] {
        assert!(screen.iter().any(|l| l.starts_with(&format!("{analyzer}: "))), "{analyzer}: {screen:#?}");
    }
    let row = |what: &str| screen.iter().find(|l| l.starts_with(&format!("  {what}"))).unwrap();
    assert!(row("n = 8 groups").contains("95 % interval") && row("n = 8 groups").contains("true"), "{screen:#?}");
    assert!(row("each interruption, points").contains("-4.00  agrees"), "{screen:#?}");
    assert!(row("figures").contains("behavior/accuracy.svg"), "{screen:#?}");
    assert!(dir.path().join("runs/quickstart/analysis/behavior/accuracy.svg").is_file());
    let next = screen.last().unwrap();
    assert!(next.starts_with("next: ") && next.contains("friction analyze runs/quickstart"), "{screen:#?}");
    assert_eq!(text(&o).matches("DIFFERS").count(), 0, "{screen:#?}");

    // The command that it names prints the same table, whole, and then every sentence.
    let o = friction(dir.path(), &["analyze", "runs/quickstart"]);
    let all = lines(&o);
    assert!(all[0].starts_with("  n = 8 groups"), "{all:#?}");
    let squeezed = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in screen.iter().filter(|l| l.contains("points") && !l.contains('…')) {
        assert!(all.iter().any(|l| squeezed(l) == squeezed(line)), "{line}\n{all:#?}");
    }
    assert!(all.iter().any(|l| l.starts_with("  Primary: Does accuracy fall faster")), "{all:#?}");

    // The words of the message tell the conditions apart as well as any probe, and the table says so.
    let words = all.iter().find(|l| l.starts_with("  baseline: words of"));
    assert!(words.is_some_and(|l| l.ends_with("as good")), "{all:#?}");

    // The same for programs, and in the files.
    let o = friction(dir.path(), &["--json", "analyze", "runs/quickstart"]);
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    let truth = &told["analyzers"]["ground-truth"];
    let step = truth["blocks"].as_array().unwrap().iter().find(|b| b.get("estimate").is_some()).unwrap();
    assert_eq!(step["estimate"]["truth"].as_f64(), Some(-4.0), "{truth}");
    assert_eq!(step["estimate"]["value"], truth["values"]["step"]["points"], "{truth}");
    assert!(step["method"].as_str().unwrap().contains("Student's 95 % interval over groups"), "{step}");
    assert_eq!(told["run"]["failed"], serde_json::json!([]));
    // Each analyzer has the same keys, and everything that it found says how it was computed or is a sentence.
    for (name, found) in told["analyzers"].as_object().unwrap() {
        let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["question", "values", "blocks", "warnings"], "{name}");
        for b in found["blocks"].as_array().unwrap() {
            let sentence = b.get("text").or(b.get("warning")).is_some();
            let control = b["estimate"]["what"].as_str().is_some_and(|w| w.starts_with("largest"));
            assert!(sentence || control || b.get("method").is_some(), "{name}: {b}");
        }
    }
    let stored = std::fs::read(dir.path().join("runs/quickstart/analysis/ground-truth/findings.json")).unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!((&stored["question"], &stored["blocks"]), (&truth["question"], &truth["blocks"]));
    let status = |told: &Value| told["analyzers"]["steering"]["values"]["verdict"]["status"].clone();
    assert_eq!(status(&told), "confirmatory");

    // Other scores after the run: no verdict on them was named before.
    let run = StoredRun::open(&dir.path().join("runs/quickstart")).unwrap();
    let mut judged = String::from("group,condition,arm,turn,judge\n");
    for t in run.turns() {
        judged += &format!("{},{},{},{},{}\n", t.group, t.condition, t.arm, t.turn, 1.0 - t.score.unwrap());
    }
    std::fs::write(dir.path().join("s.csv"), judged).unwrap();
    let o = friction(dir.path(), &["grade", "runs/quickstart", "--scores", "s.csv", "--as", "score"]);
    assert!(o.status.success(), "{}", text(&o));
    let o = friction(dir.path(), &["--json", "analyze", "runs/quickstart"]);
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(status(&told), "exploratory");
    let warned = told["analyzers"]["steering"]["warnings"].to_string();
    assert!(warned.contains("exploratory: the scores were replaced after the run by those of s.csv"), "{warned}");
    // One that gives no verdict says it too.
    let warned = told["analyzers"]["ground-truth"]["warnings"].to_string();
    assert!(warned.contains("these scores are not the run's own: the scores were replaced after the run"), "{warned}");
}

#[test]
fn a_study_without_analyzers_says_where_its_turns_are() {
    let w = world(&MANIFEST.replace(BEHAVIOR, ""));
    let o = friction(w.path(), &["run", "m.toml"]);
    assert!(o.status.success(), "{}", text(&o));
    let screen = fits(&o);
    assert_eq!(screen[0], "tiny: path:model on cpu, 2 conditions × 2 groups × 3 turns");
    assert!(text(&o).contains("stored in runs/tiny turns groups/*/turns.parquet"), "{screen:#?}");
    // One group of one turn: numbers agree with their nouns.
    let one = ["run", "m.toml", "--out", "one", "--set", "study.groups=1"];
    let o = friction(w.path(), &one);
    assert!(text(&o).contains("× 1 group × 3 turns") && text(&o).contains(": 1 group, 6 turns in"), "{}", text(&o));
    let again = friction(w.path(), &one);
    assert!(text(&again).contains("tiny: 1 group stood already"), "{}", text(&again));
}

#[test]
fn a_run_that_cannot_be_trusted_says_so_first() {
    let lens = "[[analyzer]]\nplugin = \"logit-lens\"\nsites = [\"resid_post.3\"]\nwhole = 0\n";
    let w = world(&format!("{MANIFEST}{lens}"));
    assert!(friction(w.path(), &["run", "m.toml"]).status.success());
    // An analyzer that fails because the model is another one now.
    std::fs::remove_dir_all(w.path().join("model")).unwrap();
    friction_checkpoint::testing::checkpoint(&w.path().join("model"), 2).unwrap();
    let o = friction(w.path(), &["analyze", "runs/tiny"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o).contains("analyzer `logit-lens`: weights of path:model"), "{}", text(&o));
    assert!(text(&o).contains("Primary: volume × turn cannot be told"), "the others are told: {}", text(&o));
    let o = friction(w.path(), &["--json", "analyze", "runs/tiny"]);
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert!(told["run"]["failed"][0].as_str().unwrap().starts_with("analyzer `logit-lens`"), "{told}");
    assert_eq!(told["analyzers"].as_object().unwrap().len(), 1);
}
