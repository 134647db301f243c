#![allow(clippy::unwrap_used)]
use super::*;
use friction_checkpoint::Checkpoint;
use friction_core::{
    BuildContext, Condition, Error, Item, Kept, ModelPart, OpeningContext, PluginConfig, ReplayTokens, Reply, Result,
    Target, TextCodec, TurnContext, TurnRow,
};
use friction_store::{GroupData, RunDir};
use serde_json::{Value, json};
use std::path::Path;

struct Letters;
impl TextCodec for Letters {
    fn decode(&self, ids: &[u32]) -> Result<String> {
        Ok(ids.iter().map(|i| char::from_u32(*i).unwrap_or('?')).collect())
    }
}

/// A turn of the run: the reply is "(", then the first letter of its condition and numbers that tell which it is. The
/// condition `cut` keeps the first two tokens.
fn row(group: u32, condition: &str, sample: u32, turn: u32) -> TurnRow {
    let said = format!("{}{group}{sample}{turn}", &condition[..1]);
    let cut = condition == "cut" && turn < 3;
    TurnRow {
        group,
        condition: condition.into(),
        sample,
        turn,
        round: 1,
        factors: [("completion".to_string(), condition.to_string())].into(),
        topic: "law".into(),
        item_id: format!("law_{group}{turn}"),
        choices: 2,
        target: Some("B".into()),
        user: format!("{condition}: what is {group}{turn}?"),
        phrase: (turn > 1).then_some(turn),
        prefill: "(".into(),
        reply: format!("({said}"),
        kept: if cut { format!("({}...", &said[..2]) } else { format!("({said}") },
        removed_tokens: if cut { 2 } else { 0 },
        reply_ids: said.chars().map(u32::from).collect(),
        reply_tokens: 4,
        finish_reason: if turn == 2 { "length".into() } else { "stop".into() },
        opening: if turn == 1 { format!(r#"[{{"role":"system","content":"{condition}"}}]"#) } else { String::new() },
        ..TurnRow::default()
    }
}

/// A folder with a tiny model, and a run of two groups and samples, three turns and two conditions.
fn world(change: impl Fn(&mut TurnRow)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 1).unwrap();
    let tokenizer = Checkpoint::of(&context(dir.path(), "")).unwrap().part(ModelPart::Tokenizer).unwrap();
    let lock = json!({
        "study": {"name": "r", "seed": 3, "groups": 2, "turns": 3, "samples": 2},
        "model": {"sha256": {"tokenizer": tokenizer}},
        "dataset": {"table": {"plugin": "questions"}},
        "topics": {"table": {"plugin": "fixed"}},
        "machine": {"device": 0},
    });
    let run = RunDir::open(&dir.path().join("run"), "", &lock).unwrap();
    for group in 0..2 {
        let mut turns = vec![];
        for condition in ["cut", "whole"] {
            for sample in 0..2 {
                turns.extend((1..=3).map(|turn| row(group, condition, sample, turn)));
            }
        }
        turns.iter_mut().for_each(&change);
        run.write_group(group as usize, &GroupData { turns, taps: vec![] }).unwrap();
    }
    dir
}

/// The context of a condition `cut`, in a study with these keys in the place of the run's.
fn context(base: &Path, keys: &str) -> BuildContext {
    let mut study = json!({"name": "s", "seed": 3, "groups": 2, "turns": 3, "samples": 2});
    for (key, value) in serde_json::from_str::<Value>(&format!("{{{keys}}}")).unwrap().as_object().unwrap() {
        study[key] = value.clone();
    }
    serde_json::from_value(json!({
        "base": base, "seed": 3, "model": {"source": "path:model"}, "backend": {}, "study": study,
        "generation": {"max_new_tokens": 9},
        "condition": {"name": "cut", "factors": {"completion": "cut"}},
    }))
    .unwrap()
}

fn read(toml: &str) -> Replay {
    toml::from_str(&format!("run = \"run\"\n{toml}")).unwrap()
}

fn built(dir: &Path, toml: &str) -> Box<dyn Condition> {
    let options = read(toml);
    options.validate().unwrap();
    options.build(&context(dir, "")).unwrap_or_else(|e| panic!("{toml}: {e}"))
}

fn item(group: u32, turn: usize) -> Item {
    let choices = vec!["x".into(), "y".into()];
    Item { id: format!("law_{group}{turn}"), choices, target: Some(Target::Choice(1)), ..Item::default() }
}

fn at(item: &Item, group: usize, sample: usize, turn: usize) -> TurnContext<'_> {
    let (turns, round, rounds, topic, prompt) = (3, 1, 1, "law", "?");
    TurnContext { seed: 3, group, sample, turn, turns, round, rounds, topic, item, prompt, history: &[] }
}

/// What is said and given in the three turns, and what the history keeps of the model's reply "model" or of the given one.
fn told(c: &dyn Condition, group: usize, sample: usize) -> Vec<(String, Option<String>, Kept)> {
    let mut out = vec![];
    for turn in 1..=3 {
        let item = item(group as u32, turn);
        let cx = at(&item, group, sample, turn);
        let Some(ask) = c.ask(&cx).unwrap() else { break };
        assert_eq!(ask.prefill.as_deref(), Some("("));
        let text = ask.replay.clone().unwrap_or_else(|| "model".into());
        let ids: Vec<u32> = text.chars().map(u32::from).collect();
        let kept = c.keep(&Reply { text: &text, ids: &ids, prefill: "(", codec: &Letters }, &cx).unwrap();
        out.push((ask.text, ask.replay, kept));
    }
    out
}

fn kept(text: &str, removed_tokens: usize) -> Kept {
    Kept { text: text.into(), removed_tokens }
}

/// The replies that are given, by turn.
fn given(told: &[(String, Option<String>, Kept)]) -> Vec<Option<&str>> {
    told.iter().map(|(_, reply, _)| reply.as_deref()).collect()
}

#[test]
fn each_sample_is_told_as_it_was_held() {
    let w = world(|_| ());
    let c = built(w.path(), "");
    let said = |turn: usize| format!("cut: what is 1{turn}?");
    let of = told(c.as_ref(), 1, 1);
    assert_eq!(of[0], (said(1), Some("c111".into()), kept("c1...", 2)));
    assert_eq!(of[1], (said(2), Some("c112".into()), kept("c1...", 2)));
    assert_eq!(of[2], (said(3), Some("c113".into()), kept("c113", 0)));
    assert_eq!(given(&told(c.as_ref(), 0, 0)), [Some("c001"), Some("c002"), Some("c003")]);
    // A sample that is named is every sample's.
    let first = built(w.path(), "sample = 0\nturns = \"earlier\"");
    assert_eq!(given(&told(first.as_ref(), 1, 1)), [Some("c101"), Some("c102"), None]);
    // The tokens are those of the run, the wording and the opening too.
    let item = item(0, 2);
    let ask = c.ask(&at(&item, 0, 0, 2)).unwrap().unwrap();
    let ids = "c002".chars().map(u32::from).collect();
    assert_eq!(ask.replay_tokens, Some(ReplayTokens { ids, stopped: false, stepwise: false }));
    assert_eq!((ask.phrase, c.rounds(&item)), (Some(2), 1));
    let cx = OpeningContext { seed: 3, group: 0, items: &[], given: &[] };
    assert_eq!(c.opening(&cx).unwrap()[0].content, "cut");
    let one = built(w.path(), "reading = \"token-by-token\"").ask(&at(&item, 0, 0, 2)).unwrap().unwrap();
    assert!(one.replay_tokens.unwrap().stepwise);
}

#[test]
fn another_tokenizer_or_a_run_without_tokens_is_read_as_text() {
    let item = item(0, 2);
    let tokens = |w: &Path| {
        let ask = built(w, "").ask(&at(&item, 0, 0, 2)).unwrap().unwrap();
        assert_eq!(ask.replay.as_deref(), Some("c002"));
        ask.replay_tokens.is_some()
    };
    let w = world(|_| ());
    assert!(tokens(w.path()));
    let at = w.path().join("model/tokenizer.json");
    let text = std::fs::read_to_string(&at).unwrap();
    std::fs::write(&at, text + "\n").unwrap();
    assert!(!tokens(w.path()));
    assert!(!tokens(world(|row| row.reply_ids.clear()).path()));
}

#[test]
fn replies_are_given_up_to_a_turn_and_conversations_end_where_it_is_said() {
    let w = world(|_| ());
    let of = |toml: &str| told(built(w.path(), toml).as_ref(), 0, 0);
    assert_eq!(given(&of("turns = \"earlier\"")), [Some("c001"), Some("c002"), None]);
    assert_eq!(given(&of("turns = \"earlier\"\nend = 2")), [Some("c001"), None]);
    assert_eq!(given(&of("end = 2")), [Some("c001"), Some("c002")]);
    let free = of("condition = \"whole\"\nmessages = { condition = \"cut\" }\nuntil = 1");
    assert_eq!(given(&free), [Some("w001"), None, None]);
    // What the model says itself is kept whole.
    assert_eq!(free[1].2, kept("model", 0));
    assert_eq!(given(&of("until = 2")), [Some("c001"), Some("c002"), None]);
    let whole = of("until = 1\nhistory = \"whole\"");
    assert_eq!((given(&whole), &whole[0].2), (vec![Some("c001"), None, None], &kept("c001", 0)));
}

#[test]
fn what_is_said_now_is_crossed_with_what_was_said_before() {
    let w = world(|_| ());
    let of = |toml: &str| told(built(w.path(), toml).as_ref(), 0, 1);
    let texts = |told: Vec<(String, Option<String>, Kept)>| -> Vec<String> { told.into_iter().map(|t| t.0).collect() };
    let last = of("messages = { condition = \"whole\" }\nturns = \"earlier\"");
    assert_eq!(given(&last), [Some("c011"), Some("c012"), None]);
    assert_eq!(texts(last), ["cut: what is 01?", "cut: what is 02?", "whole: what is 03?"]);
    let all = of("messages = { condition = \"whole\", turns = \"all\" }");
    assert_eq!(all[0].2, kept("c0...", 2));
    assert_eq!(texts(all), ["whole: what is 01?", "whole: what is 02?", "whole: what is 03?"]);
    let earlier = of("messages = { condition = \"whole\" }\nend = 2");
    assert_eq!(texts(earlier), ["cut: what is 01?", "whole: what is 02?"]);
}

#[test]
fn other_items_are_refused() {
    let w = world(|_| ());
    let c = built(w.path(), "");
    let told = |item: &Item, change: &dyn Fn(&mut TurnContext)| {
        let mut cx = at(item, 0, 0, 2);
        change(&mut cx);
        let e = c.ask(&cx).unwrap_err();
        let Error::Key { key, message, help: Some(help) } = e else { panic!("{e:?}") };
        assert!(key == "run" && help.contains("`study.seed = 3`") && help.contains("\"questions\""), "{help}");
        message
    };
    let same: &dyn Fn(&mut TurnContext) = &|_| ();
    assert_eq!(told(&item(0, 3), same), "the study asks item `law_03`, and the run asked `law_02`");
    assert!(told(&item(0, 2), &|cx| cx.round = 2).contains("round 2"));
    let other = Item { target: Some(Target::Choice(0)), ..item(0, 2) };
    assert!(told(&other, same).contains("another of them is right"));
    assert!(c.ask(&at(&item(0, 2), 0, 0, 2)).is_ok());
}

#[test]
fn what_the_run_cannot_serve_is_refused_at_its_key() {
    let w = world(|_| ());
    let refused = |toml: &str, keys: &str| -> Vec<(String, String)> {
        let options = read(toml);
        let one = |e: Error| match e {
            Error::Key { key, message, help } => (key, format!("{message} {}", help.unwrap_or_default())),
            other => panic!("{other:?}"),
        };
        match options.validate().and_then(|()| options.build(&context(w.path(), keys)).map(|_| ())) {
            Ok(()) => vec![],
            Err(Error::Several(all)) => all.into_iter().map(one).collect(),
            Err(e) => vec![one(e)],
        }
    };
    for (toml, keys, key, words) in [
        ("condition = \"cutt\"", "", "condition", "did you mean `cut`?"),
        ("arm = \"steer@2\"", "", "arm", "no arm `steer@2`"),
        ("messages = { condition = \"cut\" }", "", "messages.condition", "in any case"),
        ("messages = { condition = \"wole\" }", "", "messages.condition", "did you mean `whole`?"),
        ("condition = \"whole\"", "", "factors.completion", "`cut` here, and `whole` in the run's"),
        ("", "\"groups\": 3", "run", "the run has 2 groups, and this study 3"),
        ("", "\"turns\": 4", "run", "the run has 3 turns, and this study 4"),
        ("", "\"items\": 4, \"turns\": null", "run", "the run has 3 items, and this study 4"),
        ("", "\"samples\": 3", "run", "set `sample = 0`"),
        ("sample = 2", "", "sample", "there is no sample 2"),
        ("sample = 1", "", "sample", "read the same conversation"),
        ("end = 4", "", "end", "none has a turn 4"),
        ("end = 0", "", "end", "from 1"),
        ("until = 0", "", "until", "from 1"),
        ("until = 3", "", "until", "gives every reply"),
        ("until = 2\nend = 2", "", "until", "gives every reply"),
        ("until = 2\nturns = \"all\"", "", "until", "leave one"),
        ("until = 1", "", "until", "cuts replies behind turn 1"),
        ("turns = \"earlier\"\nend = 1", "", "turns", "no earlier turn"),
        (
            "condition = \"whole\"\nmessages = { condition = \"cut\" }\nhistory = \"whole\"",
            "",
            "history",
            "does nothing",
        ),
        ("end = 1\nhistory = \"whole\"", "", "history", "does nothing"),
    ] {
        let all = refused(toml, keys);
        assert!(all.len() == 1 && all[0].0 == key && all[0].1.contains(words), "{toml} {keys}: {all:?}");
    }
    assert_eq!(refused("", ""), []);
    assert_eq!(refused("sample = 1", "\"samples\": 1"), []);
    assert_eq!(refused("", "\"groups\": 1"), []);

    std::fs::remove_dir_all(w.path().join("run/groups/0001")).unwrap();
    let all = refused("", "");
    assert!(all[0].0 == "run" && all[0].1.contains("group 1 of the run is not finished"), "{all:?}");
    assert_eq!(refused("", "\"groups\": 1"), []);
    let file = w.path().join("run/groups/0000/turns.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(refused("", "\"groups\": 1")[0].1.contains("was changed after the run wrote it"));
    std::fs::remove_file(w.path().join("run/lock.json")).unwrap();
    assert!(refused("", "")[0].1.contains("holds no run"));
}

#[test]
fn replies_of_which_no_text_is_known_are_refused() {
    // As a run that was imported from numbers alone has them.
    let w = world(|row| {
        (row.reply, row.prefill, row.finish_reason) = (String::new(), String::new(), String::new());
        (row.reply_ids, row.reply_tokens) = (vec![], 0);
    });
    let e = read("").build(&context(w.path(), "")).err().unwrap().to_string();
    assert!(e.contains("turn 1 of group 0, sample 0: the reply's text is not known"), "{e}");
}

#[test]
fn the_fingerprint_tells_what_was_said_and_not_its_grade() {
    let of = |change: &dyn Fn(&mut TurnRow), toml: &str| {
        let w = world(change);
        built(w.path(), toml).fingerprint().unwrap()
    };
    let plain = of(&|_| (), "");
    assert_eq!(plain.len(), 64);
    assert_eq!(of(&|row| row.score = Some(1.0), ""), plain);
    assert_eq!(of(&|row| row.user += &row.condition.replace("cut", "").replace("whole", "!"), ""), plain);
    let changes: [&dyn Fn(&mut TurnRow); 5] = [
        &|row| row.user += "!",
        &|row| row.reply_ids[0] += 1,
        &|row| row.kept += "!",
        &|row| row.opening = String::new(),
        &|row| row.finish_reason = "length".into(),
    ];
    for change in changes {
        assert_ne!(of(change, ""), plain);
    }
    assert_ne!(of(&|_| (), "messages = { condition = \"whole\" }"), plain);
}

#[test]
fn items_of_several_turns_take_as_many_here() {
    // Turns 2 and 3 ask one item.
    let w = world(|row| {
        if row.turn > 1 {
            (row.item_id, row.round) = (format!("law_{}2", row.group), row.turn - 1);
        }
    });
    let c = built(w.path(), "");
    assert_eq!((c.rounds(&item(0, 2)), c.rounds(&item(0, 1))), (2, 1));
    // An item that the run did not ask takes its own number.
    assert_eq!(c.rounds(&item(7, 7)), 1);
    let item = item(0, 2);
    let third = TurnContext { round: 2, rounds: 2, ..at(&item, 0, 0, 3) };
    assert_eq!(c.ask(&third).unwrap().unwrap().replay.as_deref(), Some("c003"));
}
