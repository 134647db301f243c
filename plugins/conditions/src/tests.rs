#![allow(clippy::unwrap_used)]
mod arms;

use super::*;
use friction_core::{
    BuildContext, ChatMessage, Condition, Error, Exchange, Grade, Item, Kept, OpeningContext, PluginConfig, Reply,
    Result, ScriptTurn, TextCodec, TurnContext,
};

struct Letters;
impl TextCodec for Letters {
    fn decode(&self, ids: &[u32]) -> Result<String> {
        Ok(ids.iter().map(|i| char::from_u32(*i).unwrap_or('?')).collect())
    }
}

/// A study with these keys beside name and groups, and tokens per reply.
fn study(keys: &str, tokens: usize) -> BuildContext {
    let study = format!(r#"{{"name": "s", "groups": 1, {keys}}}"#);
    let text = format!(
        r#"{{"base": ".", "seed": 0, "model": {{"source": "path:x"}}, "backend": {{}}, "study": {study}, "generation": {{"max_new_tokens": {tokens}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn template(toml: &str) -> Template {
    toml::from_str(toml).unwrap()
}

fn build(toml: &str, keys: &str) -> Box<dyn Condition> {
    let t = template(toml);
    t.validate().unwrap();
    t.build(&study(keys, 50)).unwrap()
}

/// The keys of what is refused.
fn refused(toml: &str, cx: &BuildContext) -> Vec<String> {
    let t = template(toml);
    let key = |e: &Error| match e {
        Error::Key { key, .. } => key.clone(),
        other => panic!("{other:?}"),
    };
    match t.validate().and_then(|()| t.build(cx).map(|_| ())) {
        Ok(()) => vec![],
        Err(Error::Several(all)) => all.iter().map(key).collect(),
        Err(one) => vec![key(&one)],
    }
}

fn item() -> Item {
    Item { id: "law_1".into(), category: "law".into(), text: "What is {topic}?".into(), ..Item::default() }
}

/// Says what a condition says to the same reply in every turn, until it ends.
fn said(c: &dyn Condition, items: &[Item], reply: &str, score: Option<f64>) -> Vec<String> {
    let places = items.iter().flat_map(|i| (1..=c.rounds(i)).map(move |r| (i, r, c.rounds(i)))).collect::<Vec<_>>();
    let (mut history, mut out) = (Vec::<Exchange>::new(), vec![]);
    for (t, (item, round, rounds)) in places.iter().enumerate() {
        let prompt = match item.script.get(*round - 1) {
            Some(turn) => turn.user.clone(),
            None if item.script.is_empty() => item.text.clone(),
            None => String::new(),
        };
        let cx = TurnContext {
            seed: 1,
            group: 0,
            sample: 0,
            turn: t + 1,
            turns: places.len(),
            round: *round,
            rounds: *rounds,
            topic: &item.category,
            item,
            prompt: &prompt,
            history: &history,
        };
        let Some(ask) = c.ask(&cx).unwrap() else { break };
        out.push(ask.text.clone());
        let grade = Grade { score, answer: score.map(|_| "B".into()), ..Grade::default() };
        history.push(Exchange { turn: t + 1, user: ask.text, reply: reply.into(), grade, ..Exchange::default() });
    }
    out
}

#[test]
fn the_first_turn_is_bare_and_questions_are_text() {
    let c = build(r#"user = "nvm. {question} ({topic})""#, r#""turns": 3"#);
    assert_eq!(said(c.as_ref(), &[item(), item()], "x", None), ["What is {topic}?", "nvm. What is {topic}? (law)"]);
    let bare = build("", r#""turns": 3"#);
    assert_eq!(said(bare.as_ref(), &[item(), item()], "x", None), ["What is {topic}?"; 2]);
}

#[test]
fn pushback_depends_on_the_last_grade() {
    let c = build("rounds = 2\nif_right = \"I doubt {last_answer}.\"\nif_wrong = \"No.\"", r#""items": 2"#);
    let two = [item(), item()];
    let q = "What is {topic}?";
    assert_eq!(said(c.as_ref(), &two, "B", Some(1.0)), [q, "I doubt B.", q, "I doubt B."]);
    assert_eq!(said(c.as_ref(), &two, "B", Some(0.0)), [q, "No.", q, "No."]);
    assert!(c.bounds().reads_history);
    let next = build("if_right = \"Right! {question}\"\nif_wrong = \"Wrong! {question}\"", r#""turns": 2"#);
    assert_eq!(said(next.as_ref(), &two, "B", Some(1.0))[1], format!("Right! {q}"));
}

#[test]
fn scripts_are_told_bit_by_bit_at_once_or_with_a_recap() {
    let turn = |user: &str| ScriptTurn { user: user.into(), reply: None };
    let sharded = Item { script: vec![turn("a"), turn("b"), turn("c")], ..item() };
    let all = |toml: &str| said(build(toml, r#""items": 1"#).as_ref(), std::slice::from_ref(&sharded), "x", None);
    assert_eq!(all(""), ["a", "b", "c"]);
    assert_eq!(all("recap = \"All: {{ script|join(' ') }}\""), ["a", "b", "c", "All: a b c"]);
    assert_eq!(all("rounds = 1\nfrom_turn = 1\nuser = \"{text}\""), ["What is {topic}?"]);
    let snowball = all("from_turn = 1\nuser = \"{{ script[:round]|join(' ') }}\"");
    assert_eq!(snowball, ["a", "a b", "a b c"]);
}

#[test]
fn listed_messages_are_turns_and_the_end_can_come_early() {
    let c = build(r#"messages = ["Hi", "And then?", "Bye"]"#, r#""items": 1"#);
    assert_eq!(said(c.as_ref(), &[item()], "x", None), ["Hi", "And then?", "Bye"]);
    let ladder = build("messages = [\"a\", \"b\"]\nstop_when = \"matches(last_reply, '(?i)cannot')\"", r#""items": 1"#);
    assert_eq!(said(ladder.as_ref(), &[item()], "I CANNOT", None), ["a"]);
    let ends = |c: &dyn Condition| (c.bounds().ends_by, c.bounds().ends_on);
    assert_eq!(ends(ladder.as_ref()), (None, Some("stop_when".to_string())));
    let short = build("messages = [\"a\", \"b\"]\nstop_when = \"turn > 1\"", r#""items": 1"#);
    assert_eq!(ends(short.as_ref()), (Some("stop_when".to_string()), None));
    assert_eq!(said(ladder.as_ref(), &[item()], "sure", None), ["a", "b"]);
    let tit = build("rounds = 3\nuser = \"I play {{ 'D' if matches(last_reply, 'D') else 'C' }}.\"", r#""items": 1"#);
    assert_eq!(said(tit.as_ref(), &[item()], "D", None)[1..], ["I play D.", "I play D."]);
}

#[test]
fn the_end_is_true_or_false_and_depends_on_something() {
    let cx = r#""items": 1"#;
    for constant in ["true", "1 == 1", "'cannot' == 'can'"] {
        assert_eq!(
            refused(&format!("user = \"{{question}}\"\nstop_when = \"{constant}\""), &study(cx, 50)),
            ["stop_when"]
        );
    }
    let ends = |stop: &str| {
        let c = build(&format!("messages = [\"a\", \"b\"]\nstop_when = \"{stop}\""), cx);
        let item = item();
        let history = [Exchange { turn: 1, round: 1, reply: "no".into(), ..Exchange::default() }];
        let (round, rounds, prompt) = (2, 2, "What?");
        let cx = TurnContext {
            seed: 1,
            group: 0,
            sample: 0,
            turn: 2,
            turns: 2,
            round,
            rounds,
            topic: "law",
            item: &item,
            prompt,
            history: &history,
        };
        c.ask(&cx).map(|ask| ask.is_none()).map_err(|e| e.to_string())
    };
    assert_eq!(ends("last_reply == 'no'"), Ok(true));
    // Without an answer this is none, which is not true.
    assert_eq!(ends("last_answer and last_answer == 'A'"), Ok(false));
    for missing in ["metadata.colour", "history[7]", "last_score == 1 or metadata.colour"] {
        let e = ends(missing).unwrap_err();
        assert!(e.contains("is not there"), "{missing}: {e}");
    }
    let e = ends("last_reply").unwrap_err();
    assert!(e.contains("neither true nor false: compare it"), "{e}");
}

#[test]
fn what_a_turn_lacks_is_told_at_the_key_of_its_text() {
    let failed = |toml: &str| {
        let (c, item) = (build(toml, r#""turns": 2"#), item());
        let history = [Exchange { turn: 1, round: 1, ..Exchange::default() }];
        let cx = TurnContext {
            seed: 1,
            group: 0,
            sample: 0,
            turn: 2,
            turns: 2,
            round: 1,
            rounds: 1,
            topic: "law",
            item: &item,
            prompt: "What?",
            history: &history,
        };
        match c.ask(&cx) {
            Err(Error::Key { key, message, .. }) => (key, message),
            other => panic!("{other:?}"),
        }
    };
    let (key, message) = failed("user = [\"{metadata.a} {question}\", \"{metadata.b} {question}\"]");
    let name = if key == "user.0" { "a" } else { "b" };
    assert!(key.starts_with("user.") && message.contains(&format!("there is no `metadata.{name}` here")), "{message}");
    assert_eq!(failed("prefill = \"{{ metadata.a }}\"").0, "prefill");
    assert_eq!(failed("stop_when = \"metadata.a\"").0, "stop_when");
}

#[test]
fn openings_hold_the_system_prompt_and_shots() {
    let toml = "system = \"Password: {metadata.word}\"\nshots = [{ user = \"1+1\", assistant = \"2\" }]";
    let c = build(toml, r#""turns": 2"#);
    let mut first = item();
    first.metadata.insert("word".into(), "swordfish".into());
    let given = [ChatMessage::system("old"), ChatMessage::user("x"), ChatMessage::assistant("y")];
    let cx = OpeningContext { seed: 0, group: 0, items: &[first], given: &given };
    let said: Vec<String> = c.opening(&cx).unwrap().iter().map(|m| format!("{:?} {}", m.role, m.content)).collect();
    assert_eq!(said, ["System Password: swordfish", "User x", "Assistant y", "User 1+1", "Assistant 2"]);
    assert!(!c.bounds().reads_history);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.jsonl"), "{\"user\": \"a\", \"assistant\": \"b\"}\n\n{\"user\": \"c\"}\n")
        .unwrap();
    let at = BuildContext { base: dir.path().into(), ..study(r#""turns": 2"#, 50) };
    let file = |count: &str| template(&format!("shots = {{ path = \"s.jsonl\"{count} }}")).build(&at).map(|_| ());
    assert!(file("").unwrap_err().to_string().contains("line 3: missing field `assistant`"));
    assert!(file(", count = 1").is_ok());
}

#[test]
fn prefills_and_replays_are_asked_for() {
    let replayed = Item {
        script: vec![
            ScriptTurn { user: "a".into(), reply: Some("r".into()) },
            ScriptTurn { user: "b".into(), reply: None },
        ],
        ..item()
    };
    let c = build("replay = true\nprefill = \"(\"", r#""items": 1"#);
    let ask = |round: usize| {
        let cx = TurnContext {
            seed: 0,
            group: 0,
            sample: 0,
            turn: round,
            turns: 2,
            round,
            rounds: 2,
            topic: "law",
            item: &replayed,
            prompt: "p",
            history: &[],
        };
        c.ask(&cx).unwrap().unwrap()
    };
    assert_eq!((ask(1).replay.as_deref(), ask(1).prefill.as_deref()), (Some("r"), Some("(")));
    assert_eq!(ask(2).replay, None);
}

fn keeps(keep: &str) -> Box<dyn Condition> {
    build(&format!("user = \"{{question}}\"\nkeep = {keep}"), r#""turns": 300"#)
}

fn kept(c: &dyn Condition, text: &str, ids: &[u32], codec: &dyn TextCodec, turn: usize) -> Kept {
    let item = item();
    let cx = TurnContext {
        seed: 1,
        group: 0,
        sample: 0,
        turn,
        turns: 300,
        round: 1,
        rounds: 1,
        topic: "law",
        item: &item,
        prompt: "",
        history: &[],
    };
    c.keep(&Reply { text, ids, prefill: "", codec }, &cx).unwrap()
}

#[test]
fn long_replies_are_cut_and_marked() {
    let c = keeps(r#"{ tokens = 4, marker = "..." }"#);
    let ids: Vec<u32> = "abc def".chars().map(|c| c as u32).collect();
    let got = kept(c.as_ref(), "abc def", &ids, &Letters, 2);
    assert_eq!(got, Kept { text: "abc...".into(), removed_tokens: 3 });
    assert_eq!(kept(c.as_ref(), "abcd", &ids[..4], &Letters, 2).removed_tokens, 0);
}

/// One token per byte, as tokenizers encode text outside their vocabulary.
struct Bytes;
impl TextCodec for Bytes {
    fn decode(&self, ids: &[u32]) -> Result<String> {
        let bytes: Vec<u8> = ids.iter().map(|i| *i as u8).collect();
        Ok(String::from_utf8_lossy(&bytes[..self.whole(ids)?]).into_owned())
    }
    fn whole(&self, ids: &[u32]) -> Result<usize> {
        let bytes: Vec<u8> = ids.iter().map(|i| *i as u8).collect();
        Ok(std::str::from_utf8(&bytes).map_or_else(|e| e.valid_up_to(), str::len))
    }
}

#[test]
fn a_cut_inside_a_character_removes_it() {
    let ids: Vec<u32> = "hm 😀!".bytes().map(u32::from).collect();
    for (tokens, text, removed) in [(2, "hm...", 6), (4, "hm...", 5), (6, "hm...", 5), (7, "hm 😀...", 1)] {
        let c = keeps(&format!(r#"{{ tokens = {tokens}, marker = "..." }}"#));
        let got = kept(c.as_ref(), "hm 😀!", &ids, &Bytes, 2);
        assert_eq!(got, Kept { text: text.into(), removed_tokens: removed }, "{tokens}");
    }
}

#[test]
fn a_share_of_turns_is_cut_alike_in_all_conditions() {
    let c = keeps("{ tokens = 1, share = 0.5 }");
    let ids: Vec<u32> = "abcd".chars().map(|c| c as u32).collect();
    let all = || (1..200).map(|turn| kept(c.as_ref(), "abcd", &ids, &Letters, turn).removed_tokens).collect::<Vec<_>>();
    let share = all().iter().filter(|c| **c == 3).count() as f64 / 199.0;
    assert!((0.4..0.6).contains(&share), "{share}");
    assert_eq!(all(), all());
}

#[test]
fn every_fault_is_told_at_its_key() {
    let cx = study(r#""turns": 3"#, 50);
    let toml = "user = [\"a {question}\", \"b\", \"a {question}\"]\nfrom_turn = 0\nkeep = { tokens = 0, share = 2.0 }";
    assert_eq!(refused(toml, &cx), ["user.1", "user.2", "from_turn", "keep.share", "keep.tokens"]);
    assert_eq!(refused("user = \"{question} {topics}\"", &cx), ["user"]);
    assert_eq!(refused("user = \"nvm.\"", &cx), ["user"]);
    assert_eq!(refused("user = []", &cx), ["user"]);
    let more = "system = \"{question}\"\nstop_when = \"last_rep\"\nrounds = 0\nmessages = [\"{oops}\"]\nshots = []";
    assert_eq!(refused(more, &cx), ["messages.0", "system", "stop_when", "rounds", "shots"]);
    assert_eq!(refused("recap = \"x\"\nrounds = 2", &cx), ["recap"]);
    assert!(refused("rounds = 2\nuser = \"Are you sure?\"", &cx).is_empty());
}

#[test]
fn what_a_study_gives_nothing_to_do_is_refused_at_its_key() {
    let nvm = "user = \"nvm. {question}\"\n";
    let keep = |tokens: usize| format!("{nvm}keep = {{ tokens = {tokens}, marker = \"...\" }}");
    let turns = |n: usize| study(&format!(r#""turns": {n}"#), 50);
    assert_eq!(refused(nvm, &turns(1)), ["from_turn"]);
    assert_eq!(refused(&keep(9), &turns(1)), ["from_turn", "keep"]);
    assert_eq!(refused(&keep(50), &turns(3)), ["keep.tokens"]);
    assert!(refused(&keep(49), &turns(3)).is_empty());
    assert!(refused("user = \"{question}\"", &turns(1)).is_empty(), "the bare question is said in every turn");
    assert_eq!(refused(&format!("{nvm}from_turn = 4"), &turns(3)), ["from_turn"]);
    assert!(refused(&format!("{nvm}from_turn = 1"), &turns(1)).is_empty());
    // A host of an earlier version does not pass the study to plugins.
    let cx = BuildContext { study: None, generation: None, ..turns(1) };
    assert!(refused(&keep(50), &cx).is_empty());
}
