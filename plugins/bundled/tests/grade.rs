//! `friction grade` prints what the parsers read, as text and as JSON.
#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn friction(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_friction")).args(args).output().unwrap()
}

fn file(dir: &Path, bytes: &[u8]) -> String {
    let path = dir.join("replies.jsonl");
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn each_line_tells_three_readings() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "\u{feff}{\"reply\": \"**B. Oxygen**\\nbut later the answer is C\"}\r\n\r\n{\"reply\": \"The answer is neon.\", \"choices\": [\"Carbon\", \"Neon\"], \"kind\": \"x\"}\r\n{\"reply\": \"I don't know\"}\n";
    let path = file(dir.path(), lines.as_bytes());
    let out = friction(&["grade", "--replies", &path, "--choices", "4", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let got: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let want = [
        json!({"declared": "C", "lenient": "C", "official": "C"}),
        json!({"declared": "B", "lenient": "B", "official": null}),
        json!({"declared": null, "lenient": null, "official": "I"}),
    ];
    assert_eq!(got, want);
    let table = friction(&["grade", "--replies", &path, "--choices", "4"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("3 replies") && table.contains("declared  reads a letter in 2"), "{table}");
    assert!(table.contains("1 declare another letter"), "{table}");
}

#[test]
fn wrong_input_is_usage() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), b"{\"reply\": \"B\"}\n{\"reply\": \"C\"\n");
    for (args, why) in [
        (vec!["grade", "--replies", &path, "--choices", "4"], "line 2: not JSON"),
        (vec!["grade", "--replies", &path], "line 1: there are no `choices`"),
        (vec!["grade", "--replies", &path, "--choices", "0"], "give 1 to 26"),
        (vec!["grade", "--replies", &path, "--choices", "27"], "give 1 to 26"),
        (vec!["grade", "--replies", "/no/such.jsonl", "--choices", "4"], "/no/such.jsonl"),
        (vec!["grade", "--choices", "4"], "--replies"),
    ] {
        let out = friction(&args);
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(why) && out.stdout.is_empty(), "{args:?}: {told}");
    }
}

/// With `friction grade … | head -1` printing stops, and the command succeeds.
#[test]
fn a_closed_pipe_ends_printing() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "{\"reply\": \"The answer is B.\"}\n".repeat(20_000).as_bytes());
    let mut child = Command::new(env!("CARGO_BIN_EXE_friction"))
        .args(["grade", "--replies", &path, "--choices", "4", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}
