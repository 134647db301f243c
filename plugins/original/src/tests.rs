#![allow(clippy::unwrap_used)]
use super::*;
use crate::items::parsed;
use crate::rules::breaks_off;
use friction_core::TurnRow;
use serde_json::{Value, json};

const QUESTION: &str =
    "Which metal?\n\nA. Iron\nB. Gold,\nor brass\nC. Zinc\n\nPlease provide your answer as a single letter (A-J).";

/// A turn with all keys: the reply to the item `law_<item>` whose right answer is B, as a condition's history keeps it.
fn turn(number: usize, item: usize, before: &str, reply: &str, kept: &str) -> Value {
    let letter = choice(reply);
    json!({
        "turn_number": number, "topic": "law", "question_id": format!("law_{item}"), "question_text": QUESTION,
        "user_message": format!("{before}{QUESTION}"), "model_response": reply, "history_response": kept,
        "correct_answer": "B", "parsed_answer": letter, "is_correct": letter.as_deref() == Some("B"),
        "response_length": reply.chars().count(), "hedging_count": 0, "was_truncated": kept != reply,
        "truncated_length": null, "activations_path": null, "of_a_later_version": {"x": [1]},
    })
}

fn choice(reply: &str) -> Option<String> {
    friction_core::choice::original(reply).map(String::from)
}

fn talk(condition: &str, index: usize, turns: &[Value]) -> Value {
    json!({
        "conversation_id": format!("{condition}_{index:03}"), "condition": condition, "model_name": "gemma3-4b",
        "timestamp": "2025-12-23T14:55:57", "total_time_seconds": 1.5, "overall_accuracy": 0.5, "turns": turns,
    })
}

/// A group in which nothing is wrong but what the format itself leaves out.
fn group(index: usize) -> Vec<Value> {
    let all = CONDITIONS.iter().map(|(name, before)| {
        let cut = name.starts_with("interrupt");
        let reply = "The answer is B because brass is not an element.";
        let kept = if cut { "The answer is B..." } else { reply };
        // Topics in another order in every second group, as the study meant it.
        let (first, second) = if index.is_multiple_of(2) { ("law", "art") } else { ("art", "law") };
        let mut turns = [turn(1, 10 * index, "", reply, kept), turn(2, 10 * index + 1, before, "C", "C")];
        (turns[0]["topic"], turns[1]["topic"]) = (json!(first), json!(second));
        talk(name, index, &turns)
    });
    all.collect()
}

fn file(name: &str, all: &[Value]) -> ImportFile {
    ImportFile { name: name.into(), bytes: serde_json::to_vec(all).unwrap() }
}

fn imported(all: &[Value]) -> Imported {
    read(&[file("r.json", all)]).unwrap()
}

fn told(bytes: &[u8]) -> String {
    read(&[ImportFile { name: "r.json".into(), bytes: bytes.into() }]).unwrap_err().to_string()
}

/// What is told of two groups of which one was changed.
fn warned(change: impl Fn(&mut Vec<Value>)) -> Vec<String> {
    let mut all = [group(0), group(1)].concat();
    change(&mut all);
    imported(&all).warnings
}

#[test]
fn turns_are_rows_and_what_is_not_known_is_empty() {
    let got = imported(&[group(0), group(1)].concat());
    assert_eq!((got.model.as_str(), got.turns.len()), ("gemma3-4b", 16));
    let at = |c: &str, turn: u32| got.turns.iter().find(|t| (t.group, &*t.condition, t.turn) == (1, c, turn)).unwrap();
    let cut = at("interrupt_blunt", 1);
    assert_eq!((cut.topic.as_str(), cut.item_id.as_str(), cut.choices, cut.round), ("art", "law_10", 3, 1));
    assert_eq!((cut.target.as_deref(), cut.answer.as_deref(), cut.score), (Some("B"), Some("B"), Some(1.0)));
    assert_eq!((cut.kept.as_str(), cut.phrase, cut.user.as_str()), ("The answer is B...", None, QUESTION));
    // 48 characters, of which the history has 15.
    assert_eq!((cut.metrics["characters"], cut.metrics["removed_characters"]), (48.0, 33.0));
    assert_eq!((cut.finish_reason.as_str(), cut.reply_tokens, cut.elapsed_ms.is_nan()), ("", 0, true));
    let next = at("interrupt_blunt", 2);
    assert_eq!((next.phrase, next.score, next.grades["original"].as_deref()), (Some(0), Some(0.0), Some("C")));
    assert!(next.user.starts_with("nvm. Which metal?"));
    // Files of the first version have no texts.
    let mut bare = group(0);
    for v in bare.iter_mut().flat_map(|t| t["turns"].as_array_mut().unwrap()) {
        let keys = ["question_text", "user_message", "model_response", "history_response", "was_truncated"];
        keys.iter().for_each(|k| drop(v.as_object_mut().unwrap().remove(*k)));
        v["parsed_answer"] = Value::Null;
        v["is_correct"] = json!(false);
    }
    let got = imported(&bare);
    let row: &TurnRow = &got.turns[0];
    assert_eq!((&*row.reply, &*row.kept, &*row.user, row.choices, row.phrase), ("", "", "", 0, None));
    assert_eq!((row.answer.as_deref(), row.score, row.metrics.len()), (None, Some(0.0), 2));
    assert!(
        got.warnings
            .iter()
            .any(|w| w.starts_with("of 8 turns these are not in the files: the reply in 8, the question in 8"))
    );
    let items = String::from_utf8(got.files[0].1.clone()).unwrap();
    assert!(
        items.lines().count() == 2 && items.contains("not in the imported files") && items.contains("\"target\":\"B\"")
    );
}

#[test]
fn questions_become_items() {
    let (text, options) = parsed(QUESTION).unwrap();
    assert_eq!(
        (text.as_str(), options),
        ("Which metal?", ["Iron", "Gold,\nor brass", "Zinc"].map(String::from).to_vec())
    );
    // A list in the question that begins like the options.
    let (text, options) = parsed("One of these.\n\nA. x\nB. y\n\nA. p\nB. q\nC. r").unwrap();
    assert_eq!((text.as_str(), options.len()), ("One of these.\n\nA. x\nB. y", 3));
    assert!(parsed("Nothing to choose.\n\nA. x").is_none() && parsed("").is_none());
    let got = imported(&group(0));
    let items = String::from_utf8(got.files[0].1.clone()).unwrap();
    let first: Value = serde_json::from_str(items.lines().next().unwrap()).unwrap();
    let want = json!({"id": "law_0", "category": "law", "question": "Which metal?", "options": ["Iron", "Gold,\nor brass", "Zinc"], "answer": "B"});
    assert_eq!(first, want);
}

#[test]
fn sound_data_is_told_what_the_format_leaves_out_and_no_more() {
    let told = warned(|_| ());
    let [one] = &told[..] else { panic!("{told:#?}") };
    assert!(one.starts_with("how replies ended is not in the files") && one.contains("0 of 16 replies"), "{one}");
}

#[test]
fn each_rule_tells_its_counts() {
    let any = |told: Vec<String>, what: &str| assert!(told.iter().any(|w| w.contains(what)), "{what}: {told:#?}");
    // The last conversation is interrupt_blunt of group 1; its turns are 0 and 1.
    let last = |key: &'static str, v: Value| move |all: &mut Vec<Value>| all[7]["turns"][1][key] = v.clone();
    any(warned(last("question_id", json!("law_99"))), "asked different questions in 1 of 2 groups");
    any(warned(last("question_id", json!("law_99"))), "1 of 5 questions were asked in one conversation alone");
    any(warned(last("topic", json!("art"))), "topics in different orders in 1 of 2 groups");
    let fixed = |all: &mut Vec<Value>| {
        for v in all.iter_mut().skip(4).flat_map(|t| t["turns"].as_array_mut().unwrap()) {
            v["topic"] = json!(if v["turn_number"] == 1 { "law" } else { "art" });
        }
    };
    any(warned(fixed), "2 of 2 turns have the same topic in all groups");
    any(warned(|all| drop(all.pop())), "1 of 2 groups lack a condition (interrupt_blunt in 1)");
    any(warned(|all| all[7]["turns"].as_array_mut().unwrap().truncate(1)), "1 turn in 1 conversation, 2 turns in 7");
    let repeat = |all: &mut Vec<Value>| {
        let mut again = all[3].clone();
        again["conversation_id"] = json!("interrupt_blunt_002");
        all.push(again);
    };
    any(warned(repeat), "1 of 9 conversations repeat another one of their condition");
    any(warned(repeat), "1 of them have the same replies word for word");
    let other = |all: &mut Vec<Value>| {
        let reply = "I would say that it is B, but then I am not so sure of";
        all[7]["turns"][0]["model_response"] = json!(reply);
        all[7]["turns"][0]["response_length"] = json!(reply.len());
    };
    any(warned(other), "differ between conditions in 1 of 2 groups");
    any(warned(other), "1 of 16 replies break off inside a sentence");
    any(warned(other), "`parsed_answer` is not what the study's parser reads in the reply (1)");
    any(
        warned(last("was_truncated", json!(true))),
        "flagged as truncated in 5 turns, and in 1 of them nothing was removed",
    );
    any(warned(last("history_response", json!("C..."))), "1 of 5 history texts that end in \"...\" do so although");
    any(warned(last("is_correct", json!(true))), "`is_correct` is not whether the parsed answer is the right one (1)");
    any(warned(last("response_length", json!(7))), "`response_length` is not the reply's (1)");
    any(warned(last("user_message", json!("Next!"))), "1 of 16 user messages are not their condition's words");
    let plain = |all: &mut Vec<Value>| {
        for talk in all.iter_mut().skip(4) {
            talk["turns"][1]["question_text"] = json!("What?");
        }
    };
    any(warned(plain), "no options could be read out of 1 of 4 questions");
}

#[test]
fn sentences_that_break_off_are_found() {
    for (reply, want) in [
        ("The answer is B because it follows from the second law.", false),
        ("**Therefore, the right answer to this question is (B).**\n", false),
        ("The answer is B because it follows from the second", true),
        ("B", false),
        ("* One of them is heavy\n* the other of them is not", true),
    ] {
        assert_eq!(breaks_off(reply), want, "{reply}");
    }
}

#[test]
fn parts_of_a_run_are_joined_and_other_runs_are_refused() {
    let (first, second) = (file("a.json", &group(0)), file("b.json", &[group(0), group(1)].concat()));
    let (joined, whole) = (read(&[first.clone(), second]).unwrap(), imported(&[group(0), group(1)].concat()));
    let ids = |i: &Imported| i.turns.iter().map(|t| (t.group, t.condition.clone(), t.turn)).collect::<Vec<_>>();
    assert_eq!((ids(&joined), &joined.files, &joined.warnings), (ids(&whole), &whole.files, &whole.warnings));
    let mut other = group(0);
    other[2]["turns"][1]["parsed_answer"] = json!("A");
    let e = read(&[first.clone(), file("b.json", &other)]).unwrap_err().to_string();
    let at = "b.json: conversation 3 (\"interrupt_polite_000\"): a.json: conversation 3 (\"interrupt_polite_000\") is another";
    assert!(e.starts_with(at), "{e}");
    let mut other = group(1);
    other.iter_mut().for_each(|t| t["model_name"] = json!("gemma3-1b"));
    let e = read(&[first.clone(), file("b.json", &other)]).unwrap_err().to_string();
    assert!(e.contains("b.json: conversation 1") && e.contains("`gemma3-1b`, but in a.json"), "{e}");
    // One question with two texts, in two files.
    let mut other = group(1);
    other[0]["turns"][0]["question_id"] = json!("law_0");
    other[0]["turns"][0]["question_text"] = json!("Another?");
    let e = read(&[first, file("b.json", &other)]).unwrap_err().to_string();
    assert!(e.contains("turn 1: the question `law_0` has another text than before"), "{e}");
}

#[test]
fn what_is_broken_is_told_where_it_stands() {
    for (bytes, why) in [
        (&b""[..], "r.json: is not JSON: EOF"),
        (b"[{\"conversation_id\": \"complete_neu", "r.json: is not JSON: EOF while parsing a string at line 1"),
        (b"\xff\xfe[", "r.json: is not JSON"),
        (b"{\"turns\": []}", "r.json: is no list of conversations"),
        (b"[]", "r.json: holds no conversation"),
        (b"[3]", "r.json: conversation 1: is no JSON object"),
        (b"[{}]", "r.json: conversation 1: missing field `conversation_id`"),
    ] {
        assert!(told(bytes).starts_with(why), "{why}: {}", told(bytes));
    }
    assert!(told("[".repeat(100_000).as_bytes()).contains("recursion limit"));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut all = group(0);
        change(&mut all[1]);
        told(&serde_json::to_vec(&all).unwrap())
    };
    let top = |key: &'static str, v: Value| changed(&move |t: &mut Value| t[key] = v.clone());
    let place = "r.json: conversation 2 (\"complete_neutral_000\")";
    for (e, why) in [
        (
            top("condition", json!("complete_blunt")),
            format!("{place}: the condition \"complete_blunt\" is none of `complete_grateful`"),
        ),
        (top("condition", json!("interrupt_blunt")), format!("{place}: the id is not `interrupt_blunt_` and an index")),
        (top("condition", json!(3)), "r.json: conversation 2: `condition`: invalid type: integer `3`".into()),
        (top("turns", json!({})), format!("{place}: `turns` is no list")),
        (top("turns", json!([])), format!("{place}: there are 0 turns")),
        (top("turns", json!([1])), format!("{place}, turn 1: is no JSON object")),
        (changed(&|t| drop(t.as_object_mut().unwrap().remove("turns"))), format!("{place}: there is no `turns`")),
    ] {
        assert!(e.starts_with(&why), "{why}: {e}");
    }
    for id in [
        "complete_neutral_20251223_150030",
        "complete_neutral_",
        "complete_neutral_-1",
        "complete_neutral_4000000000",
        "x",
    ] {
        let e = top("conversation_id", json!(id));
        assert!(e.contains("the id is not `complete_neutral_` and an index below 1000000"), "{id}: {e}");
    }
    let of = |key: &'static str, v: Value| changed(&move |t: &mut Value| t["turns"][1][key] = v.clone());
    let place = format!("{place}, turn 2");
    for (e, why) in [
        (of("turn_number", json!(3)), "`turn_number` is 3: the turns are not in order"),
        (of("turn_number", json!("2")), "`turn_number`: invalid type: string \"2\""),
        (of("topic", json!(" ")), "`topic` is empty"),
        (of("correct_answer", json!("BC")), "`correct_answer` is \"BC\", which is no letter"),
        (of("correct_answer", json!(null)), "`correct_answer`: invalid type: null"),
        (of("is_correct", json!(1)), "`is_correct`: invalid type: integer `1`"),
        (of("response_length", json!(-1)), "`response_length`: invalid value: integer `-1`"),
        (of("model_response", json!(["x"])), "`model_response`: invalid type: sequence"),
    ] {
        assert!(e.starts_with(&format!("{place}: {why}")), "{why}: {e}");
    }
    for key in ["topic", "question_id", "parsed_answer", "is_correct", "hedging_count"] {
        let e = changed(&|t| drop(t["turns"][1].as_object_mut().unwrap().remove(key)));
        assert_eq!(e, format!("{place}: missing field `{key}`"));
    }
}

/// The run's manifest and experiments/original.toml say the same of conditions, grades and replies.
#[test]
fn the_manifest_is_that_of_the_study() {
    let read = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
    let (own, study) = (read(MANIFEST), read(include_str!("../../../experiments/original.toml")));
    for key in ["condition", "grade", "generation"] {
        assert_eq!(own[key], study[key], "{key}");
    }
    assert_eq!(own["dataset"]["instruction"], study["dataset"]["instruction"]);
    for (i, (name, before)) in CONDITIONS.iter().enumerate() {
        assert_eq!(own["condition"][i]["name"].as_str(), Some(*name));
        assert_eq!(own["condition"][i]["user"].as_str().unwrap(), format!("{before}{{question}}"));
    }
}
