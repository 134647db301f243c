//! The records of versions 1 and 2 of the border, which knew conversations of multiple-choice questions alone. The host
//! sends and reads them so where the other side speaks such a version.
use friction_core::{
    Ask, BuildContext, Category, Error, Grade, Item, PlanContext, Reply, Result, RunReader, Spoken, Target,
    TurnContext, TurnRow,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The last version that these records are of.
pub(crate) const LAST: u32 = 2;

/// What an instance is built with: the keys that were known then, since older libraries refuse others.
pub(crate) fn context(cx: &BuildContext) -> Result<String> {
    let mut told = serde_json::to_value(cx).map_err(Error::other)?;
    for (section, known) in [
        ("model", &["source", "revision", "dtype", "quantize", "tokenizer"][..]),
        ("backend", &["kind", "device", "batch"]),
        ("generation", &["max_new_tokens", "temperature", "top_p"]),
        ("study", &["name", "seed", "groups", "turns", "arms"]),
    ] {
        if let Some(Value::Object(section)) = told.get_mut(section) {
            section.retain(|key, _| known.contains(&key.as_str()));
        }
    }
    if let Some(told) = told.as_object_mut() {
        told.remove("condition");
    }
    if let Some(study) = &cx.study {
        told["study"]["turns"] = json!(study.most_turns());
    }
    serde_json::to_string(&told).map_err(Error::other)
}

/// The turn of versions 1 and 2: its place and the question's text.
pub(crate) fn turn(cx: &TurnContext) -> Value {
    json!({"seed": cx.seed, "group": cx.group, "turn": cx.turn, "turns": cx.turns, "topic": cx.topic, "question": cx.prompt})
}

/// A reply.
pub(crate) fn reply(reply: &Reply) -> Value {
    json!({"text": reply.text, "ids": reply.ids})
}

/// What a condition says.
#[derive(Deserialize)]
pub(crate) struct Message {
    text: String,
    #[serde(default)]
    phrase: Option<u32>,
}

impl From<Message> for Ask {
    fn from(m: Message) -> Self {
        Self { text: m.text, phrase: m.phrase, ..Self::default() }
    }
}

/// A category.
#[derive(Deserialize)]
pub(crate) struct Subject {
    name: String,
    questions: usize,
}

impl From<Subject> for Category {
    fn from(s: Subject) -> Self {
        Self { name: s.name, items: s.questions }
    }
}

/// What topics are chosen from, and for.
pub(crate) fn choosing(categories: &[Category], cx: &PlanContext) -> Value {
    let of = |c: &Category| json!({"name": c.name, "questions": c.items});
    let categories: Vec<Value> = categories.iter().map(of).collect();
    json!({"categories": categories, "seed": cx.seed, "groups": cx.groups, "turns": cx.turns})
}

/// A multiple-choice question.
#[derive(Deserialize)]
pub(crate) struct Question {
    id: String,
    category: String,
    text: String,
    options: Vec<String>,
    answer: usize,
}

impl From<Question> for Item {
    fn from(q: Question) -> Self {
        let target = Some(Target::Choice(q.answer));
        Self { id: q.id, category: q.category, text: q.text, choices: q.options, target, ..Self::default() }
    }
}

/// An item as a question.
pub(crate) fn question(item: &Item) -> Value {
    json!({"id": item.id, "category": item.category, "text": item.text, "options": item.choices, "answer": item.right()})
}

/// A grade of versions 1 and 2: the letter that was read, and whether it is right.
#[derive(Deserialize)]
pub(crate) struct Mark {
    #[serde(default)]
    parsed: Option<char>,
    correct: bool,
    #[serde(default)]
    others: BTreeMap<String, Option<char>>,
}

impl From<Mark> for Grade {
    fn from(m: Mark) -> Self {
        let text = |c: Option<char>| c.map(String::from);
        let others = m.others.into_iter().map(|(k, v)| (k, text(v))).collect();
        Self { score: Some(f64::from(u8::from(m.correct))), answer: text(m.parsed), others, ..Self::default() }
    }
}

/// A finished turn, for a hook.
pub(crate) fn spoken(turn: &Spoken) -> Value {
    json!({
        "group": turn.group, "condition": turn.condition, "arm": turn.arm, "factors": turn.factors,
        "turn": turn.turn, "reply": turn.reply,
    })
}

/// A run's name, seed and turns.
///
/// # Errors
/// If the run has several samples of a conversation, which those versions cannot tell apart.
pub(crate) fn run(run: &dyn RunReader) -> Result<String> {
    if run.turns().iter().any(|t| t.sample > 0) {
        return Err(Error::other(format!(
            "the run has several samples of each conversation, which version {LAST} of the border cannot tell apart: build the plugin with this friction's header"
        )));
    }
    let turns: Result<Vec<Value>> = run.turns().iter().map(row).collect();
    Ok(json!({"name": run.name(), "seed": run.seed(), "turns": turns?}).to_string())
}

/// A row of a run's turns. Columns that came later stay: readers of then ignore them.
fn row(turn: &TurnRow) -> Result<Value> {
    let mut row = serde_json::to_value(turn).map_err(Error::other)?;
    let Value::Object(map) = &mut row else { return Ok(row) };
    let mut moved = Map::new();
    for (now, then) in [("item_id", "question_id"), ("choices", "options"), ("choice_logprobs", "option_logprobs")] {
        moved.extend(map.remove(now).map(|v| (then.to_string(), v)));
    }
    moved.insert("parsed".into(), json!(turn.answer));
    moved.insert("correct".into(), json!(turn.right().unwrap_or(false)));
    moved.insert("answer".into(), json!(turn.target.as_deref().unwrap_or("")));
    map.extend(moved);
    Ok(row)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::{ConversationId, Position, Site, TapArray};

    struct Turns(Vec<TurnRow>);
    impl RunReader for Turns {
        fn name(&self) -> &str {
            "r"
        }
        fn seed(&self) -> u64 {
            7
        }
        fn turns(&self) -> &[TurnRow] {
            &self.0
        }
        fn tap(&self, _: ConversationId, _: Site, _: Position) -> Result<Option<TapArray>> {
            Ok(None)
        }
        fn findings(&self, _: &str) -> Option<Value> {
            None
        }
    }

    #[test]
    fn turns_have_the_columns_of_then() {
        let right = TurnRow {
            item_id: "q".into(),
            choices: 4,
            target: Some("B".into()),
            answer: Some("B".into()),
            score: Some(1.0),
            choice_logprobs: vec![-0.5],
            ..TurnRow::default()
        };
        let open = TurnRow { target: None, answer: None, score: None, ..right.clone() };
        let told: Value = serde_json::from_str(&run(&Turns(vec![right.clone(), open])).unwrap()).unwrap();
        let (first, second) = (&told["turns"][0], &told["turns"][1]);
        for (column, value) in [
            ("question_id", json!("q")),
            ("options", json!(4)),
            ("answer", json!("B")),
            ("parsed", json!("B")),
            ("correct", json!(true)),
            ("option_logprobs", json!([-0.5])),
        ] {
            assert_eq!(first[column], value, "{column}");
        }
        assert_eq!((&second["answer"], &second["parsed"]), (&json!(""), &Value::Null));
        assert_eq!(second["correct"], json!(false));
        let twice = TurnRow { sample: 1, ..right };
        assert!(run(&Turns(vec![twice])).unwrap_err().to_string().contains("several samples"));
    }

    #[test]
    fn a_library_of_then_reads_its_context() {
        // The sections as they were, which refuse what they do not know.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Study {
            name: String,
            seed: u64,
            groups: usize,
            turns: usize,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Generation {
            max_new_tokens: usize,
            temperature: f64,
            top_p: f64,
        }
        let now = json!({
            "base": ".", "seed": 1, "model": {"source": "path:x"}, "backend": {},
            "study": {"name": "s", "seed": 1, "groups": 2, "items": 3, "samples": 2},
            "generation": {"max_new_tokens": 5, "temperature": 1.0},
        });
        let told: Value = serde_json::from_str(&context(&serde_json::from_value(now).unwrap()).unwrap()).unwrap();
        let study: Study = serde_json::from_value(told["study"].clone()).unwrap();
        assert_eq!((study.groups, study.turns > 0), (2, true));
        serde_json::from_value::<Generation>(told["generation"].clone()).unwrap();
    }

    #[test]
    fn questions_and_grades_become_items_and_back() {
        let q = json!({"id": "q", "category": "c", "text": "t", "options": ["x", "y"], "answer": 1});
        let item: Item = serde_json::from_value::<Question>(q.clone()).unwrap().into();
        assert_eq!((question(&item), item.target_letter()), (q, Some('B')));
        let mark: Mark = serde_json::from_value(json!({"parsed": null, "correct": false})).unwrap();
        assert_eq!(Grade::from(mark), Grade { score: Some(0.0), ..Grade::default() });
    }
}
