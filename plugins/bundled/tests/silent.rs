//! A user's message that is empty is refused: in `check` with made-up replies, and in the run.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, friction, text, world};

/// `MANIFEST` whose condition `plain` has this text in turns after the first.
fn saying(user: &str) -> String {
    MANIFEST.replace("\"ok. {question}\"", user)
}

/// Exit code and everything that was printed of a command on a manifest.
fn told(manifest: &str, command: &str, set: &[&str]) -> (Option<i32>, String) {
    let w = world(manifest);
    let o = friction(w.path(), &[&[command, "m.toml"][..], set].concat());
    (o.status.code(), text(&o))
}

#[test]
fn a_branch_that_says_nothing_is_found_before_the_run() {
    // The second turn's branch is empty.
    let m = saying("\"{% if turn > 2 %}{{ question }}{% endif %}\"");
    let (code, said) = told(&m, "check", &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("turn 2 of group 0, condition `plain`:") && said.contains("is empty"), "{said}");
    // What follows a right answer is a blank.
    let m = saying("\"ok. {question}\"\nif_right = \" \"");
    let (code, said) = told(&m, "check", &[]);
    assert!(code == Some(2) && said.contains("condition `plain`:") && said.contains("is empty"), "{said}");
}

#[test]
fn what_only_real_replies_bring_about_is_told_in_the_run() {
    // Made-up replies begin with a word that no reply of the model has.
    let m = saying("\"{% if matches(last_reply, '^word') %}{{ question }}{% endif %}\"");
    let (code, said) = told(&m, "check", &[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = told(&m, "run", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("condition `plain`: the user's message about item `"), "{said}");
}
