//! Templates that a manifest chooses, their arguments and their date, against transformers:
//! `data/chosen-templates.json`, which `data/chosen_templates.py` generated. And what is found out of templates by
//! rendering trial conversations.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_checkpoint::template::{BuiltIn, Given, PLAIN, SpecialTokens};
use friction_checkpoint::{ChatMessage, ChatTemplate, Role, Tokenizer, testing};
use friction_core::thinking;
use serde_json::Value;

fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap()
}

/// A template with arguments.
struct Case<'a> {
    /// Its name and the arguments.
    name: String,
    template: ChatTemplate,
    /// What transformers renders, by conversation.
    want: &'a Value,
}

struct Cases {
    all: Value,
    tokenizer: Tokenizer,
}

impl Cases {
    fn read() -> Self {
        Self { all: serde_json::from_str(include_str!("data/chosen-templates.json")).unwrap(), tokenizer: tokenizer() }
    }

    /// Every case.
    fn each(&self) -> Vec<Case<'_>> {
        let now = self.all["now"].as_str().unwrap().parse().unwrap();
        let special: SpecialTokens =
            self.all["tokens"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        let made = |case: &'_ Value| {
            let name = case["name"].as_str().unwrap();
            let source = match (case["template"].as_str(), name) {
                (Some(source), _) => source,
                (None, "plain") => PLAIN,
                (None, name) => BuiltIn::find(name).unwrap().source,
            };
            let given = Given { args: serde_json::from_value(case["args"].clone()).unwrap(), now: Some(now) };
            ChatTemplate::with(source, special.clone(), &self.tokenizer, given).unwrap()
        };
        let cases = self.all["cases"].as_array().unwrap();
        let name = |c: &serde_json::Value| format!("{} {}", c["name"].as_str().unwrap(), c["args"]);
        cases.iter().map(|c| Case { name: name(c), template: made(c), want: &c["want"] }).collect()
    }

    /// The templates of a name, one for each set of arguments.
    fn named(&self, name: &str) -> Vec<ChatTemplate> {
        let of = |c: &Case| c.name.split_once(' ').unwrap().0 == name;
        self.each().into_iter().filter(of).map(|c| c.template).collect()
    }

    fn conversation(&self, name: &str) -> Vec<ChatMessage> {
        serde_json::from_value(self.all["conversations"][name].clone()).unwrap()
    }
}

#[test]
fn renderings_equal_transformers() {
    let cases = Cases::read();
    let (mut checked, mut wrong) = (0, vec![]);
    for Case { name, template, want } in cases.each() {
        for (conversation, want) in want.as_object().unwrap() {
            let got = template.render(&cases.conversation(conversation));
            checked += 1;
            match (want.get("text").and_then(Value::as_str), got) {
                (Some(want), Ok(got)) if want == got => {}
                (None, Err(_)) => {}
                (_, got) => wrong.push(format!("{name} ({conversation})\n  want {want}\n  got  {got:?}")),
            }
        }
        assert!(template.unread().is_empty(), "{name}: {:?}", template.unread());
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 90);
}

#[test]
fn a_template_that_takes_no_system_message_is_told() {
    let cases = Cases::read();
    let one = |name: &str| cases.named(name).remove(0);
    let (alone, with) = ([Role::User, Role::Assistant, Role::User], [Role::System, Role::User]);
    for name in ["gemma", "chatml", "llama3", "plain", "thinks", "dated"] {
        one(name).accepts(&alone).unwrap();
        one(name).accepts(&with).unwrap();
    }
    let told = one("refuses").accepts(&with).unwrap_err().to_string();
    assert!(told.starts_with("the chat template takes no system message: put its text into"), "{told}");
    assert!(told.contains("System role not supported"), "{told}");
    let told = one("drops").accepts(&with).unwrap_err().to_string();
    assert!(told.starts_with("the chat template leaves the system message out of the prompt"), "{told}");
    for name in ["refuses", "drops"] {
        one(name).accepts(&alone).unwrap();
    }
    // Not the system message, but the order.
    for roles in [vec![Role::User, Role::User], vec![Role::System, Role::User, Role::User]] {
        let told = one("refuses").accepts(&roles).unwrap_err().to_string();
        assert!(told.starts_with("the chat template refused the conversation"), "{told}");
    }
    let t = tokenizer();
    let last = ChatTemplate::new("{{ messages[-1].content }}", SpecialTokens::default(), &t).unwrap();
    let told = last.accepts(&alone).unwrap_err().to_string();
    assert_eq!(
        told,
        "the chat template leaves message 1 (`user`) of a conversation of user, assistant, user out of the prompt"
    );
    let dated = ChatTemplate::new("{{ strftime_now('%d') }}", SpecialTokens::default(), &t).unwrap();
    assert!(dated.accepts(&with).unwrap_err().to_string().starts_with("`model.template_date`:"));
}

#[test]
fn blocks_of_thought_are_known() {
    let cases = Cases::read();
    let opened = |name: &str| -> Vec<Option<String>> {
        cases.named(name).iter().map(|t| t.opens_thought().map(String::from)).collect()
    };
    assert_eq!(opened("opens"), [Some("<think>\n".to_string())]);
    // A block that the prompt closes is not open.
    assert_eq!(opened("thinks"), [None, None, None]);
    assert_eq!(opened("gemma"), [None]);
    let keeps = |name: &str| cases.named(name)[0].keeps_thoughts();
    assert!(!keeps("thinks") && keeps("chatml") && keeps("plain"));
    // What the model says behind an open block, and what it is split into.
    let reply = format!("{}It greets.\n</think>\n\nHello.", cases.named("opens")[0].opens_thought().unwrap());
    let split = thinking::split(&reply, true);
    assert_eq!((split.thought.as_deref(), split.answer.as_str()), (Some("It greets."), "Hello."));
}

#[test]
fn the_users_last_message_is_found_in_the_prompt() {
    let cases = Cases::read();
    let mut found = 0;
    for Case { name, template, want } in cases.each() {
        for (conversation, want) in want.as_object().unwrap() {
            let Some(text) = want["text"].as_str() else { continue };
            let turns = cases.conversation(conversation);
            let content = &turns.iter().rfind(|t| t.role == Role::User).unwrap().content;
            let span = template.user_span(&turns, text);
            let span = span.unwrap_or_else(|| panic!("{name} ({conversation})"));
            // Templates may remove the white space around a message.
            assert!([content.as_str(), content.trim()].contains(&&text[span.clone()]), "{name}: {:?}", &text[span]);
            found += 1;
        }
    }
    assert!(found >= 80, "{found}");
    // The same words elsewhere are not mistaken for it.
    let template = cases.named("chatml").remove(0);
    let turns = [ChatMessage::user("user"), ChatMessage::assistant("user"), ChatMessage::user("user")];
    let text = template.render(&turns).unwrap();
    let span = template.user_span(&turns, &text).unwrap();
    assert_eq!(&text[span.clone()], "user");
    assert!(text[..span.start].ends_with("<|im_start|>user\n") && text[span.end..].starts_with("<|im_end|>"));
    // Written twice, changed, not at all, and by nobody.
    let t = tokenizer();
    let none = |source: &str| {
        let template = ChatTemplate::new(source, SpecialTokens::default(), &t).unwrap();
        template.user_span(&turns, &template.render(&turns).unwrap())
    };
    for source in ["{{ messages[2].content * 2 }}", "{{ messages[2].content | upper }}", "{{ messages[0].content }}"] {
        assert_eq!(none(source), None, "{source}");
    }
    assert_eq!(template.user_span(&turns[1..2], "user"), None);
}

/// The snippets of `data/chat-templates.json` write messages in many ways: where a span is found, it is the message.
#[test]
fn a_span_is_the_message_or_none() {
    let all: Value = serde_json::from_str(include_str!("data/chat-templates.json")).unwrap();
    let now = all["now"].as_str().unwrap().parse().unwrap();
    let t = tokenizer();
    let mut found = 0;
    for case in all["cases"].as_array().unwrap() {
        let Ok(template) = ChatTemplate::at(case["template"].as_str().unwrap(), SpecialTokens::default(), &t, now)
        else {
            continue;
        };
        for turns in all["conversations"].as_object().unwrap().values() {
            let turns: Vec<ChatMessage> = serde_json::from_value(turns.clone()).unwrap();
            let Ok(text) = template.render(&turns) else { continue };
            let Some(span) = template.user_span(&turns, &text) else { continue };
            let content = &turns.iter().rfind(|t| t.role == Role::User).unwrap().content;
            let blank = |s: &str| s.chars().all(|c| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c));
            let part = &text[span];
            let (before, behind) = content.split_once(part).unwrap_or(("no", "no"));
            assert!(blank(before) && blank(behind), "{}: {part:?}", case["name"]);
            found += 1;
        }
    }
    assert!(found > 30, "{found}");
}
