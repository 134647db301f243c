//! The original study's parser reads what its rules read in Python: `data/original.py` wrote the cases.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_core::choice::original;
use friction_core::{ChoiceParser, Item, Target, choice};

#[test]
fn replies_read_as_in_python() {
    let cases: Vec<(String, Option<char>)> = serde_json::from_str(include_str!("data/original.json")).unwrap();
    assert!(cases.len() > 500);
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(reply, letter)| original(reply) != *letter)
        .map(|(reply, letter)| format!("{reply:?}: {letter:?} wanted, {:?} read", original(reply)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn it_is_the_answer_or_stands_beside_it() {
    let choices = ["Carbon", "Neon", "Iron"].map(String::from).to_vec();
    let item = Item { choices, target: Some(Target::Choice(1)), ..Item::default() };
    let reply = "I think the answer is Neon.";
    let by = |parser| choice::grade_by(&item, reply, parser);
    // "answer is N…" names no letter from A to J; the word I is a letter at the beginning, with a space behind it.
    let first = by(ChoiceParser::Original);
    assert_eq!((first.answer.as_deref(), first.score), (Some("I"), Some(0.0)));
    let declared = by(ChoiceParser::Declared);
    assert_eq!((declared.answer.as_deref(), declared.score), (Some("B"), Some(1.0)));
    assert_eq!(declared.others["original"].as_deref(), Some("I"));
}

/// A megabyte takes less than a second on a machine that does nothing else, whatever it repeats.
#[test]
fn long_replies_are_read_in_linear_time() {
    for unit in ["answer is ", "answer\n", "answer: ", "a_", "ß", "İ_", " "] {
        let reply = unit.repeat(1_000_000 / unit.len());
        let began = std::time::Instant::now();
        original(&reply);
        let limit = if cfg!(debug_assertions) { 40 } else { 10 };
        assert!(began.elapsed().as_secs() < limit, "{unit:?} took {:?}", began.elapsed());
    }
}
