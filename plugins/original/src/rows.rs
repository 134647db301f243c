//! The turns of a conversation as rows of a run.
use crate::CONDITIONS;
use crate::file::{Talk, Turn};
use crate::items::Question;
use friction_core::TurnRow;
use std::collections::BTreeMap;

/// The rows of a conversation. What the file does not say is left empty.
pub(crate) fn of(talk: &Talk, items: &BTreeMap<String, Question>) -> Vec<TurnRow> {
    let row = |turn: &Turn| {
        let item = items.get(&turn.question_id);
        let mut metrics: BTreeMap<String, f64> =
            [("characters", turn.response_length as f64), ("hedging", turn.hedging_count as f64)]
                .map(|(name, value)| (name.to_string(), value))
                .into();
        metrics.extend(turn.was_truncated.map(|flag| ("flagged_truncated".into(), f64::from(u8::from(flag)))));
        metrics.extend(turn.texts().map(|texts| ("removed_characters".into(), removed(texts) as f64)));
        TurnRow {
            group: talk.index,
            condition: talk.name().into(),
            turn: turn.turn_number,
            round: 1,
            topic: turn.topic.clone(),
            item_id: turn.question_id.clone(),
            choices: item.and_then(Question::choices).unwrap_or(0) as u32,
            target: Some(turn.correct_answer.clone()),
            user: turn.user_message.clone().unwrap_or_default(),
            phrase: (turn.turn_number > 1 && worded(talk, turn) == Some(true)).then_some(0),
            reply: turn.reply().unwrap_or_default().into(),
            kept: turn.kept().unwrap_or_default().into(),
            answer: turn.parsed_answer.clone(),
            score: Some(f64::from(u8::from(turn.is_correct))),
            grades: [("original".to_string(), turn.parsed_answer.clone())].into(),
            metrics,
            elapsed_ms: f64::NAN,
            ..TurnRow::default()
        }
    };
    talk.turns.iter().map(row).collect()
}

/// Number of characters of a reply that the history does not have.
pub(crate) fn removed((reply, kept): (&str, &str)) -> usize {
    if reply == kept {
        return 0;
    }
    let rest = kept.strip_suffix("...").unwrap_or(kept);
    reply.trim_end().chars().count().saturating_sub(rest.trim_end().chars().count())
}

/// Whether the user's message is the condition's words around the question, or the bare question in turn 1; `None` if
/// message or question are not known.
pub(crate) fn worded(talk: &Talk, turn: &Turn) -> Option<bool> {
    let before = if turn.turn_number == 1 { "" } else { CONDITIONS[talk.condition].1 };
    let rest = turn.user_message.as_deref()?.strip_prefix(before);
    let question = turn.question_text.as_deref()?;
    Some(rest == Some(question))
}
