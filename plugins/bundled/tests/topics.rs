//! Studies whose topics are chosen by embeddings or ordered in Latin squares: what is noted, locked and refused.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, friction, root, text, world};
use serde_json::Value;
use std::path::Path;

const FIXED: &str = "plugin = \"fixed\"\nrepeat = true";
const BY_NAMES: &str =
    "plugin = \"embedding-distance\"\nmodel = \"path:bert\"\nmin_distance = 0.0\nrepeat = true\nstart = \"law\"";

/// A folder with the study and a tiny sentence-transformers model, `bert`.
fn study(topics: &str) -> tempfile::TempDir {
    assert!(MANIFEST.contains(FIXED));
    let dir = world(&MANIFEST.replace(FIXED, topics));
    let (from, to) = (root().join("plugins/topics/tests/data/tiny-bert"), dir.path().join("bert"));
    std::fs::create_dir_all(to.join("1_Pooling")).unwrap();
    for name in ["config.json", "model.safetensors", "modules.json", "vocab.txt", "1_Pooling/config.json"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    dir
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_choice_is_noted_and_locked() {
    let dir = study(BY_NAMES);
    let o = friction(dir.path(), &["--json", "check", "m.toml"]);
    assert!(o.status.success(), "{}", text(&o));
    let told: Value = serde_json::from_slice(&o.stdout).unwrap();
    let notes: Vec<&str> = told["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    let begins = "topics: 2 of 2 categories, by the distance of their names from those before: `law`, `art` (0.";
    assert!(notes[0].starts_with(begins), "{notes:?}");
    assert!(notes[1].starts_with("cosine distances of the topics' 1 pair: min 0."), "{notes:?}");
    let o = friction(dir.path(), &["check", "m.toml"]);
    assert!(text(&o).contains(notes[1]), "{}", text(&o));

    let o = friction(dir.path(), &["run", "m.toml"]);
    assert!(o.status.success(), "{}", text(&o));
    let run = dir.path().join("runs/tiny");
    let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
    let plan = log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).find(|l| l["event"] == "plan").unwrap();
    assert_eq!(plan["notes"], told["notes"]);
    let locked = json(&run.join("lock.json"))["topics"]["fingerprint"].as_str().unwrap().to_string();
    assert!(locked.ends_with(": law, art"), "{locked}");
    // The same study goes on; with another model it is another one.
    assert!(friction(dir.path(), &["run", "m.toml"]).status.success());
    assert!(friction(dir.path(), &["analyze", "runs/tiny"]).status.success());
    let config = dir.path().join("bert/config.json");
    let gelu = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, gelu.replace("\"gelu\"", "\"relu\"")).unwrap();
    let o = friction(dir.path(), &["run", "m.toml"]);
    assert!(!o.status.success() && text(&o).contains("topics.fingerprint: stored"), "{}", text(&o));
    // Other topics have no such key.
    let plain = study(FIXED);
    assert!(friction(plain.path(), &["run", "m.toml"]).status.success());
    assert!(json(&plain.path().join("runs/tiny/lock.json"))["topics"].get("fingerprint").is_none());
}

#[test]
fn balanced_topics_say_how_often_they_stand_where() {
    let dir = study("plugin = \"balanced\"\nrepeat = true");
    let o = friction(dir.path(), &["check", "m.toml", "--set", "study.groups=6"]);
    let note = "topics are balanced: over the groups, each of 2 topics stands 3 times at each of 3 turns";
    assert!(o.status.success() && text(&o).contains(note), "{}", text(&o));
}

#[test]
fn what_cannot_be_had_is_refused_before_the_run() {
    for (topics, part) in [
        (
            BY_NAMES.replace("0.0", "1.5"),
            "2 categories are needed, but only 1 lie at least 1.5 apart: `law`; the next, `art`, lies at 0.",
        ),
        (BY_NAMES.replace("\"law\"", "\"lwa\""), "the dataset has no category `lwa`: did you mean `law`?"),
        (BY_NAMES.replace("path:bert", "path:model"), "path:model: holds no modules.json"),
        (BY_NAMES.replace("repeat = true", "count = 2"), "3 turns need 3 categories, but `count` is 2"),
        (BY_NAMES.replace("\nrepeat = true", ""), "3 categories are needed, but the dataset has 2"),
        ("plugin = \"balanced\"".into(), "3 turns need 3 categories, but there are 2"),
    ] {
        let dir = study(&topics);
        for command in ["check", "run"] {
            let o = friction(dir.path(), &[command, "m.toml"]);
            let told = text(&o).replace(['╰', '╭', '─', '▶'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(o.status.code() == Some(2) && told.contains(part), "{part}\n---\n{told}");
        }
        assert!(!dir.path().join("runs").exists());
    }
}
