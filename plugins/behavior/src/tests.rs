#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::{Aside, ConversationId, Position, Site, TapArray};
use friction_stats::Rng;
use serde_json::{Value, json};

struct Memory(Vec<TurnRow>);
impl RunReader for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn seed(&self) -> u64 {
        3
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

fn options(v: Value) -> Behavior {
    serde_json::from_value(v).unwrap()
}

fn found(rows: &[TurnRow], v: Value) -> Findings {
    let mut out = Findings::default();
    let b = options(v);
    b.validate().unwrap();
    b.analyze(&Memory(rows.to_vec()), &mut out).unwrap();
    out
}

/// A graded turn of a condition `level-language`.
fn row(group: u32, level: &str, language: &str, turn: u32, score: f64) -> TurnRow {
    TurnRow {
        group,
        condition: format!("{language}-{level}"),
        factors: [("politeness".to_string(), level.to_string()), ("language".into(), language.into())].into(),
        turn,
        round: 1,
        item_id: format!("q{group}-{turn}"),
        choices: 3,
        target: Some("A".into()),
        answer: Some(if score > 0.5 { "A" } else { "B" }.into()),
        score: Some(score),
        reply_tokens: 5,
        finish_reason: "stop".into(),
        ..TurnRow::default()
    }
}

fn level<'a>(out: &'a Findings, factor: &str, level: &str) -> &'a Value {
    let all = out.values["levels"].as_array().unwrap();
    all.iter().find(|v| v["factor"] == factor && v["level"] == level).unwrap()
}

#[test]
fn one_turn_of_eight_levels_in_three_languages_is_listed() {
    let mut rows = vec![];
    for group in 0..8 {
        for language in ["en", "zh", "ja"] {
            for p in 1..=8 {
                // The rudest is answered wrongly in English and Chinese.
                let wrong = p == 1 && language != "ja";
                rows.push(row(group, &p.to_string(), language, 1, f64::from(!wrong)));
            }
        }
    }
    let out = found(&rows, json!({"reference": "8"}));
    // Eight levels and three languages, with n, mean and interval; no slope, no figure by turn, no warning.
    assert_eq!(out.values["levels"].as_array().unwrap().len(), 11);
    assert_eq!((out.figures().count(), out.warnings().count()), (0, 0), "{out:?}");
    let of = |factor: &str, l: &str, key: &str| level(&out, factor, l)[key].as_f64();
    assert_eq!((of("politeness", "1", "n"), of("politeness", "1", "replies")), (Some(8.0), Some(24.0)));
    assert!((of("politeness", "1", "mean").unwrap() - 100.0 / 3.0).abs() < 1e-9);
    assert!((of("politeness", "1", "difference").unwrap() + 200.0 / 3.0).abs() < 1e-9);
    assert_eq!(of("politeness", "1", "p"), Some(2f64.powi(-7)));
    assert!((of("politeness", "1", "p_holm").unwrap() - 7.0 * 2f64.powi(-7)).abs() < 1e-12);
    // All groups are right: Wilson's interval over groups, not one without width.
    assert!(of("politeness", "5", "mean_low").unwrap() < 70.0);
    assert!((of("politeness", "5", "mean_high").unwrap() - 100.0).abs() < 1e-9);
    assert_eq!((of("politeness", "8", "difference"), of("politeness", "8", "p")), (None, None));
    // `reference` names a level of one factor; the other's is the first in the manifest.
    assert_eq!(level(&out, "language", "ja")["reference"], "en");
    assert!((of("language", "ja", "difference").unwrap() - 12.5).abs() < 1e-9);
    let table = out.tables().find(|t| t.name == "levels").unwrap();
    assert_eq!(table.columns.iter().map(|c| c.heading()).collect::<Vec<_>>()[4], "mean (%)");
    // The contrast of all levels is named before the run.
    let named = found(&rows, json!({"primary": "politeness", "reference": "8"}));
    assert_eq!(named.values["primary"]["contrasts"].as_array().unwrap().len(), 7);
}

#[test]
fn a_score_that_says_what_was_found_is_no_accuracy() {
    let rows = |target: Option<&str>| -> Vec<TurnRow> {
        let of =
            |group, level, score| TurnRow { target: target.map(String::from), ..row(group, level, "en", 1, score) };
        (0..6).flat_map(|g| [of(g, "1", 1.0), of(g, "2", f64::from(g % 2))]).collect()
    };
    let told = |grade: Value, target: Option<&str>| {
        let mut b = options(json!({}));
        b.grade = serde_json::from_value(grade).unwrap();
        let mut out = Findings::default();
        b.analyze(&Memory(rows(target)), &mut out).unwrap();
        out.document().to_string().to_lowercase()
    };
    let (sorry, pattern) = (json!({"kind": "contains", "texts": ["sorry"]}), json!({"kind": "regex", "pattern": "no"}));
    for (grade, target) in [(&sorry, None), (&sorry, Some("A")), (&pattern, None)] {
        let found = told(grade.clone(), target);
        assert!(found.contains("share of replies that match") && !found.contains("accuracy"), "{grade}: {found}");
    }
    // Compared with a target, a reply is right or wrong.
    for grade in [&pattern, &json!({"kind": "contains"}), &json!({"kind": "exact"}), &Value::Null] {
        assert!(told(grade.clone(), Some("A")).contains("accuracy"), "{grade}");
    }
}

#[test]
fn conditions_are_the_levels_where_there_are_no_factors() {
    let bare = |group: u32, condition: &str, score: f64| TurnRow {
        condition: condition.into(),
        factors: Default::default(),
        ..row(group, "x", "y", 1, score)
    };
    let rows: Vec<TurnRow> =
        (0..6).flat_map(|g| [bare(g, "full", 1.0), bare(g, "sharded", f64::from(g % 2))]).collect();
    let out = found(&rows, json!({}));
    assert_eq!(level(&out, "condition", "sharded")["difference"].as_f64(), Some(-50.0));
    assert_eq!(out.question.as_deref(), Some("How large is the accuracy of each condition?"));
    let all: Vec<_> = out.estimates().map(|e| (e.what.as_str(), e.value)).collect();
    assert_eq!(all, [("full", Some(100.0)), ("sharded", Some(50.0))]);
    // One condition alone has no levels, and its mean is told.
    let one: Vec<TurnRow> = rows.into_iter().filter(|t| t.condition == "full").collect();
    let out = found(&one, json!({}));
    assert!(!out.values.contains_key("levels") && out.estimates().count() == 1, "{out:?}");
}

#[test]
fn an_aside_is_compared_in_its_own_unit_and_turns_without_it_are_counted() {
    let mut rows = vec![];
    for g in 0..8 {
        for (tone, fall) in [("kind", 0.0), ("harsh", 0.5)] {
            for turn in 1..=3u32 {
                let mut r = row(g, tone, "en", turn, 1.0);
                // Not answered to at turn 3 of group 0.
                let value = (g != 0 || turn != 3).then(|| 6.0 + 0.1 * f64::from(g) - fall * f64::from(turn));
                r.asides.insert("mood".into(), Aside { value, ..Aside::default() });
                (r.target, r.score, r.answer, r.choices) = (None, None, None, 0);
                rows.push(r);
            }
        }
    }
    let out = found(&rows, json!({"outcome": "aside.mood", "primary": "politeness × turn", "first_turn": 1}));
    let v = &out.values["primary"];
    // Kind minus harsh.
    assert!((v["estimate"].as_f64().unwrap() - 0.5).abs() < 1e-9 && v["unit"] == "per turn", "{v}");
    assert!(!v.as_object().unwrap().contains_key("points_per_turn"));
    let warned: Vec<&String> = out.warnings().collect();
    assert_eq!(warned, ["2 of 48 turns have no `aside.mood` and are left out"]);
    assert!(out.texts().all(|t| !t.contains("guessing") && !t.contains('%')), "{out:?}");
    assert!(out.figures().next().is_some_and(|f| f.name == "outcome"));
    let mean = level(&out, "politeness", "kind");
    assert!(mean["unit"] == "" && (6.0..7.0).contains(&mean["mean"].as_f64().unwrap()), "{mean}");
    assert!(out.question.as_deref().unwrap().contains("aside mood"));
    // An outcome that no turn has.
    let out = found(&rows, json!({"outcome": "metric.f1", "primary": "politeness"}));
    assert_eq!(out.values["primary"]["verdict"], "cannot be told");
    assert!(out.warnings().any(|w| w.contains("48 of 48 turns have no `metric.f1`")), "{out:?}");
}

#[test]
fn samples_are_averaged_and_groups_stay_the_units() {
    let mut rng = Rng::new(8);
    let mut rows = vec![];
    for g in 0..10 {
        for tone in ["a", "b"] {
            for sample in 0..3 {
                for turn in 1..=4 {
                    rows.push(TurnRow { sample, ..row(g, tone, "en", turn, f64::from(rng.unit() < 0.6)) });
                }
            }
        }
    }
    // The same study, with each cell's mean in place of its samples.
    let mut cells: Vec<TurnRow> = rows.iter().filter(|r| r.sample == 0).cloned().collect();
    for c in &mut cells {
        let own = rows.iter().filter(|r| (r.group, &r.condition, r.turn) == (c.group, &c.condition, c.turn));
        c.score = Some(own.map(|r| r.score.unwrap()).sum::<f64>() / 3.0);
    }
    let v = json!({"primary": "politeness × turn"});
    let (all, means) = (found(&rows, v.clone()), found(&cells, v));
    assert_eq!(all.values["primary"], means.values["primary"]);
    let (x, y) = (level(&all, "politeness", "a"), level(&means, "politeness", "a"));
    assert_eq!((&x["mean"], &x["mean_low"], &x["n"]), (&y["mean"], &y["mean_low"], &y["n"]));
    assert_eq!((x["n"].as_u64(), x["replies"].as_u64()), (Some(10), Some(90)));
    // The table by turn has groups, and counts of replies.
    let table = all.tables().find(|t| t.name == "accuracy").unwrap();
    let of = |name: &str| table.columns.iter().find(|c| c.name == name).unwrap().cells.clone();
    assert_eq!(of("n"), friction_core::Cells::Count(vec![10; 8]));
    assert_eq!(of("replies"), friction_core::Cells::Count(vec![30; 8]));
}

#[test]
fn conversations_of_unequal_length_are_compared_where_they_meet_or_at_their_ends() {
    let mut rows = vec![];
    for g in 0..6 {
        rows.push(row(g, "full", "en", 1, 1.0));
        for turn in 1..=4 {
            rows.push(row(g, "sharded", "en", turn, f64::from(turn > 3 && g > 0)));
        }
    }
    let out = found(&rows, json!({"primary": "politeness"}));
    assert!(out.texts().any(|t| t == "Conversations have 1 to 4 turns"), "{out:?}");
    let warned: Vec<&String> = out.warnings().collect();
    assert!(warned.len() == 1 && warned[0].contains("18 turns that only one of two has are left out"), "{warned:?}");
    // At turn 1 the sharded conversation is always wrong.
    assert_eq!(out.values["primary"]["estimate"].as_f64(), Some(-100.0));
    let ends = found(&rows, json!({"primary": "politeness", "turns": "last"}));
    assert_eq!(ends.warnings().count(), 0, "{ends:?}");
    assert!((ends.values["primary"]["estimate"].as_f64().unwrap() + 100.0 / 6.0).abs() < 1e-9);
    assert!(!ends.values["primary"].as_object().unwrap().contains_key("first_turn"));
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let told = |v: Value| options(v).validate().unwrap_err().to_string();
    assert!(told(json!({"primary": "a × turn", "turns": "last"})).contains("nothing can change with turns"));
    assert!(told(json!({"turns": "last", "first_turn": 2})).contains("`first_turn` does nothing"));
    assert!(told(json!({"primary": "a × b × c"})).contains("is none of"));
    assert!(serde_json::from_value::<Behavior>(json!({"outcome": "scores"})).is_err());
    let needs = options(json!({"outcome": "aside.mood", "primary": "a × b", "reference": "x"})).needs();
    assert_eq!(needs.outcomes, [Outcome::Aside("mood".into())]);
    assert_eq!((needs.turns, needs.first_turn), (1, Some(1)));
    assert_eq!(needs.reference, Some(("x".into(), vec!["a".into(), "b".into()])));
    let slope = options(json!({"primary": "a × turn"})).needs();
    assert_eq!((slope.turns, slope.first_turn, slope.levels.len()), (2, Some(2), 0));
}

#[test]
fn what_is_not_set_is_that_of_the_locked_contrast() {
    let locked = json!({"contrast": "politeness × turn", "outcome": "log_odds", "smallest": 0.1, "first_turn": 3});
    let under = |v: Value, locked: &Value| {
        let built = Behavior { locked: Some(serde_json::from_value(locked.clone()).unwrap()), ..options(v) };
        built.faults().map(|()| built)
    };
    let plain = under(json!({}), &locked).unwrap();
    assert_eq!((plain.outcome(), plain.first(), plain.turns()), (Outcome::LogOdds, 3, Turns::All));
    // Its needs are checked at `[primary]`.
    let needs = plain.needs();
    assert!(needs.primary && needs.outcomes.is_empty() && needs.first_turn.is_none() && needs.factors.is_empty());
    let other = under(json!({"primary": "language", "reference": "en"}), &locked).unwrap();
    assert_eq!((other.outcome(), other.first(), other.needs().primary), (Outcome::LogOdds, 1, false));
    assert_eq!(other.needs().factors, ["language"]);
    let own = under(json!({"outcome": "score", "first_turn": 2}), &locked).unwrap();
    assert_eq!(
        (own.outcome(), own.first(), own.needs().first_turn, own.needs().turns),
        (Outcome::Score, 2, Some(2), 2)
    );
    let last = json!({"contrast": "politeness", "smallest": 1.0, "turns": "last"});
    assert_eq!(under(json!({}), &last).unwrap().words(), "the last turn of each conversation");
    assert_eq!(under(json!({"first_turn": 2}), &last).unwrap().words(), "turns from 2 on");
    let told = under(json!({"turns": "last"}), &locked).err().unwrap().to_string();
    assert!(told.contains("nothing can change with turns"), "{told}");
}
