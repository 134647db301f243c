#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::{ConversationId, Position, Site, TapArray};

struct Memory(Vec<TurnRow>);
impl RunReader for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn seed(&self) -> u64 {
        0
    }
    fn turns(&self) -> &[TurnRow] {
        &self.0
    }
    fn tap(&self, _: ConversationId, _: Site, _: Position) -> Result<Option<TapArray>> {
        Ok(None)
    }
    fn findings(&self, _: &str) -> Option<serde_json::Value> {
        None
    }
}

/// Findings on four groups of six turns whose replies all give this letter, or none.
fn found(parsed: Option<&str>) -> Findings {
    let row = |i: u32| TurnRow {
        group: i / 6,
        turn: i % 6 + 1,
        user: format!("Level {}. Which?", i % 25),
        removed_tokens: 1,
        answer: parsed.map(String::from),
        target: Some("A".into()),
        score: Some(f64::from(u8::from(parsed.is_some() && i % 25 >= 2))),
        ..TurnRow::default()
    };
    let mut out = Findings::default();
    let truth = GroundTruth { expect: Truth::Null, outcome: Outcome::Score, level: 0.95 };
    truth.analyze(&Memory((0..24).map(row).collect()), &mut out).unwrap();
    out
}

#[test]
fn answers_that_were_never_read_give_no_verdict() {
    let out = found(None);
    assert_eq!(out.values["verdict"], "cannot be told");
    assert!(!out.values.contains_key("step") && !out.values.contains_key("exact_share"), "{:?}", out.values);
    let warned = out.warnings().next().unwrap();
    assert!(warned.starts_with("none of the 24 replies declares an answer"), "{warned}");
    assert!(out.texts().all(|s| !s.contains("agrees") && !s.contains("DIFFERS")), "{out:?}");
    let e = out.estimates().next().unwrap();
    assert_eq!((e.value, e.truth, e.says.as_deref()), (None, Some(0.0), Some("cannot be told")));
    let read = found(Some("B"));
    assert_eq!(read.values["exact_share"], 1.0);
    assert!(read.warnings().next().is_none() && read.values.contains_key("step"), "{read:?}");
    let e = read.estimates().next().unwrap();
    assert_eq!((e.n, e.truth, e.value), (Some(4), Some(0.0), read.values["step"]["points"].as_f64()));
    assert_eq!(e.agrees(), read.values["step"]["agrees"].as_bool());
}

#[test]
fn of_another_outcome_the_change_is_told_without_a_truth() {
    let row = |i: u32| TurnRow {
        group: i / 6,
        turn: i % 6 + 1,
        user: format!("Level {}. Which?", i % 25),
        removed_tokens: 1,
        answer: Some("A".into()),
        target: Some("A".into()),
        score: Some(1.0),
        // Each interruption makes replies two tokens shorter, and a little less in later groups.
        reply_tokens: 40 - (2 - (i / 18)) * (i % 6),
        ..TurnRow::default()
    };
    let mut out = Findings::default();
    let truth = GroundTruth { expect: Truth::Null, outcome: Outcome::ReplyTokens, level: 0.95 };
    assert_eq!(truth.needs().outcomes, [Outcome::Score, Outcome::ReplyTokens]);
    truth.analyze(&Memory((0..24).map(row).collect()), &mut out).unwrap();
    let e = out.estimates().next().unwrap();
    assert_eq!((e.unit.as_str(), e.truth, e.says.as_deref()), ("tokens", None, None));
    assert!((e.value.unwrap() + 1.75).abs() < 1e-9, "{e:?}");
    assert_eq!(out.values["step"]["outcome"], "reply_tokens");
}

#[test]
fn interruptions_are_counted_behind_a_turn_of_the_same_sample() {
    let reply = "C. That is the one.";
    let row = |sample: u32, turn: u32, kept: &str| TurnRow {
        sample,
        turn,
        reply: reply.into(),
        kept: kept.into(),
        ..TurnRow::default()
    };
    let rows = [
        row(0, 1, "C. That..."),
        row(0, 2, reply),
        row(0, 3, "C. That"),
        row(0, 4, reply),
        row(1, 1, reply),
        row(1, 2, "C. That is the one. -"),
        row(1, 3, "C. That"),
        row(1, 4, reply),
    ];
    let k = |rows: &[TurnRow]| counted(rows).iter().map(|s| s.interruptions).collect::<Vec<_>>();
    // Behind a marker that follows a whole reply nothing is true.
    assert_eq!(k(&rows), [Some(0), Some(1), Some(1), Some(2), Some(0), Some(0), None, None]);
    let with = |history: &str| k(&rows.clone().map(|t| TurnRow { history: history.into(), ..t }));
    assert_eq!(with("none"), [Some(0); 8]);
    assert_eq!(with("told"), [None; 8]);
    assert_eq!(level_of("nvm. birds.\n\nLevel 13. Which one stands third? A. owl"), Some(13));
    assert_eq!(level_of("Level 25. x"), None);
    assert_eq!(level_of("What?"), None);
}

/// Four groups of three turns of each condition, which answers as the planted organism does, but for the turns `but`.
fn arms(conditions: &[(&str, [&str; 2], &str)], but: impl Fn(&str, u32) -> bool) -> Vec<TurnRow> {
    let reply = "C. That is the one.";
    let mut rows = vec![];
    for (name, [words, cut], kept) in conditions {
        for i in 0..12u32 {
            let (turn, level) = (i % 3 + 1, i * 7 % 25);
            let read = if *kept == reply { 0 } else { turn as usize - 1 };
            let right = (level as usize >= Truth::Planted.errs_below(read)) != but(name, i);
            rows.push(TurnRow {
                group: i / 3,
                condition: (*name).into(),
                factors: [("words".into(), (*words).into()), ("cut".into(), (*cut).into())].into(),
                turn,
                user: format!("Level {level}. Which?"),
                reply: reply.into(),
                kept: (*kept).into(),
                answer: Some("A".into()),
                target: Some("A".into()),
                score: Some(f64::from(u8::from(right))),
                ..TurnRow::default()
            });
        }
    }
    rows
}

#[test]
fn each_condition_stands_beside_its_own_truth() {
    let whole = "C. That is the one.";
    let rows = arms(
        &[
            ("complete", ["neutral", "none"], whole),
            ("words", ["interrupting", "none"], whole),
            ("cut", ["neutral", "cut"], "C. That"),
            ("marked", ["neutral", "marked"], "C. That..."),
            ("marker", ["neutral", "marker"], "C. That is the one. -"),
        ],
        |name, i| name == "marked" && i == 11,
    );
    let mut out = Findings::default();
    let truth = GroundTruth { expect: Truth::Planted, outcome: Outcome::Score, level: 0.95 };
    truth.analyze(&Memory(rows), &mut out).unwrap();
    let of = |name: &str, key: &str| out.values["conditions"][name][key].clone();
    // By hand: levels 0 7 14 | 21 3 10 | 17 24 6 | 13 20 2, of which 0 is wrong without interruptions, and 2 behind two of them.
    assert_eq!((of("complete", "exact"), of("complete", "accuracy")), (1.0.into(), (11.0 / 12.0).into()));
    assert_eq!((of("cut", "exact"), of("cut", "accuracy")), (1.0.into(), (10.0 / 12.0).into()));
    let planted = of("cut", "planted").as_f64().unwrap();
    assert!((planted - 0.88).abs() < 1e-12, "0.92, 0.88 and 0.84: {planted}");
    assert_eq!(of("marked", "exact"), 11.0 / 12.0);
    // One turn of each group comes before the marker.
    assert_eq!((of("marker", "n"), out.values["untrained"].clone()), (4.into(), 8.into()));
    let keys: Vec<&String> = out.values.keys().filter(|k| k.starts_with("factor_")).collect();
    assert_eq!(keys, ["factor_cut_marked-cut", "factor_words"], "{:?}", out.values);
    assert_eq!(out.values["factor_words"]["points"], 0.0);
    let points = out.values["factor_cut_marked-cut"]["points"].as_f64().unwrap();
    assert!((points - 100.0 / 12.0).abs() < 1e-9, "the one turn that was turned round: {points}");
}
