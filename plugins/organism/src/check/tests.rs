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
    let row =
        |sample: u32, turn: u32, removed: u32| TurnRow { sample, turn, removed_tokens: removed, ..TurnRow::default() };
    let rows = [row(0, 1, 2), row(0, 2, 0), row(0, 3, 1), row(0, 4, 0), row(1, 1, 0), row(1, 2, 0)];
    let k: Vec<usize> = counted(&rows).iter().map(|s| s.interruptions).collect();
    assert_eq!(k, [0, 1, 1, 2, 0, 0]);
    assert_eq!(level_of("nvm. birds.\n\nLevel 13. Which one stands third? A. owl"), Some(13));
    assert_eq!(level_of("Level 25. x"), None);
    assert_eq!(level_of("What?"), None);
}
