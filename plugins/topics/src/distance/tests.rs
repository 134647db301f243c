//! The choice with the tiny BERT of the tests, over names and over items.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::bert::tests::Tiny;
use crate::farthest::tests::floats;
use friction_core::choice::Bank;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn data() -> Value {
    serde_json::from_str(include_str!("../../tests/data/tiny.json")).unwrap()
}

/// The items of which the means were taken by numpy, by category.
fn bank() -> Bank {
    let mut all: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for (category, texts) in data()["items"]["texts"].as_object().unwrap() {
        for (i, text) in texts.as_array().unwrap().iter().enumerate() {
            let (id, text) = (format!("{category}_{i}"), text.as_str().unwrap().to_string());
            all.entry(category.clone()).or_default().push(Item {
                id,
                category: category.clone(),
                text,
                ..Item::default()
            });
        }
    }
    Bank::new(all, "test".into())
}

fn options(more: Value) -> EmbeddingDistance {
    let mut all = json!({"model": "path:.", "min_distance": 0.0});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn cx(groups: usize, turns: usize) -> PlanContext {
    PlanContext { seed: 4, groups, turns }
}

/// The plugin after `prepare`.
fn prepared(more: Value, cx: &PlanContext) -> Result<Distances> {
    let (tiny, options) = (Tiny::new(), options(more));
    options.validate()?;
    let mut out = Distances { options, base: tiny.path().into(), found: None };
    out.prepare(&bank(), cx)?;
    Ok(out)
}

#[test]
fn items_are_placed_at_the_mean_of_their_embeddings() {
    let want = &data()["items"];
    // More samples than there are items: all are taken.
    let got = prepared(json!({"of": "items", "start": "law"}), &cx(10, 5)).unwrap();
    let found = got.found().unwrap();
    let order: Vec<usize> = floats(&want["order"]).iter().map(|i| *i as usize).collect();
    assert_eq!(found.chosen.order, order);
    for (g, w) in found.chosen.distances.iter().zip(floats(&want["distances"])) {
        assert!((g - w).abs() < 1e-5, "{g} {w}");
    }
    let pairs = found.pairs.as_ref().unwrap();
    for (key, got) in [("min", pairs.min), ("max", pairs.max), ("mean", pairs.mean), ("sd", pairs.sd)] {
        assert!((got - want["pairs"][key].as_f64().unwrap()).abs() < 1e-5, "{key}");
    }
    // One item of each, drawn by the seed: another place.
    let one = |seed| prepared(json!({"of": "items", "start": "law", "samples": 1}), &PlanContext { seed, ..cx(9, 5) });
    let distances = |d: Distances| d.found.unwrap().chosen.distances;
    let draws: Vec<Vec<f64>> = (0..6).map(|seed| distances(one(seed).unwrap())).collect();
    assert_eq!(draws[3], distances(one(3).unwrap()));
    assert!(draws.iter().any(|d| *d != draws[0]));
}

#[test]
fn it_says_what_it_chose_and_identifies_it() {
    let got = prepared(json!({"of": "items", "start": "law"}), &cx(10, 5)).unwrap();
    let notes = got.notes(bank().categories(), &cx(10, 5));
    assert_eq!(
        notes,
        [
            "topics: 5 of 5 categories, by the distance of their items from those before: `law`, `philosophy` (0.054), `history` (0.017), `art` (0.007), `math` (0.003)",
            "cosine distances of the topics' 10 pairs: min 0.003, max 0.054, mean 0.020, sd 0.016 (population)",
        ]
    );
    let fingerprint = got.fingerprint().unwrap();
    assert!(
        fingerprint.ends_with(": law, philosophy, history, art, math") && fingerprint.find(':') == Some(64),
        "{fingerprint}"
    );
    let balanced = prepared(json!({"order": "balanced", "count": 3}), &cx(7, 2)).unwrap();
    let notes = balanced.notes(bank().categories(), &cx(7, 2));
    assert!(
        notes[2].starts_with("topics are balanced: over the groups, each of 3 topics stands 2 to 3 times"),
        "{notes:?}"
    );
    let alone = prepared(json!({"count": 1}), &cx(7, 1)).unwrap();
    assert_eq!(alone.notes(bank().categories(), &cx(7, 1)).len(), 1);
}

#[test]
fn rows_of_some_groups_are_those_of_all() {
    for order in ["shuffled", "balanced", "fixed"] {
        for (turns, repeat) in [(4, false), (11, true)] {
            let cx = cx(30, turns);
            let got = prepared(json!({"order": order, "repeat": repeat}), &cx).unwrap();
            let all = got.choose(&[], &cx).unwrap();
            assert_eq!(all.order.len(), 30);
            assert!(all.order.iter().all(|row| row.len() == turns && row.windows(2).all(|w| w[0] != w[1])));
            assert_eq!(got.choose_groups(&[], &cx, 13..29).unwrap().unwrap().order, all.order[13..29]);
            assert_eq!(
                prepared(json!({"order": order, "repeat": repeat}), &cx).unwrap().choose(&[], &cx).unwrap(),
                all
            );
        }
    }
    // The start is drawn by the seed.
    let first = |seed| {
        prepared(json!({"order": "fixed"}), &PlanContext { seed, ..cx(1, 5) }).unwrap().found.unwrap().chosen.order[0]
    };
    let starts: std::collections::BTreeSet<usize> = (0..40).map(first).collect();
    assert_eq!(starts.len(), 5);
}

#[test]
fn topics_too_close_are_refused_with_what_to_change() {
    let (key, message, help) = refused(json!({"of": "items", "start": "law", "min_distance": 0.01}), 5);
    assert_eq!(key, "min_distance");
    assert_eq!(
        message,
        "5 categories are needed, but only 3 lie at least 0.01 apart: `law`, `philosophy` (0.054), `history` (0.017); the next, `art`, lies at 0.007 from `history`"
    );
    assert!(help.starts_with("set `min_distance = 0.003` or less, lower `study.turns`"), "{help}");
    // What it says does.
    prepared(json!({"of": "items", "start": "law", "min_distance": 0.003}), &cx(3, 5)).unwrap();
    let some =
        prepared(json!({"of": "items", "start": "law", "min_distance": 0.01, "repeat": true}), &cx(3, 5)).unwrap();
    assert_eq!(some.found.unwrap().names, ["law", "philosophy", "history"]);
}

/// The key, the message and the help of what is refused.
fn refused(more: Value, turns: usize) -> (String, String, String) {
    match prepared(more, &cx(3, turns)).err().unwrap() {
        Error::Key { key, message, help } => (key, message, help.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_chosen_is_refused_at_its_key() {
    for (more, turns, key, part) in [
        (json!({}), 6, "count", "6 categories are needed, but the dataset has 5"),
        (json!({"count": 3}), 5, "count", "5 turns need 5 categories, but `count` is 3"),
        (json!({"count": 6, "repeat": true}), 9, "count", "6 categories are needed, but the dataset has 5"),
        (json!({"count": 4, "order": "fixed"}), 2, "count", "a study of 2 turns in this order never comes to"),
        (json!({"count": 1, "repeat": true}), 2, "count", "alone would follow itself in 2 turns"),
        (json!({"start": "lwa"}), 2, "start", "the dataset has no category `lwa`: did you mean `law`?"),
        (json!({"samples": 3}), 2, "samples", "`samples` does nothing without `of = \"items\"`"),
        (json!({"count": 0}), 2, "count", "`count` must be at least 1"),
        (json!({"min_distance": 2.5}), 2, "min_distance", "must be from 0 to 2"),
        (json!({"model": "path:nowhere"}), 2, "model", "there is no folder"),
        (json!({"repeat": true, "min_distance": 2.0}), 2, "min_distance", "2 categories are needed, but only 1 lie"),
    ] {
        let (at, message, _) = refused(more.clone(), turns);
        assert!(at == key && message.contains(part), "{more}: {at}: {message}");
    }
    let unread = Distances { options: options(json!({})), base: PathBuf::new(), found: None };
    assert!(unread.choose(&[], &cx(1, 1)).is_err() && unread.notes(&[], &cx(1, 1)).is_empty());
}

#[test]
fn an_item_without_text_gives_its_script() {
    let turn = |user: &str| friction_core::ScriptTurn { user: user.into(), reply: None };
    let item = Item { id: "x".into(), script: vec![turn("a"), turn("b")], ..Item::default() };
    assert_eq!(text(&item).unwrap(), "a\nb");
    assert_eq!(text(&Item { text: "t".into(), ..item.clone() }).unwrap(), "t");
    assert_eq!(text(&Item { script: vec![], ..item }).unwrap_err().to_string(), "item `x` has no text to embed");
}
