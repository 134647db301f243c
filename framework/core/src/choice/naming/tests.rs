//! Which choices speak of others, and which have a subject of their own.
use super::*;

fn of(text: &str, choices: &[&str]) -> Naming {
    naming(&Item { text: text.into(), choices: choices.iter().map(|c| c.to_string()).collect(), ..Item::default() })
}
/// What one choice among five is.
fn kind(choice: &str) -> &'static str {
    kind_in("What is it?", choice)
}
fn kind_in(text: &str, choice: &str) -> &'static str {
    let found = of(text, &["red", "green", "blue", "yellow", choice]);
    match (&found.whole[..], &found.single[..]) {
        ([4], []) => "whole",
        ([], [4]) => "single",
        ([], []) => "free",
        _ => "several",
    }
}

#[test]
fn choices_that_speak_of_the_others_as_a_whole() {
    for choice in [
        "All of the above",
        "all of the above.",
        "all the above",
        "None of the above.",
        "none of these",
        "Both of these",
        "Neither of the above",
        "None of them",
        "None of the other options",
        "none of the answers given",
        "All of the above are correct",
        "All of these are possible causes",
        "More than one of the above",
        "Two or more of the above",
        "Any of the above",
        "None of the above, because it rains",
        "both",
        "Neither",
        "All are correct",
        "Both are true",
        "No correct answer",
        "There is no correct option",
        "“None of the above”",
        "A combination of the above",
        "All of the above statements",
    ] {
        assert_eq!(kind(choice), "whole", "{choice}");
    }
}

#[test]
fn choices_that_speak_of_single_others() {
    for choice in [
        "A and B",
        "both a and b",
        "Both A and C",
        "A, B, and C",
        "(A) and (B) only",
        "Neither B nor C",
        "a & c",
        "A or B or both",
        "B and D are correct",
        "A and B but not C",
        "options A and C",
        "Both option A and option C",
        "Answer B is correct, and so is this",
        "The same as choice (c)",
        "Options 1 and 2",
        "all of the above except B",
        "All but C",
        "None of the above except for option A",
        "I and III",
        "II only",
        "I, II and IV",
        "The first two options",
        "Same as above",
        "A only",
        "B only.",
        "only A",
        "Only (b)",
        "B or D above",
        "Same as B",
        "the same as (c), but slower",
        "A-C",
        "A to C",
        "A through D",
        "Choices A through C",
        "not A",
        "A or C, depending on B",
        "A or C depending on B",
        "none of A, B or C",
        "The above",
        "the first two",
        "the last one",
        "The first two are correct",
        "only the first one",
        "1 and 2 only",
        "both 1 and 2",
        "(a) and (b)",
    ] {
        assert_eq!(kind(choice), "single", "{choice}");
    }
}

#[test]
fn choices_with_a_subject_of_their_own_may_move() {
    for choice in [
        "All of these theories are merely speculation at this point",
        "None of the statements must be true",
        "Both statements are partially true",
        "just above a layer of shale",
        "if price falls below average total cost",
        "All Native Americans, both ancient and modern",
        "both sensory and motor neuronal processes",
        "None of the children are adopted",
        "Either-or fallacy",
        "a and z",
        "A and A",
        "1 and 3",
        "X",
        "IV",
        "Share options, Senior managers, Share Price",
        "an answer to the mind-body problem",
        "presenting two options as the only possible ones when more options exist",
        "I Ching",
        "Both parties are excused from performance",
        "Cannot be determined from the information given",
        "x = 2",
        "Nothing",
        "neither its quantity nor its quality",
        "Vitamin A only",
        "A only child",
        "A person",
        "a person only",
        "1 and 2",
        "1 only",
        "1 to 2",
        "Group A",
        "Type B",
        "not a chance",
        "not always",
        "not Z",
        "the same as a person",
        "C-14",
        "G-C",
        "the first",
        "the last straw",
        "the first two laws of motion",
        "above average",
    ] {
        assert_eq!(kind(choice), "free", "{choice}");
    }
}

#[test]
fn labels_of_the_question_are_no_choices() {
    let statements = "Which are true?\nI. Water is wet.\nII. Fire is cold.\nIII. Stones are hard.";
    for choice in ["I and III only", "II only", "I, II and III"] {
        assert_eq!((kind_in(statements, choice), kind(choice)), ("free", "single"), "{choice}");
    }
    assert_eq!(kind_in(statements, "None of the above"), "whole");
    assert_eq!(kind_in("Person A meets person B. Who is late?", "A and B"), "free");
    // The article is no label: B is not in the text.
    assert_eq!(kind_in("A man meets a woman.", "A and B"), "single");
    assert_eq!(kind_in("Option A costs 2, option B costs 3.", "option B"), "free");
    // Nor are letters of abbreviations and units.
    assert_eq!(kind_in("A gas, e.g. argon, is at 25 °C. I'd say?", "A, C and E"), "single");
    for choice in ["A only", "not B", "A-B", "same as A"] {
        assert_eq!(kind_in("A man meets a woman.", choice), "single", "{choice}");
        assert_eq!(kind_in("Solution A is red and solution B is blue.", choice), "free", "{choice}");
        assert_eq!(kind_in("Let a = 3 and B = 4.", choice), "free", "{choice}");
    }
    assert_eq!(kind_in("Which hold? 1. Water is wet. 2. Fire is cold.", "1 and 2 only"), "free");
    // Where most choices join two letters, these are bonds or routes.
    let bonds = of("Which is the strongest?", &["C-H", "A-C", "O-H", "C-C", "N-H"]);
    assert!(!bonds.any());
}

#[test]
fn what_is_free_follows_from_what_is_named() {
    let found = of("?", &["none of these", "x", "all of the above", "y"]);
    assert_eq!((found.whole.clone(), found.free(4)), (vec![0, 2], vec![1, 3]));
    let fixed = of("?", &["x", "y", "A and B", "none of these"]);
    assert!(fixed.any() && fixed.free(4).is_empty());
    assert_eq!(of("?", &["x", "y"]).free(2), [0, 1]);
    assert!(!of("?", &[]).any());
    let choices = ["x", "y"].map(String::from).to_vec();
    let placed = naming(&Item { choices, fixed_choices: true, ..Item::default() });
    assert!(!placed.any() && placed.free(2).is_empty());
}
