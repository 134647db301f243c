//! Chat templates against transformers: `data/chat-templates.json` holds snippets and whole templates with what
//! `apply_chat_template` renders for three conversations; `data/chat_templates.py` generated it.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_checkpoint::Error;
use friction_checkpoint::template::SpecialTokens;
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer, testing};
use serde_json::Value;

fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap()
}

#[test]
fn renderings_equal_transformers() {
    let all: Value = serde_json::from_str(include_str!("data/chat-templates.json")).unwrap();
    let now: chrono::NaiveDateTime = all["now"].as_str().unwrap().parse().unwrap();
    let t = tokenizer();
    let (mut checked, mut wrong) = (0, vec![]);
    for case in all["cases"].as_array().unwrap() {
        let (name, source) = (case["name"].as_str().unwrap(), case["template"].as_str().unwrap());
        let special: SpecialTokens =
            case["tokens"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        for (conversation, want) in case["want"].as_object().unwrap() {
            let turns: Vec<ChatMessage> = serde_json::from_value(all["conversations"][conversation].clone()).unwrap();
            let got: Result<String, Error> =
                ChatTemplate::at(source, special.clone(), &t, now).and_then(|template| template.render(&turns));
            checked += 1;
            match (want.get("text").and_then(Value::as_str), got) {
                (Some(want), Ok(got)) if want == got => {}
                (None, Err(_)) => {}
                (Some(want), got) => wrong.push(format!("{name} ({conversation})\n  want {want:?}\n  got  {got:?}")),
                (None, Ok(got)) => {
                    wrong.push(format!("{name} ({conversation})\n  want {}\n  got  {got:?}", want["error"]));
                }
            }
        }
    }
    // The conversations of one template mostly fail together.
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 300);
    println!("{checked} renderings equal");
}

#[test]
fn what_a_template_refuses_is_told() {
    let t = tokenizer();
    let turns = [ChatMessage::user("Hi")];
    let fails = |source: &str| {
        let template = ChatTemplate::new(source, SpecialTokens::gemma(&t), &t);
        template.and_then(|t| t.render(&turns)).unwrap_err().to_string()
    };
    let e = fails("{{ raise_exception('roles must alternate') }}");
    assert!(e.contains("refused the conversation") && e.contains("roles must alternate"), "{e}");
    let e = fails("{% if %}");
    assert!(e.contains("does not compile"), "{e}");
    let e = fails("{{ '%d of %d' % 3 }}");
    assert!(e.contains("wants 2 values and is given 1"), "{e}");
}
