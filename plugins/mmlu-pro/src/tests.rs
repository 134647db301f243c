#![allow(clippy::unwrap_used)]
mod naming;

use super::*;
use arrow_array::RecordBatch;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int8Array, Int64Array, StringArray, UInt16Array};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// A row: question, options, index of the right option, category.
type Row<'a> = (&'a str, &'a [&'a str], i64, &'a str);

fn columns(rows: &[Row]) -> Vec<(&'static str, ArrayRef)> {
    let mut options = ListBuilder::new(StringBuilder::new());
    for (_, o, _, _) in rows {
        for s in *o {
            options.values().append_value(s);
        }
        options.append(true);
    }
    let text = |f: fn(&Row) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(f))) };
    vec![
        ("question_id", Arc::new(Int64Array::from_iter_values(0..rows.len() as i64))),
        ("question", text(|r| r.0.into())),
        ("options", Arc::new(options.finish())),
        ("answer_index", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2)))),
        ("category", text(|r| r.3.into())),
    ]
}

fn written(columns: Vec<(&'static str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let mut w = ArrowWriter::try_new(vec![], batch.schema(), None).unwrap();
    w.write(&batch).unwrap();
    w.into_inner().unwrap()
}

fn file(rows: &[Row]) -> Vec<u8> {
    written(columns(rows))
}

/// The same rows with one column added or replaced.
fn with(rows: &[Row], name: &'static str, array: ArrayRef) -> Vec<u8> {
    let mut all = columns(rows);
    all.retain(|(n, _)| *n != name);
    all.push((name, array));
    written(all)
}

fn config(more: Value) -> Config {
    serde_json::from_value(more).unwrap()
}

/// Builds the dataset of a table and files.
fn build(more: Value, files: &[(&str, &[u8])]) -> Result<Box<dyn Dataset>> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let cx = json!({"base": dir.path(), "seed": 0, "model": {"source": "path:x"}, "backend": {}});
    let config = config(more);
    config.validate()?;
    config.build(&serde_json::from_value(cx).unwrap())
}

fn opened(path: &Path) -> Result<Bank> {
    let file = File::read(path)?;
    Ok(MmluPro::new(&config(json!({"path": "t.parquet"})), file, path, None)?.bank)
}

fn read(bytes: &[u8]) -> Result<Bank> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    std::fs::write(&path, bytes).unwrap();
    opened(&path)
}

fn told(bytes: &[u8]) -> String {
    read(bytes).err().unwrap().to_string()
}

const ROWS: &[Row] = &[
    (" What? ", &["x", "N/A", " right ", "N/A", "y"], 2, "computer science"),
    ("Twice?", &["a", "b", "c"], 0, "law"),
    ("Twice?", &["a", "b", "c"], 0, "health"),
    ("N/A is right?", &["a", "b", "N/A"], 2, "law"),
];
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| file(ROWS));

#[test]
fn padding_is_dropped_options_are_stripped_and_doubles_stand_once() {
    let d = read(&FILE).unwrap();
    let q = &d.items["computer science"][0];
    assert_eq!((q.text.as_str(), q.right(), q.id.as_str()), ("What?", Some(1), "computer-science_0"));
    assert_eq!(q.choices, ["x", "right", "y"]);
    assert!(d.prompt(q).unwrap().ends_with("B. right\nC. y\n\nPlease provide your answer as a single letter (A-C)."));
    assert!(!d.items.contains_key("health"));
    assert_eq!(d.items["law"][1].choices[2], "N/A");
}

#[test]
fn nulls_and_indices_that_are_none_are_errors() {
    let index = |v: Vec<Option<i64>>| Arc::new(Int64Array::from(v)) as ArrayRef;
    let null = told(&with(ROWS, "answer_index", index(vec![Some(2), None, Some(0), Some(2)])));
    assert!(null.contains("row 2: `answer_index` is null"), "{null}");
    for (wrong, why) in [(-1, "row 4: question 3 has no option -1"), (3, "no option 3: `answer_index` counts from 0")] {
        let told = told(&with(ROWS, "answer_index", index(vec![Some(2), Some(0), Some(0), Some(wrong)])));
        assert!(told.contains(why), "{told}");
    }
    let floats = told(&with(ROWS, "answer_index", Arc::new(Float64Array::from(vec![2.0, 0.0, 0.0, 2.0]))));
    assert!(floats.contains("column `answer_index` holds Float64; it must hold whole numbers"), "{floats}");
    for column in ["question", "category"] {
        let texts = |second: Option<&str>| {
            Arc::new(StringArray::from(vec![Some("a"), second, Some("c"), Some("d")])) as ArrayRef
        };
        let null = told(&with(ROWS, column, texts(None)));
        assert!(null.contains(&format!("row 2: `{column}` is null")), "{null}");
        let empty = told(&with(ROWS, column, texts(Some("  "))));
        assert!(empty.contains(&format!("row 2: `{column}` is empty")), "{empty}");
    }
    let ids = told(&with(ROWS, "question_id", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None]))));
    assert!(ids.contains("row 4: `question_id` is null"), "{ids}");
    let twice = told(&with(ROWS, "question_id", Arc::new(Int64Array::from(vec![1, 2, 3, 2]))));
    assert!(twice.contains("two questions are called `law_2`"), "{twice}");
    let mut options = ListBuilder::new(StringBuilder::new());
    for row in 0..4 {
        for s in ["a", "b", "c"] {
            options.values().append_option((row != 2 || s != "b").then_some(s));
        }
        options.append(row != 3);
    }
    let options = told(&with(ROWS, "options", Arc::new(options.finish())));
    assert!(options.contains("row 3: `options` holds a null, entry 2"), "{options}");
}

#[test]
fn an_answer_agrees_with_its_index() {
    let letters = |v: [Option<&str>; 4]| Arc::new(StringArray::from(v.to_vec())) as ArrayRef;
    // The dataset's letters count padding options too.
    assert!(read(&with(ROWS, "answer", letters([Some("C"), Some("A"), None, Some(" C ")]))).is_ok());
    let told = told(&with(ROWS, "answer", letters([Some("C"), Some("B"), Some("A"), Some("C")])));
    assert!(told.contains("row 2: `answer` is \"B\", but `answer_index` 0 is A"), "{told}");
}

#[test]
fn small_integers_are_numbers_too() {
    let small = with(ROWS, "answer_index", Arc::new(Int8Array::from(vec![2, 0, 0, 2])));
    assert_eq!(read(&small).unwrap().items["law"][1].right(), Some(2));
    let ids = with(ROWS, "question_id", Arc::new(UInt16Array::from(vec![7, 8, 9, 10])));
    assert_eq!(read(&ids).unwrap().items["law"][0].id, "law_8");
}

#[test]
fn options_that_stand_twice_leave_one_right_letter_or_none() {
    let d = read(&file(&[("Wrong twice?", &["a", "a", "c"], 2, "law"), ("Right twice?", &["a", "b", " a"], 0, "law")]))
        .unwrap();
    let left: Vec<&str> = d.items["law"].iter().map(|q| q.text.as_str()).collect();
    assert_eq!(left, ["Wrong twice?"]);
    assert!(told(&file(&[("One?", &["a", "N/A", ""], 0, "law")])).contains("has 1 option"));
    assert!(told(&file(&[("None?", &["a", "b", " "], 2, "law")])).contains("the right option, C, is empty"));
}

#[test]
fn what_is_left_out_is_counted() {
    let rows: &[Row] = &[
        ("One?", &["a", "b", "c"], 0, "law"),
        ("One?", &["a", "b", "c"], 0, "health"),
        ("Two?", &["a", "b", "a", "c"], 0, "law"),
        ("Few?", &["a", "b"], 0, "law"),
    ];
    let d = build(json!({"path": "t.parquet"}), &[("t.parquet", &file(rows))]).unwrap();
    let told = "3 of MMLU-Pro's 4 questions are left out: 1 that stand twice, 1 with two right letters, 1 with fewer than 3 options";
    assert_eq!(d.notes(), [told]);
    let all = build(json!({"path": "t.parquet"}), &[("t.parquet", &file(&rows[..1]))]).unwrap();
    assert!(all.notes().is_empty());
}

/// Questions of the fixture as a file.
fn written_out(docs: &Value) -> Vec<u8> {
    let docs = docs.as_array().unwrap();
    let text = |key: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(docs.iter().map(|d| d[key].as_str().unwrap().to_string())))
    };
    let mut options = ListBuilder::new(StringBuilder::new());
    for d in docs {
        d["options"].as_array().unwrap().iter().for_each(|o| options.values().append_value(o.as_str().unwrap()));
        options.append(true);
    }
    let index = docs.iter().map(|d| d["answer_index"].as_i64().unwrap());
    written(vec![
        ("question_id", Arc::new(Int64Array::from_iter_values(0..docs.len() as i64))),
        ("question", text("question")),
        ("options", Arc::new(options.finish())),
        ("answer_index", Arc::new(Int64Array::from_iter_values(index))),
        ("category", text("category")),
        ("cot_content", text("cot_content")),
    ])
}

/// The prompt's text as `chat_template = "none"` writes it.
fn plain(d: &dyn Dataset, item: &Item) -> String {
    let shots = d.opening(std::slice::from_ref(item)).unwrap();
    let pairs = shots.chunks(2).map(|p| format!("{}{}\n\n", p[0].content, p[1].content.trim_end()));
    pairs.collect::<String>() + &d.prompt(item).unwrap()
}

/// Prompts and pattern are those of lm-evaluation-harness's task: tests/data/five_shot.py.
#[test]
fn chains_of_thought_are_asked_for_as_the_harness_does() {
    let oracle: Value = serde_json::from_str(include_str!("../tests/data/five-shot.json")).unwrap();
    let (test, validation) = (written_out(&oracle["questions"]), written_out(&oracle["examples"]));
    let files: &[(&str, &[u8])] = &[("t.parquet", &test), ("v.parquet", &validation)];
    let style = |more: Value| {
        let mut all = json!({"path": "t.parquet", "style": "chain-of-thought"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let items = |d: &dyn Dataset| -> Vec<Item> {
        let of = |c: &Category| (0..c.items).map(|i| d.item(c, i).unwrap()).collect::<Vec<_>>();
        d.categories().iter().flat_map(of).collect()
    };
    for (shots, more) in [
        ("0", json!({"shots": 0})),
        ("2", json!({"shots": 2, "validation_path": "v.parquet"})),
        ("5", json!({"validation_path": "v.parquet"})),
    ] {
        let d = build(style(more), files).unwrap();
        let all = items(d.as_ref());
        assert_eq!(all.len(), 6);
        for (item, want) in all.iter().zip(oracle["prompts"][shots].as_array().unwrap()) {
            assert_eq!(plain(d.as_ref(), item), want.as_str().unwrap(), "{shots} shots");
        }
        for (reply, read) in oracle["replies"].as_array().unwrap().iter().zip(oracle["read"].as_array().unwrap()) {
            let grade = d.grade(&all[0], reply.as_str().unwrap()).unwrap();
            assert_eq!(grade.others["lm-eval"].as_deref(), read.as_str(), "{reply}");
        }
        let mixed = d.opening(&[all[0].clone(), all[3].clone()]);
        match shots {
            "0" => assert!(mixed.unwrap().is_empty()),
            _ => assert!(mixed.unwrap_err().to_string().contains("asks about computer science and law")),
        }
    }
    let d =
        build(style(json!({"validation_path": "v.parquet", "shots": 1, "instruction": "On {topic}:"})), files).unwrap();
    let first = d.opening(&items(d.as_ref())[3..]).unwrap();
    assert!(first[0].content.starts_with("On law:\nQuestion:\nExample 0 of law?"), "{first:?}");
    let bare = build(style(json!({"shots": 0, "instruction": ""})), files).unwrap();
    assert!(plain(bare.as_ref(), &items(bare.as_ref())[0]).starts_with("Question:\nWhat is"));
    // The style of a chat: a letter answers, and several subjects may follow.
    let chat =
        json!({"path": "t.parquet", "validation_path": "v.parquet", "shots": 1, "instruction": "One of {letters}."});
    let d = build(chat, files).unwrap();
    let all = items(d.as_ref());
    let shots = d.opening(&all).unwrap();
    let user = "Example 0 of computer science?\n\nA. computer science 0a\nB. computer science 0b\nC. computer science 0c\n\nOne of A-C.";
    assert_eq!(shots, [ChatMessage::user(user), ChatMessage::assistant("A")]);
    assert!(d.prompt(&all[1]).unwrap().ends_with("D. four\n\nOne of A-D."));
    assert!(!d.grade(&all[0], "A").unwrap().others.contains_key("lm-eval"));
    let none = build(json!({"path": "t.parquet"}), files).unwrap();
    assert!(
        none.opening(&all).unwrap().is_empty()
            && d.fingerprint() == format!("{}+{}", none.fingerprint(), d.fingerprint().split('+').next_back().unwrap())
    );
    for (more, why) in [
        (style(json!({"validation_path": "v.parquet", "shots": 7})), "`shots = 7`, but"),
        (style(json!({"validation_path": "t.parquet", "shots": 1})), "has no `cot_content` for"),
        (style(json!({"validation_path": "v.parquet", "shots": 0})), "`validation_path` does nothing without `shots`"),
        (style(json!({"validation_path": "v.parquet", "revision": "x"})), "`revision` does nothing beside local files"),
        (
            json!({"path": "t.parquet", "validation_path": "v.parquet"}),
            "`validation_path` does nothing without `shots`",
        ),
        (json!({"path": "t.parquet", "instruction": "{topic}"}), "`{topic}` is no placeholder"),
        (style(json!({"shots": 0, "instruction": "{letters}"})), "`{letters}` is no placeholder"),
    ] {
        let told = build(more.clone(), files).err().unwrap().to_string();
        assert!(told.contains(why), "{more}: {told}");
    }
}

fn sample() -> Option<Bank> {
    let Some(dir) = std::env::var_os("FRICTION_DATA") else {
        eprintln!("SKIPPED: set FRICTION_DATA to the folder that holds mmlu-pro-sample.parquet");
        return None;
    };
    Some(opened(&Path::new(&dir).join("mmlu-pro-sample.parquet")).unwrap())
}

#[test]
fn the_real_sample() {
    let Some(d) = sample() else { return };
    let all: Vec<&Item> = d.items.values().flatten().collect();
    assert!(all.len() > 950 && d.categories.len() >= 10, "{} in {}", all.len(), d.categories.len());
    for q in all {
        assert!((3..=10).contains(&q.choices.len()) && q.right().unwrap() < q.choices.len(), "{}", q.id);
        assert!(q.choices.iter().all(|o| o == o.trim() && !o.is_empty()), "{}", q.id);
    }
}

/// Grades all options of the real questions, written in the ways in which models answer.
#[test]
fn the_options_of_the_real_sample_read_as_themselves() {
    let Some(d) = sample() else { return };
    let (mut said, mut lost, mut other) = (0, vec![], vec![]);
    for q in d.items.values().flatten() {
        for (k, text) in q.choices.iter().enumerate() {
            let x = Item::letter(k);
            said += 1;
            for reply in [
                format!("{x}. {text}"),
                format!("**{x}. {text}**"),
                format!("Answer: {x}. {text}"),
                format!("The answer is {x}) {text}"),
            ] {
                if friction_core::choice::declared(&reply, &q.choices) != Some(x) {
                    lost.push(reply);
                }
            }
            let reply = format!("The answer is {text}.");
            match friction_core::choice::declared(&reply, &q.choices) {
                Some(c) if c != x => other.push(reply),
                _ => {}
            }
        }
    }
    assert!(said > 9000 && lost.is_empty() && other.is_empty(), "of {said}: lost {lost:#?}, others {other:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    /// Damaged bytes give an error that names the file, or questions that can be asked and graded. A truncated file
    /// never gives questions.
    #[test]
    fn hostile_bytes_are_errors(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), whole in any::<bool>()) {
        let mut b = FILE.clone();
        for (at, v) in flips {
            let n = b.len();
            b[at.index(n)] = v;
        }
        if !whole {
            b.truncate(cut.index(b.len()));
        }
        match read(&b) {
            Ok(bank) => {
                prop_assert!(whole, "a cut file was read");
                for q in bank.items.values().flatten() {
                    prop_assert!((3..=26).contains(&q.choices.len()) && q.right().unwrap() < q.choices.len(), "{q:?}");
                    prop_assert!(!q.text.is_empty() && !q.category.is_empty() && q.choices.iter().all(|o| !o.is_empty()));
                    prop_assert!(bank.grade(q, &q.target_letter().unwrap().to_string()).unwrap().right() == Some(true));
                }
            }
            Err(e) => prop_assert!(e.to_string().contains("t.parquet: "), "{e}"),
        }
    }
}
