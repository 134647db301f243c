//! The wordings of experiments/friction.toml are crossed: no word of one factor comes with a level of the other.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::root;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn completion_and_tone_are_crossed() {
    let text = std::fs::read_to_string(root().join("experiments/friction.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    // A wording is a sentence about the reply, and a request.
    let (mut sentences, mut requests) = (BTreeMap::new(), BTreeMap::new());
    let mut cells = BTreeSet::new();
    for c in manifest["condition"].as_array().unwrap() {
        let level = |factor: &str| c["factors"][factor].as_str().unwrap();
        assert!(cells.insert((level("completion"), level("tone"))), "{c:?}");
        assert_eq!(c.get("keep").is_some(), level("completion") == "interrupt");
        let all: Vec<(&str, &str)> =
            c["user"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().split_once(". ").unwrap()).collect();
        assert!(all.len() >= 8 && all.iter().all(|(_, r)| r.contains("{topic}") && r.ends_with("\n\n{question}")));
        let first: Vec<&str> = all.iter().map(|(s, _)| *s).collect();
        let second: Vec<&str> = all.iter().map(|(_, r)| *r).collect();
        // One list of sentences for each completion, one of requests for each tone.
        assert_eq!(*sentences.entry(level("completion")).or_insert_with(|| first.clone()), first);
        assert_eq!(*requests.entry(level("tone")).or_insert_with(|| second.clone()), second);
    }
    assert_eq!(cells.len(), 4);
    let words = |all: &[&str]| all.iter().map(|w| w.split_whitespace().count()).collect::<Vec<_>>();
    for of in [&sentences, &requests] {
        let [a, b] = &of.values().collect::<Vec<_>>()[..] else { panic!("{of:?}") };
        assert_eq!(words(a), words(b), "wordings of one number have as many words");
        assert!(a.iter().all(|w| !b.contains(w)));
    }
}
