#![allow(clippy::unwrap_used)]
use super::*;
use arrow_array::RecordBatch;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int16Array, Int64Array, LargeStringArray, StringArray, UInt8Array};
use arrow_schema::{DataType, Field};
use friction_core::{Category, ChatMessage};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Builds the dataset of a table and files.
fn build(config: serde_json::Value, files: &[(&str, &[u8])]) -> Result<Box<dyn Dataset>> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let cx = serde_json::json!({"base": dir.path(), "seed": 0, "model": {"source": "path:x"}, "backend": {}});
    let config: Config = serde_json::from_value(config).unwrap();
    config.validate()?;
    config.build(&serde_json::from_value(cx).unwrap())
}

fn lines(s: &str) -> Result<Box<dyn Dataset>> {
    build(json!({"path": "q.jsonl"}), &[("q.jsonl", s.as_bytes())])
}

fn items(d: &dyn Dataset) -> Vec<Item> {
    let of = |c: &Category| (0..c.items).map(|i| d.item(c, i).unwrap()).collect::<Vec<_>>();
    d.categories().iter().flat_map(of).collect()
}

fn told<T>(result: Result<T>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn rows_are_checked() {
    let ok = lines(r#"{"question": "1+1?", "options": ["1", "2"], "answer": "B", "category": "math"}"#).unwrap();
    assert_eq!((items(ok.as_ref())[0].right(), ok.categories()[0].name.as_str()), (Some(1), "math"));
    for (bad, why) in [
        (r#"{"question": "1+1?", "options": ["1", "2"], "answer": "C"}"#, "from A to B"),
        (r#"{"question": "1+1?", "options": ["1", "2"], "answer": "b"}"#, "from A to B"),
        (r#"{"question": "1+1?", "options": ["1", "2"]}"#, "no `answer`, a letter from A to B, nor `answer_index`"),
        (r#"{"question": "1+1?", "options": ["1"], "answer": "A"}"#, "2 to 26"),
        (
            r#"{"question": "1+1?", "option": ["1"], "answer": "A"}"#,
            "line 1: unknown key `option`: did you mean `options`?",
        ),
        (
            r#"{"question": "1+1?", "language": "en"}"#,
            "line 1: unknown key `language`: put it into the object `metadata`",
        ),
        (r#"{"question": "1+1?", "options": ["1", null], "answer": "A"}"#, "line 1: `options[1]`: invalid type: null"),
        (r#"{"question": null, "options": ["1", "2"], "answer": "A"}"#, "row 1: there is no `question`"),
        (r#"{"question": 7, "options": ["1", "2"], "answer": "A"}"#, "line 1: `question`: invalid type: integer"),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 1.0}"#,
            "line 1: `answer_index`: invalid type: floating point",
        ),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": -1}"#,
            "`answer_index` is -1; it must be from 0",
        ),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 2}"#,
            "`answer_index` is 2; it must be from 0, the first option, to 1",
        ),
        (
            r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 1, "answer": "A"}"#,
            "`answer` is A, but `answer_index` 1 is B",
        ),
        (r#"{"question": " ", "options": ["1", "2"], "answer": "A"}"#, "row 1: `question` is empty"),
        (r#"{"question": "1+1?", "options": ["1", " "], "answer": "A"}"#, "option B is empty"),
        (
            r#"{"question": "1+1?", "options": ["1", "2", " 1"], "answer": "A"}"#,
            "options A and C read the same (\"1\")",
        ),
        (r#"{"question": "1+1?", "options": ["1", "2"], "answer": "A"} {}"#, "a line is one object"),
        ("[]", "line 1: "),
        ("", "no questions"),
    ] {
        let told = told(lines(bad));
        assert!(told.contains(why), "{bad}: {told}");
    }
    let both = lines(
        r#"{"question": "1+1?", "options": ["1", "2"], "answer_index": 1, "answer": "B", "id": null, "category": ""}"#,
    )
    .unwrap();
    let both = &items(both.as_ref())[0];
    assert_eq!((both.right(), both.id.as_str()), (Some(1), "general_1"));
}

#[test]
fn marks_and_crlf_are_no_content() {
    let row = r#"{"question": "1+1?", "options": ["1", "2"], "answer": "B"}"#;
    let bank = lines(&format!("\u{feff}{row}\r\n\r\n{}\r\n", row.replace("1+1", "0+2"))).unwrap();
    assert_eq!(items(bank.as_ref()).len(), 2);
    let told = told(read::jsonl(Path::new("q.jsonl"), b"{\"question\": \"\xff\"}"));
    assert!(told.contains("save the file as UTF-8"), "{told}");
}

fn read(columns: Vec<(&str, ArrayRef)>) -> Result<Box<dyn Dataset>> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut w = ArrowWriter::try_new(vec![], batch.schema(), None).unwrap();
    w.write(&batch).unwrap();
    build(json!({"path": "q.parquet"}), &[("q.parquet", &w.into_inner().unwrap())])
}

fn options(entry: Option<&str>) -> ArrayRef {
    let mut b = ListBuilder::new(StringBuilder::new());
    for row in 0..2 {
        b.values().append_value("x");
        b.values().append_option(if row == 1 { entry } else { Some("y") });
        b.append(true);
    }
    Arc::new(b.finish())
}

#[test]
fn parquet_of_other_writers_is_read() {
    let texts = || Arc::new(LargeStringArray::from(vec!["a?", "b?"])) as ArrayRef;
    let large = DataType::LargeList(Arc::new(Field::new("item", DataType::LargeUtf8, true)));
    let large = arrow_cast::cast(&options(Some("y")), &large).unwrap();
    let index = || Arc::new(UInt8Array::from(vec![1, 0])) as ArrayRef;
    let ids = || Arc::new(Int16Array::from(vec![31, 32])) as ArrayRef;
    let bank = read(vec![("question", texts()), ("options", large), ("answer_index", index()), ("id", ids())]).unwrap();
    let got: Vec<_> = items(bank.as_ref()).into_iter().map(|q| (q.id.clone(), q.right().unwrap())).collect();
    assert_eq!(got, [("31".to_string(), 1), ("32".to_string(), 0)]);
    let told = |columns| told(read(columns));
    let null = told(vec![("question", texts()), ("options", options(None)), ("answer_index", index())]);
    assert!(null.contains("row 2: `options` holds a null, entry 2"), "{null}");
    let gaps = Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef;
    let gap = told(vec![("question", texts()), ("options", options(Some("y"))), ("answer_index", gaps)]);
    assert!(gap.contains("row 2: there is no `answer`"), "{gap}");
    let floats = Arc::new(Float64Array::from(vec![1.0, 0.0])) as ArrayRef;
    let float = told(vec![("question", texts()), ("options", options(Some("y"))), ("answer_index", floats)]);
    assert!(float.contains("column `answer_index` holds Float64"), "{float}");
    let letters = Arc::new(StringArray::from(vec!["B", "B"])) as ArrayRef;
    let against =
        vec![("question", texts()), ("options", options(Some("y"))), ("answer_index", index()), ("answer", letters)];
    assert!(told(against).contains("row 2: `answer` is B, but `answer_index` 0 is A"));
    assert!(told(vec![("question", texts()), ("options", texts())]).contains("must hold lists of texts"));
}

#[test]
fn open_items_have_targets_scripts_openings_and_metadata() {
    let rows = [
        r#"{"text": " Which sea? ", "target": "Baltic", "metadata": {"en": {"n": 1}}, "id": 7}"#,
        r#"{"question": "How many?", "target": ["4", 4.5], "system": "Be brief."}"#,
        r#"{"question": "Say something."}"#,
        r#"{"script": ["Hello", {"user": "And now?", "reply": " Well. "}]}"#,
        r#"{"question": "Ready?", "opening": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}"#,
        r#"{"question": "Which do you prefer?", "options": ["tea", "milk"], "target": null}"#,
    ];
    let d = lines(&rows.join("\n")).unwrap();
    let all = items(d.as_ref());
    assert_eq!((all[0].text.as_str(), all[0].id.as_str()), ("Which sea?", "7"));
    assert_eq!(all[0].target, Some(friction_core::Target::Text(vec!["Baltic".into()])));
    assert_eq!(all[0].metadata["en"]["n"], 1);
    assert_eq!(d.prompt(&all[0]).unwrap(), "Which sea?");
    assert_eq!(d.grade(&all[0], "Baltic").unwrap().score, None);
    assert_eq!(all[1].target_text().as_deref(), Some("4 | 4.5"));
    assert_eq!(d.opening(&all[1..]).unwrap(), [ChatMessage::system("Be brief.")]);
    assert_eq!((all[2].target.as_ref(), d.opening(&all[2..]).unwrap().len()), (None, 0));
    let said: Vec<_> = all[3].script.iter().map(|t| (t.user.as_str(), t.reply.as_deref())).collect();
    assert_eq!(said, [("Hello", None), ("And now?", Some(" Well. "))]);
    assert_eq!((all[3].text.as_str(), all[3].rounds()), ("Hello", 2));
    assert_eq!(d.opening(&all[4..]).unwrap().len(), 3);
    assert_eq!((all[5].right(), all[5].choices.len()), (None, 2));
    let placed = r#"{"question": "Which stands first?", "options": ["x", "y"], "answer": "A", "fixed_choices": true}"#;
    assert!(items(lines(placed).unwrap().as_ref())[0].fixed_choices && !all[5].fixed_choices);
    let open = lines(r#"{"question": "Which stands first?", "fixed_choices": true}"#);
    assert!(told(open).contains("`fixed_choices` says that the options keep their order, and there are no `options`"));
    assert!(!d.ordered());
    for (bad, why) in [
        (r#"{"question": "x", "answer": "A"}"#, "row 1: `answer` names an option, and there are no `options`"),
        (r#"{"question": "x", "answer_index": 0}"#, "row 1: `answer_index` names an option"),
        (
            r#"{"question": "x", "options": ["a", "b"], "target": "a"}"#,
            "row 1: `target` belongs to rows without `options`",
        ),
        (r#"{"question": "x", "target": []}"#, "row 1: `target` holds an empty text"),
        (r#"{"question": "x", "target": {"a": 1}}"#, "line 1: `target`: expected a text, a number, or a list of them"),
        (r#"{"question": "x", "script": []}"#, "row 1: `script` is empty"),
        (r#"{"question": "x", "script": ["a", " "]}"#, "row 1: message 2 of `script` is empty"),
        (r#"{"question": "x", "script": [{"usr": "a"}]}"#, "expected a text, or an object with `user` and `reply`"),
        (
            r#"{"question": "x", "opening": [{"role": "user", "content": "u"}]}"#,
            "row 1: has an opening that ends in a message",
        ),
        (r#"{"question": "x", "opening": [{"role": "tool", "content": "u"}]}"#, "unknown variant `tool`"),
        (r#"{"question": "x", "system": "s", "opening": []}"#, "`system` and `opening` are both given"),
        (r#"{"question": "x", "system": " "}"#, "message 1 of the opening is empty"),
        (r#"{"question": "x", "text": "x"}"#, "duplicate field `question`"),
        (r#"{"question": "x", "metadata": 3}"#, "line 1: `metadata`: invalid type"),
        (r#"{"category": "x"}"#, "row 1: there is no `question`"),
    ] {
        let told = told(lines(bad));
        assert!(told.contains(why), "{bad}: {told}");
    }
}

#[test]
fn instructions_close_prompts_and_shots_stand_before_them() {
    let row =
        |i: usize| format!(r#"{{"question": "{i}?", "options": ["a", "b"], "answer": "B", "category": "c{}"}}"#, i % 2);
    let rows: Vec<String> = (0..6).map(row).collect();
    let open = [r#"{"question": "o?", "target": ["x", "y"], "system": "S"}"#.to_string()];
    let file = [&rows[..], &open].concat().join("\n");
    let with = |more: serde_json::Value, files: &[(&str, &[u8])]| {
        let mut config = json!({"path": "q.jsonl"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        build(config, &[&[("q.jsonl", file.as_bytes())][..], files].concat())
    };
    let d = with(json!({"instruction": "Reply with JSON: {\"answer\": 1}", "shots": 2, "order": "file"}), &[]).unwrap();
    let all = items(d.as_ref());
    assert_eq!(all.len(), 5);
    assert_eq!(d.prompt(&all[0]).unwrap(), "2?\n\nA. a\nB. b\n\nReply with JSON: {\"answer\": 1}");
    assert_eq!(all[4].text, "o?");
    assert_eq!(d.prompt(&all[4]).unwrap(), "o?\n\nReply with JSON: {\"answer\": 1}");
    let shots = d.opening(&all).unwrap();
    let user = "0?\n\nA. a\nB. b\n\nReply with JSON: {\"answer\": 1}";
    assert_eq!(shots[..2], [ChatMessage::user(user), ChatMessage::assistant("B")]);
    assert_eq!(shots.len(), 4);
    let behind = d.opening(&all[4..]).unwrap();
    assert_eq!((&behind[0], &behind[1..]), (&ChatMessage::system("S"), &shots[..]));
    assert!(d.ordered() && d.notes()[0].contains("the first 2 rows of q.jsonl are worked examples"), "{:?}", d.notes());
    // Of a file of their own: all, or the first.
    let own = format!(
        "{}\n{}",
        r#"{"question": "s?", "target": ["right", "good"]}"#,
        r#"{"script": [{"user": "u", "reply": "r"}, {"user": "v", "reply": "w"}]}"#
    );
    let files: &[(&str, &[u8])] = &[("s.jsonl", own.as_bytes())];
    let d = with(json!({"shots_path": "s.jsonl", "instruction": ""}), files).unwrap();
    let said: Vec<String> = d.opening(&items(d.as_ref())).unwrap().into_iter().map(|m| m.content).collect();
    assert_eq!(said, ["s?", "right", "u", "r", "v", "w"]);
    assert_eq!(d.prompt(&items(d.as_ref())[0]).unwrap(), "0?\n\nA. a\nB. b");
    let one = with(json!({"shots_path": "s.jsonl", "shots": 1}), files).unwrap();
    assert_eq!(one.opening(&items(one.as_ref())).unwrap().len(), 2);
    let plain = with(json!({}), &[]).unwrap();
    assert!(one.fingerprint().starts_with(&format!("{}+", plain.fingerprint())));
    let no_answer = format!("{}\n", r#"{"question": "s?"}"#);
    let no_reply = r#"{"script": ["u"]}"#;
    for (more, shots, why) in [
        (json!({"shots": 9}), "", "`shots = 9`, but"),
        (json!({"shots": 7}), "", "row 7: a worked example cannot have an opening of its own"),
        (json!({"shots": 0, "shots_path": "s.jsonl"}), "", "`shots_path` does nothing at `shots = 0`"),
        (
            json!({"shots": 1, "shots_path": "s.jsonl"}),
            no_answer.as_str(),
            "s.jsonl: row 1: a worked example needs an answer",
        ),
        (json!({"shots_path": "s.jsonl"}), no_reply, "needs a `reply` to each"),
        (json!({"shots_path": "s.jsonl"}), rows[3].as_str(), "row 4 is asked, and is a worked example too"),
        (json!({"instruction": "one of {letters}"}), "", "`{letters}` names nothing in row 7"),
        (json!({"instruction": "one of {choices}"}), "", "`{choices}` is no placeholder"),
    ] {
        let told = told(with(more.clone(), &[("s.jsonl", shots.as_bytes())]));
        assert!(told.contains(why), "{more}: {told}");
    }
    let scripted = build(json!({"path": "q.jsonl", "instruction": "x"}), &[("q.jsonl", br#"{"script": ["u"]}"#)]);
    assert!(told(scripted).contains("every row has a `script`"));
}

#[test]
fn parquet_holds_open_items_too() {
    let texts = |all: Vec<Option<&str>>| Arc::new(StringArray::from(all)) as ArrayRef;
    let d = read(vec![
        ("text", texts(vec![Some("a?"), Some("b?")])),
        ("target", texts(vec![Some("x"), None])),
        ("metadata", texts(vec![Some(r#"{"k": [1]}"#), None])),
        ("opening", texts(vec![Some(r#"[{"role": "system", "content": "s"}]"#), None])),
        ("source", texts(vec![None, None])),
    ])
    .unwrap();
    let all = items(d.as_ref());
    assert_eq!((all[0].target_text().as_deref(), all[1].target.as_ref()), (Some("x"), None));
    assert_eq!((all[0].metadata["k"][0].as_i64(), all[0].opening.len()), (Some(1), 1));
    assert_eq!(d.notes(), ["columns of q.parquet that are not read: `source`"]);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in [&["u", "v"][..], &[]] {
        row.iter().for_each(|t| lists.values().append_value(t));
        lists.append(true);
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let d = read(vec![("question", texts(vec![Some("a?"), Some("b?")])), ("script", lists.clone())]).unwrap();
    assert_eq!(items(d.as_ref()).iter().map(|i| i.script.len()).collect::<Vec<_>>(), [2, 0]);
    let d = read(vec![("question", texts(vec![Some("a?"), Some("b?")])), ("target", lists.clone())]);
    assert!(told(d).contains("row 2: `target` holds an empty text"));
    let numbers = Arc::new(Int64Array::from(vec![Some(42), None])) as ArrayRef;
    let d = read(vec![("question", texts(vec![Some("a?"), Some("b?")])), ("target", numbers)]).unwrap();
    assert_eq!(items(d.as_ref())[0].target_text().as_deref(), Some("42"));
    let bad = read(vec![("question", texts(vec![Some("a?")])), ("metadata", texts(vec![Some("{")]))]);
    assert!(told(bad).contains("row 1: `metadata` must hold JSON"));
    let twice = read(vec![("question", texts(vec![Some("a?")])), ("text", texts(vec![Some("a?")]))]);
    assert!(told(twice).contains("which are the same; leave one out"));
}

fn experiment(file: &str) -> BTreeMap<String, Vec<Item>> {
    let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../experiments").join(file);
    by_category(File::read(&path).unwrap().items)
}
fn ordinary() -> BTreeMap<String, Vec<Item>> {
    experiment("ordinary/questions.jsonl")
}

/// The prompts of the interruption probe: 12 categories of four, each an open question and a follow-up.
#[test]
fn the_prompts_of_the_interruption_probe() {
    let bank = experiment("interruption-probe/prompts.jsonl");
    assert!(bank.len() == 12 && bank.values().all(|all| all.len() == 4));
    let mut texts = BTreeSet::new();
    for item in bank.values().flatten() {
        assert!(item.script.len() == 2 && item.choices.is_empty() && item.target.is_none(), "{}", item.id);
        assert!(item.script.iter().all(|t| texts.insert(t.user.clone()) && t.reply.is_none()), "{}", item.id);
        assert!(item.script[0].user.len() > 70 && item.script[1].user.ends_with('?'), "{}", item.id);
    }
}

/// The questions in experiments/ordinary: 14 categories of ten, in which each letter is right once.
#[test]
fn the_ordinary_bank() {
    let bank = ordinary();
    assert_eq!(bank.len(), 14);
    let mut texts = BTreeSet::new();
    for (category, questions) in &bank {
        let letters: BTreeSet<usize> = questions.iter().map(|q| q.right().unwrap()).collect();
        assert_eq!((questions.len(), letters.len()), (10, 10), "{category}");
        for q in questions {
            let options: BTreeSet<String> = q.choices.iter().map(|o| o.to_lowercase()).collect();
            assert_eq!(options.len(), 10, "{}", q.text);
            assert!(texts.insert(q.text.clone()), "{}", q.text);
        }
    }
}

/// Grades all their options, written in the ways in which models answer.
#[test]
fn the_options_of_the_ordinary_bank_read_as_themselves() {
    for q in ordinary().values().flatten() {
        for (k, text) in q.choices.iter().enumerate() {
            let x = Item::letter(k);
            let said = [
                format!("{x}. {text}"),
                format!("**{x}. {text}**"),
                format!("Answer: {x}. {text}"),
                format!("The answer is {x}) {text}"),
                format!("The answer is {text}."),
            ];
            for reply in said {
                assert_eq!(friction_core::choice::declared(&reply, &q.choices), Some(x), "{reply:?}");
            }
        }
    }
}
