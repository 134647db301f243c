//! What is recorded of a conversation, and how a group's records become what the store writes.
use crate::messages::Said;
use friction_core::{Aside, Kept, TapArray, TurnRow};
use friction_engine::{TapRows, TurnOutcome};
use friction_store::{GroupData, TapEntry};
use std::cell::RefCell;
use std::rc::Rc;

/// What is recorded of a conversation.
#[derive(Debug, Default)]
pub struct Record {
    /// One row for each turn.
    pub turns: Vec<TurnRow>,
    /// Activations, `[turns][taps]`.
    pub taps: Vec<Vec<TapRows>>,
}

impl Record {
    /// The aside of a name after the last turn, made if it is not there.
    pub fn aside(&mut self, name: &str) -> Option<&mut Aside> {
        self.turns.last_mut().map(|row| row.asides.entry(name.into()).or_default())
    }
}

/// Fills in what the engine measured of a turn. `shown` is what the history holds of the prefill.
pub(crate) fn measured(row: TurnRow, outcome: &TurnOutcome, kept: &Kept, (said, shown): (&Said, &str)) -> TurnRow {
    // Held against the engine's own count, not against that by which the filler was chosen.
    let difference = said.filled.map(|f| outcome.prompt_tokens as i32 - f.goal as i32);
    TurnRow {
        history: said.ask.history.word().into(),
        filler_tokens: said.filled.map(|f| f.tokens),
        length_difference: difference,
        kept: format!("{shown}{}", kept.text),
        removed_tokens: kept.removed_tokens as u32,
        choice_logprobs: outcome.choices.clone(),
        replay_logprobs: outcome.forced.clone(),
        prompt_tokens: outcome.prompt_tokens as u32,
        prefilled_tokens: (outcome.prompt_tokens - outcome.reused_tokens) as u32,
        reused_tokens: outcome.reused_tokens as u32,
        reply_tokens: outcome.ids.len() as u32,
        reply_ids: outcome.ids.clone(),
        finish_reason: outcome.finish.word().into(),
        elapsed_ms: outcome.elapsed_ms,
        ..row
    }
}

/// Joins the records of a group's conversations into what the store writes.
pub fn group_data(records: &[Rc<RefCell<Record>>]) -> GroupData {
    let mut out = GroupData::default();
    for record in records {
        let record = record.borrow();
        let Some(first) = record.turns.first() else { continue };
        for (k, tap) in record.taps.first().into_iter().flatten().enumerate() {
            let turns: Vec<&TapRows> = record.taps.iter().filter_map(|t| t.get(k)).collect();
            let positions = turns.iter().map(|t| t.rows.len()).max().unwrap_or(0);
            let width = turns.iter().flat_map(|t| t.rows.first()).map(Vec::len).next().unwrap_or(0);
            let mut data = vec![f32::NAN; turns.len() * positions * width];
            for (t, rows) in turns.iter().enumerate() {
                for (p, row) in rows.rows.iter().enumerate() {
                    let at = (t * positions + p) * width;
                    data[at..at + width].copy_from_slice(row);
                }
            }
            out.taps.push(TapEntry {
                condition: first.condition.clone(),
                arm: first.arm.clone(),
                sample: first.sample,
                site: tap.tap.site,
                position: tap.tap.position,
                array: TapArray { shape: [turns.len(), positions, width], data },
            });
        }
        out.turns.extend(record.turns.iter().cloned());
    }
    out
}
