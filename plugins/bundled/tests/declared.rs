//! What a manifest declares and the program does not do, and files that are no manifest, are told as what they are.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, friction, place, says, text, world};
use std::path::Path;
use std::process::Output;

const PLAIN: &str = "user = \"ok. {question}\"\n";

fn with(command: &str, dir: &Path, set: &[&str]) -> Output {
    let mut args = vec![command, "m.toml"];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    friction(dir, &args)
}

/// What `check` prints for a manifest, which ends with this code.
fn told(manifest: &str, set: &[&str], code: i32) -> String {
    let w = world(manifest);
    let o = with("check", w.path(), set);
    assert_eq!(o.status.code(), Some(code), "{}", text(&o));
    text(&o).replace(['╰', '╭', '─', '▶'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `MANIFEST` with one text replaced by another.
fn but(from: &str, to: &str) -> String {
    assert!(MANIFEST.contains(from), "{from}");
    MANIFEST.replace(from, to)
}

#[test]
fn a_manifest_that_is_no_text() {
    let w = world(MANIFEST);
    let mut bytes = MANIFEST.as_bytes().to_vec();
    let at = MANIFEST.find("[model]").unwrap();
    bytes.insert(at, 0xe9);
    std::fs::write(w.path().join("m.toml"), bytes).unwrap();
    for command in ["check", "run"] {
        let o = with(command, w.path(), &[]);
        assert_eq!(o.status.code(), Some(2), "{}", text(&o));
        says(&text(&o), &[&place(MANIFEST, "[model]"), "the text is not UTF-8: the byte 0xe9", "UTF-8"]);
    }
}

#[test]
fn a_rule_that_ends_nothing_and_shifts_that_there_are_not() {
    let never = but(PLAIN, &format!("{PLAIN}stop_when = \"turn > 3\"\n"));
    says(&told(&never, &[], 0), &["warning", "`stop_when` ends no conversation early", &place(&never, "stop_when")]);
    let ends = but(PLAIN, &format!("{PLAIN}stop_when = \"turn > 2\"\n"));
    assert!(!told(&ends, &[], 0).contains("`stop_when`"));
    // What depends on replies cannot be told before the run.
    let hears = but(PLAIN, &format!("{PLAIN}stop_when = \"'never said' in last_reply\"\n"));
    assert!(!told(&hears, &[], 0).contains("`stop_when`"));
    says(
        &told(MANIFEST, &["dataset.option_shifts=26"], 2),
        &["`option_shifts = 26` is more than there are: no item has more than", "set `option_shifts ="],
    );
}

#[test]
fn choices_whose_order_is_what_is_asked_do_not_move() {
    let organism = ["model.source=bundled:organism", "dataset={ plugin = \"organism\" }"];
    for key in ["dataset.options=balanced", "dataset.option_shifts=2"] {
        let found = told(MANIFEST, &[organism[0], organism[1], key], 2);
        says(&found, &["no choices can be moved", "the order of the choices carries meaning", "leave the key out"]);
    }
}

#[test]
fn a_context_that_the_messages_alone_overflow() {
    let long = "x".repeat(200_000);
    let found = told(&but(PLAIN, &format!("user = \"{long} {{question}}\"\n")), &[], 2);
    says(&found, &["alone need up to", "without any new token, but the model's context is"]);
    assert!(!found.contains("`max_new_tokens`"), "{found}");
    let found = told(MANIFEST, &["generation.max_new_tokens=65536"], 2);
    says(&found, &["with up to 65536 new tokens each needs up to", "lower `turns` or `max_new_tokens`"]);
}

#[test]
fn what_check_prints_fits_eighty_columns() {
    let w = world(MANIFEST);
    let o = with("check", w.path(), &["condition.0.stop_when=turn > 3"]);
    let printed = String::from_utf8(o.stdout).unwrap();
    for line in printed.lines() {
        assert!(line.chars().count() <= 80, "{line}\n---\n{printed}");
    }
    assert!(printed.contains("  warning        ") && printed.contains("  primary        "), "{printed}");
}

#[test]
fn a_placebo_that_no_factor_tells_from_its_twin() {
    let own = "user = [\"Faster. {question}\", \"Hurry up. {question}\"]\nkeep = { tokens = 2, marker = \" -\" }\n";
    let placebo = but(own, &format!("{PLAIN}same_as = \"plain\"\n"));
    let alike = placebo.replace("\"high\"", "\"low\"").replace("primary = \"volume × turn\"\n", "");
    let found = told(&alike, &[], 2);
    says(&found, &[&place(&alike, "same_as"), "`impatient` has the factors of `plain`, which it repeats"]);
    assert!(!told(&placebo, &["generation.temperature=1"], 0).contains("has the factors of"));
}
