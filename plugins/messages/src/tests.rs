#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::ChatMessage;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

fn open(dir: &Path, config: Value) -> Result<Box<dyn Dataset>> {
    let cx = json!({"base": dir, "seed": 0, "model": {"source": "path:x"}, "backend": {}});
    let config: Config = serde_json::from_value(config).unwrap();
    config.validate()?;
    config.build(&serde_json::from_value(cx).unwrap())
}

fn build(lines: &str, more: Value) -> Result<Box<dyn Dataset>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.jsonl"), lines).unwrap();
    let mut config = json!({"path": "m.jsonl"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    open(dir.path(), config)
}

fn items(d: &dyn Dataset) -> Vec<Item> {
    let of = |c: &Category| (0..c.items).map(|i| d.item(c, i).unwrap()).collect::<Vec<_>>();
    d.categories().iter().flat_map(of).collect()
}

fn told<T>(result: Result<T>) -> String {
    result.err().unwrap().to_string()
}

fn said(item: &Item) -> Vec<(&str, Option<&str>)> {
    item.script.iter().map(|t| (t.user.as_str(), t.reply.as_deref())).collect()
}

#[test]
fn both_forms_are_scripts() {
    let openai = r#"{"id": "a", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": " U1 "}, {"role": "assistant", "content": "R1"}, {"role": "user", "content": [{"type": "text", "text": "U"}, {"type": "text", "text": "2"}]}], "model": "m", "n": [1]}"#;
    let sharegpt = r#"{"conversations": [{"from": "human", "value": "V1"}, {"from": "human", "value": "V2"}, {"from": "gpt", "value": "Q2"}], "id": 12}"#;
    let d = build(&format!("\u{feff}{openai}\r\n\r\n{sharegpt}"), json!({})).unwrap();
    let all = items(d.as_ref());
    assert_eq!(said(&all[0]), [(" U1 ", Some("R1")), ("U2", None)]);
    assert_eq!(d.opening(&all).unwrap(), [ChatMessage::system("S")]);
    assert_eq!(Value::Object(all[0].metadata.clone()), json!({"model": "m", "n": [1]}));
    assert_eq!((all[0].id.as_str(), all[0].text.as_str(), all[0].category.as_str()), ("a", " U1 ", "general"));
    assert_eq!(said(&all[1]), [("V1", None), ("V2", Some("Q2"))]);
    assert_eq!((all[1].id.as_str(), all[1].opening.len(), all[1].rounds()), ("12", 0, 2));
    assert!(d.ordered() && d.notes().is_empty());
    assert_eq!(d.grade(&all[0], "x").unwrap(), Grade::default());
    let short = build(openai, json!({"max_turns": 1, "order": "shuffled", "category": "model"})).unwrap();
    let all = items(short.as_ref());
    assert_eq!((said(&all[0]), all[0].category.as_str()), (vec![(" U1 ", Some("R1"))], "m"));
    assert_eq!((short.ordered(), all[0].metadata.len()), (false, 1));
}

#[test]
fn categories_hold_their_rows_in_order() {
    let row = |i: usize| {
        format!(r#"{{"messages": [{{"role": "user", "content": "{i}"}}], "category": "c {}"}}"#, i % 2) + "\n"
    };
    let d = build(&(0..5).map(row).collect::<String>(), json!({})).unwrap();
    let names: Vec<(&str, usize)> = d.categories().iter().map(|c| (c.name.as_str(), c.items)).collect();
    assert_eq!(names, [("c 0", 3), ("c 1", 2)]);
    let all: Vec<(String, String)> = items(d.as_ref()).into_iter().map(|i| (i.id, i.text)).collect();
    let want = [("c-0_1", "0"), ("c-0_3", "2"), ("c-0_5", "4"), ("c-1_2", "1"), ("c-1_4", "3")];
    assert_eq!(all, want.map(|(a, b)| (a.to_string(), b.to_string())));
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_row_or_left_out() {
    let good = r#"{"messages": [{"role": "user", "content": "x"}]}"#;
    let of = |messages: &str| format!("{good}\n{{\"messages\": [{messages}]}}\n");
    let user = r#"{"role": "user", "content": "x"}"#;
    let reply = r#"{"role": "assistant", "content": "r"}"#;
    for (bad, why) in [
        (of(""), "line 2: the user says nothing"),
        (of(&format!("{reply}, {user}")), "line 2: message 1: a reply stands before the first message of the user"),
        (of(&format!("{user}, {reply}, {reply}")), "line 2: message 3: a second reply"),
        (
            of(&format!(r#"{user}, {{"role": "system", "content": "s"}}"#)),
            "message 2: a system prompt must be the first",
        ),
        (of(r#"{"role": "tool", "content": "x"}"#), "message 1: the role \"tool\" is none of"),
        (of(r#"{"role": "user"}"#), "message 1: there is no `content`"),
        (of(r#"{"content": "x"}"#), "message 1: there is no `role`"),
        (of(r#"{"role": "user", "content": " "}"#), "message 1: it is empty"),
        (of(r#"{"role": "user", "content": null}"#), "its content is null"),
        (
            of(r#"{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}"#),
            "a part is of type \"image_url\"",
        ),
        (of(r#"{"role": "user", "content": [{"type": "text"}]}"#), "holds no text"),
        (of("3"), "message 1: there is no `content`"),
        (format!("{good}\n{{\"x\": 1}}"), "line 2: has neither `messages` nor `conversations`"),
        (format!("{good}\n{{\"messages\": 1}}"), "its messages must be a list"),
        (format!("{good}\n[]"), "line 2: not a JSON object"),
        (format!("{good}\n{good}}}"), "line 2: not JSON"),
        (format!("{good}\n{{\"messages\": [{user}], \"id\": 1.5}}"), "`id` must be a text or a whole number"),
        (format!("{good}\n{{\"messages\": [{user}], \"conversations\": []}}"), "leave one out"),
    ] {
        let told = told(build(&bad, json!({})));
        assert!(told.contains("m.jsonl: ") && told.contains(why), "{bad}: {told}");
        let left = build(&bad, json!({"unusable": "leave-out"})).unwrap();
        assert_eq!(items(left.as_ref()).len(), 1);
        assert!(
            left.notes()[0].contains("1 row of m.jsonl cannot be asked and is left out")
                && left.notes()[0].contains(why)
        );
    }
    let twice = format!("{{\"messages\": [{user}], \"id\": \"a\"}}\n").repeat(2);
    assert!(told(build(&twice, json!({}))).contains("line 2: the id `a` occurs twice"));
    assert!(told(build("\n", json!({}))).contains("holds no conversations"));
    assert!(told(build(good, json!({"category": "language"}))).contains("line 1: there is no `language`"));
    assert!(told(build(good, json!({"category": "id"}))).contains("holds no category"));
    assert!(told(build(good, json!({"max_turns": 0}))).contains("at least 1"));
}

#[test]
fn a_file_that_changes_in_use_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.jsonl");
    let row = |text: &str| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}]}}\n");
    let write = |a: &str, b: &str| std::fs::write(&path, row(a) + &row(b)).unwrap();
    write("one", "two");
    let d = open(dir.path(), json!({"path": "m.jsonl"})).unwrap();
    let c = d.categories()[0].clone();
    assert_eq!(d.item(&c, 1).unwrap().text, "two");
    let when = std::fs::metadata(&path).unwrap().modified().unwrap();
    let file = || std::fs::File::options().write(true).open(&path).unwrap();
    // Equal length and time: the row's own sum tells.
    write("one", "too");
    file().set_modified(when).unwrap();
    assert_eq!(d.item(&c, 0).unwrap().text, "one");
    assert!(told(d.item(&c, 1)).contains("m.jsonl: was changed while it was in use"));
    write("one", "two");
    file().set_modified(when + std::time::Duration::from_secs(5)).unwrap();
    assert!(told(d.item(&c, 0)).contains("was changed"));
    write("one", "three");
    assert!(told(d.item(&c, 0)).contains("was changed"));
    let other = open(dir.path(), json!({"path": "m.jsonl"})).unwrap();
    assert!(other.fingerprint() != d.fingerprint());
    assert!(told(d.item(&c, 2)).contains("has no item 2"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    /// Damaged lines give an error that names the file, or items that can be asked.
    #[test]
    fn hostile_lines_are_errors(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let line = r#"{"id": "a", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U1"}, {"role": "assistant", "content": [{"type": "text", "text": "R"}]}]}"#;
        let mut bytes = format!("{line}\n{}", line.replace("\"a\"", "\"b\"")).into_bytes();
        for (at, v) in flips {
            let n = bytes.len();
            bytes[at.index(n)] = v;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.jsonl"), &bytes).unwrap();
        match open(dir.path(), json!({"path": "m.jsonl"})) {
            Ok(d) => for item in items(d.as_ref()) {
                prop_assert!(item.fault().is_none() && item.script.iter().all(|t| !t.user.trim().is_empty()), "{item:?}");
            },
            Err(e) => prop_assert!(e.to_string().contains("m.jsonl: "), "{e}"),
        }
    }
}
